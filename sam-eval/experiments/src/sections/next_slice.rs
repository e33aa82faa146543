//! Which slice to outline next. Not in the paper, which draws the slices at random.

use burn::tensor::backend::Backend;
use sam_eval::{
    Summary,
    report::{Curve, CurvePlot, CurvePoint, Finding, Plot, ReportTable, Section},
};
use sam_prompt::counted;

use super::tables;
use crate::{ActiveLearningCurve, Plan, QueryStrategy, Setup, error::Result};

const STRATEGIES: [(QueryStrategy, &str); 2] =
    [(QueryStrategy::Random, "drawn at random"), (QueryStrategy::Suggested, "suggested by trust")];

pub(crate) fn section<B: Backend>(setup: &Setup<B>, plan: &Plan) -> Result<Section> {
    Ok(page(&plan.active_learning(setup)?))
}

fn page(all: &[ActiveLearningCurve]) -> Section {
    let subjects = subjects(all);
    let most = counts(all).into_iter().max().unwrap_or(0);
    let [random, suggested] = STRATEGIES.map(|(strategy, _)| mean(all, &subjects, strategy, most));
    Section {
        paragraphs: vec![
            "Two outlined slices and two marked as empty to begin with, drawn at random; then slice by slice, as trust suggests or drawn at \
             random, everything learned anew each time. Mean Dice of the whole volume, an outlined slice being right. Trust has its default \
             weights."
                .to_owned(),
        ],
        findings: vec![Finding {
            claim: "Suggested slices lead to a better volume than slices drawn at random".to_owned(),
            holds: random.zip(suggested).map(|(random, suggested)| suggested > random),
            evidence: format!("Dice with {} {} against {}", counted(most, "slice"), number(suggested), number(random)),
        }],
        tables: vec![table(all, &subjects)],
        plots: vec![curves(all, &subjects)],
        ..Section::default()
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.3}"))
}

/// Data sets and structures, in order of first appearance.
fn subjects(all: &[ActiveLearningCurve]) -> Vec<(&str, &str)> {
    let mut subjects: Vec<(&str, &str)> = Vec::new();
    for one in all {
        if !subjects.contains(&(&one.dataset, &one.subject)) {
            subjects.push((&one.dataset, &one.subject));
        }
    }
    subjects
}

/// Numbers of outlined slices, ascending.
fn counts(all: &[ActiveLearningCurve]) -> Vec<usize> {
    let mut counts: Vec<usize> = all.iter().flat_map(|one| &one.dice).map(|&(count, _)| count).collect();
    counts.sort_unstable();
    counts.dedup();
    counts
}

/// The mean over structures, each the mean over its repeats.
fn mean(all: &[ActiveLearningCurve], subjects: &[(&str, &str)], strategy: QueryStrategy, count: usize) -> Option<f64> {
    let of = |&(dataset, subject): &(&str, &str)| {
        let own = all.iter().filter(|one| one.dataset == dataset && one.subject == subject && one.strategy == strategy);
        Summary::of(
            own.filter_map(|one| one.dice.iter().find(|(outlined, _)| *outlined == count)).map(|(_, dice)| *dice),
        )
        .mean
    };
    Summary::of(subjects.iter().filter_map(of)).mean
}

fn table(all: &[ActiveLearningCurve], subjects: &[(&str, &str)]) -> ReportTable {
    let columns: Vec<_> =
        counts(all).into_iter().flat_map(|count| STRATEGIES.map(|strategy| (count, strategy))).collect();
    let row = |name: String, subjects: &[(&str, &str)]| {
        let cells = columns.iter().map(|(count, (strategy, _))| number(mean(all, subjects, *strategy, *count)));
        std::iter::once(name).chain(cells).collect::<Vec<_>>()
    };
    let mut rows: Vec<_> =
        subjects.iter().map(|one| row(format!("{}, {}", one.0, one.1), std::slice::from_ref(one))).collect();
    rows.push(row("mean over structures".to_owned(), subjects));
    let heads = columns.iter().map(|(count, (_, name))| format!("{}, {name}", counted(*count, "slice")));
    ReportTable {
        caption: "Mean Dice by the number of outlined slices".to_owned(),
        columns: tables::columns("Data set, case and structure", heads),
        rows,
    }
}

fn curves(all: &[ActiveLearningCurve], subjects: &[(&str, &str)]) -> Plot {
    let curve = |(strategy, name): (QueryStrategy, &str)| {
        let point = |count: usize| {
            let y = mean(all, subjects, strategy, count).unwrap_or(f64::NAN);
            CurvePoint { x: count as f64, y, band: None }
        };
        Curve { name: name.to_owned(), points: counts(all).into_iter().map(point).collect(), ..Curve::default() }
    };
    Plot::Curves(CurvePlot {
        title: "Dice by the number of outlined slices".to_owned(),
        x_label: "Outlined slices".to_owned(),
        y_label: "Dice, mean over structures".to_owned(),
        y_range: None,
        curves: STRATEGIES.map(curve).to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies_are_compared_at_the_most_slices() {
        let curve = |strategy, dice: [f64; 2]| ActiveLearningCurve {
            dataset: "ct".to_owned(),
            subject: "1: liver".to_owned(),
            strategy,
            seed: 0,
            outlined: vec![4, 7, 9],
            dice: vec![(2, dice[0]), (3, dice[1])],
        };
        let section = page(&[curve(QueryStrategy::Random, [0.5, 0.75]), curve(QueryStrategy::Suggested, [0.5, 0.875])]);
        assert_eq!(section.findings[0].holds, Some(true));
        assert_eq!(section.tables[0].rows[1], ["mean over structures", "0.500", "0.500", "0.750", "0.875"]);
    }
}
