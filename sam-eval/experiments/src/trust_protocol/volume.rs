//! Volumes with measured trust signals and with masks compared with the truth, and trust models fitted to them.

use sam_auto::{Signal, TrustModel, TrustSignals};
use sam_eval::Calibration;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// Prior strength of models that are fitted to whole data sets. Of 3, 10, 30 and 100, this ranked best on the data sets that were left out, and
/// all were as well calibrated.
const STRENGTH: f32 = 100.0;

/// One structure of one volume, segmented from some outlined slices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasuredVolume {
    /// The data set's name.
    pub dataset: String,
    /// Case and structure.
    pub subject: String,
    /// Number of outlines asked for. In a short structure, spread outlines may coincide.
    pub outlines: usize,
    /// Seed of the repeat.
    pub seed: u64,
    /// The slices that are not outlined, in their order.
    pub slices: Vec<MeasuredSlice>,
}

/// One slice: its signals, which need no ground truth, and its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasuredSlice {
    /// Its position in the volume, counted from 0.
    pub slice: usize,
    /// The signals that were measured.
    pub signals: TrustSignals,
    /// Dice; `None` if the structure is absent and the mask is empty, or if the structure is too small to count (see
    /// [`SurveyConfig`](sam_eval::protocol::SurveyConfig)).
    pub dice: Option<f64>,
    /// Number of wrong pixels.
    pub wrong_pixels: u64,
}

impl MeasuredSlice {
    /// The target of a trust model: Dice; 1 if the mask is correctly empty; `None` if the slice does not count.
    pub(crate) fn target(&self) -> Option<f32> {
        let is_rightly_empty = !self.signals.found() && self.wrong_pixels == 0;
        self.dice.map(|dice| dice as f32).or(is_rightly_empty.then_some(1.0))
    }
}

impl MeasuredVolume {
    /// Whether a slice, given by its position in the list, has a mask.
    pub fn found(&self, at: usize) -> bool {
        self.slices[at].signals.found()
    }

    /// The model's own estimate of its intersection over union, as a sort key; 2 for slices without a mask, so that they come last.
    pub fn predicted_iou(&self, at: usize) -> f64 {
        if self.found(at) { f64::from(self.slices[at].signals.get(Signal::PredictedIou)) } else { 2.0 }
    }

    /// Spearman's correlation of an estimate with Dice, over the slices whose Dice is defined.
    ///
    /// # Errors
    /// Those of [`Calibration::of`].
    pub fn correlation(&self, estimate: &dyn Fn(usize) -> f64) -> Result<Option<f64>> {
        let pairs = self.slices.iter().enumerate().filter_map(|(at, slice)| Some((estimate(at), slice.dice?)));
        Ok(Calibration::of(pairs, Calibration::DEFAULT_BINS)?.spearman)
    }
}

/// A trust model fitted to the volumes of all other data sets; the model by hand if there are none.
pub fn model_without(dataset: &str, volumes: &[MeasuredVolume]) -> TrustModel {
    fit_trust(volumes.iter().filter(|volume| volume.dataset != dataset))
}

/// A trust model fitted to volumes, from the weights set by hand. From weights of 0 it follows the largest data set: on others, its ranking is
/// worse than by hand. Without a slice that counts, it is that model.
pub fn fit_trust<'a>(volumes: impl Iterator<Item = &'a MeasuredVolume>) -> TrustModel {
    let slices = volumes.flat_map(|volume| &volume.slices);
    let known: Vec<_> = slices.filter_map(|slice| Some((slice.signals.clone(), slice.target()?))).collect();
    TrustModel::by_hand().with_strength(STRENGTH).fit(&known).with_strength(TrustModel::by_hand().strength)
}
