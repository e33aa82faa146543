//! Figure 7: Dice by number of points, before and after learning.

use burn::tensor::backend::Backend;
use sam_eval::{
    Calibration, Record, bootstrap_mean,
    report::{Curve, CurvePlot, CurvePoint, Finding, Plot, ReportTable, Section},
};
use sam_prompt::{SamplingScheme, counted};

use super::{
    gallery::{Shown, gallery},
    tables::{Series, boxes, columns, dice, failed, mean, name, no_less, paired, records, slices},
};
use crate::{
    Plan, Run, Setup,
    error::Result,
    plan::{BOX, points},
};

/// Numbers of foreground points; each has as many background points.
const POINTS: [usize; 4] = [1, 3, 5, 10];
/// Dice that the paper calls an "acceptable level of accuracy".
const ACCEPTABLE: f64 = 0.8;
/// Number of bins of the calibration.
const BINS: usize = 10;
/// The columns of the calibration table for each model.
const CALIBRATION: [&str; 5] =
    ["slices", "bias", "mean absolute error", "expected calibration error", "Spearman's correlation"];
const METHODS: [(&str, usize); 3] = [("original", 0), ("assist", 2), ("assist", 5)];
const PROMPTS: [&str; 4] = ["points-1", "points-3", "points-5", "points-10"];

pub(crate) fn section<B: Backend>(setup: &Setup<B>, plan: &Plan) -> Result<Section> {
    let prompts = [&POINTS.map(points)[..], &[BOX]].concat();
    let runs = plan.prompting(setup, &[2, 5], &prompts, SamplingScheme::Uniform)?;
    let records = records(&runs);
    let groups: Vec<_> = PROMPTS
        .iter()
        .map(|&prompt| {
            let series = METHODS.map(|(method, slices)| (method_name(method, slices), Series(method, slices, prompt)));
            (prompt.trim_start_matches("points-").to_owned(), series.to_vec())
        })
        .collect();
    let shown = "points-5";
    Ok(Section {
        paragraphs: vec![
            "Points are drawn at random from the ground truth, as many on the object as beside it. Each structure of each case is \
             learned by itself, from 2 and from 5 slices."
                .to_owned(),
        ],
        findings: findings(&records),
        tables: [dice("Dice, mean ± standard deviation over slices", &records)?, tests(&records)?, calibration(&records)?]
            .into_iter()
            .chain(failed(&records, Series("assist", 2, shown)))
            .collect(),
        plots: vec![curves(&records), boxes("Dice by number of points", "Points on the object, and as many beside it", &records, &groups)],
        galleries: vec![gallery(
            "Learned from 2 slices, prompted with 5 points, from poor to excellent",
            &plan.cases(),
            runs.iter().filter(|run| Series("assist", 2, shown).holds(&run.score)).map(pictured).collect(),
        )?],
        footnotes: vec!["The paper's text gives no numbers for this figure.".to_owned()],
        ..Section::default()
    })
}

pub(super) fn pictured(run: &Run<Record>) -> Shown<'_> {
    Shown {
        subject: format!("{}: {}", run.score.case, run.score.structure),
        caption: format!("seed {}", run.score.seed),
        score: run.score.dice.mean.unwrap_or(f64::NAN),
        masks: &run.masks,
    }
}

fn method_name(method: &str, slices: usize) -> String {
    if slices == 0 { method.to_owned() } else { format!("{method}, {}", counted(slices, "slice")) }
}

fn findings(records: &[Record]) -> Vec<Finding> {
    let of = |slices, prompt| mean(records, Series(if slices == 0 { "original" } else { "assist" }, slices, prompt));
    let lift = |prompt| Some(of(2, prompt)? - of(0, prompt)?);
    vec![
        no_less(
            "One point means the structure after learning from 2 slices",
            ["learned", "original"],
            [of(2, "points-1"), of(0, "points-1")],
            0.0,
        ),
        no_less(
            "Learning lifts points more than boxes",
            ["lift of 5 points", "lift of a box"],
            [lift("points-5"), lift("box")],
            0.0,
        ),
        no_less(
            "More annotated slices are no worse",
            ["5 slices, 5 points", "2 slices, 5 points"],
            [of(5, "points-5"), of(2, "points-5")],
            0.005,
        ),
        no_less(
            "With learning, Dice does not fall from 1 to 10 points",
            ["10 points", "1 point"],
            [of(2, "points-10"), of(2, "points-1")],
            0.0,
        ),
        no_less(
            "With 2 slices, about 5 points are enough for an acceptable accuracy",
            ["5 points", "taken as acceptable"],
            [of(2, "points-5"), Some(ACCEPTABLE)],
            0.0,
        ),
    ]
}

/// Paired tests of each learned series against the original.
fn tests(records: &[Record]) -> Result<ReportTable> {
    let mut compared = Vec::new();
    for (method, annotated) in &METHODS[1..] {
        for prompt in PROMPTS.iter().copied().chain(["box"]) {
            compared.push((Series(method, *annotated, prompt), Series("original", 0, prompt)));
        }
    }
    let tests: Vec<_> = compared.iter().map(|&(one, other)| paired(records, one, other)).collect();
    let adjusted = sam_eval::holm(&tests.iter().map(|test| test.p_value).collect::<Vec<_>>())?;
    let p_value = |p: Option<f64>| {
        p.map_or(String::new(), |p| if p < 0.0001 { "< 0.0001".to_owned() } else { format!("{p:.4}") })
    };
    let mut rows = Vec::new();
    for ((one, other), (test, adjusted)) in compared.iter().zip(tests.iter().zip(adjusted)) {
        let other = slices(records, *other);
        let gains = slices(records, *one).into_iter().filter_map(|(slice, dice)| Some(dice - other.get(&slice)?));
        let gain = bootstrap_mean(gains, &sam_eval::BootstrapConfig::default())?;
        let interval = match (gain.estimate, gain.low, gain.high) {
            (Some(mean), Some(low), Some(high)) => format!("{mean:+.3} [{low:+.3}, {high:+.3}]"),
            _ => String::new(),
        };
        rows.push(vec![name(*one), test.n.to_string(), interval, p_value(test.p_value), p_value(adjusted)]);
    }
    Ok(ReportTable {
        caption: "Gain of Dice over the original on the same slices: mean with its 95 % bootstrap interval, Wilcoxon's signed-rank test, \
                  and Holm's correction. Slices of one case are not independent, so that both flatter"
            .to_owned(),
        columns: columns("Series", ["slices that differ", "gain", "p", "p, corrected"]),
        rows,
    })
}

/// Calibration of the predicted IoU.
fn calibration(records: &[Record]) -> Result<ReportTable> {
    let mut rows = Vec::new();
    for (method, annotated) in METHODS {
        let own = records.iter().filter(|record| record.method == method && record.annotated_slices == annotated);
        let pairs = own.flat_map(|record| &record.slices).filter_map(|slice| Some((slice.predicted_iou?, slice.iou?)));
        let found = Calibration::of(pairs, BINS)?;
        let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.3}"));
        rows.push(vec![
            method_name(method, annotated),
            found.n.to_string(),
            number(found.bias),
            number(found.mean_absolute_error),
            number(found.expected_calibration_error),
            number(found.spearman),
        ]);
    }
    Ok(ReportTable {
        caption: "How well the predicted intersection over union tells the true one, all prompts together".to_owned(),
        columns: columns("Model", CALIBRATION),
        rows,
    })
}

fn curves(records: &[Record]) -> Plot {
    let curve = |(method, annotated): (&str, usize)| Curve {
        name: method_name(method, annotated),
        points: POINTS
            .iter()
            .zip(PROMPTS)
            .map(|(&count, prompt)| {
                CurvePoint::new(count as f64, mean(records, Series(method, annotated, prompt)).unwrap_or(f64::NAN))
            })
            .collect(),
        ..Curve::default()
    };
    Plot::Curves(CurvePlot {
        title: "What points bring".to_owned(),
        x_label: "Points on the object, and as many beside it".to_owned(),
        y_label: "Dice, mean over structures".to_owned(),
        curves: METHODS.map(curve).to_vec(),
        ..CurvePlot::default()
    })
}
