//! Table 5: PANet and SAP-Net, row by row.

use burn::tensor::backend::Backend;
use sam_eval::{
    MaskScore, Summary,
    report::{Bar, BarPlot, Finding, Plot, ReportColumn, ReportTable, Section, Source},
};

use super::{paper::TABLE5, tables::columns};
use crate::{Plan, Setup, Variant, error::Result, setup::scores};

/// A loss of Dice from row to row up to this counts as "no worse".
const MARGIN: f64 = 0.01;

/// The measured values of each variant.
const MEASURED: [&str; 4] = [
    "Dice of slices with the structure",
    "Dice of all slices pooled",
    "empty slices with false positives",
    "seconds of fitting",
];

/// The scores of one variant.
struct VariantScores {
    /// Mean Dice of slices with the structure, over structures.
    dice: Summary,
    /// Dice of all slices pooled, over structures and seeds.
    pooled: Summary,
    /// Empty slices with a non-empty mask, and all empty slices.
    false_positives: (usize, usize),
    /// Duration of the fit, in seconds.
    seconds: Summary,
}

pub(crate) fn section<B: Backend>(setup: &Setup<B>, plan: &Plan) -> Result<Section> {
    let variants = &Variant::ALL;
    let scores = scores(plan.coarse(setup, variants)?);
    let measured: Vec<VariantScores> =
        variants.iter().map(|variant| VariantScores::of(&scores, &variant.to_string())).collect();
    let finding = |at: usize| {
        let [before, after] = [&measured[at - 1], &measured[at]].map(|measured| measured.pooled.mean);
        Finding {
            claim: format!("{} is no worse than {}", variants[at], variants[at - 1]),
            holds: after.zip(before).map(|(after, before)| after >= before - MARGIN),
            evidence: match (before, after) {
                (Some(before), Some(after)) => format!("Dice of all slices pooled {before:.3}, then {after:.3}"),
                _ => "not measured".to_owned(),
            },
        }
    };
    Ok(Section {
        paragraphs: vec![
            "Coarse masks without any prompt, from 5 annotated slices and 2 that are annotated as empty. Tested are slices with the \
             structure and slices without it."
                .to_owned(),
        ],
        findings: (1..TABLE5.len()).map(finding).collect(),
        tables: vec![table(variants, &measured)],
        plots: vec![bars(variants, &measured)],
        footnotes: vec![
            "The paper's standard deviation doubles with top-K (10.8 to 20.0): some cases lose the right component. Here K is 1.".to_owned(),
            format!("An order is taken to hold if a row loses no more than {MARGIN} of Dice."),
        ],
        ..Section::default()
    })
}

impl VariantScores {
    fn of(scores: &[MaskScore], method: &str) -> Self {
        let own = || scores.iter().filter(|score| score.method == method);
        let mut subjects: Vec<&str> = own().map(|score| score.subject.as_str()).collect();
        subjects.dedup();
        let mean = |subject: &&str| {
            let own = own().filter(|score| score.subject == **subject);
            Summary::of(own.flat_map(|score| score.slices.iter().copied())).mean
        };
        Self {
            dice: Summary::of(subjects.iter().filter_map(mean)),
            pooled: Summary::of(own().map(|score| score.pooled)),
            false_positives: (
                own().map(|score| score.false_positive_slices).sum(),
                own().map(|score| score.empty_slices).sum(),
            ),
            seconds: Summary::of(own().map(|score| score.fit_seconds)),
        }
    }
}

/// The paper's Dice and its standard deviation for each row of the table, in percent; `None` for rows that are not in the paper.
fn paper() -> impl Iterator<Item = Option<(f64, f64)>> {
    TABLE5.into_iter().map(Some).chain(std::iter::repeat(None))
}

fn table(variants: &[Variant], measured: &[VariantScores]) -> ReportTable {
    let number = |summary: &Summary, digits| match (summary.mean, summary.std) {
        (Some(mean), Some(std)) => format!("{mean:.digits$} ± {std:.digits$}"),
        _ => String::new(),
    };
    let row = |((variant, measured), paper): ((&Variant, &VariantScores), Option<(f64, f64)>)| {
        let (wrong, empty) = measured.false_positives;
        vec![
            variant.to_string(),
            number(&measured.dice, 3),
            number(&measured.pooled, 3),
            format!("{wrong} of {empty}"),
            number(&measured.seconds, 1),
            paper.map_or_else(String::new, |(dice, std)| format!("{:.3} ± {:.3}", dice / 100.0, std / 100.0)),
        ]
    };
    let mut columns = columns("Model", MEASURED);
    columns.push(ReportColumn::paper("Dice on Kidney-CT"));
    ReportTable {
        caption: "Each row of the paper adds to the one before; the last is SAP-Net's default: positions join before the network; ± \
                  over structures, or structures and seeds"
            .to_owned(),
        columns,
        rows: variants.iter().zip(measured).zip(paper()).map(row).collect(),
    }
}

fn bars(variants: &[Variant], measured: &[VariantScores]) -> Plot {
    let mut bars = Vec::new();
    for ((variant, measured), paper) in variants.iter().zip(measured).zip(paper()) {
        let bar = |series: &str, source, value| Bar {
            label: variant.to_string(),
            series: series.to_owned(),
            source,
            value,
            ..Bar::default()
        };
        let value = |summary: &Summary| summary.mean.unwrap_or(f64::NAN);
        bars.push(bar("slices with the structure", Source::Measured, value(&measured.dice)));
        bars.push(bar("all slices pooled", Source::Measured, value(&measured.pooled)));
        if let Some((dice, _)) = paper {
            bars.push(bar("the paper, Kidney-CT", Source::Paper, dice / 100.0));
        }
    }
    Plot::Bars(BarPlot {
        title: "Coarse masks, step by step".to_owned(),
        y_label: "Dice".to_owned(),
        bars,
        ..BarPlot::default()
    })
}
