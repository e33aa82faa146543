//! Volumes reviewed in every order, and means over volumes.

use sam_auto::TrustModel;
use sam_eval::Summary;

use crate::{MeasuredVolume, RankingCurve, ReviewOrder, error::Result, trust_protocol::model_without};

/// A volume, with the result of reviewing its slices in each order.
pub(super) struct ReviewedVolume<'a> {
    pub(super) volume: &'a MeasuredVolume,
    orders: Vec<RankingCurve>,
    /// Spearman's correlations with Dice: of trust, and of predicted IoU.
    pub(super) correlations: [Option<f64>; 2],
}

/// The weights of the trust model.
#[derive(Debug, Clone, Copy)]
pub(super) enum Weights {
    /// The default weights.
    Default,
    /// Fitted to the volumes of all other data sets.
    OfOthers,
    /// The default weights, fitted further to the annotated slices that were left out.
    FittedToLeftOut,
}

impl Weights {
    fn model(self, volume: &MeasuredVolume, volumes: &[MeasuredVolume]) -> TrustModel {
        match self {
            Self::Default => TrustModel::default(),
            Self::OfOthers => model_without(&volume.dataset, volumes),
            Self::FittedToLeftOut => TrustModel::default().fit(&volume.left_out),
        }
    }
}

/// Reviews the volumes; those without a slice that counts are left out.
pub(super) fn review(volumes: &[MeasuredVolume], weights: Weights) -> Result<Vec<ReviewedVolume<'_>>> {
    let mut all = Vec::new();
    for volume in volumes {
        let model = weights.model(volume, volumes);
        let curve = |order| RankingCurve::of(volume, order, &model);
        let orders: Option<Vec<_>> = ReviewOrder::ALL.into_iter().map(curve).collect();
        if let Some(orders) = orders {
            let trust = |at: usize| f64::from(model.expected_dice(&volume.slices[at].signals));
            let correlations = [volume.correlation(&trust)?, volume.correlation(&|at| volume.predicted_iou(at))?];
            all.push(ReviewedVolume { volume, orders, correlations });
        }
    }
    Ok(all)
}

impl ReviewedVolume<'_> {
    /// The curve of one order.
    fn curve(&self, order: ReviewOrder) -> Option<&RankingCurve> {
        ReviewOrder::ALL.iter().position(|&other| other == order).and_then(|at| self.orders.get(at))
    }

    /// Data set, case and structure.
    pub(super) fn subject(&self) -> (&str, &str) {
        (&self.volume.dataset, &self.volume.subject)
    }
}

/// Data sets, cases and structures, in order of first appearance.
pub(super) fn subjects<'a>(volumes: &[&'a ReviewedVolume<'_>]) -> Vec<(&'a str, &'a str)> {
    let mut subjects: Vec<(&str, &str)> = Vec::new();
    for volume in volumes {
        if !subjects.contains(&volume.subject()) {
            subjects.push(volume.subject());
        }
    }
    subjects
}

/// The mean of the defined values over structures; the value of a structure is the mean over its repeats.
pub(super) fn mean(volumes: &[&ReviewedVolume<'_>], value: &dyn Fn(&ReviewedVolume<'_>) -> Option<f64>) -> Option<f64> {
    let of = |subject: &(&str, &str)| {
        let own = volumes.iter().filter(|volume| volume.subject() == *subject);
        Summary::of(own.filter_map(|volume| value(volume))).mean
    };
    Summary::of(subjects(volumes).iter().filter_map(of)).mean
}

/// The mean of a value of one order's curves.
pub(super) fn mean_of_order(
    volumes: &[&ReviewedVolume<'_>],
    order: ReviewOrder,
    value: impl Fn(&RankingCurve) -> f64,
) -> Option<f64> {
    mean(volumes, &|volume| volume.curve(order).map(&value))
}
