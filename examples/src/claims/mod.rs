//! The paper's tables and figures, each as a section of a page: what is measured here beside what the paper says.
//!
//! Every claim is measured on the data given, else on phantoms, and the page says so. Results are kept in a journal as they come: an
//! interrupted claim goes on where it was, and claims that need the same results share them.

mod fig10;
mod fig12;
mod fig14;
mod fig7;
mod fig9;
mod gallery;
mod next_slice;
mod options;
mod paper;
mod plan;
mod table1;
mod table2;
mod table3;
mod table4;
mod table5;
mod tables;
mod trust;

use std::{cell::RefCell, fmt, process::ExitCode};

use anyhow::{Context, Result};
use burn::tensor::backend::Backend;
use clap::{Parser, ValueEnum};
use sam_eval::report::{Report, Section};
use serde::Serialize;

pub use options::{ClaimOptions, Source};
pub use plan::Plan;

use crate::{
    backend::{BackendChoice, Job},
    disk_cache::DiskCache,
    journal::Journal,
    report,
    results::Environment,
    study::Study,
    weights::Weights,
};

/// A table or figure of the paper, or what is claimed here beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Claim {
    /// Data sets.
    Table1Datasets,
    /// Many organs of the abdomen, by prompt.
    Table2Btcv,
    /// Seconds of learning.
    Table3TrainingTime,
    /// Boxes with correcting clicks.
    Table4Composite,
    /// PANet and SAP-Net, step by step.
    Table5SapnetAblation,
    /// Dice by number of points.
    Fig7Points,
    /// Where points are drawn.
    Fig9SamplingSchemes,
    /// Boxes, before and after learning.
    Fig10Boxes,
    /// Prompts without a person.
    Fig12Auto,
    /// Where propagation fails.
    Fig14PropagationFailure,
    /// Which slices a person should look at first; not of the paper.
    TrustRanking,
    /// Which slice to outline next; not of the paper.
    NextSlice,
}

impl Claim {
    /// Those of the paper.
    pub const PAPER: [Self; 10] = [
        Self::Table1Datasets,
        Self::Table2Btcv,
        Self::Table3TrainingTime,
        Self::Table4Composite,
        Self::Table5SapnetAblation,
        Self::Fig7Points,
        Self::Fig9SamplingSchemes,
        Self::Fig10Boxes,
        Self::Fig12Auto,
        Self::Fig14PropagationFailure,
    ];

    /// The name of its example and of its section.
    pub fn id(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What is shown there.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Table1Datasets => "Table 1: the data sets",
            Self::Table2Btcv => "Table 2: Dice by organ and prompt, 2 annotated slices",
            Self::Table3TrainingTime => "Table 3: seconds of prompt-learning",
            Self::Table4Composite => "Table 4: points, boxes, and boxes corrected by clicks",
            Self::Table5SapnetAblation => "Table 5: PANet and SAP-Net, step by step",
            Self::Fig7Points => "Figure 7: Dice by number of points, before and after learning",
            Self::Fig9SamplingSchemes => "Figure 9: where points are drawn",
            Self::Fig10Boxes => "Figure 10: boxes, before and after learning",
            Self::Fig12Auto => "Figure 12: prompts that nobody clicks",
            Self::Fig14PropagationFailure => "Figure 14: where propagation fails",
            Self::TrustRanking => "Trust: how soon the slices that are wrong are found",
            Self::NextSlice => "Trust: which slice to outline next",
        }
    }

    /// Measures it.
    fn section<B: Backend>(self, study: &Study<'_, B>, plan: &Plan) -> Result<Section> {
        let plan = plan.clone().with_phantoms(self.phantoms())?;
        let section = match self {
            Self::Table1Datasets => table1::section(&plan),
            Self::Table2Btcv => table2::section(study, &plan),
            Self::Table3TrainingTime => table3::section(study, &plan),
            Self::Table4Composite => table4::section(study, &plan),
            Self::Table5SapnetAblation => table5::section(study, &plan),
            Self::Fig7Points => fig7::section(study, &plan),
            Self::Fig9SamplingSchemes => fig9::section(study, &plan),
            Self::Fig10Boxes => fig10::section(study, &plan),
            Self::Fig12Auto => fig12::section(study, &plan),
            Self::Fig14PropagationFailure => fig14::section(study, &plan),
            Self::TrustRanking => trust::section(study, &plan),
            Self::NextSlice => next_slice::section(study, &plan),
        };
        let section = section.with_context(|| self.id())?;
        let mut notes = section.notes;
        if plan.is_synthetic() {
            notes.insert(
                0,
                "Measured on synthetic phantoms: this shows that the program works, and says nothing of scans.".into(),
            );
        }
        Ok(Section { id: self.id(), title: self.title().to_owned(), notes, ..section })
    }

    /// Structures of phantoms that stand in where no data are given.
    fn phantoms(self) -> &'static [&'static str] {
        match self {
            Self::Table1Datasets => &[],
            Self::Table2Btcv => &["abdomen:spleen,right kidney,liver=liver+liver lesion,aorta"],
            Self::Fig10Boxes => &["abdomen:right kidney", "spinal-cord:spinal cord=1+2", "kidney-ultrasound"],
            Self::Table3TrainingTime | Self::Table4Composite | Self::Fig7Points => {
                &["abdomen:right kidney", "spinal-cord:spinal cord=1+2"]
            }
            Self::Fig9SamplingSchemes | Self::TrustRanking | Self::NextSlice => &["abdomen:right kidney"],
            Self::Table5SapnetAblation | Self::Fig12Auto | Self::Fig14PropagationFailure => {
                &["abdomen:right kidney,liver=liver+liver lesion"]
            }
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id())
    }
}

/// Claims as a job: one section each.
struct ClaimsJob<'a> {
    claims: &'a [Claim],
    plan: &'a Plan,
    weights: &'a Weights,
    disk: Option<&'a DiskCache>,
    journal: Journal,
}

impl Job for ClaimsJob<'_> {
    type Output = Vec<Section>;

    fn run<B: Backend>(self, device: &B::Device) -> Result<Vec<Section>> {
        let journal = RefCell::new(self.journal);
        let study: Study<'_, B> = Study::open(self.weights, self.disk, &journal, device)?;
        let mut sections = Vec::new();
        for (at, claim) in self.claims.iter().enumerate() {
            eprintln!("[{}/{}] {}", at + 1, self.claims.len(), claim.title());
            sections.push(claim.section(&study, self.plan)?);
        }
        Ok(sections)
    }
}

/// The whole program of a claim's example: reads the command line, measures, and writes the page.
pub fn main(claims: &[Claim], title: &str) -> ExitCode {
    report::exit(run(claims, title, ClaimOptions::parse()))
}

fn run(claims: &[Claim], title: &str, options: ClaimOptions) -> Result<()> {
    let out = options.out(claims);
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let weights = options.model.locate()?;
    let journal = Journal::open(&out.join("journal.jsonl"))?;
    let disk = DiskCache::open(&options.cache.clone().unwrap_or_else(|| out.join("embeddings")), &weights)?;
    let plan = options.plan()?;
    if !journal.is_empty() {
        eprintln!("Going on with {} results of {}", journal.len(), out.display());
    }
    let job = ClaimsJob { claims, plan: &plan, weights: &weights, disk: Some(&disk), journal };
    let sections = options.backend.run(job)?;
    let page = page(title, &plan, options.backend, &weights, sections);
    page.write(&out)?;
    write_config(&out, &plan, options.backend, &weights)?;
    for finding in page.sections.iter().flat_map(|section| &section.findings) {
        let mark = finding.holds.map_or("?", |holds| if holds { "holds" } else { "does not hold" });
        println!("{mark}: {} ({})", finding.claim, finding.evidence);
    }
    println!("Wrote report.html, report.md, report.csv, report.json and config.json to {}", out.display());
    Ok(())
}

/// All numbers of the run, beside its results.
fn write_config(out: &std::path::Path, plan: &Plan, backend: BackendChoice, weights: &Weights) -> Result<()> {
    let config = serde_json::json!({ "plan": plan, "environment": Environment::new(backend, weights) });
    let text = serde_json::to_string_pretty(&config)? + "\n";
    Ok(sam_data::write_atomically(&out.join("config.json"), |file| file.write_all(text.as_bytes()))?)
}

fn page(title: &str, plan: &Plan, backend: BackendChoice, weights: &Weights, sections: Vec<Section>) -> Report {
    let environment = Environment::new(backend, weights);
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let seeds = plan.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let mut facts = vec![
        fact("Data", plan.data_in_words()),
        fact("Seeds", seeds),
        fact("Tested", format!("at most {} slices of each structure that were not annotated", plan.tested)),
        fact(
            "Prompts",
            "simulated from the ground truth, boxes with jitter; none where a section says auto".to_owned(),
        ),
        fact("Backend", format!("{} on {}, {} threads", environment.backend, environment.system, environment.threads)),
        fact("Encoder precision", environment.precision.to_string()),
        fact("Weights", format!("SHA-256 {}", environment.weights_sha256)),
        fact("Version", environment.version.to_owned()),
    ];
    facts.retain(|(_, value)| !value.is_empty());
    let mut notes = Vec::new();
    if plan.is_synthetic() {
        notes.push(
            "Synthetic phantoms, no scans: these numbers show that the program works, and say nothing of its quality."
                .to_owned(),
        );
    }
    Report { title: title.to_owned(), facts, notes, sections }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use std::{
        fs::File,
        io::{BufRead, BufReader},
        path::{Path, PathBuf},
    };

    use burn_flex::{Flex, FlexDevice};
    use sam_core::{Precision, SamConfig, SamPredictor, ViTConfig};

    use super::*;
    use crate::backend::in_pool;

    /// Measures a claim on a small phantom and with a small model of random weights: what matters here is not the model.
    fn measure(predictor: &SamPredictor<Flex>, journal: &Path) -> Result<Section> {
        let weights = Weights { path: PathBuf::new(), sha256: "of a test".to_owned(), precision: Precision::F32 };
        in_pool(|| {
            let journal = RefCell::new(Journal::open(journal)?);
            let predictor = predictor.clone();
            let study = Study { predictor, weights: &weights, disk: None, journal: &journal };
            let sources = vec![Source::phantom("spinal-cord:spinal cord=1+2")?.into_data()];
            Claim::Fig10Boxes.section(&study, &Plan::new(sources, vec![3], 2))
        })
    }

    #[test]
    fn a_run_that_was_killed_goes_on_to_the_same_page() -> Result<()> {
        let config = SamConfig::vit(ViTConfig::new(32, 1, 2).with_image_size(64));
        let predictor = SamPredictor::new(config.init(&FlexDevice), config.preprocess);
        let folder = tempfile::tempdir()?;
        let undisturbed = folder.path().join("undisturbed.jsonl");
        let section = measure(&predictor, &undisturbed)?;
        assert_eq!((section.id.as_str(), section.tables.is_empty()), ("fig10_boxes", false));
        assert_eq!(section.galleries[0].items[0].slices.len(), 2);

        let lines: Vec<String> = BufReader::new(File::open(&undisturbed)?).lines().collect::<Result<_, _>>()?;
        assert_eq!(lines.len(), 3, "original, 2 slices and 5 slices");
        for done in 0..lines.len() {
            // Killed while the next line was being written.
            let killed = folder.path().join(format!("killed-{done}.jsonl"));
            let torn = &lines[done][..lines[done].len() / 2];
            let whole = lines[..done].iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>();
            std::fs::write(&killed, whole + torn)?;
            assert_eq!(measure(&predictor, &killed)?, section, "after {done} results");
        }
        Ok(())
    }
}
