//! Figure 14: failure of propagation.

use burn::tensor::backend::Backend;
use sam_eval::{
    MaskScore, Summary,
    report::{Finding, ReportTable, Section},
};

use super::{
    fig12::{METHODS, pictured, subjects},
    gallery::gallery,
    tables::columns,
};
use crate::{Plan, Setup, error::Result};

/// The method: propagated points, without the gate, because the gate would hide the failure.
const PROPAGATION: &str = "propagation, points, learned";
/// The measured values of each case and structure.
const MEASURED: [&str; 3] =
    ["volume found, of the true volume", "Dice of all slices pooled", "empty slices with false positives"];
/// A method over-segments above this ratio of predicted to true volume.
const TOO_MUCH: f64 = 1.1;

pub(crate) fn section<B: Backend>(setup: &Setup<B>, plan: &Plan) -> Result<Section> {
    let runs = plan.generators(setup)?;
    let own: Vec<_> = runs.iter().filter(|run| run.score.method == PROPAGATION).collect();
    let scores: Vec<&MaskScore> = own.iter().map(|run| &run.score).collect();
    let volume = |subject: &str| {
        let of = scores.iter().filter(|score| score.subject == subject);
        Summary::of(of.map(|score| 1.0 + score.relative_volume_difference))
    };
    let rows = subjects(&scores).into_iter().map(|subject| {
        let own = || scores.iter().filter(|score| score.subject == subject);
        let wrong: usize = own().map(|score| score.false_positive_slices).sum();
        let empty: usize = own().map(|score| score.empty_slices).sum();
        let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.3}"));
        vec![
            subject.to_owned(),
            number(volume(subject).mean),
            number(Summary::of(own().map(|score| score.pooled)).mean),
            format!("{wrong} of {empty}"),
        ]
    });
    let kidneys: Vec<&str> =
        subjects(&scores).into_iter().filter(|subject| subject.to_lowercase().contains("kidney")).collect();
    let found = Summary::of(kidneys.iter().filter_map(|subject| volume(subject).mean)).mean;
    Ok(Section {
        paragraphs: vec![format!(
            "Points are handed on from slice to slice while intensities stay alike (Algorithm 1), from each annotated slice, and the runs \
             are united. Without the gate of \"{}\".",
            METHODS[2].0
        )],
        findings: vec![Finding {
            claim: "Propagation over-segments the kidney".to_owned(),
            holds: found.map(|found| found > TOO_MUCH),
            evidence: found.map_or("no kidney here".to_owned(), |found| format!("{found:.2} times the true volume")),
        }],
        tables: vec![ReportTable {
            caption: "What propagated points find on the tested slices".to_owned(),
            columns: columns("Case and structure", MEASURED),
            rows: rows.collect(),
        }],
        galleries: vec![gallery(
            "Propagated points, without the gate, from poor to excellent",
            &plan.cases(),
            own.into_iter().map(pictured).collect(),
        )?],
        footnotes: vec![
            "The paper shows pictures of the kidney alone, and says that propagation does notably better on the liver."
                .to_owned(),
        ],
        ..Section::default()
    })
}
