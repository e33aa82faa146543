//! Figure 12: automatic prompts, from SAP-Net and from propagation.

use burn::tensor::backend::Backend;
use sam_eval::{
    MaskScore, Summary,
    report::{BoxGroup, BoxPlot, BoxSeries, Finding, Plot, ReportColumn, ReportTable, Section},
};

use super::{
    gallery::{Shown, gallery},
    paper::FIGURE12,
};
use crate::{Plan, Run, Setup, error::Result};

/// The methods shown: heading, and method name in the scores.
pub(super) const METHODS: [(&str, &str); 3] = [
    ("SAP-Net, coarse", "SAP-Net, coarse, gated"),
    ("SAP-Net, boxes to SAM^assist", "SAP-Net, box, learned, gated"),
    ("propagation, points to SAM^assist", "propagation, points, learned, gated"),
];

pub(crate) fn section<B: Backend>(setup: &Setup<B>, plan: &Plan) -> Result<Section> {
    let runs = plan.generators(setup)?;
    let scores: Vec<&MaskScore> = runs.iter().map(|run| &run.score).collect();
    let [coarse, sapnet, propagation] = METHODS.map(|(_, method)| mean(&scores, method));
    let order = |claim: &str, [better, worse]: [Option<f64>; 2]| Finding {
        claim: claim.to_owned(),
        holds: better.zip(worse).map(|(better, worse)| better >= worse),
        evidence: match (better, worse) {
            (Some(better), Some(worse)) => format!("Dice of all slices pooled {better:.3} against {worse:.3}"),
            _ => "not measured".to_owned(),
        },
    };
    Ok(Section {
        paragraphs: vec![
            "5 annotated slices and 2 annotated as empty; nobody clicks on the others. A gate says whether the structure is on a slice at \
             all. Slices without the structure are tested too, and what is found there is counted."
                .to_owned(),
        ],
        findings: vec![
            order("SAP-Net's prompts are better than propagated ones", [sapnet, propagation]),
            order("SAM^assist makes more of SAP-Net's coarse masks", [sapnet, coarse]),
        ],
        tables: vec![table(&scores)],
        plots: vec![boxes(&scores)],
        galleries: vec![gallery(
            "SAP-Net's boxes, SAM^assist, gated: from poor to excellent",
            &plan.cases(),
            runs.iter().filter(|run| run.score.method == METHODS[1].1).map(pictured).collect(),
        )?],
        footnotes: vec![
            "The paper's numbers are of KiTS, LiTS and CT-ORG, with top-K components; the abstract of its first version says 0.80 for the \
             kidney and 0.82 for the liver."
                .to_owned(),
        ],
        ..Section::default()
    })
}

pub(super) fn pictured(run: &Run<MaskScore>) -> Shown<'_> {
    Shown {
        subject: run.score.subject.clone(),
        caption: format!("seed {}", run.score.seed),
        score: run.score.pooled,
        masks: &run.masks,
    }
}

/// Cases and structures, in order of first appearance.
pub(super) fn subjects<'a>(scores: &[&'a MaskScore]) -> Vec<&'a str> {
    let mut subjects: Vec<&str> = Vec::new();
    for score in scores {
        if !subjects.contains(&score.subject.as_str()) {
            subjects.push(&score.subject);
        }
    }
    subjects
}

/// Mean pooled Dice, each case and structure counting once.
fn mean(scores: &[&MaskScore], method: &str) -> Option<f64> {
    let of = |subject: &&str| {
        let own = scores.iter().filter(|score| score.method == method && score.subject == **subject);
        Summary::of(own.map(|score| score.pooled)).mean
    };
    Summary::of(subjects(scores).iter().filter_map(of)).mean
}

fn table(scores: &[&MaskScore]) -> ReportTable {
    let mut columns = vec![ReportColumn::label("Case and structure")];
    for (name, _) in METHODS {
        let heads =
            ["Dice of slices with the structure", "Dice of all slices pooled", "empty slices with false positives"];
        columns.extend(heads.map(|head| ReportColumn::measured(format!("{name}: {head}"))));
    }
    columns.push(ReportColumn::paper("SAM^auto with SAP-Net"));
    let row = |subject: &str| {
        let mut row = vec![subject.to_owned()];
        for (_, method) in METHODS {
            let own = || scores.iter().filter(|score| score.method == method && score.subject == subject);
            let slices = Summary::of(own().flat_map(|score| score.slices.iter().copied()));
            let number = |summary: Summary| match (summary.mean, summary.std) {
                (Some(mean), Some(std)) => format!("{mean:.3} ± {std:.3}"),
                _ => String::new(),
            };
            let wrong: usize = own().map(|score| score.false_positive_slices).sum();
            let empty: usize = own().map(|score| score.empty_slices).sum();
            let counted = if slices.n == 0 { String::new() } else { format!("{wrong} of {empty}") };
            row.extend([number(slices), number(Summary::of(own().map(|score| score.pooled))), counted]);
        }
        let paper = FIGURE12.iter().find(|(organ, _)| subject.to_lowercase().contains(organ));
        row.push(paper.map_or(String::new(), |(_, dice)| format!("{dice:.2}")));
        row
    };
    ReportTable {
        caption: "Prompts without a person, beside what the paper's text says of its data sets".to_owned(),
        columns,
        rows: subjects(scores).into_iter().map(row).collect(),
    }
}

fn boxes(scores: &[&MaskScore]) -> Plot {
    let group = |subject: &str| BoxGroup {
        label: subject.to_owned(),
        series: METHODS
            .map(|(name, method)| {
                let own = scores.iter().filter(|score| score.method == method && score.subject == subject);
                BoxSeries {
                    name: name.to_owned(),
                    scores: own.flat_map(|score| score.slices.iter().copied()).collect(),
                }
            })
            .to_vec(),
    };
    Plot::Boxes(BoxPlot {
        title: "Slices with the structure".to_owned(),
        y_label: "Dice".to_owned(),
        groups: subjects(scores).into_iter().map(group).collect(),
        ..BoxPlot::default()
    })
}
