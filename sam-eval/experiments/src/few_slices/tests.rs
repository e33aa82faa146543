use burn_flex::Flex;
use sam_auto::StrategyKind;
use sam_data::{SliceAxis, read_labels, read_volume};
use sam_eval::protocol::{FewSlices, Survey};
use sam_prompt::{SliceSelection, ndarray::Array2};
use sam_testing::tiny;
use sam_threads::in_pool;

use super::*;
use crate::{CaseSelection, DataSource, ExperimentError, Plan, Setup};

#[test]
fn outlined_slices_do_not_count_and_ends_are_not_inner() -> Result<()> {
    // Each slice has this many pixels of four, from the left.
    let masks = |pixels: [usize; 8]| pixels.map(|count| Array2::from_shape_fn((1, 4), |(_, column)| column < count));
    let (truth, found) = (masks([0, 0, 2, 2, 4, 2, 1, 0]), masks([1, 0, 2, 1, 4, 1, 0, 0]));
    // Outlined are slices 2 and 5: inner are slices 3 (2/3) and 4 (1), beyond them is slice 6 (0).
    let score = FewSlicesScore::of(&found, &truth, &[2, 5])?;
    assert_eq!(score.inner.map(|dice| (dice * 6.0).round()), Some(5.0));
    assert_eq!(score.slices.map(|dice| (dice * 9.0).round()), Some(5.0));
    // 2 * 5 shared pixels of 6 found and 7 true ones.
    assert!((score.volume - 10.0 / 13.0).abs() < 1e-12, "{score:?}");
    assert_eq!((score.false_slices, score.empty_slices), (1, 3));
    let nothing = FewSlicesScore::of(&masks([0; 8]), &masks([0; 8]), &[])?;
    assert_eq!((nothing.volume, nothing.inner, nothing.slices, nothing.empty_slices), (1.0, None, None, 8));
    assert!(FewSlicesScore::of(&found[1..], &truth, &[2]).is_err());
    Ok(())
}

fn protocol(counts: &[usize]) -> Result<FewSlicesProtocol> {
    let data = DataSource::phantom("spinal-cord".parse()?).with_structures(Some("spinal cord=1+2".to_owned()));
    let slices = FewSlices {
        annotated: counts.to_vec(),
        annotated_empty: 0,
        tested: 0,
        tested_empty: 0,
        selection: SliceSelection::Normal,
    };
    Ok(FewSlicesProtocol {
        trials: TrialConfig { cases: CaseSelection::new(data, SliceAxis::Auto), slices, seeds: vec![3] },
        outlines: OutlineSelection::Spread,
        strategies: vec![StrategyKind::Shape.into()],
        exchange: None,
    })
}

/// A small model of random weights.
fn setup() -> Setup<Flex> {
    Setup::new(tiny::random())
}

#[test]
fn each_strategy_is_measured_on_the_same_outlines_which_others_can_read() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut protocol = protocol(&[2])?;
    protocol.exchange = Some(folder.path().join("trials"));
    protocol.strategies.push(StrategyKind::MaskPropagation.into());
    let trials = in_pool(|| protocol.run(&setup()))?;
    assert_eq!(trials.iter().map(|trial| trial.method.as_str()).collect::<Vec<_>>(), ["shape", "propagation"]);
    assert_eq!((trials[0].outlined.len(), &trials[0].outlined), (2, &trials[1].outlined));
    // The cord is a tube: its shape alone is nearly right.
    assert!(trials[0].score.inner > Some(0.8), "{trials:?}");

    let files: Vec<_> = std::fs::read_dir(folder.path().join("trials"))?.collect::<std::io::Result<_>>()?;
    let named = |start: &str| {
        let file = files.iter().find(|file| file.file_name().to_string_lossy().starts_with(start));
        file.map(std::fs::DirEntry::path).ok_or_else(|| anyhow::anyhow!("no {start}"))
    };
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(named("trials-")?)?)?;
    assert_eq!(json["trials"][0]["outlined"], serde_json::to_value(&trials[0].outlined)?);
    let truth = read_labels(named("truth-")?)?;
    assert_eq!(truth.values().into_iter().collect::<Vec<_>>(), [1]);
    assert_eq!(read_volume(named("image-")?)?.grid.shape, truth.grid.shape);

    let rows = String::from_utf8(few_slices_csv(&trials)?)?;
    assert_eq!(rows.lines().count(), 1 + trials.len());
    Ok(())
}

#[test]
fn drawn_outlines_depend_on_the_seed_alone() -> Result<()> {
    let survey = Survey { shown: (10..40).collect(), empty: Vec::new() };
    let trials = protocol(&[2, 5])?.trials;
    let draw = || outlined_slices(&trials, &survey, OutlineSelection::Random);
    let all = draw()?;
    assert_eq!(all, draw()?);
    assert!(all.iter().all(|one| one.outlined.is_sorted() && one.outlined.len() == one.outlines), "{all:?}");
    for counts in [&[][..], &[1], &[5, 5]] {
        assert!(matches!(protocol(counts)?.check(), Err(ExperimentError::Config(_))), "{counts:?}");
    }
    Ok(())
}

fn trial(method: &str, seed: u64, outlined: &[usize]) -> FewSlicesTrial {
    FewSlicesTrial {
        dataset: "ct".to_owned(),
        subject: "1: liver".to_owned(),
        method: method.to_owned(),
        outlines: outlined.len(),
        seed,
        outlined: outlined.to_vec(),
        score: FewSlicesScore { volume: 0.5, slices: None, inner: Some(0.5), false_slices: 0, empty_slices: 1 },
        seconds: 1.0,
    }
}

#[test]
fn other_programs_are_compared_on_the_same_outlines_only() -> anyhow::Result<()> {
    let ours = || vec![trial("fusion", 0, &[3, 9]), trial("fusion", 1, &[3, 9])];
    let (mut both, peers) = (ours(), [0, 1, 2].map(|seed| trial("itk", seed, &[3, 9])));
    // The result for seed 2 has no trial here.
    assert_eq!(add_peers(&mut both, peers.to_vec())?, 1);
    assert_eq!(both.len(), 4);
    for wrong in [vec![trial("itk", 0, &[3, 9])], vec![trial("itk", 0, &[3, 9]), trial("itk", 1, &[4, 9])]] {
        let refused = add_peers(&mut ours(), wrong).expect_err("it lacks a trial");
        assert!(refused.to_string().contains("itk has no result for 1: liver, 2 outlines, seed 1"), "{refused}");
    }
    let refused = add_peers(&mut ours(), ours()).expect_err("a strategy's name");
    assert!(refused.to_string().contains("\"fusion\""), "{refused}");

    let folder = tempfile::tempdir()?;
    let path = folder.path().join("peers.json");
    std::fs::write(&path, serde_json::to_string(&peers)?)?;
    assert_eq!(read_peers(&path)?, peers);
    let json = serde_json::to_string(&peers)?;
    let wrong = [
        (json.replace("\"volume\":0.5", "\"volume\":50"), "[0, 1]"),
        (json.replace("\"itk\"", "\"\\u001b[2J\""), "control characters"),
        (json.replace("\"false_slices\":0", "\"false_slices\":18446744073709551615"), "of 1"),
        (json.replace("\"seconds\":1.0", "\"seconds\":-5"), "-5"),
        ("{}".to_owned(), "few_slices_peers.py"),
    ];
    for (text, part) in wrong {
        std::fs::write(&path, &text)?;
        let refused = format!("{:#}", anyhow::Error::from(read_peers(&path).expect_err("it makes no sense")));
        assert!(refused.contains("peers.json") && refused.contains(part), "{refused}");
    }
    Ok(())
}

#[test]
fn data_sources_whose_results_would_mix_are_refused() -> Result<()> {
    let cord = |structures: &str| -> Result<DataSource> {
        Ok(DataSource::phantom("spinal-cord".parse()?).with_structures(Some(structures.to_owned())))
    };
    let run = |sources: [Result<DataSource>; 2]| {
        Plan::new(sources.into_iter().collect::<Result<_>>()?, vec![0], 4)?.few_slices(&setup())
    };
    let refused = run([cord("cord=1+2"), cord("cord=1+2")]).expect_err("one case twice");
    let expected = "both have spinal-cord-0: cord of a data set named phantom-spinal-cord: rename one";
    assert!(refused.to_string().contains(expected), "{refused}");
    // Other structures of the same case have results of their own.
    let apart = [cord("cord=1+2")?, cord("white matter=1")?].map(|data| CaseSelection::new(data, SliceAxis::Auto));
    crate::cases::check_told_apart(&apart)
}

#[test]
fn data_with_nothing_between_outlines_are_a_note_on_the_page() -> Result<()> {
    let plan = |kinds: &[&str]| {
        let sources = kinds.iter().map(|kind| Ok(DataSource::phantom(kind.parse()?)));
        Plan::new(sources.collect::<Result<_>>()?, vec![0], 4)
    };
    let page = crate::sections::few_slices::section(&setup(), &plan(&["nuclei"])?)?;
    assert!(page.tables.is_empty() && page.notes[0].starts_with("Not measured: no case of"), "{:?}", page.notes);
    Ok(())
}
