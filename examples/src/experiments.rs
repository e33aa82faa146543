//! The command line of an experiment.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use burn::tensor::backend::Backend;
use clap::{Args, Parser};
use sam_annotate::Weights;
use sam_core::{CacheConfig, EmbeddingCache};
use sam_eval::report::Report;
use sam_experiments::{
    DataSource, Environment, Experiment, Journal, PAGE_RECORD, Plan, Setup, run_experiments, write_page,
};
use sam_files::{OutputPlan, Outputs};
use sam_med::{
    backend::Job,
    console::Console,
    exit,
    options::{ModelOptions, OutputOptions, results},
    progress::ExperimentBars,
    stop::Stop,
};
use sam_prompt::counted;

/// Measure results of the paper here, and write a page with both.
#[derive(Debug, Parser)]
struct Options {
    /// What every page has.
    #[command(flatten)]
    page: PageOptions,
    /// At most this many slices are tested for each structure of a case, at equal distances.
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    test_slices: usize,
}

/// The options of every page.
#[derive(Debug, Args)]
pub(crate) struct PageOptions {
    /// Data to measure on, as often as there are some: DIR, DIR:STRUCTURES or DIR:STRUCTURES@WINDOW, for example
    /// "scans:liver,cord=1+2@-160:240"; with SET= before it, a known data set as it was downloaded: btcv=DIR. Phantoms if none is given.
    #[arg(long, value_name = "SOURCE", value_parser = data_source)]
    data: Vec<DataSource>,
    /// Number of repeats, each with other slices and prompts; the same ones for every method.
    #[arg(long, visible_alias = "seeds", default_value_t = 1)]
    repeats: u64,
    /// Seed of the first repeat.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder for the page and the journal. An interrupted run continues there; results/NAME if none is given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Which model.
    #[command(flatten)]
    model: ModelOptions,
    /// Folder that keeps embedded slices; embeddings/ in the folder of results if none is given.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// What happens to files that exist already.
    #[command(flatten)]
    outputs: OutputOptions,
}

/// Reads a data source; the error message includes all causes.
fn data_source(text: &str) -> Result<DataSource, String> {
    text.parse().map_err(|error| format!("{:#}", anyhow::Error::from(error)))
}

impl PageOptions {
    /// The folder of results; `name` is that of the example.
    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.out.clone().unwrap_or_else(|| PathBuf::from("results").join(name))
    }

    /// Data and seeds; at most `tested` slices are tested for each structure of a case.
    pub(crate) fn plan(&self, tested: usize) -> Result<Plan> {
        let seeds = (self.seed..self.seed.saturating_add(self.repeats)).collect();
        Ok(Plan::new(self.data.clone(), seeds, tested)?)
    }

    /// What is read and written. The journal guards itself, and so does the folder of embeddings.
    fn output_plan(&self, out: &Path, inputs: &[(&str, &Path)], files: &[&str], console: &Console) -> OutputPlan {
        let data = self.data.iter().filter_map(DataSource::location);
        let plan = self.model.plan(self.outputs.plan(console).inputs("--data", data));
        let plan = inputs.iter().fold(plan, |plan, (name, path)| plan.input(name, path));
        results(plan, out, Report::FILES.iter().chain(files).copied(), PAGE_RECORD)
    }
}

/// Runs experiments with the options of the command line, writes the page, and prints which findings of the paper hold.
pub fn run(experiments: &[Experiment]) -> ExitCode {
    exit::run(|| try_run(experiments, &Options::parse())).into()
}

fn try_run(experiments: &[Experiment], options: &Options) -> Result<()> {
    let name = if let [experiment] = experiments { experiment.id() } else { "overview" };
    let out = options.page.out(name);
    let plan = options.page.plan(options.test_slices)?;
    run_page(&options.page, &out, &[], &[], ExperimentsWork { experiments, plan: &plan, out: &out })?;
    Ok(())
}

/// Work that makes a page, on one backend.
pub(crate) trait Work: Send {
    /// Makes the page and writes all outputs.
    fn run<B: Backend>(self, setup: &Setup<B>, environment: &Environment, outputs: &Outputs) -> Result<Report>;
}

/// Makes a page in a folder, and prints which findings hold. `inputs` and `files` are what is read and written beside that of every page.
pub(crate) fn run_page(
    options: &PageOptions,
    out: &Path,
    inputs: &[(&str, &Path)],
    files: &[&str],
    work: impl Work,
) -> Result<Report> {
    let console = Console::new(false, false, Stop::on_signals().context("cannot watch for Ctrl-C")?);
    let outputs = options.output_plan(out, inputs, files, &console).open()?;
    let journal = Journal::open(out.join("journal.jsonl"))?;
    if !journal.is_empty() {
        eprintln!("Continuing with {} of {}", counted(journal.len(), "result"), out.display());
    }
    let weights = options.model.locate(&console)?;
    let page =
        options.model.backend.run(PageJob { options, out, outputs, journal, weights, console: &console, work })?;
    for finding in page.sections.iter().flat_map(|section| &section.findings) {
        let mark = finding.holds.map_or("?", |holds| if holds { "holds" } else { "does not hold" });
        println!("{mark}: {} ({})", finding.claim, finding.evidence);
    }
    let written = Report::FILES.iter().chain(files).copied().collect::<Vec<_>>().join(", ");
    println!("Wrote {written} and {PAGE_RECORD} to {}", out.display());
    Ok(page)
}

/// A page on one backend.
struct PageJob<'a, W> {
    options: &'a PageOptions,
    out: &'a Path,
    outputs: Outputs,
    journal: Journal,
    weights: Weights,
    console: &'a Console,
    work: W,
}

impl<W: Work> Job for PageJob<'_, W> {
    type Output = Report;

    fn run<B: Backend>(self, device: &B::Device) -> Result<Report> {
        let model = &self.options.model;
        let predictor = model.predictor::<B>(&self.weights, device)?;
        let environment = Environment::new(model.backend, &predictor);
        let mut bars = ExperimentBars::new(self.console);
        let cache = self.options.cache.clone().unwrap_or_else(|| self.out.join("embeddings"));
        let setup = Setup::new(predictor)
            .with_cache(EmbeddingCache::open(&cache, CacheConfig::default())?)
            .with_journal(self.journal)
            .with_observer(move |event| bars.event(event));
        self.work.run(&setup, &environment, &self.outputs)
    }
}

/// Experiments whose sections are joined to a page.
struct ExperimentsWork<'a> {
    experiments: &'a [Experiment],
    plan: &'a Plan,
    out: &'a Path,
}

impl Work for ExperimentsWork<'_> {
    fn run<B: Backend>(self, setup: &Setup<B>, environment: &Environment, outputs: &Outputs) -> Result<Report> {
        let title = match self.experiments {
            [experiment] => experiment.title(),
            _ => "SAM^Med: the paper's claims, measured here",
        };
        let page = run_experiments(self.experiments, title, setup, self.plan, environment)?;
        write_page(outputs, self.out, &page, self.plan, environment)?;
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use std::{error::Error, fs};

    use super::*;

    #[test]
    fn a_page_replaces_no_file_of_a_person() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let out = folder.path().to_string_lossy();
        for name in Report::FILES.iter().chain([&PAGE_RECORD]) {
            let theirs = folder.path().join(name);
            fs::write(&theirs, "written by a person")?;
            // It is told before the weights are read.
            let words = ["fig7_points", "--out", &out, "--weights", "missing.pth"];
            let refused = try_run(&[Experiment::Fig7Points], &Options::try_parse_from(words)?).expect_err("refused");
            let refused = refused.to_string();
            assert!(refused.contains(&format!("{name} of --out")) && refused.contains("--overwrite"), "{refused}");
            assert_eq!(fs::read_to_string(&theirs)?, "written by a person");
            fs::remove_file(&theirs)?;
        }
        assert_eq!(fs::read_dir(folder.path())?.count(), 0, "nothing is left behind");
        Ok(())
    }
}
