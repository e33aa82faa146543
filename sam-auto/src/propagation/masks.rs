//! Masks are handed on: each slice is prompted by its segmented neighbour's.
//!
//! The neighbour's mask as box and points is what `LiteMedSAM`'s and micro-sam's 3-D modes do; the walk ends where the mask
//! vanishes or jumps.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use burn::tensor::backend::Backend;
use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sam_core::SamPredictor;
use serde::{Deserialize, Serialize};

use crate::{
    AutoError, HandOver, SegmentedSlice, SliceSource,
    masks::{overlap, pixels},
};

/// How masks are handed from slice to slice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MaskPropagationConfig {
    /// What of the neighbour's mask is handed on. A mask prompt is not: the neighbour's logits are not kept.
    pub hand_over: HandOver,
    /// A mask that overlaps its neighbour's with a lower intersection over union has jumped.
    pub min_iou: f32,
    /// A mask with more than this many times its neighbour's pixels has jumped: what grows that fast has leaked.
    pub max_growth: f32,
    /// A mask that the model itself gives a lower intersection over union has jumped.
    pub min_predicted_iou: f32,
    /// The walk goes at most this many slices far: what is far from an annotated slice drifts.
    pub max_distance: Option<usize>,
}

impl Default for MaskPropagationConfig {
    fn default() -> Self {
        Self {
            hand_over: HandOver::default(),
            min_iou: 0.3,
            max_growth: 1.25,
            min_predicted_iou: 0.0,
            max_distance: None,
        }
    }
}

impl MaskPropagationConfig {
    /// The same with another seed of the drawn points.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { hand_over: HandOver { seed, ..self.hand_over }, ..self }
    }

    /// Checks every number.
    ///
    /// # Errors
    /// [`AutoError::Config`] names the first that makes no sense.
    pub fn check(&self) -> Result<(), AutoError> {
        self.hand_over.check()?;
        let speaks = self.hand_over.points > 0 || self.hand_over.boxes;
        AutoError::check(
            speaks,
            "hand_over",
            || "a mask alone".to_owned(),
            "points or boxes: no logits are handed on here",
        )?;
        AutoError::check(!self.min_iou.is_nan(), "min_iou", || "NaN".to_owned(), "a number")?;
        let predicted = self.min_predicted_iou;
        AutoError::check(!predicted.is_nan(), "min_predicted_iou", || "NaN".to_owned(), "a number")?;
        AutoError::check(self.max_growth > 0.0, "max_growth", || self.max_growth.to_string(), "a number above 0")
    }
}

/// Segments the slices that are not annotated, outwards from those that are.
///
/// Each slice is reached from its nearest annotated slice first; where that walk has ended, from the other side. Between two annotated
/// slices the object cannot have ended: where both walks jump, the steadier of the two masks is taken. An annotated slice with an
/// empty outline says "no object here": no walk passes it. `reached` is told each slice that is done.
///
/// # Errors
/// [`AutoError::Config`]; [`AutoError::NothingAnnotated`]; [`AutoError::NoSuchSlice`]; [`AutoError::Slice`] if a slice cannot be had.
pub fn propagate_masks<B: Backend>(
    predictor: &SamPredictor<B>,
    source: &mut dyn SliceSource<B>,
    annotated: &BTreeMap<usize, Array2<bool>>,
    config: &MaskPropagationConfig,
    reached: &mut dyn FnMut(usize),
) -> Result<Vec<SegmentedSlice>, AutoError> {
    config.check()?;
    let count = source.count();
    let is_object = |mask: &Array2<bool>| mask.iter().any(|&inside| inside);
    if !annotated.values().any(is_object) {
        return Err(AutoError::NothingAnnotated);
    }
    let mut slices = vec![SegmentedSlice::Empty; count];
    let mut walks = BinaryHeap::new();
    for (&index, outline) in annotated {
        if index >= count {
            return Err(AutoError::NoSuchSlice { index, count });
        }
        slices[index] = SegmentedSlice::Annotated(outline.clone());
        if is_object(outline) {
            walks.extend([-1, 1].map(|step| Reverse((1, index, step))));
        }
    }
    let mut rng = ChaCha8Rng::seed_from_u64(config.hand_over.seed);
    let mut jumped: BTreeMap<usize, (f32, SegmentedSlice)> = BTreeMap::new();
    // Nearest first, so that every slice is reached from its nearest annotated one.
    while let Some(Reverse((distance, from, step))) = walks.pop() {
        let Some(next) = from.checked_add_signed(step).filter(|&next| next < count) else { continue };
        let is_far = config.max_distance.is_some_and(|most| distance > most);
        if is_far || annotated.contains_key(&next) || slices[next].mask().is_some() {
            continue;
        }
        let Some(mask) = slices[from].mask() else { continue };
        let Some(prompts) = config.hand_over.prompts(mask.view(), &mut rng)? else { continue };
        let embedding = source.embedding(next).map_err(|source| AutoError::Slice { index: next, source })?;
        let prediction = predictor.predict(&embedding, &prompts)?;
        let found = prediction.mask();
        let (overlap, growth) = (overlap(mask, &found), growth(mask, &found));
        let predicted_iou = prediction.iou[prediction.best()];
        let slice = SegmentedSlice::Predicted { mask: found, predicted_iou };
        if overlap >= config.min_iou && growth <= config.max_growth && predicted_iou >= config.min_predicted_iou {
            slices[next] = slice;
            walks.push(Reverse((distance + 1, next, step)));
        } else if jumped.get(&next).is_none_or(|(other, _)| overlap > *other) {
            jumped.insert(next, (overlap, slice));
        }
        reached(next);
    }
    for (index, (_, slice)) in jumped {
        if slices[index] == SegmentedSlice::Empty && is_between(index, annotated) {
            slices[index] = slice;
        }
    }
    Ok(slices)
}

/// Whether the nearest annotated slices on both sides show the object.
fn is_between(index: usize, annotated: &BTreeMap<usize, Array2<bool>>) -> bool {
    let shows = |neighbour: Option<(&usize, &Array2<bool>)>| {
        neighbour.is_some_and(|(_, outline)| outline.iter().any(|&inside| inside))
    };
    shows(annotated.range(..index).next_back()) && shows(annotated.range(index + 1..).next())
}

/// How many times the pixels of one mask another has.
fn growth(before: &Array2<bool>, after: &Array2<bool>) -> f32 {
    pixels(after) as f32 / (pixels(before) as f32).max(1.0)
}
