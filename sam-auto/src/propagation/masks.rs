//! Mask propagation: each slice is prompted from the mask of its neighbour.
//!
//! The 3-D modes of `LiteMedSAM` and micro-sam prompt in this way with the neighbour's box and points. Propagation ends where the mask
//! vanishes or jumps.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    ops::ControlFlow,
};

use burn::tensor::backend::Backend;
use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sam_core::{CoreError, SamPredictor, SliceSource};
use sam_prompt::{
    ConfigError, is_mask_empty, mask_area,
    progress::{Observer, Progress, Stage},
};
use serde::{Deserialize, Serialize};

use crate::{
    AutoError, PromptExtraction, Segmentation, SegmentedSlice, mask_stats::overlap, segmentation::annotated_alone,
};

/// Configuration of mask propagation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MaskPropagationConfig {
    /// How prompts (points or boxes) are extracted from the neighbour's mask. There is no mask prompt, because the neighbour's logits are
    /// not kept.
    #[serde(rename = "hand_over", alias = "extraction")]
    pub extraction: PromptExtraction,
    /// Minimum intersection over union with the neighbour's mask. A mask below it has jumped.
    pub min_iou: f32,
    /// Maximum growth. A mask with more than this many times the pixels of the neighbour's mask has jumped: it has leaked.
    pub max_growth: f32,
    /// Minimum of the model's own estimate of the mask's intersection over union. A mask below it has jumped.
    pub min_predicted_iou: f32,
    /// Maximum distance from an annotated slice, in slices, because masks drift; `None` for no limit.
    pub max_distance: Option<usize>,
}

sam_assist::__setters!(MaskPropagationConfig {
    with_extraction => extraction: PromptExtraction,
    with_min_iou => min_iou: f32,
    with_max_growth => max_growth: f32,
    with_min_predicted_iou => min_predicted_iou: f32,
    with_max_distance => max_distance: Option<usize>,
});

impl Default for MaskPropagationConfig {
    fn default() -> Self {
        Self {
            extraction: PromptExtraction::default(),
            min_iou: 0.3,
            max_growth: 1.25,
            min_predicted_iou: 0.0,
            max_distance: None,
        }
    }
}

impl MaskPropagationConfig {
    /// Sets the random seed of the points.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { extraction: PromptExtraction { seed, ..self.extraction }, ..self }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] names the first one that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.extraction.check()?;
        let has_prompts = self.extraction.points > 0 || self.extraction.boxes;
        let found = || "a mask alone".to_owned();
        ConfigError::check(has_prompts, "extraction", found, "points or boxes: propagation keeps no logits")?;
        ConfigError::check(!self.min_iou.is_nan(), "min_iou", || "NaN".to_owned(), "a number")?;
        let predicted = self.min_predicted_iou;
        ConfigError::check(!predicted.is_nan(), "min_predicted_iou", || "NaN".to_owned(), "a number")?;
        ConfigError::check(self.max_growth > 0.0, "max_growth", || self.max_growth.to_string(), "a number above 0")
    }
}

/// Mask propagation: segments the slices that are not annotated, outwards from the annotated slices.
///
/// The predictor should have learned prompts of every kind: [`AssistConfig::mixed`](sam_assist::AssistConfig::mixed).
///
/// Each slice is prompted from the side of its nearest annotated slice. If propagation has ended on that side, the slice is prompted from
/// the other side. Between two annotated slices with the structure, the structure must be present: if the masks from both sides jump, the
/// one that overlaps its neighbour more is kept. An annotated slice with an empty outline ends propagation.
///
/// The observer is called after each prediction. A slice that is predicted from both sides is counted once. If the observer stops the call,
/// the result is partial: see [`Segmentation::stopped`].
///
/// # Shapes
/// - annotated: `[rows, columns]` of the slice, by its index
///
/// # Errors
/// [`AutoError::Config`]; [`AutoError::NothingAnnotated`]; [`CoreError::NoSuchSlice`]; [`CoreError::OutlineSize`] if an outline has another
/// size than its neighbouring slice; [`AutoError::Slice`] if a slice cannot be read or embedded.
pub fn propagate_masks<B: Backend>(
    predictor: &SamPredictor<B>,
    source: &dyn SliceSource<B>,
    annotated: &BTreeMap<usize, Array2<bool>>,
    config: &MaskPropagationConfig,
    observer: &mut Observer<'_>,
) -> Result<Segmentation, AutoError> {
    config.check()?;
    let mut work = Propagation::new(predictor, source, annotated, config)?;
    let total = work.count - annotated.len();
    let mut stopped = false;
    while let Some(front) = work.fronts.pop() {
        let Some(reached) = work.advance(front.0)? else { continue };
        let done = work.done();
        let progress = Progress::new(Stage::Segment, done, total).at_slice(reached);
        if observer(&progress).is_break() && !work.fronts.is_empty() {
            stopped = true;
            break;
        }
    }
    Ok(work.finish(stopped))
}

/// Propagates masks from one outline towards another slice, without it, until the mask vanishes or jumps. `reached` is called after each
/// prediction and can stop the propagation.
pub(crate) fn propagate_one_way<B: Backend>(
    predictor: &SamPredictor<B>,
    source: &dyn SliceSource<B>,
    (from, outline): (usize, &Array2<bool>),
    to: usize,
    config: &MaskPropagationConfig,
    reached: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Vec<Array2<bool>>, AutoError> {
    let annotated = BTreeMap::from([(from, outline.clone())]);
    let mut work = Propagation::new(predictor, source, &annotated, config)?;
    let step = if to > from { 1 } else { -1 };
    work.fronts.retain(|front| front.0.step == step);
    let mut masks = Vec::new();
    while let Some(Reverse(front)) = work.fronts.pop().filter(|front| front.0.from.abs_diff(to) > 1) {
        let Some(slice) = work.advance(front)? else { break };
        let told = reached(slice);
        // A mask that jumped is not among the slices.
        masks.extend(work.slices[slice].mask().cloned());
        if told.is_break() {
            break;
        }
    }
    Ok(masks)
}

/// Front of a propagation, which advances by one slice at a time. Fronts are ordered by their distance from the annotated slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Front {
    /// Distance of the next slice from the annotated slice where the propagation started.
    distance: usize,
    /// The last slice that was segmented.
    from: usize,
    /// Direction: -1 or 1.
    step: isize,
}

/// A mask that jumped. It is kept in case the slice is between annotated slices.
#[derive(Debug)]
struct Jumped {
    overlap: f32,
    slice: SegmentedSlice,
}

/// A propagation in progress.
struct Propagation<'a, B: Backend> {
    predictor: &'a SamPredictor<B>,
    source: &'a dyn SliceSource<B>,
    annotated: &'a BTreeMap<usize, Array2<bool>>,
    config: &'a MaskPropagationConfig,
    count: usize,
    slices: Vec<SegmentedSlice>,
    jumped: BTreeMap<usize, Jumped>,
    /// Nearest first, so that every slice is prompted from its nearest annotated slice.
    fronts: BinaryHeap<Reverse<Front>>,
    rng: ChaCha8Rng,
}

impl<'a, B: Backend> Propagation<'a, B> {
    /// Fronts on both sides of each annotated slice that shows the structure.
    fn new(
        predictor: &'a SamPredictor<B>,
        source: &'a dyn SliceSource<B>,
        annotated: &'a BTreeMap<usize, Array2<bool>>,
        config: &'a MaskPropagationConfig,
    ) -> Result<Self, AutoError> {
        if annotated.values().all(|outline| is_mask_empty(outline.view())) {
            return Err(AutoError::NothingAnnotated);
        }
        let count = source.count();
        let slices = annotated_alone(count, annotated)?;
        let shown = annotated.iter().filter(|(_, outline)| !is_mask_empty(outline.view()));
        let fronts =
            shown.flat_map(|(&from, _)| [-1, 1].map(|step| Reverse(Front { distance: 1, from, step }))).collect();
        let rng = ChaCha8Rng::seed_from_u64(config.extraction.seed);
        Ok(Self { predictor, source, annotated, config, count, slices, jumped: BTreeMap::new(), fronts, rng })
    }

    /// Segments the slice next to a front; `None` if there is none to segment.
    fn advance(&mut self, front: Front) -> Result<Option<usize>, AutoError> {
        let Front { distance, from, step } = front;
        let Some(next) = from.checked_add_signed(step).filter(|&next| next < self.count) else { return Ok(None) };
        let is_far = self.config.max_distance.is_some_and(|most| distance > most);
        if is_far || self.slices[next].mask().is_some() {
            return Ok(None);
        }
        let Some(mask) = self.slices[from].mask() else { return Ok(None) };
        let Some(prompts) = self.config.extraction.prompts(mask.view(), &mut self.rng)? else { return Ok(None) };
        let embedding = self.source.embedding(next)?;
        let (found, expected) = (mask.dim(), embedding.frame().original);
        if found != expected {
            return Err(CoreError::OutlineSize { index: from, found, expected }.into());
        }
        let prediction = self.predictor.predict(&embedding, &prompts)?;
        let found = prediction.mask();
        let (overlap, growth) = (overlap(mask, &found), growth(mask, &found));
        let predicted_iou = prediction.iou[prediction.best()];
        let slice = SegmentedSlice::Predicted { mask: found, predicted_iou: Some(predicted_iou) };
        let Self { config, jumped, .. } = self;
        if overlap >= config.min_iou && growth <= config.max_growth && predicted_iou >= config.min_predicted_iou {
            self.slices[next] = slice;
            self.fronts.push(Reverse(Front { distance: distance + 1, from: next, step }));
        } else if jumped.get(&next).is_none_or(|other| overlap > other.overlap) {
            jumped.insert(next, Jumped { overlap, slice });
        }
        Ok(Some(next))
    }

    /// Number of slices that were predicted at least once.
    fn done(&self) -> usize {
        let predicted = |(index, slice): (usize, &SegmentedSlice)| {
            matches!(slice, SegmentedSlice::Predicted { .. }) || self.jumped.contains_key(&index)
        };
        self.slices.iter().enumerate().filter(|&slice| predicted(slice)).count()
    }

    /// Keeps jumped masks between annotated slices with the structure. All other slices without a mask are empty. If the call was stopped,
    /// both stay [`SegmentedSlice::NotReached`], because a mask from the other side could still have replaced them.
    fn finish(self, stopped: bool) -> Segmentation {
        let Self { mut slices, jumped, annotated, .. } = self;
        if stopped {
            return Segmentation { stopped, ..Segmentation::new(slices) };
        }
        for (index, other) in jumped {
            if slices[index] == SegmentedSlice::NotReached {
                slices[index] = if is_between(index, annotated) { other.slice } else { SegmentedSlice::Empty };
            }
        }
        for slice in slices.iter_mut().filter(|slice| **slice == SegmentedSlice::NotReached) {
            *slice = SegmentedSlice::Empty;
        }
        Segmentation::new(slices)
    }
}

/// Whether the nearest annotated slices on both sides show the structure.
fn is_between(index: usize, annotated: &BTreeMap<usize, Array2<bool>>) -> bool {
    let shows = |neighbour: Option<(&usize, &Array2<bool>)>| {
        neighbour.is_some_and(|(_, outline)| !is_mask_empty(outline.view()))
    };
    shows(annotated.range(..index).next_back()) && shows(annotated.range(index + 1..).next())
}

/// Number of pixels of `after`, relative to that of `before`.
fn growth(before: &Array2<bool>, after: &Array2<bool>) -> f32 {
    mask_area(after.view()) as f32 / (mask_area(before.view()) as f32).max(1.0)
}
