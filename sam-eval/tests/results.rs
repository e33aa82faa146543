//! Records as JSON, and the tables built from them.

use std::collections::BTreeSet;
use std::error::Error;

use sam_eval::{EvalError, Record, ResultsTable, Spread, Summary};
use serde_json::{Value, json};

fn record(structure: &str, method: &str, annotated_slices: usize, seed: u64, scores: &[f64]) -> Record {
    Record {
        dataset: "abdomen".into(),
        case: "1".into(),
        structure: structure.into(),
        method: method.into(),
        annotated_slices,
        prompt: "points-3".into(),
        seed,
        dice: Summary::of(scores.iter().copied()),
        iou: None,
        interaction: None,
        slices: Vec::new(),
        train_seconds: 9.8,
        simulated_prompts: true,
    }
}

#[test]
fn a_record_has_the_keys_that_others_read() -> Result<(), Box<dyn Error>> {
    let value = serde_json::to_value(record("liver", "assist", 5, 7, &[0.5, 1.0, f64::NAN]))?;
    let keys: BTreeSet<&str> = value.as_object().ok_or("not an object")?.keys().map(String::as_str).collect();
    let expected = [
        "dataset",
        "case",
        "structure",
        "method",
        "annotated_slices",
        "prompt",
        "seed",
        "dice",
        "train_seconds",
        "simulated_prompts",
    ];
    assert_eq!(keys, BTreeSet::from(expected));
    assert_eq!(value["dice"], json!({"mean": 0.75, "std": 0.25, "median": 0.75, "n": 2, "undefined": 1}));
    Ok(())
}

#[test]
fn a_record_survives_json_even_with_nothing_defined() -> Result<(), Box<dyn Error>> {
    let before = Record { iou: Some(Summary::of([0.25])), ..record("liver", "assist", 2, 7, &[f64::NAN]) };
    let text = serde_json::to_string(&before)?;
    assert!(text.contains(r#""dice":{"mean":null,"std":null,"median":null,"n":0,"undefined":1}"#), "{text}");
    assert_eq!(serde_json::from_str::<Record>(&text)?, before);
    Ok(())
}

#[test]
fn a_file_without_the_newer_keys_is_read() -> Result<(), Box<dyn Error>> {
    let mut value = serde_json::to_value(record("liver", "original", 0, 7, &[0.5]))?;
    let object = value.as_object_mut().ok_or("not an object")?;
    object.remove("simulated_prompts");
    object.get_mut("dice").and_then(Value::as_object_mut).ok_or("not an object")?.remove("undefined");
    assert_eq!(serde_json::from_value::<Record>(value)?, record("liver", "original", 0, 7, &[0.5]));
    Ok(())
}

fn records() -> Vec<Record> {
    vec![
        record("liver", "original", 0, 1, &[0.1, 0.3]),
        record("liver", "assist", 5, 1, &[0.7]),
        record("liver", "assist", 5, 2, &[0.9, 0.9, 0.9]),
        record("liver", "assist", 2, 1, &[0.6]),
        record("aorta", "original", 0, 1, &[f64::NAN]),
        record("aorta", "assist", 2, 1, &[0.4]),
        record("aorta", "assist", 5, 1, &[0.6]),
    ]
}

#[test]
fn repeats_count_once_each() -> Result<(), EvalError> {
    let table = ResultsTable::new(&records(), Spread::Repeats)?;
    assert_eq!(
        table.to_markdown(),
        "\
Dice, mean ± standard deviation over repeats (cases and seeds). Prompts were simulated from the ground truth.

|  | original, points-3 | assist, 2 slices, points-3 | assist, 5 slices, points-3 |
| --- | --- | --- | --- |
| abdomen: liver | 0.20 | 0.60 | 0.80 ± 0.10 |
| abdomen: aorta | – | 0.40 | 0.60 |
| **mean** | 0.20 (1 of 2) | 0.50 | 0.70 |
"
    );
    assert_eq!(
        table.to_string(),
        "\
Dice, mean ± standard deviation over repeats (cases and seeds). Prompts were simulated from the ground truth.

                     original    assist       assist
                               2 slices     5 slices
                     points-3  points-3     points-3
abdomen: liver           0.20      0.60  0.80 ± 0.10
abdomen: aorta              –      0.40         0.60
mean            0.20 (1 of 2)      0.50         0.70
"
    );
    Ok(())
}

#[test]
fn slices_can_be_pooled_instead() -> Result<(), Box<dyn Error>> {
    let table = ResultsTable::new(&records(), Spread::Slices)?;
    let cell = table.cell(0, 2).ok_or("empty cell")?;
    let all = Summary::of([0.7, 0.9, 0.9, 0.9]);
    assert!((cell.mean.ok_or("no mean")? - all.mean.ok_or("no mean")?).abs() < 1e-12);
    assert!((cell.std.ok_or("no std")? - all.std.ok_or("no std")?).abs() < 1e-12);
    assert_eq!(cell.repeats, 2);
    assert_eq!(table.cell(1, 0).and_then(|cell| cell.mean), None);
    Ok(())
}

#[test]
fn the_caption_says_how_many_runs_had_simulated_prompts() -> Result<(), EvalError> {
    let caption = |records: &[Record]| ResultsTable::new(records, Spread::Repeats).map(|table| table.caption());
    let mut records = records();
    records[0].simulated_prompts = false;
    assert!(caption(&records)?.ends_with("simulated from the ground truth in 6 of 7 runs."));
    for record in &mut records {
        record.simulated_prompts = false;
    }
    assert!(!caption(&records)?.contains("simulated"));
    Ok(())
}

#[test]
fn a_run_given_twice_is_refused() {
    let mut records = records();
    records.push(records[1].clone());
    let result = ResultsTable::new(&records, Spread::Repeats);
    assert_eq!(result, Err(EvalError::DuplicateRecord(Box::new(records[1].clone()))));
}

#[test]
fn no_records_make_an_empty_table_and_odd_names_keep_markdown_whole() -> Result<(), EvalError> {
    assert_eq!(ResultsTable::new(&[], Spread::Repeats)?.rows(), []);
    let odd = Record { method: "a|b\nc".into(), ..record("liver", "", 0, 1, &[0.5]) };
    assert!(ResultsTable::new(&[odd], Spread::Repeats)?.to_markdown().contains(r"| a\|b c, points-3 |"));
    Ok(())
}
