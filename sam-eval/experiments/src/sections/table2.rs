//! Table 2: Dice by organ and prompt, original and with prompts learned from 2 slices.

use burn::tensor::backend::Backend;
use sam_eval::{
    Record, Summary,
    report::{ReportColumn, ReportTable, Section},
};
use sam_prompt::{SamplingScheme, counted};

use super::{
    paper::{ORGANS, TABLE2, TABLE2_FOOTNOTES, TABLE2_OTHERS, TABLE2_PRINTED_MEANS, Table2Row},
    tables::{Series, dice, failed, mean, name, no_less, records, structure, structures},
};
use crate::{
    Plan, Setup,
    error::Result,
    plan::{BOX, points},
};

/// The measured series, each with the row of the paper's table to compare it with.
const MEASURED: [(Series<'static>, Option<usize>); 8] = [
    (Series("original", 0, "points-1"), Some(0)),
    (Series("original", 0, "points-3"), Some(1)),
    (Series("original", 0, "points-10"), Some(2)),
    (Series("original", 0, "box"), None),
    (Series("assist", 2, "points-1"), Some(3)),
    (Series("assist", 2, "points-3"), Some(4)),
    (Series("assist", 2, "points-10"), Some(5)),
    (Series("assist", 2, "box"), Some(6)),
];

pub(crate) fn section<B: Backend>(setup: &Setup<B>, plan: &Plan) -> Result<Section> {
    let prompts = [points(1), points(3), points(10), BOX];
    let records = records(&plan.prompting(setup, &[2], &prompts, SamplingScheme::Uniform)?);
    let of = |slices, prompt| mean(&records, Series(if slices == 0 { "original" } else { "assist" }, slices, prompt));
    let learning = |prompt| {
        let claim =
            format!("Learning from 2 slices lifts Dice with {}", name(Series("", 0, prompt)).trim_start_matches(", "));
        no_less(&claim, ["learned", "original"], [of(2, prompt), of(0, prompt)], 0.0)
    };
    let ladder = no_less(
        "A box is better than 10 points after learning",
        ["box", "10 points"],
        [of(2, "box"), of(2, "points-10")],
        0.0,
    );
    Ok(Section {
        paragraphs: vec![
            "Each organ of each case is learned by itself from 2 annotated slices and tested on others.".to_owned(),
        ],
        findings: vec![learning("points-1"), learning("points-3"), learning("points-10"), learning("box"), ladder],
        tables: [
            beside(&records),
            dice("All that was measured: Dice, mean ± standard deviation over slices", &records)?,
            others(),
        ]
        .into_iter()
        .chain(failed(&records, Series("assist", 2, "points-10")))
        .collect(),
        footnotes: TABLE2_FOOTNOTES.map(str::to_owned).to_vec(),
        ..Section::default()
    })
}

/// One row for each of the paper's organs: measured Dice next to the paper's.
fn beside(records: &[Record]) -> ReportTable {
    let mut columns = vec![ReportColumn::label("Organ")];
    for (series, paper) in MEASURED {
        columns.push(ReportColumn::measured(name(series)));
        columns.extend(paper.map(|row| ReportColumn::paper(TABLE2[row].0)));
    }
    let own = structures(records);
    let of_organ = |organ: &str, series: Series<'_>| {
        // The paper has one column for both adrenal glands; one of their structures is named "… gland".
        let is_organ = |record: &&Record| {
            let name = record.structure.to_lowercase();
            series.holds(record) && (name == organ || organ == "adrenal glands" && name.contains("adrenal"))
        };
        Summary::of(records.iter().filter(is_organ).filter_map(|record| record.dice.mean)).mean
    };
    let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.3}"));
    let percent = |value: f64| format!("{:.3}", value / 100.0);
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (at, organ) in ORGANS.iter().enumerate() {
        let mut row = vec![(*organ).to_owned()];
        for (series, paper) in MEASURED {
            row.push(number(of_organ(organ, series)));
            row.extend(paper.map(|line| percent(TABLE2[line].1[at])));
        }
        rows.push(row);
    }
    let mut means = vec![format!("mean: here of {}, the paper of 12", counted(own.len(), "structure"))];
    let mut printed = vec!["the paper's printed average".to_owned()];
    for (series, paper) in MEASURED {
        means.push(number(mean(records, series)));
        printed.push(String::new());
        if let Some(line) = paper {
            means.push(percent(mean_of(&TABLE2[line])));
            printed.push(percent(TABLE2_PRINTED_MEANS[line]));
        }
    }
    rows.extend([means, printed]);
    let others: Vec<&String> = own
        .iter()
        .filter(|name| !records.iter().any(|record| structure(record) == **name && is_known(&record.structure)))
        .collect();
    let left_out = if others.is_empty() {
        String::new()
    } else {
        format!("; left out: {} that the paper does not have", counted(others.len(), "structure"))
    };
    ReportTable { caption: format!("Dice by organ, beside the paper's on BTCV{left_out}"), columns, rows }
}

fn is_known(structure: &str) -> bool {
    let name = structure.to_lowercase();
    ORGANS.contains(&name.as_str()) || name.contains("adrenal")
}

fn mean_of((_, dice): &Table2Row) -> f64 {
    dice.iter().sum::<f64>() / dice.len() as f64
}

/// The paper's rows of networks that are not measured here.
fn others() -> ReportTable {
    let row = |line: &Table2Row| {
        let cells = line.1.iter().copied().chain([mean_of(line)]).map(|dice| format!("{:.3}", dice / 100.0));
        std::iter::once(line.0.to_owned()).chain(cells).collect()
    };
    let columns = std::iter::once(ReportColumn::label("Network"))
        .chain(ORGANS.iter().copied().chain(["mean of 12"]).map(ReportColumn::paper));
    ReportTable {
        caption: "What the paper prints of other networks on BTCV; not measured here".to_owned(),
        columns: columns.collect(),
        rows: TABLE2_OTHERS.iter().map(row).collect(),
    }
}
