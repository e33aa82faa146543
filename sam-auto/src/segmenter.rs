//! Generators and a predictor, over a volume or a set of images.

use std::{collections::BTreeMap, fmt};

use burn::tensor::backend::Backend;
use ndarray::{Array2, Axis, stack};
use sam_core::SamPredictor;
use sapnet::largest_components;
use serde::{Deserialize, Serialize};

use crate::{Agreement, AutoError, PromptGenerator, SliceContext, SliceSource, Vote, ensemble::unite};

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
    /// The object is not there: no generator sees it, or the walk ended before this slice.
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

/// What is kept of masks when all are there: for objects of a known number, such as 1 liver or 2 kidneys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CleanUp {
    /// Everything.
    #[default]
    Nothing,
    /// So many components of each slice, the largest.
    EachSlice(usize),
    /// So many components of the volume, the largest; voxels that touch at a corner are connected.
    Volume(usize),
}

/// How the masks of generators become those of a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SegmenterConfig {
    /// How several generators are joined.
    pub vote: Vote,
    /// What is kept in the end.
    pub clean_up: CleanUp,
}

/// A segmented volume, or set of images.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Segmentation {
    /// One for each slice.
    pub slices: Vec<SegmentedSlice>,
    /// How far several generators agree, for each slice that no person annotated, before the clean-up. Empty for one generator.
    pub agreement: BTreeMap<usize, Agreement>,
}

/// Segments without a person: each generator prompts each slice, the predictor answers, and the answers are joined.
///
/// The predictor may be the original SAM, or one that learned on the annotated slices what prompts mean.
#[derive(Clone)]
pub struct VolumeSegmenter<'a, B: Backend> {
    predictor: &'a SamPredictor<B>,
    generators: Vec<&'a dyn PromptGenerator<B>>,
    config: SegmenterConfig,
}

impl<B: Backend> fmt::Debug for VolumeSegmenter<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let generators = self.generators.len();
        f.debug_struct("VolumeSegmenter")
            .field("generators", &generators)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl<'a, B: Backend> VolumeSegmenter<'a, B> {
    /// One generator or an ensemble of several.
    ///
    /// # Errors
    /// [`AutoError::Config`] if there is no generator, or nothing would be kept.
    pub fn new(
        predictor: &'a SamPredictor<B>,
        generators: Vec<&'a dyn PromptGenerator<B>>,
        config: SegmenterConfig,
    ) -> Result<Self, AutoError> {
        AutoError::check(!generators.is_empty(), "number of generators", || "0".to_owned(), "at least 1")?;
        let keeps = !matches!(config.clean_up, CleanUp::EachSlice(0) | CleanUp::Volume(0));
        AutoError::check(keeps, "clean_up", || "0 components".to_owned(), "at least 1 component")?;
        Ok(Self { predictor, generators, config })
    }

    /// Segments one slice, before any clean-up; with the agreement of several generators.
    ///
    /// # Errors
    /// If a generator or the predictor fails.
    pub fn segment_slice(&self, slice: &SliceContext<'_, B>) -> Result<(SegmentedSlice, Option<Agreement>), AutoError> {
        let size = slice.embedding.frame.original;
        let (mut masks, mut qualities) = (Vec::new(), Vec::new());
        for generator in &self.generators {
            masks.push(match generator.generate(slice)? {
                Some(prompts) => {
                    let prediction = self.predictor.predict(slice.embedding, &prompts)?;
                    qualities.push(prediction.iou[prediction.best()]);
                    prediction.mask()
                }
                None => Array2::from_elem(size, false),
            });
        }
        let (mask, agreement) = if let [_] = &masks[..] {
            (masks.remove(0), None)
        } else {
            let (mask, agreement) = unite(&masks, size, self.config.vote);
            (mask, Some(agreement))
        };
        let predicted_iou = qualities.iter().sum::<f32>() / qualities.len().max(1) as f32;
        Ok((predicted(mask, predicted_iou), agreement))
    }

    /// Segments every slice that is not annotated. `reached` is told each slice that is done.
    ///
    /// # Errors
    /// [`AutoError::NoSuchSlice`]; [`AutoError::Slice`] if a slice cannot be had; as [`VolumeSegmenter::segment_slice`].
    pub fn segment(
        &self,
        source: &mut dyn SliceSource<B>,
        annotated: &BTreeMap<usize, Array2<bool>>,
        reached: &mut dyn FnMut(usize),
    ) -> Result<Segmentation, AutoError> {
        let count = source.count();
        if let Some(&index) = annotated.keys().find(|&&index| index >= count) {
            return Err(AutoError::NoSuchSlice { index, count });
        }
        let mut whole = Segmentation::default();
        for index in 0..count {
            let slice = if let Some(outline) = annotated.get(&index) {
                SegmentedSlice::Annotated(outline.clone())
            } else {
                let failed = |source| AutoError::Slice { index, source };
                let (image, embedding) =
                    (source.image(index).map_err(failed)?, source.embedding(index).map_err(failed)?);
                let slice = SliceContext { index, image: image.view(), embedding: &embedding };
                let (slice, agreement) = self.segment_slice(&slice)?;
                whole.agreement.extend(agreement.map(|agreement| (index, agreement)));
                reached(index);
                slice
            };
            whole.slices.push(slice);
        }
        clean_up(&mut whole.slices, self.config.clean_up);
        Ok(whole)
    }
}

/// A mask without a pixel is no mask.
fn predicted(mask: Array2<bool>, predicted_iou: f32) -> SegmentedSlice {
    if mask.iter().any(|&inside| inside) {
        SegmentedSlice::Predicted { mask, predicted_iou }
    } else {
        SegmentedSlice::Empty
    }
}

/// Keeps the largest components. What a person annotated counts as part of the volume and stays as it is.
fn clean_up(slices: &mut [SegmentedSlice], clean_up: CleanUp) {
    match clean_up {
        CleanUp::Nothing => {}
        CleanUp::EachSlice(count) => {
            for slice in slices {
                let kept = slice.mask().map(|mask| largest_components(mask.view(), count));
                keep(slice, kept);
            }
        }
        CleanUp::Volume(count) => {
            let Some(size) = slices.iter().find_map(SegmentedSlice::mask).map(Array2::dim) else { return };
            let masks: Vec<_> = slices
                .iter()
                .map(|slice| slice.mask().cloned().unwrap_or_else(|| Array2::from_elem(size, false)))
                .collect();
            let views: Vec<_> = masks.iter().map(|mask| mask.view()).collect();
            // Images of different sizes are no volume.
            let Ok(volume) = stack(Axis(0), &views) else { return };
            let kept = largest_components(volume.view(), count);
            for (slice, mask) in slices.iter_mut().zip(kept.outer_iter()) {
                keep(slice, Some(mask.to_owned()));
            }
        }
    }
}

/// Puts what is left of a predicted mask in its place.
fn keep(slice: &mut SegmentedSlice, kept: Option<Array2<bool>>) {
    if let (SegmentedSlice::Predicted { predicted_iou, .. }, Some(mask)) = (&*slice, kept) {
        *slice = predicted(mask, *predicted_iou);
    }
}
