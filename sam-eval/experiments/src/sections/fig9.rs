//! Figure 9: sampling schemes of points, in learning and in testing.

use burn::tensor::backend::Backend;
use sam_eval::{
    Record,
    report::{Finding, Section},
};
use sam_prompt::SamplingScheme;

use super::tables::{Series, boxes, dice, mean, paired, records};
use crate::{Plan, Setup, error::Result, plan::points};

/// Number of points in testing.
const POINTS: usize = 5;
const SLICES: usize = 2;
/// Schemes whose means differ by at most this count as equal.
const ALIKE: f64 = 0.03;

pub(crate) fn section<B: Backend>(setup: &Setup<B>, plan: &Plan) -> Result<Section> {
    let mut all: Vec<Record> = Vec::new();
    for &scheme in SamplingScheme::ALL {
        let runs = plan.prompting(setup, &[SLICES], &[points(POINTS)], scheme)?;
        let learned = records(&runs).into_iter().filter(|record| record.annotated_slices > 0);
        // In a table, the schemes are distinguished by the prompts of their records.
        all.extend(learned.map(|record| Record { prompt: format!("{scheme}"), ..record }));
    }
    let names: Vec<String> = SamplingScheme::ALL.iter().map(ToString::to_string).collect();
    let series: Vec<Series<'_>> = names.iter().map(|name| Series("assist", SLICES, name)).collect();
    let groups =
        vec![(format!("{POINTS} points"), names.iter().cloned().zip(series.iter().copied()).collect::<Vec<_>>())];
    Ok(Section {
        paragraphs: vec![format!(
            "Points drawn uniformly, around the centre, or along the boundary, alike in learning from {SLICES} slices and in testing with \
             {POINTS} points."
        )],
        findings: vec![alike(&all, &series)],
        tables: vec![dice("Dice, mean ± standard deviation over slices", &all)?],
        plots: vec![boxes("Dice by sampling scheme", "", &all, &groups)],
        footnotes: vec![
            "The paper shows Kidney-CT alone: \"no significant differences\", uniform with a slightly better variation; no numbers."
                .to_owned(),
        ],
        ..Section::default()
    })
}

fn alike(records: &[Record], series: &[Series<'_>]) -> Finding {
    let means: Vec<f64> = series.iter().filter_map(|&series| mean(records, series)).collect();
    let (low, high) =
        means.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &mean| (low.min(mean), high.max(mean)));
    let tests = series[1..].iter().map(|&other| {
        let p = paired(records, series[0], other).p_value;
        format!("{} against {}: p {}", series[0].2, other.2, p.map_or("undefined".to_owned(), |p| format!("{p:.3}")))
    });
    let means_said = series.iter().zip(&means).map(|(series, mean)| format!("{} {mean:.3}", series.2));
    Finding {
        claim: format!("The three schemes differ by no more than {ALIKE} of Dice"),
        holds: (means.len() == series.len()).then_some(high - low <= ALIKE),
        evidence: means_said.chain(tests).collect::<Vec<_>>().join(", "),
    }
}
