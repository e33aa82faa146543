//! Properties that hold for any series of interactions, and the table of interactions.

use proptest::prelude::*;
use sam_eval::{
    EvalError, InteractionSummary, InteractionTable, Record, ResultsTable, Spread, Summary, best_score,
    number_of_clicks,
};

/// The scores of some slices, including undefined scores and empty series.
fn slices() -> impl Strategy<Value = Vec<Vec<f64>>> {
    let score = prop_oneof![9 => 0.0..=1.0, 1 => Just(f64::NAN)];
    prop::collection::vec(prop::collection::vec(score, 0..8), 0..6)
}

proptest! {
    #[test]
    fn the_place_is_the_first_that_reaches_the_target(slices in slices(), target in 0.0..=1.0) {
        for scores in &slices {
            match number_of_clicks(scores, target) {
                Some(place) => {
                    prop_assert!(scores[place - 1] >= target);
                    prop_assert!(scores[..place - 1].iter().all(|&before| before.is_nan() || before < target));
                }
                None => prop_assert!(best_score(scores).is_nan() || best_score(scores) < target),
            }
        }
    }

    #[test]
    fn higher_targets_need_more_clicks_and_fail_more_often(
        slices in slices(), targets in (0.0..=1.0, 0.0..=1.0), limit in 1_usize..8,
    ) {
        let (low, high) = (f64::min(targets.0, targets.1), f64::max(targets.0, targets.1));
        let summary = InteractionSummary::of(&slices, limit, &[low, high]);
        let [easy, hard] = summary.noc[..] else { return Err(TestCaseError::fail("two targets")) };
        prop_assert!(easy.clicks.mean <= hard.clicks.mean);
        prop_assert!(easy.failed <= hard.failed && hard.failed <= hard.clicks.n);
        let in_range = |mean: f64| (1.0..=limit as f64).contains(&mean);
        prop_assert!(hard.clicks.mean.is_none_or(in_range));
    }

    #[test]
    fn the_last_is_the_end_of_the_curve_and_no_better_than_the_best(slices in slices(), limit in 1_usize..8) {
        let summary = InteractionSummary::of(&slices, limit, &[]);
        prop_assert_eq!(summary.curve.len(), limit);
        prop_assert_eq!(summary.curve.last(), Some(&summary.last));
        for step in &summary.curve {
            prop_assert_eq!(step.n + step.undefined, slices.len());
        }
        for scores in slices.iter().filter(|scores| scores.len() >= limit) {
            let within = &scores[..limit];
            prop_assert!(within[limit - 1].is_nan() || within[limit - 1] <= best_score(within));
        }
    }
}

fn record(structure: &str, seed: u64, series: &[[f64; 3]]) -> Record {
    Record {
        dataset: "abdomen".into(),
        case: "1".into(),
        structure: structure.into(),
        method: "assist".into(),
        annotated_slices: 2,
        prompt: "active-2".into(),
        seed,
        dice: Summary::of(series.iter().map(|scores| best_score(scores))),
        iou: None,
        interaction: Some(InteractionSummary::of(series, 3, &[0.85, 0.9])),
        slices: Vec::new(),
        train_seconds: 0.0,
        simulated_prompts: true,
    }
}

#[test]
fn slices_of_all_repeats_count_once_and_structures_once_in_the_mean() -> Result<(), EvalError> {
    let plain = Record { interaction: None, prompt: "box".into(), ..record("liver", 0, &[[0.1; 3]]) };
    let records = [
        record("liver", 0, &[[0.5, 0.875, 0.75]]),
        record("liver", 1, &[[0.95, 0.5, 0.5], [0.25, 0.25, 0.25]]),
        record("aorta", 0, &[[0.5, 0.5, 1.0]]),
        plain,
    ];
    let table = InteractionTable::new(&records)?;
    let lines: Vec<String> = table.to_markdown().lines().skip(2).map(str::to_owned).collect();
    assert_eq!(
        lines,
        [
            "|  | method | best | last | NoC@0.85 | NoC@0.90 |",
            "| --- | --- | --- | --- | --- | --- |",
            "| abdomen: liver | assist, 2 slices, active-2 | 0.69 | 0.50 | 2.0 (33 %) | 2.3 (67 %) |",
            "| abdomen: aorta | assist, 2 slices, active-2 | 1.00 | 1.00 | 3.0 (0 %) | 3.0 (0 %) |",
            "| mean | assist, 2 slices, active-2 | 0.85 | 0.75 | 2.5 (17 %) | 2.7 (33 %) |",
        ]
    );
    let curves: Vec<_> = table.curves().collect();
    let [(column, curve)] = &curves[..] else { panic!("one method") };
    assert_eq!(column.prompt, "active-2");
    let liver_after_two = f64::midpoint((0.875 + 0.5 + 0.25) / 3.0, 0.5);
    assert_eq!(curve.iter().map(|&(step, _)| step).collect::<Vec<_>>(), [1, 2, 3]);
    assert!((curve[1].1 - liver_after_two).abs() < 1e-12);
    let text = table.to_string();
    assert!(
        text.contains("abdomen: liver  assist, 2 slices, active-2  0.69  0.50  2.0 (33 %)  2.3 (67 %)\n"),
        "{text}"
    );
    // The caption of the other table states which Dice it shows.
    assert!(ResultsTable::new(&records, Spread::Repeats)?.caption().contains("best Dice along it"));
    Ok(())
}

#[test]
fn without_interactions_there_is_no_table_and_runs_given_twice_are_refused() -> Result<(), EvalError> {
    let plain = Record { interaction: None, ..record("liver", 0, &[[0.1; 3]]) };
    assert!(InteractionTable::new(std::slice::from_ref(&plain))?.is_empty());
    assert!(!ResultsTable::new(std::slice::from_ref(&plain), Spread::Repeats)?.caption().contains("series"));
    let twice = [plain.clone(), plain];
    assert!(matches!(InteractionTable::new(&twice), Err(EvalError::DuplicateRecord(_))));
    Ok(())
}

#[test]
fn a_record_keeps_its_interaction_in_json() -> Result<(), serde_json::Error> {
    let before = record("liver", 0, &[[0.5, 0.875, 0.75], [0.25, 0.25, 0.25]]);
    let value = serde_json::to_value(&before)?;
    assert_eq!(value["interaction"]["noc"][0]["target"], 0.85);
    assert_eq!(value["interaction"]["noc"][0]["failed"], 1);
    assert_eq!(value["interaction"]["last"]["mean"], 0.5);
    assert_eq!(serde_json::from_value::<Record>(value)?, before);
    Ok(())
}
