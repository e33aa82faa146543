//! Trust: how soon the slices that are wrong are found. Not of the paper, which has no measure of trust.

use anyhow::Result;
use burn::tensor::backend::Backend;
use sam_auto::{LinearTrust, Signal, TrustModel};
use sam_eval::{
    Summary,
    report::{Curve, CurvePlot, CurvePoint, Finding, Plot, ReportColumn, ReportTable, Section},
};

use super::Plan;
use crate::{
    study::Study,
    trust::{Checks, MeasuredVolume, Order, fitted, model_without},
};

/// The mean Dice that a person wants.
const WANTED: f64 = 0.9;
/// Shares of the slices that are looked at.
const SHARES: [f64; 2] = [0.1, 0.2];
/// Points of a curve, and up to which share of the slices it goes.
const STEPS: usize = 20;
const SHOWN: f64 = 0.5;

/// A volume, and what looking at its slices in each order leads to.
struct Checked<'a> {
    volume: &'a MeasuredVolume,
    orders: Vec<Checks>,
    /// Spearman's correlation of trust, and of predicted IoU, with Dice.
    correlations: [Option<f64>; 2],
}

pub(super) fn section<B: Backend>(study: &Study<'_, B>, plan: &Plan) -> Result<Section> {
    page(&plan.trust(study)?)
}

fn page(volumes: &[MeasuredVolume]) -> Result<Section> {
    let checked = check(volumes, Weights::Default)?;
    let fitted_elsewhere = check(volumes, Weights::OfOthers)?;
    let moved: Vec<_> = volumes.iter().filter(|volume| !volume.left_out.is_empty()).cloned().collect();
    let mut tables = Vec::new();
    let mut plots = Vec::new();
    let mut findings = Vec::new();
    for method in methods(volumes) {
        let own: Vec<_> = checked.iter().filter(|checked| checked.volume.method == method).collect();
        findings.extend(compared(method, &own));
        tables.push(by_structure(method, &own));
        plots.push(curves(method, &own));
        tables.push(by_order(format!("Means over structures: {method}"), &own));
        let own: Vec<_> = fitted_elsewhere.iter().filter(|checked| checked.volume.method == method).collect();
        tables.push(by_order(format!("Means over structures: {method}, weights fitted to the other data sets"), &own));
    }
    if !moved.is_empty() {
        for (said, weights) in
            [("the same weights", Weights::Default), ("moved by the slices left out", Weights::MovedByLeftOut)]
        {
            let own = check(&moved, weights)?;
            let caption = format!("Repeats in which annotated slices were left out: {said}");
            tables.push(by_order(caption, &own.iter().collect::<Vec<_>>()));
        }
    }
    tables.push(table_of_weights(volumes));
    Ok(Section {
        paragraphs: vec![
            "5 outlined slices and 2 marked as empty, drawn at random as in the paper; all other slices of the volume are segmented, and a \
             person looks at some of them. A slice that was looked at is right. Means are over the slices where the structure is or was \
             found; a slice where rightly nothing was found costs a look and gains nothing."
                .to_owned(),
            "Trust has its default weights, set by hand. Weights that are fitted to the other data sets here, never to the volume's own, \
             have tables of their own."
                .to_owned(),
        ],
        findings,
        tables,
        plots,
        footnotes: vec![
            "Random orders are expected values. Slices to reach a Dice: the first number whose (expected) mean reaches it.".to_owned(),
        ],
        ..Section::default()
    })
}

/// What each sign weighs by default, and what it would weigh if it were fitted to all of the volumes.
fn table_of_weights(volumes: &[MeasuredVolume]) -> ReportTable {
    let (default, fitted) = (TrustModel::default(), fitted(volumes.iter()));
    let models = [&default.found, &fitted.found, &default.empty, &fitted.empty];
    let row = |name: String, weight: &dyn Fn(&LinearTrust) -> f32| {
        let numbers = models.iter().map(|model| format!("{:.2}", weight(model)));
        std::iter::once(name).chain(numbers).collect::<Vec<_>>()
    };
    let bias = row("bias".to_owned(), &|model| model.bias);
    let signal = |signal: &Signal| row(format!("{signal:?}"), &|model| model.weight(*signal));
    let heads = ["slices with a mask: default", "fitted", "slices without: default", "fitted"];
    let columns = heads.into_iter().map(ReportColumn::measured);
    ReportTable {
        caption: "What each sign weighs by default, and fitted to all volumes here".to_owned(),
        columns: std::iter::once(ReportColumn::label("Sign")).chain(columns).collect(),
        rows: std::iter::once(bias).chain(Signal::ALL.iter().map(signal)).collect(),
    }
}

/// Which weights trust has.
#[derive(Debug, Clone, Copy)]
enum Weights {
    /// The default ones.
    Default,
    /// Fitted to the volumes of all other data sets.
    OfOthers,
    /// The default ones, moved by the annotated slices that were left out.
    MovedByLeftOut,
}

impl Weights {
    fn model(self, volume: &MeasuredVolume, volumes: &[MeasuredVolume]) -> TrustModel {
        match self {
            Self::Default => TrustModel::default(),
            Self::OfOthers => model_without(&volume.dataset, volumes),
            Self::MovedByLeftOut => TrustModel::default().fit(&volume.left_out),
        }
    }
}

fn check(volumes: &[MeasuredVolume], weights: Weights) -> Result<Vec<Checked<'_>>> {
    let mut all = Vec::new();
    for volume in volumes {
        let model = weights.model(volume, volumes);
        let orders: Option<Vec<_>> = Order::ALL.into_iter().map(|order| Checks::of(volume, order, &model)).collect();
        if let Some(orders) = orders {
            let trust = |at: usize| f64::from(model.expected_dice(&volume.slices[at].signals));
            let correlations = [volume.correlation(&trust)?, volume.correlation(&|at| volume.predicted_iou(at))?];
            all.push(Checked { volume, orders, correlations });
        }
    }
    Ok(all)
}

fn methods(volumes: &[MeasuredVolume]) -> Vec<&str> {
    let mut methods: Vec<&str> = Vec::new();
    for volume in volumes {
        if !methods.contains(&volume.method.as_str()) {
            methods.push(&volume.method);
        }
    }
    methods
}

fn subjects<'a>(checked: &[&Checked<'a>]) -> Vec<(&'a str, &'a str)> {
    let mut subjects: Vec<(&str, &str)> = Vec::new();
    for Checked { volume, .. } in checked {
        let name = (volume.dataset.as_str(), volume.subject.as_str());
        if !subjects.contains(&name) {
            subjects.push(name);
        }
    }
    subjects
}

/// The mean over structures, each the mean over its repeats, of what is defined.
fn mean(checked: &[&Checked<'_>], value: &dyn Fn(&Checked<'_>) -> Option<f64>) -> Option<f64> {
    let of = |&(dataset, subject): &(&str, &str)| {
        let own = checked.iter().filter(|one| one.volume.dataset == dataset && one.volume.subject == subject);
        Summary::of(own.filter_map(|one| value(one))).mean
    };
    Summary::of(subjects(checked).iter().filter_map(of)).mean
}

fn of_order(order: Order, value: impl Fn(&Checks) -> f64) -> impl Fn(&Checked<'_>) -> Option<f64> {
    let at = Order::ALL.iter().position(|&other| other == order).unwrap_or(0);
    move |checked| Some(value(&checked.orders[at]))
}

fn number(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.3}"))
}

fn compared(method: &str, own: &[&Checked<'_>]) -> Vec<Finding> {
    let error_found = |order| mean(own, &of_order(order, |checks| checks.error_found(SHARES[0])));
    let against = |order: Order| {
        let (ours, theirs) = (error_found(Order::Trust), error_found(order));
        Finding {
            claim: format!("{method}: trust finds more of the error in the first 10 % of slices than {}", order.name()),
            holds: ours.zip(theirs).map(|(ours, theirs)| ours > theirs),
            evidence: format!("{} against {}", number(ours), number(theirs)),
        }
    };
    let mut findings: Vec<_> = Order::ALL.into_iter().filter(|&order| order != Order::Trust).map(against).collect();
    let [trust, predicted] = [0, 1].map(|at| mean(own, &|checked: &Checked<'_>| checked.correlations[at]));
    findings.push(Finding {
        claim: format!("{method}: trust follows Dice better than predicted IoU does"),
        holds: trust.zip(predicted).map(|(trust, predicted)| trust > predicted),
        evidence: format!("Spearman {} against {}", number(trust), number(predicted)),
    });
    findings
}

fn by_structure(method: &str, own: &[&Checked<'_>]) -> ReportTable {
    let heads = [
        "slices not annotated",
        "Dice of the first pass",
        "after 10 %, by trust",
        "after 10 %, random",
        "after 20 %, by trust",
        "after 20 %, random",
        "error in the first 10 %, by trust",
        "error in the first 10 %, by predicted IoU",
        "looks to 0.90, by trust",
        "looks to 0.90, random",
        "Spearman, trust",
        "Spearman, predicted IoU",
    ];
    let row = |&(dataset, subject): &(&str, &str)| {
        let own: Vec<_> =
            own.iter().copied().filter(|one| one.volume.dataset == dataset && one.volume.subject == subject).collect();
        let after = |order, share: f64| number(mean(&own, &of_order(order, move |checks| checks.after(share))));
        let found = |order| number(mean(&own, &of_order(order, |checks| checks.error_found(SHARES[0]))));
        let needed = |order| {
            let needed = mean(&own, &of_order(order, |checks| checks.needed(WANTED) as f64));
            needed.map_or(String::new(), |needed| format!("{needed:.1}"))
        };
        vec![
            format!("{dataset}, {subject}"),
            own.first().map_or(0, |one| one.volume.slices.len()).to_string(),
            after(Order::Trust, 0.0),
            after(Order::Trust, SHARES[0]),
            after(Order::Random, SHARES[0]),
            after(Order::Trust, SHARES[1]),
            after(Order::Random, SHARES[1]),
            found(Order::Trust),
            found(Order::PredictedIou),
            needed(Order::Trust),
            needed(Order::Random),
            number(mean(&own, &|one: &Checked<'_>| one.correlations[0])),
            number(mean(&own, &|one: &Checked<'_>| one.correlations[1])),
        ]
    };
    let columns = heads.into_iter().map(ReportColumn::measured);
    ReportTable {
        caption: format!("{method}: looking at slices by trust, by structure"),
        columns: std::iter::once(ReportColumn::label("Data set, case and structure")).chain(columns).collect(),
        rows: subjects(own).iter().map(row).collect(),
    }
}

fn by_order(caption: String, own: &[&Checked<'_>]) -> ReportTable {
    let row = |order: Order| {
        let of = |value: fn(&Checks) -> f64| mean(own, &of_order(order, value));
        let correlation = match order {
            Order::Trust => mean(own, &|one: &Checked<'_>| one.correlations[0]),
            Order::PredictedIou => mean(own, &|one: &Checked<'_>| one.correlations[1]),
            _ => None,
        };
        vec![
            order.name().to_owned(),
            number(correlation),
            number(of(|checks| checks.error_found(SHARES[0]))),
            number(of(|checks| checks.error_found(SHARES[1]))),
            number(of(|checks| checks.after(0.0))),
            number(of(|checks| checks.after(SHARES[0]))),
            number(of(|checks| checks.after(SHARES[1]))),
            of(|checks| checks.needed(WANTED) as f64).map_or(String::new(), |needed| format!("{needed:.1}")),
        ]
    };
    let heads = [
        "Spearman with Dice",
        "error in the first 10 %",
        "error in the first 20 %",
        "Dice of the first pass",
        "Dice after 10 %",
        "Dice after 20 %",
        "looks to 0.90",
    ];
    let columns = heads.into_iter().map(ReportColumn::measured);
    ReportTable {
        caption,
        columns: std::iter::once(ReportColumn::label("Order")).chain(columns).collect(),
        rows: Order::ALL.into_iter().map(row).collect(),
    }
}

fn curves(method: &str, own: &[&Checked<'_>]) -> Plot {
    let curve = |order: Order| {
        let point = |step: usize| {
            let share = SHOWN * step as f64 / STEPS as f64;
            let y = mean(own, &of_order(order, move |checks| checks.after(share))).unwrap_or(f64::NAN);
            CurvePoint { x: share, y, band: None }
        };
        Curve { name: order.name().to_owned(), points: (0..=STEPS).map(point).collect(), ..Curve::default() }
    };
    Plot::Curves(CurvePlot {
        title: format!("{method}: Dice by the share of slices that were looked at"),
        x_label: "Share of the slices that nobody outlined".to_owned(),
        y_label: "Dice, mean over structures".to_owned(),
        y_range: None,
        curves: Order::ALL.into_iter().map(curve).collect(),
    })
}

#[cfg(test)]
mod tests {
    use sam_auto::TrustSignals;

    use super::*;
    use crate::trust::MeasuredSlice;

    /// Dice follows the overlap with the neighbours; predicted IoU says the opposite.
    fn volume(dataset: &str, method: &str, left_out: bool) -> MeasuredVolume {
        let slice = |slice: usize| {
            let dice = 0.5 + 0.025 * slice as f32;
            let signals = TrustSignals::new(true).with(Signal::Neighbours, dice).with(Signal::PredictedIou, 1.5 - dice);
            MeasuredSlice { slice, signals, dice: Some(f64::from(dice)), wrong_pixels: 10 }
        };
        let slices: Vec<_> = (0..20).map(slice).collect();
        MeasuredVolume {
            dataset: dataset.to_owned(),
            subject: "1: liver".to_owned(),
            method: method.to_owned(),
            seed: 0,
            left_out: if left_out { vec![(slices[0].signals.clone(), 0.5)] } else { Vec::new() },
            slices,
        }
    }

    #[test]
    fn what_follows_dice_is_found_to_rank_better() -> Result<()> {
        let volumes = ["ct", "mr"].map(|dataset| ["ensemble", "walk"].map(|method| volume(dataset, method, false)));
        let section = page(volumes.as_flattened())?;
        assert_eq!((section.tables.len(), section.plots.len(), section.findings.len()), (7, 2, 10));
        assert!(section.findings.iter().all(|finding| finding.holds == Some(true)), "{:?}", section.findings);
        // Two of 20 slices: 0.5 and 0.475 of an error of 5.25.
        assert_eq!(section.tables[0].rows[0][1], "20");
        assert_eq!(section.tables[0].rows[0][3], "0.786");
        assert_eq!(section.tables[1].rows[0][1..=2], ["1.000", "0.186"]);
        Ok(())
    }

    #[test]
    fn slices_that_were_left_out_have_tables_of_their_own() -> Result<()> {
        let section = page(&[volume("ct", "ensemble", true), volume("mr", "ensemble", false)])?;
        assert_eq!(section.tables.len(), 3 + 2 + 1);
        Ok(())
    }
}
