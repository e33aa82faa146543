//! Volumes reviewed in every order, and means over them.

use sam_auto::TrustModel;
use sam_eval::Summary;

use crate::{MeasuredVolume, RankingCurve, ReviewOrder, error::Result, trust_protocol::model_without};

/// A volume, and what reviewing its slices in each order gains.
pub(super) struct ReviewedVolume<'a> {
    pub(super) volume: &'a MeasuredVolume,
    orders: Vec<RankingCurve>,
    /// Spearman's correlation of trust, and of predicted IoU, with Dice.
    pub(super) correlations: [Option<f64>; 2],
}

/// Which weights trust has.
#[derive(Debug, Clone, Copy)]
pub(super) enum Weights {
    /// The default ones.
    Default,
    /// Fitted to the volumes of all other data sets.
    OfOthers,
    /// The default ones, fitted further to the annotated slices that were left out.
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

/// Reviews the volumes, without those where no slice counts.
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

/// The mean over structures, each the mean over its repeats, of what is defined.
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
