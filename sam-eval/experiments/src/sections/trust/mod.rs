//! Trust: how soon the wrong slices are found in a review. Not in the paper, which has no measure of trust.

mod reviewed;
mod tables;

use burn::tensor::backend::Backend;
use sam_eval::report::{Curve, CurvePlot, CurvePoint, Finding, Plot, Section};

use crate::{MeasuredVolume, Plan, ReviewOrder, Setup, error::Result};
use reviewed::{ReviewedVolume, Weights, mean, mean_of_order, review};

/// The target of a review: a mean Dice.
const WANTED: f64 = 0.9;
/// Reviewed shares of the slices.
const SHARES: [f64; 2] = [0.1, 0.2];
/// Number of points of a curve, which ends at the share `SHOWN` of the slices.
const STEPS: usize = 20;
const SHOWN: f64 = 0.5;

pub(crate) fn section<B: Backend>(setup: &Setup<B>, plan: &Plan) -> Result<Section> {
    page(&plan.trust(setup)?)
}

fn page(volumes: &[MeasuredVolume]) -> Result<Section> {
    let reviewed = review(volumes, Weights::Default)?;
    let fitted_elsewhere = review(volumes, Weights::OfOthers)?;
    let with_left_out: Vec<_> = volumes.iter().filter(|volume| !volume.left_out.is_empty()).cloned().collect();
    let mut shown = Vec::new();
    let mut plots = Vec::new();
    let mut findings = Vec::new();
    for method in methods(volumes) {
        let own: Vec<_> = reviewed.iter().filter(|reviewed| reviewed.volume.method == method).collect();
        findings.extend(compared(method, &own));
        shown.push(tables::by_structure(method, &own));
        plots.push(curves(method, &own));
        shown.push(tables::by_order(format!("Means over structures: {method}"), &own));
        let own: Vec<_> = fitted_elsewhere.iter().filter(|reviewed| reviewed.volume.method == method).collect();
        shown.push(tables::by_order(
            format!("Means over structures: {method}, weights fitted to the other data sets"),
            &own,
        ));
    }
    if !with_left_out.is_empty() {
        for (which, weights) in
            [("the same weights", Weights::Default), ("moved by the slices left out", Weights::FittedToLeftOut)]
        {
            let own = review(&with_left_out, weights)?;
            let caption = format!("Repeats in which annotated slices were left out: {which}");
            shown.push(tables::by_order(caption, &own.iter().collect::<Vec<_>>()));
        }
    }
    shown.push(tables::weights(volumes));
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
        tables: shown,
        plots,
        footnotes: vec![
            "Random orders are expected values. Slices to reach a Dice: the first number whose (expected) mean reaches it.".to_owned(),
        ],
        ..Section::default()
    })
}

fn number(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.3}"))
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

fn compared(method: &str, own: &[&ReviewedVolume<'_>]) -> Vec<Finding> {
    let error_found = |order| mean_of_order(own, order, |curve| curve.error_found(SHARES[0]));
    let against = |order: ReviewOrder| {
        let (ours, theirs) = (error_found(ReviewOrder::Trust), error_found(order));
        Finding {
            claim: format!("{method}: trust finds more of the error in the first 10 % of slices than {}", order.name()),
            holds: ours.zip(theirs).map(|(ours, theirs)| ours > theirs),
            evidence: format!("{} against {}", number(ours), number(theirs)),
        }
    };
    let mut findings: Vec<_> =
        ReviewOrder::ALL.into_iter().filter(|&order| order != ReviewOrder::Trust).map(against).collect();
    let [trust, predicted] = [0, 1].map(|at| mean(own, &|one| one.correlations[at]));
    findings.push(Finding {
        claim: format!("{method}: trust follows Dice better than predicted IoU does"),
        holds: trust.zip(predicted).map(|(trust, predicted)| trust > predicted),
        evidence: format!("Spearman {} against {}", number(trust), number(predicted)),
    });
    findings
}

fn curves(method: &str, own: &[&ReviewedVolume<'_>]) -> Plot {
    let curve = |order: ReviewOrder| {
        let point = |step: usize| {
            let share = SHOWN * step as f64 / STEPS as f64;
            let y = mean_of_order(own, order, |curve| curve.after(share)).unwrap_or(f64::NAN);
            CurvePoint { x: share, y, band: None }
        };
        Curve { name: order.name().to_owned(), points: (0..=STEPS).map(point).collect(), ..Curve::default() }
    };
    Plot::Curves(CurvePlot {
        title: format!("{method}: Dice by the share of slices that were looked at"),
        x_label: "Share of the slices that nobody outlined".to_owned(),
        y_label: "Dice, mean over structures".to_owned(),
        y_range: None,
        curves: ReviewOrder::ALL.into_iter().map(curve).collect(),
    })
}

#[cfg(test)]
mod tests {
    use sam_auto::{Signal, TrustSignals};

    use super::*;
    use crate::MeasuredSlice;

    /// Dice rises with the overlap with the neighbours; predicted IoU falls.
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
    fn signals_that_follow_dice_rank_better() -> Result<()> {
        let volumes = ["ct", "mr"].map(|dataset| ["ensemble", "walk"].map(|method| volume(dataset, method, false)));
        let section = page(volumes.as_flattened())?;
        assert_eq!((section.tables.len(), section.plots.len(), section.findings.len()), (7, 2, 10));
        assert!(section.findings.iter().all(|finding| finding.holds == Some(true)), "{:?}", section.findings);
        // Two of 20 slices are reviewed: they correct 0.5 and 0.475 of a total error of 5.25.
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
