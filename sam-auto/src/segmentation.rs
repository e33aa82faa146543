//! A segmented volume or image set.

use std::{collections::BTreeMap, sync::Arc};

use ndarray::Array2;
use sam_core::CoreError;
use sam_prompt::{
    is_mask_empty,
    progress::{Observer, Progress, Stage},
};

use crate::{AutoError, fusion::Propagated};

/// One slice of a segmented volume.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SegmentedSlice {
    /// The person's outline, unchanged.
    Annotated(Array2<bool>),
    /// The model's mask.
    Predicted {
        /// The mask: `[rows, columns]` of the slice.
        mask: Array2<bool>,
        /// The model's own estimate of its intersection over union; `None` if the model was not asked.
        predicted_iou: Option<f32>,
    },
    /// The structure is absent: no generator found it, or propagation ended before this slice.
    Empty,
    /// Not segmented, because the observer stopped the call first: see [`Segmentation::stopped`].
    NotReached,
}

impl SegmentedSlice {
    /// The mask. `None` if the structure was not found or the slice was not reached.
    pub fn mask(&self) -> Option<&Array2<bool>> {
        match self {
            Self::Annotated(mask) | Self::Predicted { mask, .. } => Some(mask),
            Self::Empty | Self::NotReached => None,
        }
    }

    /// A prediction; a mask without a pixel is [`SegmentedSlice::Empty`].
    pub(crate) fn predicted(mask: Array2<bool>, predicted_iou: Option<f32>) -> Self {
        if is_mask_empty(mask.view()) { Self::Empty } else { Self::Predicted { mask, predicted_iou } }
    }
}

/// A segmented volume or image set.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Segmentation {
    /// One for each slice.
    pub slices: Vec<SegmentedSlice>,
    /// How far several generators, or the parts of a fusion, agree on each predicted slice, before the clean-up: the fraction of them that label
    /// a pixel as the mask does, averaged over the pixels that any of them labels as the structure. Missing where a mask was known before, and
    /// for strategies with one source of masks.
    pub agreement: BTreeMap<usize, f32>,
    /// Whether the observer stopped the call. The remaining slices are then [`SegmentedSlice::NotReached`]. All others are final, except
    /// that [`CleanUp::Volume`](crate::CleanUp::Volume) was not applied, because it needs the whole volume.
    pub stopped: bool,
    /// How the shape was corrected, so that pixels can be scored as they were segmented.
    pub(crate) propagated: Arc<Propagated>,
}

impl Segmentation {
    /// A complete segmentation without agreement.
    pub fn new(slices: Vec<SegmentedSlice>) -> Self {
        Self { slices, ..Self::default() }
    }

    /// Sets the agreement on each slice.
    #[must_use]
    pub fn with_agreement(self, agreement: BTreeMap<usize, f32>) -> Self {
        Self { agreement, ..self }
    }
}

/// Masks of slices that are not segmented again, such as those of an earlier round.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KnownMasks(BTreeMap<usize, Array2<bool>>);

impl KnownMasks {
    /// No mask is known.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether the mask of a slice is known.
    pub fn contains(&self, index: usize) -> bool {
        self.0.contains_key(&index)
    }

    /// Puts the masks in the place of what was found on their slices. Annotated slices stay.
    pub(crate) fn put_into(&self, whole: &mut Segmentation) {
        for (&index, mask) in &self.0 {
            match whole.slices.get_mut(index) {
                None | Some(SegmentedSlice::Annotated(_)) => {}
                Some(slice) => {
                    *slice = SegmentedSlice::predicted(mask.clone(), None);
                    // It was that of other masks.
                    whole.agreement.remove(&index);
                }
            }
        }
    }
}

impl FromIterator<(usize, Array2<bool>)> for KnownMasks {
    /// From slices, counted from 0, and their masks. A mask without a pixel says that the structure is absent.
    fn from_iter<I: IntoIterator<Item = (usize, Array2<bool>)>>(masks: I) -> Self {
        Self(masks.into_iter().collect())
    }
}

/// The slices before they are segmented: the annotated ones, and the others not reached.
///
/// # Errors
/// [`CoreError::NoSuchSlice`].
pub(crate) fn annotated_alone(
    count: usize,
    annotated: &BTreeMap<usize, Array2<bool>>,
) -> Result<Vec<SegmentedSlice>, AutoError> {
    let mut slices = vec![SegmentedSlice::NotReached; count];
    for (&index, outline) in annotated {
        let slice = slices.get_mut(index).ok_or(CoreError::NoSuchSlice { index, count })?;
        *slice = SegmentedSlice::Annotated(outline.clone());
    }
    Ok(slices)
}

/// Segments every slice that is neither annotated nor known, in order; known slices are left to [`KnownMasks::put_into`]. The observer is called after each slice. If it stops the call, the
/// result is partial: see [`Segmentation::stopped`].
pub(crate) fn segment_open(
    count: usize,
    annotated: &BTreeMap<usize, Array2<bool>>,
    known: &KnownMasks,
    observer: &mut Observer<'_>,
    mut segment: impl FnMut(usize) -> Result<SegmentedSlice, AutoError>,
) -> Result<Segmentation, AutoError> {
    let mut whole = Segmentation::new(annotated_alone(count, annotated)?);
    let open: Vec<_> =
        (0..count).filter(|index| !annotated.contains_key(index) && !known.0.contains_key(index)).collect();
    for (done, &index) in open.iter().enumerate() {
        whole.slices[index] = segment(index)?;
        let progress = Progress::new(Stage::Segment, done + 1, open.len()).at_slice(index);
        if observer(&progress).is_break() && done + 1 < open.len() {
            whole.stopped = true;
            break;
        }
    }
    Ok(whole)
}
