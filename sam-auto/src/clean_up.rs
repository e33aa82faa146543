//! Clean-up: keeps the largest components of segmented slices.

use ndarray::{Array2, Axis, stack};
use sam_prompt::ConfigError;
use sam_prompt::largest_components;
use serde::{Deserialize, Serialize};

use crate::SegmentedSlice;

/// Clean-up: which components are kept at the end. For structures of a known number, such as 1 liver or 2 kidneys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CleanUp {
    /// Keeps all components.
    #[default]
    Nothing,
    /// Keeps the given number of largest components of each slice.
    EachSlice(usize),
    /// Keeps the given number of largest components of the volume. Voxels that touch at a corner are connected.
    Volume(usize),
}

impl CleanUp {
    /// Checks that at least one component is kept.
    ///
    /// # Errors
    /// [`ConfigError`] if the number of components is 0.
    pub fn check(self) -> Result<(), ConfigError> {
        let keeps = !matches!(self, Self::EachSlice(0) | Self::Volume(0));
        ConfigError::check(keeps, "clean_up", || "0 components".to_owned(), "at least 1 component")
    }

    /// Applies the clean-up. Annotated slices count as part of the volume and stay as they are.
    pub(crate) fn apply(self, slices: &mut [SegmentedSlice]) {
        match self {
            Self::Nothing => {}
            Self::EachSlice(count) => {
                for slice in slices {
                    let kept = slice.mask().map(|mask| largest_components(mask.view(), count));
                    keep(slice, kept);
                }
            }
            Self::Volume(count) => keep_in_volume(slices, count),
        }
    }
}

fn keep_in_volume(slices: &mut [SegmentedSlice], count: usize) {
    let Some(size) = slices.iter().find_map(SegmentedSlice::mask).map(Array2::dim) else { return };
    let masks: Vec<_> =
        slices.iter().map(|slice| slice.mask().cloned().unwrap_or_else(|| Array2::from_elem(size, false))).collect();
    let views: Vec<_> = masks.iter().map(|mask| mask.view()).collect();
    // Images of different sizes are not a volume.
    let Ok(volume) = stack(Axis(0), &views) else { return };
    let kept = largest_components(volume.view(), count);
    for (slice, mask) in slices.iter_mut().zip(kept.outer_iter()) {
        keep(slice, Some(mask.to_owned()));
    }
}

/// Replaces a predicted mask by the part that is kept.
fn keep(slice: &mut SegmentedSlice, kept: Option<Array2<bool>>) {
    if let (SegmentedSlice::Predicted { predicted_iou, .. }, Some(mask)) = (&*slice, kept) {
        *slice = SegmentedSlice::predicted(mask, *predicted_iou);
    }
}
