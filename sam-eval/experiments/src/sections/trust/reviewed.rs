//! Volumes reviewed in every order, and means over volumes.

use std::collections::BTreeMap;

use sam_auto::TrustModel;
use sam_eval::{Calibration, Summary};

use crate::{MeasuredVolume, RankingCurve, ReviewOrder, error::Result, trust_protocol::model_without};

/// The weights of the trust model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weights {
    /// The default weights.
    Default,
    /// Fitted to the volumes of all other data sets.
    OfOthers,
    /// Set by hand.
    ByHand,
}

impl Weights {
    /// Their name in tables.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Default => "default weights",
            Self::OfOthers => "weights of the other data sets",
            Self::ByHand => "weights set by hand",
        }
    }

    /// The model of each data set.
    fn models(self, volumes: &[MeasuredVolume]) -> BTreeMap<&str, TrustModel> {
        let mut models = BTreeMap::new();
        for dataset in volumes.iter().map(|volume| volume.dataset.as_str()) {
            models.entry(dataset).or_insert_with(|| match self {
                Self::Default => TrustModel::default(),
                Self::OfOthers => model_without(dataset, volumes),
                Self::ByHand => TrustModel::by_hand(),
            });
        }
        models
    }
}

/// All volumes, reviewed with some weights of the trust model.
pub(super) struct Review<'a> {
    pub(super) weights: Weights,
    /// Those with a slice that counts.
    pub(super) volumes: Vec<ReviewedVolume<'a>>,
}

/// A volume, with the result of reviewing its slices in each order.
pub(super) struct ReviewedVolume<'a> {
    pub(super) volume: &'a MeasuredVolume,
    orders: Vec<RankingCurve>,
    /// Spearman's correlations with Dice: of trust, and of predicted IoU.
    pub(super) correlations: [Option<f64>; 2],
    /// Trust and the true Dice of each slice with a mask; of an empty slice, whether it is rightly empty.
    judged: Vec<JudgedSlice>,
}

/// What trust says of a slice, and what is true.
#[derive(Debug, Clone, Copy)]
struct JudgedSlice {
    found: bool,
    trust: f64,
    truth: f64,
}

impl<'a> Review<'a> {
    pub(super) fn of(volumes: &'a [MeasuredVolume], weights: Weights) -> Result<Self> {
        let (models, mut reviewed) = (weights.models(volumes), Vec::new());
        for volume in volumes {
            let model = &models[volume.dataset.as_str()];
            let curve = |order| RankingCurve::of(volume, order, model);
            let orders: Option<Vec<_>> = ReviewOrder::ALL.into_iter().map(curve).collect();
            if let Some(orders) = orders {
                let trust = |at: usize| f64::from(model.expected_dice(&volume.slices[at].signals));
                let correlations = [volume.correlation(&trust)?, volume.correlation(&|at| volume.predicted_iou(at))?];
                let judge = |(at, slice): (usize, &crate::MeasuredSlice)| {
                    let truth = f64::from(slice.target()?);
                    Some(JudgedSlice { found: volume.found(at), trust: trust(at), truth })
                };
                let judged = volume.slices.iter().enumerate().filter_map(judge).collect();
                reviewed.push(ReviewedVolume { volume, orders, correlations, judged });
            }
        }
        Ok(Self { weights, volumes: reviewed })
    }

    /// The volumes with this number of outlines.
    pub(super) fn with_outlines(&self, outlines: usize) -> Vec<&ReviewedVolume<'a>> {
        self.volumes.iter().filter(|one| one.volume.outlines == outlines).collect()
    }

    /// Calibration of trust over the slices of all volumes, or over those with a mask.
    pub(super) fn calibration(&self, with_mask_only: bool) -> Result<Calibration> {
        let slices = self.volumes.iter().flat_map(|one| &one.judged);
        let pairs = slices.filter(|slice| slice.found || !with_mask_only).map(|slice| (slice.trust, slice.truth));
        Ok(Calibration::of(pairs, Calibration::DEFAULT_BINS)?)
    }
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
