//! Measures the signals of a segmented volume.

use std::collections::BTreeMap;

use burn::tensor::backend::Backend;
use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sam_core::{ImageEmbedding, SamPredictor};
use sam_prompt::{BoxJitter, Prompts, bounding_box, component_masks};
use serde::{Deserialize, Serialize};

use super::{Signal, TrustSignals, appearance::Appearance, masks};
use crate::{
    AutoError, CoarseGenerator, Gate, Segmentation, SegmentedSlice, SliceSource, SupportSlice,
    masks::{overlap, pixels},
};

/// Logits this far on both sides of the threshold say how vague a border is (`stability_score_offset` in segment-anything's `amg.py`).
const STABILITY_OFFSET: f32 = 1.0;
/// A gate's score of a quarter on either side of 0 is a clear answer: the logistic function of so many times the score is the signal.
const GATE_SLOPE: f32 = 4.0;
/// Nearness is a half at one in so many parts of the annotated extent.
const NEARNESS_PARTS: f32 = 4.0;

/// Every number of the measuring.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrustMeterConfig {
    /// How many jittered boxes are asked for, beside the exact ones. Each takes one call of the decoder for each component.
    pub jittered: usize,
    /// How far edges of boxes move.
    pub jitter: BoxJitter,
    /// Components of fewer pixels are not asked for.
    pub min_pixels: usize,
    /// How wide the surroundings of a mask are, as a share of the image's longer side.
    pub ring: f32,
    /// Annotated slices that span fewer slices than this are taken to span so many: of few slices, the extent is not known.
    pub least_extent: usize,
    /// Seed of the jitter.
    pub seed: u64,
}

impl Default for TrustMeterConfig {
    fn default() -> Self {
        Self { jittered: 3, jitter: BoxJitter::default(), min_pixels: 10, ring: 0.04, least_extent: 8, seed: 0 }
    }
}

impl TrustMeterConfig {
    /// Checks every number.
    ///
    /// # Errors
    /// [`AutoError::Config`] names the first that makes no sense.
    pub fn check(&self) -> Result<(), AutoError> {
        let ring = self.ring;
        AutoError::check(ring > 0.0 && ring < 1.0, "trust.ring", || ring.to_string(), "above 0 and below 1")?;
        AutoError::check(self.least_extent > 0, "trust.least_extent", || "0".to_owned(), "at least 1 slice")
    }
}

/// Measures the signals of a volume's slices: holds what was learned, and opinions that know nothing of the masks.
#[derive(Debug)]
pub struct TrustMeter<'a, B: Backend> {
    predictor: &'a SamPredictor<B>,
    gate: &'a Gate,
    coarse: &'a CoarseGenerator<B>,
    config: TrustMeterConfig,
    appearance: Appearance,
    /// Places of the annotated slices.
    annotated: Vec<usize>,
    /// From the first slice annotated with the structure to the last.
    extent: f32,
    /// Pixels of the smallest outline.
    smallest: f32,
}

impl<'a, B: Backend> TrustMeter<'a, B> {
    /// Looks at the annotated slices.
    ///
    /// `predictor` is what learned on them and segmented the volume; `gate` and `coarse` were fitted to them.
    ///
    /// # Errors
    /// [`AutoError::Config`]; [`AutoError::NothingAnnotated`] if no slice shows the structure; [`AutoError::Slice`] if a slice cannot
    /// be had.
    pub fn new(
        predictor: &'a SamPredictor<B>,
        gate: &'a Gate,
        coarse: &'a CoarseGenerator<B>,
        source: &mut dyn SliceSource<B>,
        annotated: &[SupportSlice<B>],
        config: TrustMeterConfig,
    ) -> Result<Self, AutoError> {
        config.check()?;
        let shown: Vec<_> = annotated.iter().filter(|slice| slice.pixels() > 0).collect();
        let places = || shown.iter().map(|slice| slice.index());
        let (Some(first), Some(last)) = (places().min(), places().max()) else {
            return Err(AutoError::NothingAnnotated);
        };
        let image = |slice: &&SupportSlice<B>| {
            let index = slice.index();
            source.image(index).map_err(|source| AutoError::Slice { index, source })
        };
        let images = shown.iter().map(image).collect::<Result<Vec<_>, _>>()?;
        let seen: Vec<_> = shown.iter().zip(&images).map(|(slice, image)| (*slice, image.view())).collect();
        let longer_side = images.iter().map(|image| image.dim().0.max(image.dim().1)).max().unwrap_or(1);
        let ring = ((config.ring * longer_side as f32).round() as usize).max(1);
        Ok(Self {
            predictor,
            gate,
            coarse,
            appearance: Appearance::of(&seen, ring),
            annotated: annotated.iter().map(SupportSlice::index).collect(),
            extent: (last - first).max(config.least_extent) as f32,
            smallest: shown.iter().map(|slice| slice.pixels()).min().unwrap_or(1) as f32,
            config,
        })
    }

    /// The signals of every slice that nobody annotated. `reached` is told each slice that is done.
    ///
    /// # Errors
    /// [`AutoError::Slice`] if a slice cannot be had; those of the predictor and the coarse map.
    pub fn measure(
        &self,
        source: &mut dyn SliceSource<B>,
        segmentation: &Segmentation,
        reached: &mut dyn FnMut(usize),
    ) -> Result<BTreeMap<usize, TrustSignals>, AutoError> {
        let mut measured = BTreeMap::new();
        for index in 0..segmentation.slices.len() {
            if !matches!(segmentation.slices[index], SegmentedSlice::Annotated(_)) {
                measured.insert(index, self.measure_slice(source, segmentation, index)?);
                reached(index);
            }
        }
        Ok(measured)
    }

    /// The signals of one slice as it was segmented, whether a person annotated it or not.
    ///
    /// # Errors
    /// [`AutoError::NoSuchSlice`]; as [`TrustMeter::measure`].
    pub fn measure_slice(
        &self,
        source: &mut dyn SliceSource<B>,
        segmentation: &Segmentation,
        index: usize,
    ) -> Result<TrustSignals, AutoError> {
        let count = segmentation.slices.len();
        let slice = segmentation.slices.get(index).ok_or(AutoError::NoSuchSlice { index, count })?;
        let failed = |source| AutoError::Slice { index, source };
        let embedding = source.embedding(index).map_err(failed)?;
        let neighbours = neighbours(&segmentation.slices, index);
        let mut signals = TrustSignals::new(slice.mask().is_some()).with(Signal::Nearness, self.nearness(index));
        if let Some(agreement) = segmentation.agreement.get(&index) {
            signals.set(Signal::Agreement, agreement.slice);
        }
        let presence = 1.0 / (1.0 + (-GATE_SLOPE * self.gate.score(index, &embedding)).exp());
        let coarse = self.coarse.mask(&embedding)?;
        let Some(mask) = slice.mask() else {
            return Ok(signals
                .with(Signal::Neighbours, masks::share_empty(&neighbours))
                .with(Signal::Gate, 1.0 - presence)
                .with(Signal::Coarse, 1.0 - pixels(&coarse) as f32 / self.smallest));
        };
        if let SegmentedSlice::Predicted { predicted_iou, .. } = slice {
            signals.set(Signal::PredictedIou, *predicted_iou);
        }
        let image = source.image(index).map_err(failed)?;
        self.ask_again(&mut signals, index, &embedding, mask)?;
        Ok(signals
            .with(Signal::Neighbours, masks::fit(mask, &neighbours))
            .with(Signal::Area, masks::area(mask, &neighbours))
            .with(Signal::Gate, presence)
            .with(Signal::Coarse, overlap(mask, &coarse))
            .with(Signal::Prototype, self.appearance.prototype(&embedding, mask))
            .with(Signal::Intensity, self.appearance.intensity(image.view(), mask)))
    }

    /// 1 beside an annotated slice, less further away.
    fn nearness(&self, index: usize) -> f32 {
        let nearest = self.annotated.iter().map(|place| place.abs_diff(index)).min().unwrap_or(0);
        1.0 / (1.0 + NEARNESS_PARTS * nearest.saturating_sub(1) as f32 / self.extent)
    }

    /// Asks the predictor for the mask's own boxes, as they are and jittered: how vague the border is, and how far the answers agree with
    /// the mask.
    fn ask_again(
        &self,
        signals: &mut TrustSignals,
        index: usize,
        embedding: &ImageEmbedding<B>,
        mask: &Array2<bool>,
    ) -> Result<(), AutoError> {
        let parts = component_masks(mask.view(), self.config.min_pixels.max(1));
        let exact: Vec<_> = parts.iter().filter_map(|part| bounding_box(part.view())).collect();
        if exact.is_empty() {
            // Nothing but specks.
            signals.set(Signal::Stability, 0.0);
            signals.set(Signal::Jitter, 0.0);
            return Ok(());
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        // Each slice draws its own, whatever was drawn on others before.
        rng.set_stream(index as u64);
        let (rows, columns) = mask.dim();
        let mut agreeing = 0.0;
        for draw in 0..=self.config.jittered {
            let boxes = match draw {
                0 => exact.clone(),
                _ => exact
                    .iter()
                    .map(|exact| self.config.jitter.apply(*exact, rows, columns, &mut rng))
                    .collect::<Result<_, _>>()?,
            };
            let answer = self.predictor.predict(embedding, &Prompts::from_boxes(boxes))?;
            if draw == 0 {
                signals.set(Signal::Stability, answer.stability(STABILITY_OFFSET)[answer.best()]);
            }
            agreeing += overlap(mask, &answer.mask());
        }
        signals.set(Signal::Jitter, agreeing / (1 + self.config.jittered) as f32);
        Ok(())
    }
}

/// The masks of the slices beside one; at the volume's ends there is only one.
fn neighbours(slices: &[SegmentedSlice], index: usize) -> Vec<Option<&Array2<bool>>> {
    let places = [index.checked_sub(1), index.checked_add(1)];
    let shown = |mask: &&Array2<bool>| mask.iter().any(|&inside| inside);
    places.into_iter().flatten().filter_map(|place| slices.get(place)).map(|slice| slice.mask().filter(shown)).collect()
}
