//! Tables of the trust section.

use sam_auto::{LinearTrust, Signal, TrustModel};
use sam_eval::report::ReportTable;

use super::{
    super::tables::columns,
    SHARES, WANTED, number,
    reviewed::{ReviewedVolume, mean, mean_of_order, subjects},
};
use crate::{MeasuredVolume, RankingCurve, ReviewOrder, trust_protocol::fit_trust};

/// A column of [`by_structure`]: its heading, and the cell of one structure's volumes.
type Column = (&'static str, fn(&[&ReviewedVolume<'_>]) -> String);

/// The columns of [`by_structure`].
const COLUMNS: [Column; 12] = [
    ("slices not annotated", |own| own.first().map_or(0, |one| one.volume.slices.len()).to_string()),
    ("Dice of the first pass", |own| after(own, ReviewOrder::Trust, 0.0)),
    ("after 10 %, by trust", |own| after(own, ReviewOrder::Trust, SHARES[0])),
    ("after 10 %, random", |own| after(own, ReviewOrder::Random, SHARES[0])),
    ("after 20 %, by trust", |own| after(own, ReviewOrder::Trust, SHARES[1])),
    ("after 20 %, random", |own| after(own, ReviewOrder::Random, SHARES[1])),
    ("error in the first 10 %, by trust", |own| error_found(own, ReviewOrder::Trust, SHARES[0])),
    ("error in the first 10 %, by predicted IoU", |own| error_found(own, ReviewOrder::PredictedIou, SHARES[0])),
    ("looks to 0.90, by trust", |own| needed(own, ReviewOrder::Trust)),
    ("looks to 0.90, random", |own| needed(own, ReviewOrder::Random)),
    ("Spearman, trust", |own| number(mean(own, &|one| one.correlations[0]))),
    ("Spearman, predicted IoU", |own| number(mean(own, &|one| one.correlations[1]))),
];

fn after(own: &[&ReviewedVolume<'_>], order: ReviewOrder, share: f64) -> String {
    number(mean_of_order(own, order, |curve| curve.after(share)))
}

fn error_found(own: &[&ReviewedVolume<'_>], order: ReviewOrder, share: f64) -> String {
    number(mean_of_order(own, order, |curve| curve.error_found(share)))
}

fn needed(own: &[&ReviewedVolume<'_>], order: ReviewOrder) -> String {
    let needed = mean_of_order(own, order, |curve: &RankingCurve| curve.needed(WANTED) as f64);
    needed.map_or(String::new(), |needed| format!("{needed:.1}"))
}

/// One row for each structure.
pub(super) fn by_structure(method: &str, volumes: &[&ReviewedVolume<'_>]) -> ReportTable {
    let row = |subject: &(&str, &str)| {
        let own: Vec<_> = volumes.iter().copied().filter(|one| one.subject() == *subject).collect();
        let name = format!("{}, {}", subject.0, subject.1);
        std::iter::once(name).chain(COLUMNS.map(|(_, cell)| cell(&own))).collect()
    };
    ReportTable {
        caption: format!("{method}: looking at slices by trust, by structure"),
        columns: columns("Data set, case and structure", COLUMNS.map(|(head, _)| head)),
        rows: subjects(volumes).iter().map(row).collect(),
    }
}

/// One row for each order, with means over structures.
pub(super) fn by_order(caption: String, own: &[&ReviewedVolume<'_>]) -> ReportTable {
    let row = |order: ReviewOrder| {
        let correlation = match order {
            ReviewOrder::Trust => mean(own, &|one| one.correlations[0]),
            ReviewOrder::PredictedIou => mean(own, &|one| one.correlations[1]),
            _ => None,
        };
        vec![
            order.name().to_owned(),
            number(correlation),
            error_found(own, order, SHARES[0]),
            error_found(own, order, SHARES[1]),
            after(own, order, 0.0),
            after(own, order, SHARES[0]),
            after(own, order, SHARES[1]),
            needed(own, order),
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
    ReportTable { caption, columns: columns("Order", heads), rows: ReviewOrder::ALL.into_iter().map(row).collect() }
}

/// The default weight of each signal, and its weight when fitted to all volumes.
pub(super) fn weights(volumes: &[MeasuredVolume]) -> ReportTable {
    let (default, fitted) = (TrustModel::default(), fit_trust(volumes.iter()));
    let models = [&default.found, &fitted.found, &default.empty, &fitted.empty];
    let row = |name: String, weight: &dyn Fn(&LinearTrust) -> f32| {
        let numbers = models.iter().map(|model| format!("{:.2}", weight(model)));
        std::iter::once(name).chain(numbers).collect::<Vec<_>>()
    };
    let bias = row("bias".to_owned(), &|model| model.bias);
    let signal = |signal: &Signal| row(format!("{signal:?}"), &|model| model.weight(*signal));
    let heads = ["slices with a mask: default", "fitted", "slices without: default", "fitted"];
    ReportTable {
        caption: "What each sign weighs by default, and fitted to all volumes here".to_owned(),
        columns: columns("Sign", heads),
        rows: std::iter::once(bias).chain(Signal::ALL.iter().map(signal)).collect(),
    }
}
