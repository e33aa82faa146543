use std::{
    fs::File,
    io::{BufRead, BufReader},
};

use burn_flex::Flex;
use sam_core::SamPredictor;
use sam_testing::tiny;
use sam_threads::in_pool;

use super::*;
use crate::{DataSource, Journal};

/// Runs an experiment on a small phantom with a small model of random weights.
fn measure(predictor: &SamPredictor<Flex>, journal: &Path) -> Result<Section> {
    in_pool(|| {
        let setup = Setup::new(predictor.clone()).with_journal(Journal::open(journal)?);
        let phantom = DataSource::phantom("spinal-cord".parse()?);
        let sources = vec![phantom.with_structures(Some("spinal cord=1+2".to_owned()))];
        Experiment::Fig10Boxes.section(&setup, &Plan::new(sources, vec![3], 2)?)
    })
}

#[test]
fn the_overview_has_each_experiment_of_the_paper_once() {
    let [paper @ .., few, trust] = Experiment::OVERVIEW;
    assert_eq!(paper, Experiment::PAPER);
    assert_eq!((few, trust), (Experiment::FewSlices, Experiment::TrustRanking));
}

#[test]
fn a_killed_run_continues_to_the_same_page() -> anyhow::Result<()> {
    let predictor = tiny::random();
    let folder = tempfile::tempdir()?;
    let undisturbed = folder.path().join("undisturbed.jsonl");
    let section = measure(&predictor, &undisturbed)?;
    assert_eq!((section.id.as_str(), section.tables.is_empty()), ("fig10_boxes", false));
    assert_eq!(section.galleries[0].items[0].slices.len(), 2);

    let lines: Vec<String> = BufReader::new(File::open(&undisturbed)?).lines().collect::<std::io::Result<_>>()?;
    assert_eq!(lines.len(), 3, "original, 2 slices and 5 slices");
    for done in 0..lines.len() {
        // The journal of a process that was killed while it wrote the next line.
        let killed = folder.path().join(format!("killed-{done}.jsonl"));
        let torn = &lines[done][..lines[done].len() / 2];
        let whole = lines[..done].iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>();
        std::fs::write(&killed, whole + torn)?;
        assert_eq!(measure(&predictor, &killed)?, section, "after {done} results");
    }
    Ok(())
}
