//! A volume whose slices were measured and held against the truth, and models fitted to such volumes.

use anyhow::Result;
use sam_auto::{LinearTrust, Signal, TrustModel, TrustSignals};
use sam_eval::Calibration;
use serde::{Deserialize, Serialize};

/// How strongly models of whole data sets hold on to knowing nothing.
const STRENGTH: f32 = 1.0;

/// One volume as one method segmented it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasuredVolume {
    /// The data set's name.
    pub dataset: String,
    /// Case and structure.
    pub subject: String,
    /// How the volume was segmented.
    pub method: String,
    /// Seed of the repeat.
    pub seed: u64,
    /// The slices that nobody annotated, in their order.
    pub slices: Vec<MeasuredSlice>,
    /// Annotated slices, each segmented by what the others teach: its signals and its Dice.
    pub left_out: Vec<(TrustSignals, f32)>,
}

/// One slice: what is known without the truth, and the truth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasuredSlice {
    /// Its place in the volume.
    pub slice: usize,
    /// What was measured.
    pub signals: TrustSignals,
    /// Dice; `None` where nothing is and nothing was found, or too little is to count (see
    /// [`SurveyConfig`](sam_eval::protocol::SurveyConfig)).
    pub dice: Option<f64>,
    /// Pixels that are wrong.
    pub wrong_pixels: u64,
}

impl MeasuredSlice {
    /// What a model of trust is to learn: Dice, 1 where rightly nothing was found, and nothing where the slice does not count.
    fn answer(&self) -> Option<f32> {
        let is_rightly_empty = !self.signals.found() && self.wrong_pixels == 0;
        self.dice.map(|dice| dice as f32).or(is_rightly_empty.then_some(1.0))
    }
}

impl MeasuredVolume {
    /// Whether anything was found on a slice, by its place in the list.
    pub fn found(&self, at: usize) -> bool {
        self.slices[at].signals.found()
    }

    /// The model's own estimate, for an order of slices: those without a mask have none and come last.
    pub fn predicted_iou(&self, at: usize) -> f64 {
        if self.found(at) { f64::from(self.slices[at].signals.get(Signal::PredictedIou)) } else { 2.0 }
    }

    /// Spearman's correlation of what is said of slices with their Dice, where that is defined.
    ///
    /// # Errors
    /// None that could happen: there are bins.
    pub fn correlation(&self, said: &dyn Fn(usize) -> f64) -> Result<Option<f64>> {
        let pairs = self.slices.iter().enumerate().filter_map(|(at, slice)| Some((said(at), slice.dice?)));
        Ok(Calibration::of(pairs, Calibration::DEFAULT_BINS)?.spearman)
    }
}

/// A model of trust that never saw a data set, fitted to the volumes of the others; if there are no others, the default one.
pub fn model_without(dataset: &str, volumes: &[MeasuredVolume]) -> TrustModel {
    fitted(volumes.iter().filter(|volume| volume.dataset != dataset))
}

/// A model of trust fitted to volumes, from knowing nothing; the default one without any slice that counts.
pub fn fitted<'a>(volumes: impl Iterator<Item = &'a MeasuredVolume>) -> TrustModel {
    let slices = volumes.flat_map(|volume| &volume.slices);
    let known: Vec<_> = slices.filter_map(|slice| Some((slice.signals.clone(), slice.answer()?))).collect();
    if known.is_empty() {
        return TrustModel::default();
    }
    let ignorant = LinearTrust::default();
    let untaught = TrustModel { found: ignorant.clone(), empty: ignorant, strength: STRENGTH };
    TrustModel { strength: TrustModel::default().strength, ..untaught.fit(&known) }
}
