//! The paper's tables and figures, and three experiments of our own: each becomes a section of a page, with the measured results next to
//! those of the paper.
//!
//! Every experiment uses the given data, otherwise phantoms, and the page says which. Results are written to a journal one by one: an
//! interrupted experiment continues where it stopped, and experiments that need the same results share them.

use std::{fmt, path::Path};

use burn::tensor::backend::Backend;
use sam_eval::report::{Report, Section};
use sam_files::Outputs;
use sam_prompt::counted;
use serde::{Deserialize, Serialize};

use crate::{
    Environment, Event, FewSlicesTrial, Plan, Setup,
    error::{Context, Result},
    sections::{
        few_slices as few_slices_page, fig7, fig9, fig10, fig12, fig14, next_slice, table2, table3, table4, table5,
        trust,
    },
    table1,
};

/// A table or figure of the paper, or an experiment beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Experiment {
    /// Table 1: the data sets.
    Table1Datasets,
    /// Table 2: many organs of the abdomen, by prompt.
    Table2Btcv,
    /// Table 3: seconds of learning.
    Table3TrainingTime,
    /// Table 4: boxes with correcting clicks.
    Table4Composite,
    /// Table 5: PANet and SAP-Net, row by row.
    Table5SapnetAblation,
    /// Figure 7: Dice by number of points.
    Fig7Points,
    /// Figure 9: sampling schemes of points.
    Fig9SamplingSchemes,
    /// Figure 10: boxes, before and after learning.
    Fig10Boxes,
    /// Figure 12: prompts without a person.
    Fig12Auto,
    /// Figure 14: failure of propagation.
    Fig14PropagationFailure,
    /// Which slices a person should review first; not in the paper.
    TrustRanking,
    /// Which slice to outline next; not in the paper.
    NextSlice,
    /// Masks from a few outlined slices, against filling between slices; not in the paper.
    FewSlices,
}

impl Experiment {
    /// The experiments of the paper.
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

    /// The experiments of the page with everything: those of the paper, what `annotate` makes of a few outlines, and how far its masks can be
    /// trusted.
    pub const OVERVIEW: [Self; 12] = {
        let mut all = [Self::TrustRanking; 12];
        let (paper, _) = all.split_at_mut(Self::PAPER.len());
        paper.copy_from_slice(&Self::PAPER);
        all[Self::PAPER.len()] = Self::FewSlices;
        all
    };

    /// Its name, which is also the name of its example, its section and its folder of results.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Table1Datasets => "table1_datasets",
            Self::Table2Btcv => "table2_btcv",
            Self::Table3TrainingTime => "table3_training_time",
            Self::Table4Composite => "table4_composite",
            Self::Table5SapnetAblation => "table5_sapnet_ablation",
            Self::Fig7Points => "fig7_points",
            Self::Fig9SamplingSchemes => "fig9_sampling_schemes",
            Self::Fig10Boxes => "fig10_boxes",
            Self::Fig12Auto => "fig12_auto",
            Self::Fig14PropagationFailure => "fig14_propagation_failure",
            Self::TrustRanking => "trust_ranking",
            Self::NextSlice => "next_slice",
            Self::FewSlices => "few_slices",
        }
    }

    /// Its heading.
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
            Self::FewSlices => "A few outlined slices, against filling between slices",
        }
    }

    /// Runs the experiment.
    ///
    /// # Errors
    /// If the data cannot be read or tested, or the observer stops it.
    pub fn section<B: Backend>(self, setup: &Setup<B>, plan: &Plan) -> Result<Section> {
        let plan = plan.clone().with_phantoms(self.phantoms())?;
        let section = match self {
            Self::Table1Datasets => table1::section(setup, &plan),
            Self::Table2Btcv => table2::section(setup, &plan),
            Self::Table3TrainingTime => table3::section(setup, &plan),
            Self::Table4Composite => table4::section(setup, &plan),
            Self::Table5SapnetAblation => table5::section(setup, &plan),
            Self::Fig7Points => fig7::section(setup, &plan),
            Self::Fig9SamplingSchemes => fig9::section(setup, &plan),
            Self::Fig10Boxes => fig10::section(setup, &plan),
            Self::Fig12Auto => fig12::section(setup, &plan),
            Self::Fig14PropagationFailure => fig14::section(setup, &plan),
            Self::TrustRanking => trust::section(setup, &plan),
            Self::NextSlice => next_slice::section(setup, &plan),
            Self::FewSlices => few_slices_page::section(setup, &plan),
        };
        Ok(self.headed(section.step(|| self.id().to_owned())?, &plan))
    }

    /// A section with its name, its heading, and a note if its data are phantoms.
    fn headed(self, section: Section, plan: &Plan) -> Section {
        let mut notes = section.notes;
        if plan.is_synthetic() {
            notes.insert(
                0,
                "Measured on synthetic phantoms: this shows that the program works, and says nothing of scans.".into(),
            );
        }
        Section { id: self.id().to_owned(), title: self.title().to_owned(), notes, ..section }
    }

    /// The phantoms, with their structures, that are used if no data are given.
    fn phantoms(self) -> &'static [&'static str] {
        match self {
            Self::Table1Datasets => &[],
            Self::Table2Btcv => &["abdomen:spleen,right kidney,liver=liver+liver lesion,aorta"],
            Self::Fig10Boxes => &["abdomen:right kidney", "spinal-cord:spinal cord=1+2", "kidney-ultrasound"],
            Self::Table3TrainingTime | Self::Table4Composite | Self::Fig7Points => {
                &["abdomen:right kidney", "spinal-cord:spinal cord=1+2"]
            }
            Self::FewSlices => &["abdomen:right kidney,spleen"],
            Self::Fig9SamplingSchemes | Self::TrustRanking | Self::NextSlice => &["abdomen:right kidney"],
            Self::Table5SapnetAblation | Self::Fig12Auto | Self::Fig14PropagationFailure => {
                &["abdomen:right kidney,liver=liver+liver lesion"]
            }
        }
    }
}

impl fmt::Display for Experiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// Runs [`Experiment::FewSlices`]: its section, and the results from which it is made.
///
/// # Errors
/// Those of [`Experiment::section`].
pub fn few_slices<B: Backend>(setup: &Setup<B>, plan: &Plan) -> Result<(Section, Vec<FewSlicesTrial>)> {
    let experiment = Experiment::FewSlices;
    let plan = plan.clone().with_phantoms(experiment.phantoms())?;
    let trials = plan.few_slices(setup).step(|| experiment.id().to_owned())?;
    Ok((experiment.headed(few_slices_page::page(&trials, &plan)?, &plan), trials))
}

/// Runs experiments and joins their sections to a page.
///
/// # Errors
/// Those of [`Experiment::section`].
pub fn run_experiments<B: Backend>(
    experiments: &[Experiment],
    title: &str,
    setup: &Setup<B>,
    plan: &Plan,
    environment: &Environment,
) -> Result<Report> {
    let mut sections = Vec::new();
    for (at, experiment) in experiments.iter().enumerate() {
        let (number, count, title) = (at + 1, experiments.len(), experiment.title().to_owned());
        setup.tell(Event::Experiment { number, count, title })?;
        sections.push(experiment.section(setup, plan)?);
    }
    Ok(page(title, plan, environment, sections))
}

/// The record of a page.
pub const PAGE_RECORD: &str = "config.json";

/// Writes the page as [`Report::FILES`] into a folder, and the plan and environment to their record, [`PAGE_RECORD`].
///
/// # Errors
/// If a plot cannot be drawn, or a file cannot be written or is not in the plan of outputs.
pub fn write_page(
    outputs: &Outputs,
    folder: impl AsRef<Path>,
    page: &Report,
    plan: &Plan,
    environment: &Environment,
) -> Result<()> {
    let folder = folder.as_ref();
    page.write(outputs, folder)?;
    let config = [("plan", serde_json::to_value(plan)?), ("environment", serde_json::to_value(environment)?)];
    let config = config.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
    outputs.publish_with_record(folder.join(PAGE_RECORD), config)?;
    Ok(())
}

/// Joins sections to a page, with the facts that are needed to judge or repeat their results.
pub fn page(title: &str, plan: &Plan, environment: &Environment, sections: Vec<Section>) -> Report {
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let seeds = plan.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let tested = match plan.tested {
        usize::MAX => "every slice that was not annotated".to_owned(),
        most => format!("at most {} of each structure that were not annotated", counted(most, "slice")),
    };
    let mut facts = vec![
        fact("Data", plan.data_in_words()),
        fact("Seeds", seeds),
        fact("Tested", tested),
        fact(
            "Prompts",
            "simulated from the ground truth, as all outlines are; boxes with jitter; none where a section says auto"
                .to_owned(),
        ),
        fact("Backend", format!("{} on {}, {} threads", environment.backend, environment.system, environment.threads)),
        fact("Encoder precision", environment.precision.to_string()),
        fact("Weights", format!("SHA-256 {}", environment.weights_sha256)),
        fact("Version", environment.version.clone()),
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

#[cfg(test)]
mod tests;
