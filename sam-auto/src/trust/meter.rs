//! Measures the signals of a segmented volume.

use std::{collections::BTreeMap, sync::Arc};

use burn::tensor::backend::Backend;
use ndarray::Array2;
use sam_core::{AnnotatedSlice, CoreError, ImageEmbedding, MaskOutput, SamPredictor, SliceSource};
use sam_prompt::{
    BoxJitter, ConfigError, Prompts, component_boxes, is_mask_empty, mask_area,
    progress::{Observer, Progress, Stage},
};
use serde::{Deserialize, Serialize};

use super::{Signal, TrustSignals, appearance::Appearance, masks};
use crate::{AutoError, CoarseGenerator, Gate, Segmentation, SegmentedSlice, mask_stats::overlap, random::stream_of};

/// Offset of the logits for stability, above and below the threshold (`stability_score_offset` in segment-anything's `amg.py`).
const STABILITY_OFFSET: f32 = 1.0;
/// Slope of the logistic function that turns a gate's score into a signal. A score of 0.25 on either side of 0 is a clear answer.
const GATE_SLOPE: f32 = 4.0;
/// Nearness is 0.5 at a distance of the annotated extent divided by this number.
const NEARNESS_PARTS: f32 = 4.0;

/// Configuration of a [`TrustMeter`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TrustMeterConfig {
    /// Number of predictions from jittered boxes, in addition to the prediction from the exact boxes. Each takes one call of the decoder.
    pub jittered: usize,
    /// How boxes are jittered.
    pub jitter: BoxJitter,
    /// Minimum size of a component, in pixels. Smaller components are not predicted again.
    pub min_pixels: usize,
    /// Width of the surroundings of a mask, as a fraction of the image's longer side.
    pub ring: f32,
    /// Slices farther than this from any slice that shows the structure are not measured, so that they need not be embedded. `None` for no
    /// limit, as in configs that lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<usize>,
    /// Minimum extent of the annotated slices, in slices. If only a few slices are annotated, the true extent is unknown.
    pub least_extent: usize,
    /// Random seed of the jitter.
    pub seed: u64,
}

sam_assist::__setters!(TrustMeterConfig {
    with_jittered => jittered: usize,
    with_jitter => jitter: BoxJitter,
    with_min_pixels => min_pixels: usize,
    with_ring => ring: f32,
    with_reach => reach: Option<usize>,
    with_least_extent => least_extent: usize,
    with_seed => seed: u64,
});

impl Default for TrustMeterConfig {
    fn default() -> Self {
        Self {
            jittered: 3,
            jitter: BoxJitter::default(),
            min_pixels: 10,
            ring: 0.04,
            // Of 1,100 empty slices of 19 structures, 33 were wrong, and none of them farther than 6 slices (example `trust_ranking`).
            reach: Some(8),
            least_extent: 8,
            seed: 0,
        }
    }
}

impl TrustMeterConfig {
    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] names the first one that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let ring = self.ring;
        ConfigError::check(ring > 0.0 && ring < 1.0, "trust.ring", || ring.to_string(), "above 0 and below 1")?;
        let jitter = self.jitter.range.amount();
        let is_range = jitter.is_finite() && jitter >= 0.0;
        ConfigError::check(is_range, "trust.jitter", || jitter.to_string(), "a finite number of at least 0")?;
        ConfigError::check(self.least_extent > 0, "trust.least_extent", || "0".to_owned(), "at least 1 slice")
    }
}

/// The signals of the slices of a volume.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Measurement {
    /// By slice.
    pub signals: BTreeMap<usize, TrustSignals>,
    /// Whether the observer stopped it. Slices that were not measured are missing.
    pub stopped: bool,
}

/// Trust meter: measures the signals of a volume's slices. It owns the predictor, and a gate and a coarse map to compare masks with.
#[derive(Debug, Clone)]
pub struct TrustMeter<B: Backend> {
    predictor: SamPredictor<B>,
    gate: Arc<Gate>,
    coarse: CoarseGenerator<B>,
    config: TrustMeterConfig,
    appearance: Appearance,
    /// Indices of the annotated slices.
    annotated: Vec<usize>,
    /// Extent of the annotated slices with the structure, from the first to the last.
    extent: f32,
    /// Number of pixels of the smallest outline.
    smallest: f32,
}

impl<B: Backend> TrustMeter<B> {
    /// Prepares a trust meter from the annotated slices. [`TrustConfig::meter`](crate::TrustConfig::meter) prepares one from a fitted strategy.
    ///
    /// `predictor` learned on the annotated slices and segmented the volume; `gate` and `coarse` were fitted to them.
    ///
    /// # Errors
    /// [`AutoError::Config`]; [`AutoError::NothingAnnotated`] if no slice shows the structure; [`CoreError::OutlineSize`] if a slice
    /// has another size than its outline; [`AutoError::Slice`] if a slice cannot be read.
    pub fn new(
        predictor: SamPredictor<B>,
        gate: Arc<Gate>,
        coarse: CoarseGenerator<B>,
        source: &dyn SliceSource<B>,
        annotated: &[AnnotatedSlice<B>],
        config: TrustMeterConfig,
    ) -> Result<Self, AutoError> {
        config.check()?;
        let shown: Vec<_> = annotated.iter().filter(|slice| !slice.is_empty()).collect();
        let places = || shown.iter().map(|slice| slice.index());
        let (Some(first), Some(last)) = (places().min(), places().max()) else {
            return Err(AutoError::NothingAnnotated);
        };
        let mut images = Vec::with_capacity(shown.len());
        for slice in &shown {
            let image = source.image(slice.index())?;
            let (found, expected) = (slice.outline().dim(), (image.dim().0, image.dim().1));
            if found != expected {
                return Err(CoreError::OutlineSize { index: slice.index(), found, expected }.into());
            }
            images.push(image);
        }
        let seen: Vec<_> = shown.iter().zip(&images).map(|(slice, image)| (*slice, image.view())).collect();
        let longer_side = images.iter().map(|image| image.dim().0.max(image.dim().1)).max().unwrap_or(1);
        let ring = ((config.ring * longer_side as f32).round() as usize).max(1);
        Ok(Self {
            predictor,
            gate,
            coarse,
            appearance: Appearance::of(&seen, ring),
            annotated: annotated.iter().map(AnnotatedSlice::index).collect(),
            extent: (last - first).max(config.least_extent) as f32,
            smallest: shown.iter().map(|slice| slice.area()).min().unwrap_or(1) as f32,
            config,
        })
    }

    /// Measures the slices that are not annotated, as far as [`TrustMeterConfig::reach`] says. Slices that a stopped segmentation did not reach
    /// are left out. The observer is called after each slice. If it stops the call, the result is partial.
    ///
    /// # Errors
    /// [`AutoError::Slice`] if a slice cannot be read or embedded; errors of the predictor and the coarse map.
    pub fn measure(
        &self,
        source: &dyn SliceSource<B>,
        segmentation: &Segmentation,
        observer: &mut Observer<'_>,
    ) -> Result<Measurement, AutoError> {
        let is_open =
            |slice: &SegmentedSlice| !matches!(slice, SegmentedSlice::Annotated(_) | SegmentedSlice::NotReached);
        let slices = || segmentation.slices.iter().enumerate();
        let has_mask = |slice: &SegmentedSlice| slice.mask().is_some_and(|mask| !is_mask_empty(mask.view()));
        let shown: Vec<_> = slices().filter(|(_, slice)| has_mask(slice)).map(|(index, _)| index).collect();
        let is_near = |index: usize| {
            self.config.reach.is_none_or(|reach| shown.iter().any(|shown| shown.abs_diff(index) <= reach))
        };
        let open: Vec<_> =
            slices().filter(|&(index, slice)| is_open(slice) && is_near(index)).map(|(index, _)| index).collect();
        let mut measured = Measurement::default();
        for (done, &index) in open.iter().enumerate() {
            measured.signals.insert(index, self.measure_slice(source, segmentation, index)?);
            let progress = Progress::new(Stage::Rank, done + 1, open.len()).at_slice(index);
            if observer(&progress).is_break() && done + 1 < open.len() {
                measured.stopped = true;
                break;
            }
        }
        Ok(measured)
    }

    /// Measures one segmented slice, annotated or not.
    ///
    /// # Errors
    /// [`CoreError::NoSuchSlice`]; as [`TrustMeter::measure`].
    pub fn measure_slice(
        &self,
        source: &dyn SliceSource<B>,
        segmentation: &Segmentation,
        index: usize,
    ) -> Result<TrustSignals, AutoError> {
        let count = segmentation.slices.len();
        let slice = segmentation.slices.get(index).ok_or(CoreError::NoSuchSlice { index, count })?;
        let embedding = source.embedding(index)?;
        let neighbours = neighbours(&segmentation.slices, index);
        let found = slice.mask().is_some();
        let mut signals = TrustSignals::new(found).with(Signal::Nearness, self.nearness(index));
        // A mask that was known before speaks neither for itself nor against.
        let agreement = segmentation.agreement.get(&index).copied().or_else(|| mean(segmentation.agreement.values()));
        if let Some(agreement) = agreement.filter(|_| found) {
            signals.set(Signal::Agreement, agreement);
        }
        let presence = 1.0 / (1.0 + (-GATE_SLOPE * self.gate.score(index, &embedding)).exp());
        let coarse = self.coarse.mask(&embedding)?;
        let Some(mask) = slice.mask() else {
            return Ok(signals
                .with(Signal::Neighbours, masks::share_empty(&neighbours))
                .with(Signal::Gate, 1.0 - presence)
                .with(Signal::Coarse, 1.0 - mask_area(coarse.view()) as f32 / self.smallest));
        };
        if let SegmentedSlice::Predicted { predicted_iou: Some(predicted_iou), .. } = slice {
            signals.set(Signal::PredictedIou, *predicted_iou);
        }
        check_sizes(index, mask, &neighbours)?;
        let image = source.image(index)?;
        self.predict_again(&mut signals, index, &embedding, mask)?;
        Ok(signals
            .with(Signal::Neighbours, masks::fit(mask, &neighbours))
            .with(Signal::Area, masks::area(mask, &neighbours))
            .with(Signal::Gate, presence)
            .with(Signal::Coarse, overlap(mask, &coarse))
            .with(Signal::Prototype, self.appearance.prototype(&embedding, mask))
            .with(Signal::Intensity, self.appearance.intensity(image.view(), mask)))
    }

    /// Nearness of an annotated slice: 1 next to it, less farther away.
    fn nearness(&self, index: usize) -> f32 {
        let nearest = self.annotated.iter().map(|place| place.abs_diff(index)).min().unwrap_or(0);
        1.0 / (1.0 + NEARNESS_PARTS * nearest.saturating_sub(1) as f32 / self.extent)
    }

    /// Predicts from the exact and jittered boxes of the mask, and measures stability and agreement with the mask. The predicted IoU is that
    /// of the exact boxes where it is not known.
    fn predict_again(
        &self,
        signals: &mut TrustSignals,
        index: usize,
        embedding: &ImageEmbedding<B>,
        mask: &Array2<bool>,
    ) -> Result<(), AutoError> {
        let exact = component_boxes(mask.view(), self.config.min_pixels.max(1));
        if exact.is_empty() {
            // All components are too small for a box.
            signals.set(Signal::Stability, 0.0);
            signals.set(Signal::Jitter, 0.0);
            return Ok(());
        }
        let mut rng = stream_of(self.config.seed, index);
        let (rows, columns) = mask.dim();
        let mut jittered = || {
            let each = exact.iter().map(|exact| self.config.jitter.apply(*exact, rows, columns, &mut rng));
            Ok(Prompts::from_boxes(each.collect::<Result<_, _>>()?))
        };
        let jittered = (0..self.config.jittered).map(|_| jittered()).collect::<Result<Vec<_>, AutoError>>()?;
        let exact = Prompts::from_boxes(exact);
        let requests: Vec<_> = std::iter::once(&exact).chain(&jittered).map(|prompts| (embedding, prompts)).collect();
        let found = self.predictor.predict_batch(&requests, MaskOutput::Single)?;
        if let Some(of_exact) = found.first() {
            let best = of_exact.best();
            signals.set(Signal::Stability, of_exact.stability(STABILITY_OFFSET)[best]);
            // The mask is that of the shape or of an earlier round, so the model has not judged it yet.
            if !signals.is_measured(Signal::PredictedIou) {
                signals.set(Signal::PredictedIou, of_exact.iou[best]);
            }
        }
        let agreeing: f32 = found.iter().map(|prediction| overlap(mask, &prediction.mask())).sum();
        signals.set(Signal::Jitter, agreeing / found.len() as f32);
        Ok(())
    }
}

/// The mean of some values; `None` if there are none.
fn mean<'a>(values: impl ExactSizeIterator<Item = &'a f32>) -> Option<f32> {
    let count = values.len();
    (count > 0).then(|| values.sum::<f32>() / count as f32)
}

/// Refuses neighbours of another size, because they are not slices of one volume.
fn check_sizes(index: usize, mask: &Array2<bool>, neighbours: &[Option<&Array2<bool>>]) -> Result<(), AutoError> {
    let expected = mask.dim();
    match neighbours.iter().flatten().map(|neighbour| neighbour.dim()).find(|&found| found != expected) {
        Some(found) => Err(AutoError::NotAVolume { index, found, expected }),
        None => Ok(()),
    }
}

/// Masks of the two neighbouring slices. At the ends of the volume there is one neighbour. Slices that were not reached do not count as
/// neighbours.
fn neighbours(slices: &[SegmentedSlice], index: usize) -> Vec<Option<&Array2<bool>>> {
    let places = [index.checked_sub(1), index.checked_add(1)];
    let known = places.into_iter().flatten().filter_map(|place| slices.get(place));
    known
        .filter(|slice| **slice != SegmentedSlice::NotReached)
        .map(|slice| slice.mask().filter(|mask| !is_mask_empty(mask.view())))
        .collect()
}
