//! Tables of the trust section.

use sam_auto::{LinearTrust, Signal, TrustModel};
use sam_eval::report::ReportTable;

use super::{
    super::tables::columns,
    SHARES, WANTED, number,
    reviewed::{Review, ReviewedVolume, Weights, mean, mean_of_order, subjects},
};
use crate::{MeasuredVolume, RankingCurve, ReviewOrder, error::Result, trust_protocol::fit_trust};

/// A column of [`by_structure`]: its heading, and the cell of one structure's volumes.
type Column = (&'static str, fn(&[&ReviewedVolume<'_>]) -> String);

/// Seconds of work after which Dice is shown. They are in the headings, too.
const SECONDS: [f64; 2] = [60.0, 180.0];

/// The columns of [`by_structure`].
const COLUMNS: [Column; 12] = [
    ("slices not outlined", |own| own.first().map_or(0, |one| one.volume.slices.len()).to_string()),
    ("Dice of the first pass", |own| after(own, ReviewOrder::Trust, 0.0)),
    ("after 10 %, by trust", |own| after(own, ReviewOrder::Trust, SHARES[0])),
    ("after 10 %, random", |own| after(own, ReviewOrder::Random, SHARES[0])),
    ("after 20 %, by trust", |own| after(own, ReviewOrder::Trust, SHARES[1])),
    ("after 20 %, random", |own| after(own, ReviewOrder::Random, SHARES[1])),
    ("error in the first 10 %, by trust", |own| error_found(own, ReviewOrder::Trust, SHARES[0])),
    ("error in the first 10 %, by predicted IoU", |own| error_found(own, ReviewOrder::PredictedIou, SHARES[0])),
    ("looks to 0.97, by trust", |own| needed(own, ReviewOrder::Trust)),
    ("looks to 0.97, random", |own| needed(own, ReviewOrder::Random)),
    ("Spearman, trust", |own| number(mean(own, &|one| one.correlations[0]))),
    ("Spearman, predicted IoU", |own| number(mean(own, &|one| one.correlations[1]))),
];

fn after(own: &[&ReviewedVolume<'_>], order: ReviewOrder, share: f64) -> String {
    number(mean_of_order(own, order, |curve| curve.after(share)))
}

fn after_seconds(own: &[&ReviewedVolume<'_>], order: ReviewOrder, seconds: f64) -> String {
    number(mean_of_order(own, order, |curve| curve.after_seconds(seconds)))
}

fn error_found(own: &[&ReviewedVolume<'_>], order: ReviewOrder, share: f64) -> String {
    number(mean_of_order(own, order, |curve| curve.error_found(share)))
}

fn needed(own: &[&ReviewedVolume<'_>], order: ReviewOrder) -> String {
    let needed = mean_of_order(own, order, |curve: &RankingCurve| curve.needed(WANTED) as f64);
    needed.map_or(String::new(), |needed| format!("{needed:.1}"))
}

/// How well trust is the Dice of a slice: one row for each of the weights, over all slices and over those with a mask.
pub(super) fn calibration(reviews: &[&Review<'_>]) -> Result<ReportTable> {
    let mut rows = Vec::new();
    for review in reviews {
        for (with_mask_only, slices) in [(false, "all slices"), (true, "slices with a mask")] {
            let found = review.calibration(with_mask_only)?;
            rows.push(vec![
                format!("{}, {slices}", review.weights.name()),
                found.n.to_string(),
                number(found.expected_calibration_error),
                found.bias.map_or_else(String::new, |bias| format!("{bias:+.3}")),
                number(found.mean_absolute_error),
                number(found.spearman),
            ]);
        }
    }
    let heads = [
        "slices",
        "expected calibration error",
        "mean of trust minus Dice",
        "mean absolute error",
        "Spearman with Dice",
    ];
    Ok(ReportTable {
        caption: "Calibration of trust, all volumes together".to_owned(),
        columns: columns("Weights", heads),
        rows,
    })
}

/// One row for each structure.
pub(super) fn by_structure(name: &str, own: &[&ReviewedVolume<'_>], by_hand: &[&ReviewedVolume<'_>]) -> ReportTable {
    let row = |subject: &(&str, &str)| {
        let of = |volumes: &[&ReviewedVolume<'_>]| {
            COLUMNS.map(|(_, cell)| {
                cell(&volumes.iter().copied().filter(|one| one.subject() == *subject).collect::<Vec<_>>())
            })
        };
        let theirs: Vec<_> = by_hand.iter().copied().filter(|one| one.subject() == *subject).collect();
        let name = format!("{}, {}", subject.0, subject.1);
        std::iter::once(name).chain(of(own)).chain([needed(&theirs, ReviewOrder::Trust)]).collect()
    };
    let heads = COLUMNS.iter().map(|(head, _)| *head).chain(["looks to 0.97, weights set by hand"]);
    ReportTable {
        caption: format!("{name}: looking at slices by trust, by structure"),
        columns: columns("Data set, case and structure", heads),
        rows: subjects(own).iter().map(row).collect(),
    }
}

/// One row for each order, with means over structures.
pub(super) fn by_order(name: &str, own: &[&ReviewedVolume<'_>], by_hand: &[&ReviewedVolume<'_>]) -> ReportTable {
    let row = |name: &str, of: &[&ReviewedVolume<'_>], order: ReviewOrder| {
        let correlation = match order {
            ReviewOrder::Trust => mean(of, &|one| one.correlations[0]),
            ReviewOrder::PredictedIou => mean(of, &|one| one.correlations[1]),
            _ => None,
        };
        vec![
            name.to_owned(),
            number(correlation),
            error_found(of, order, SHARES[0]),
            error_found(of, order, SHARES[1]),
            after(of, order, 0.0),
            after(of, order, SHARES[0]),
            after(of, order, SHARES[1]),
            needed(of, order),
            after_seconds(of, order, SECONDS[0]),
            after_seconds(of, order, SECONDS[1]),
        ]
    };
    let heads = [
        "Spearman with Dice",
        "error in the first 10 %",
        "error in the first 20 %",
        "Dice of the first pass",
        "Dice after 10 %",
        "Dice after 20 %",
        "looks to 0.97",
        "Dice after 60 s of work",
        "Dice after 180 s",
    ];
    let mut rows: Vec<_> = ReviewOrder::ALL.into_iter().map(|order| row(order.name(), own, order)).collect();
    rows.insert(1, row(&format!("ranked by trust, {}", Weights::ByHand.name()), by_hand, ReviewOrder::Trust));
    ReportTable { caption: format!("{name}: means over structures"), columns: columns("Order", heads), rows }
}

/// The weight of each signal: by default, fitted to all volumes, and set by hand.
pub(super) fn weights(volumes: &[MeasuredVolume]) -> ReportTable {
    let models = [TrustModel::default(), fit_trust(volumes.iter()), TrustModel::by_hand()];
    let row = |name: String, weight: &dyn Fn(&LinearTrust) -> f32| {
        let of = |found: bool| models.iter().map(move |model| format!("{:.2}", weight(model.of(found))));
        std::iter::once(name).chain(of(true)).chain(of(false)).collect::<Vec<_>>()
    };
    let bias = row("bias".to_owned(), &|model| model.bias);
    let signal = |signal: &Signal| row(format!("{signal:?}"), &|model| model.weight(*signal));
    let heads =
        ["slices with a mask: default", "fitted here", "by hand", "slices without: default", "fitted here", "by hand"];
    ReportTable {
        caption: "The weight of each signal: by default, fitted to all volumes here, and set by hand".to_owned(),
        columns: columns("Signal", heads),
        rows: std::iter::once(bias).chain(Signal::ALL.iter().map(signal)).collect(),
    }
}
