//! Voxels that are NaN or infinite.

/// What to do with voxels that are NaN or infinite.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub enum NonFinite {
    /// Refuse the volume.
    #[default]
    Reject,
    /// Replace them by the lowest finite intensity of the volume, as outside a field of view. A volume of nothing else is refused.
    Lowest,
    /// Replace them by this value, which must be finite.
    Replace(f32),
}

/// The voxels of an array that are NaN or infinite; there is at least one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found {
    pub(super) count: usize,
    /// Position of the first in the array.
    pub(super) first: usize,
}

impl Found {
    /// The voxels of an array that are NaN or infinite; `None` if there are none.
    pub(super) fn among(voxels: &[f32]) -> Option<Self> {
        let first = voxels.iter().position(|voxel| !voxel.is_finite())?;
        Some(Self { count: voxels[first..].iter().filter(|voxel| !voxel.is_finite()).count(), first })
    }
}

impl NonFinite {
    /// The value that replaces such voxels, given a function that finds the lowest finite intensity; `None` if there is no finite one.
    pub(super) fn value<E>(self, lowest: impl FnOnce() -> Result<Option<f32>, E>) -> Result<Option<f32>, E> {
        match self {
            Self::Reject => Ok(None),
            Self::Lowest => lowest(),
            Self::Replace(value) => Ok(Some(value).filter(|value| value.is_finite())),
        }
    }
}

/// The lowest finite intensity.
pub(super) fn lowest(voxels: &[f32]) -> Option<f32> {
    voxels.iter().copied().filter(|voxel| voxel.is_finite()).reduce(f32::min)
}

/// Replaces the voxels that are NaN or infinite.
pub(super) fn replace(voxels: &mut [f32], value: f32) {
    voxels.iter_mut().filter(|voxel| !voxel.is_finite()).for_each(|voxel| *voxel = value);
}
