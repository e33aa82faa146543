//! From slice to slice: each is prompted by its segmented neighbour's mask.
//!
//! The neighbour's mask as box and points is what `LiteMedSAM`'s and micro-sam's 3-D modes do; the walk ends where the mask
//! vanishes or jumps.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use burn::tensor::backend::Backend;
use ndarray::{Array2, Zip};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sam_core::{ImageEmbedding, SamPredictor};
use sam_prompt::{BoundingBox, Label, PointSampler, Prompts, Uniform, bounding_box, component_masks, dilate, erode};
use serde::{Deserialize, Serialize};

use crate::AutoError;

/// How masks are handed from slice to slice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PropagationConfig {
    /// Points drawn inside the neighbour's mask, and as many outside; 0, the default, prompts with boxes alone. Points of a
    /// neighbour may lie beside an object that shrinks, and mislead more than they help.
    pub points: usize,
    /// By how many pixels the neighbour's mask is shrunk before points are drawn inside, and grown before they are drawn outside.
    pub point_distance: usize,
    /// By how many pixels a neighbour's box is widened on each side: the object may grow.
    pub box_margin: usize,
    /// Components of fewer pixels are not handed on; a mask without a larger one has vanished.
    pub min_pixels: usize,
    /// A mask that overlaps its neighbour's with a lower intersection over union has jumped.
    pub min_iou: f32,
    /// A mask with more than this many times its neighbour's pixels has jumped: what grows that fast has leaked.
    pub max_growth: f32,
    /// Seed of the drawn points.
    pub seed: u64,
}

impl Default for PropagationConfig {
    fn default() -> Self {
        Self { points: 0, point_distance: 2, box_margin: 1, min_pixels: 10, min_iou: 0.3, max_growth: 1.25, seed: 0 }
    }
}

/// One slice of a segmented volume.
#[derive(Debug, Clone, PartialEq)]
pub enum SegmentedSlice {
    /// As the person drew it, untouched.
    Annotated(Array2<bool>),
    /// As the model predicted it.
    Predicted {
        /// The mask, on the slice's own grid.
        mask: Array2<bool>,
        /// The model's own estimate of its intersection over union.
        predicted_iou: f32,
    },
    /// The walk ended before this slice: the object is not there.
    Empty,
}

impl SegmentedSlice {
    /// The mask, or `None` where the object is not.
    pub fn mask(&self) -> Option<&Array2<bool>> {
        match self {
            Self::Annotated(mask) | Self::Predicted { mask, .. } => Some(mask),
            Self::Empty => None,
        }
    }
}

/// Where an embedded slice comes from: computed, or from a cache.
pub type EmbedSlice<'a, B> =
    dyn FnMut(usize) -> Result<ImageEmbedding<B>, Box<dyn std::error::Error + Send + Sync>> + 'a;

/// Segments the slices that are not annotated, outwards from those that are.
///
/// Each slice is reached from its nearest annotated slice first; where that walk has ended, from the other side. Between two annotated
/// slices the object cannot have ended: where both walks jump, the steadier of the two masks is taken. An annotated slice with an
/// empty outline says "no object here": no walk passes it. `reached` is told each slice that is done.
///
/// # Errors
/// [`AutoError::NothingAnnotated`]; [`AutoError::NoSuchSlice`]; [`AutoError::Slice`] if `embed` fails.
pub fn propagate<B: Backend>(
    predictor: &SamPredictor<B>,
    count: usize,
    annotated: &BTreeMap<usize, Array2<bool>>,
    embed: &mut EmbedSlice<'_, B>,
    config: &PropagationConfig,
    reached: &mut dyn FnMut(usize),
) -> Result<Vec<SegmentedSlice>, AutoError> {
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
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    let mut jumped: BTreeMap<usize, (f32, SegmentedSlice)> = BTreeMap::new();
    // Nearest first, so that every slice is reached from its nearest annotated one.
    while let Some(Reverse((distance, from, step))) = walks.pop() {
        let Some(next) = from.checked_add_signed(step).filter(|&next| next < count) else { continue };
        if annotated.contains_key(&next) || slices[next].mask().is_some() {
            continue;
        }
        let Some(mask) = slices[from].mask() else { continue };
        let Some(prompts) = prompts_from(mask, config, &mut rng)? else { continue };
        let embedding = embed(next).map_err(|source| AutoError::Slice { index: next, source })?;
        let prediction = predictor.predict(&embedding, &prompts)?;
        let found = prediction.mask();
        let (overlap, growth) = (overlap(mask, &found), growth(mask, &found));
        let slice = SegmentedSlice::Predicted { mask: found, predicted_iou: prediction.iou[prediction.best()] };
        if overlap >= config.min_iou && growth <= config.max_growth {
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

/// Box and points of a neighbour's mask; `None` where it has no component worth handing on.
fn prompts_from(
    mask: &Array2<bool>,
    config: &PropagationConfig,
    rng: &mut ChaCha8Rng,
) -> Result<Option<Prompts>, AutoError> {
    let parts = component_masks(mask.view(), config.min_pixels.max(1));
    if parts.is_empty() {
        return Ok(None);
    }
    let (rows, columns) = mask.dim();
    let widened = |exact: BoundingBox| exact.grown(config.box_margin as f32, rows, columns);
    let boxes = parts.iter().filter_map(|part| bounding_box(part.view())).map(widened).collect();
    let sampler = Uniform { replacement: true };
    let mut points = Vec::new();
    for part in parts.iter().filter(|_| config.points > 0) {
        let core = erode(part.view(), config.point_distance);
        let core = if core.iter().any(|&inside| inside) { &core } else { part };
        points.extend(sampler.sample(core.view(), Label::Foreground, config.points, rng)?);
    }
    let outside = dilate(mask.view(), config.point_distance).mapv(|inside| !inside);
    if outside.iter().any(|&outside| outside) {
        points.extend(sampler.sample(outside.view(), Label::Background, config.points, rng)?);
    }
    Ok(Some(Prompts { points, boxes, ..Prompts::default() }))
}

/// Intersection over union of two masks; 0 where both are empty.
fn overlap(a: &Array2<bool>, b: &Array2<bool>) -> f32 {
    let (mut both, mut either) = (0_u32, 0_u32);
    Zip::from(a).and(b).for_each(|&a, &b| {
        both += u32::from(a && b);
        either += u32::from(a || b);
    });
    if either == 0 { 0.0 } else { both as f32 / either as f32 }
}

/// How many times the pixels of one mask another has.
fn growth(before: &Array2<bool>, after: &Array2<bool>) -> f32 {
    let pixels = |mask: &Array2<bool>| mask.iter().filter(|&&inside| inside).count() as f32;
    pixels(after) / pixels(before).max(1.0)
}
