//! Reads and writes NIfTI-1 and NIfTI-2, as a single file or a header pair.
//!
//! The `nifti` crate is used only to decode type codes, for four reasons:
//! - its reader allocates what a header announces before it has read the voxels, and a damaged header can announce any size;
//! - its writer builds a header from its own fields, but a mask must keep the bytes of its image's header;
//! - it detects the format by file name, but here the content decides;
//! - it supports only NIfTI-1.

mod affine;
mod decode;
mod fields;
mod header;
mod issue;
mod reader;
mod source;
mod write;

use std::path::{Path, PathBuf};

use ndarray::{Array3, ShapeBuilder};

use header::Layout;
pub use reader::VolumeReader;
use source::{Decoded, Source};
pub use write::{check_output, write_labels, write_labels_on, write_volume};

use crate::{DataError, Grid, LabelVolume, Volume};

/// What to do with voxels that are NaN or infinite.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub enum NonFinite {
    /// Refuse the volume.
    #[default]
    Reject,
    /// Replace them by this value.
    Replace(f32),
}

/// Options for reading a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct ReadOptions {
    /// Index of the volume in a file with a fourth dimension. With `None`, the file must hold a single volume.
    pub time: Option<usize>,
    /// What to do with voxels that are NaN or infinite.
    pub non_finite: NonFinite,
}

impl ReadOptions {
    /// These options with a volume index, counted from 0, for a file with a fourth dimension.
    #[must_use]
    pub const fn with_time(self, time: usize) -> Self {
        Self { time: Some(time), ..self }
    }

    /// These options with another treatment of voxels that are NaN or infinite.
    #[must_use]
    pub const fn with_non_finite(self, non_finite: NonFinite) -> Self {
        Self { non_finite, ..self }
    }
}

/// The files of a volume: `path` first, then the other file of a header pair.
pub fn nifti_files(path: impl AsRef<Path>) -> Vec<PathBuf> {
    let path = path.as_ref();
    let other = [("hdr", "img"), ("img", "hdr")].into_iter().find_map(|(from, to)| source::other_half(path, from, to));
    [Some(path.to_path_buf()), other].into_iter().flatten().collect()
}

/// Reads a single volume without NaN or infinite voxels: `.nii`, `.nii.gz`, or either file of a pair of `.hdr` and `.img`, compressed or
/// not. The content decides, not the name.
///
/// Intensities are scaled by the header's slope and intercept. The affine is the sform, else the qform, else one made from the voxel sizes,
/// as in nibabel.
///
/// # Errors
/// [`DataError::Read`], [`DataError::Truncated`], [`DataError::Damaged`], [`DataError::Format`], [`DataError::Half`],
/// [`DataError::SeveralVolumes`], [`DataError::Memory`], [`DataError::Affine`] or [`DataError::NonFinite`].
pub fn read_volume(path: impl AsRef<Path>) -> Result<Volume, DataError> {
    let path = path.as_ref();
    read_volume_with(path, &ReadOptions::default())
}

/// Reads a volume with options.
///
/// # Errors
/// As [`read_volume`], and [`DataError::NoSuchVolume`].
pub fn read_volume_with(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Volume, DataError> {
    let path = path.as_ref();
    let source = Source::open(path, options.time)?;
    let grid = source.layout.grid(path)?;
    let scaled = scaled(source.layout.scaling);
    let Decoded { mut values, layout, header } = source.decode(scaled)?;
    options.non_finite.treat(&mut values).map_err(|(count, first)| DataError::NonFinite {
        path: path.to_path_buf(),
        count,
        first: index_of(first, layout.shape),
    })?;
    let voxels = arrange(values, &layout);
    Ok(Volume { voxels, grid, header: Some(header) })
}

/// Reads a label map: whole numbers from 0 to 65535, stored in any type.
///
/// # Errors
/// As [`read_volume`], and [`DataError::NoLabel`] if a value is not such a number.
pub fn read_labels(path: impl AsRef<Path>) -> Result<LabelVolume, DataError> {
    let path = path.as_ref();
    let source = Source::open(path, None)?;
    let grid = source.layout.grid(path)?;
    let (slope, intercept) = source.layout.scaling;
    let (mut position, mut odd) = (0, None);
    let Decoded { values, layout, .. } = source.decode(|stored| {
        let value = stored * slope + intercept;
        let label = value as u16;
        #[allow(clippy::float_cmp, reason = "a label is a whole number, not one nearby")]
        if f64::from(label) != value {
            odd = odd.or(Some((position, value)));
        }
        position += 1;
        label
    })?;
    if let Some((position, value)) = odd {
        let index = index_of(position, layout.shape);
        return Err(DataError::NoLabel { path: path.to_path_buf(), index, value });
    }
    Ok(LabelVolume { labels: arrange(values, &layout), grid })
}

/// Arranges decoded voxels as an array.
fn arrange<T>(values: Vec<T>, layout: &Layout) -> Array3<T> {
    let [i, j, k] = layout.shape;
    Array3::from_shape_vec((i, j, k).f(), values).expect("as many bytes were read as the shape needs")
}

impl Layout {
    /// The grid of the volume.
    fn grid(&self, path: &Path) -> Result<Grid, DataError> {
        let grid = Grid::try_new(self.shape, self.affine);
        grid.map_err(|source| DataError::Affine { path: path.to_path_buf(), source })
    }
}

/// The array index of the voxel at a position in the file.
fn index_of(position: usize, [i, j, _]: [usize; 3]) -> [usize; 3] {
    [position % i, position / i % j, position / i / j]
}

/// Returns the function from stored values to intensities.
fn scaled((slope, intercept): (f64, f64)) -> impl Fn(f64) -> f32 {
    move |value| (value * slope + intercept) as f32
}

impl NonFinite {
    /// Replaces voxels that are not finite, or returns how many there are and the position of the first.
    fn treat(self, voxels: &mut [f32]) -> Result<(), (usize, usize)> {
        match self {
            Self::Replace(value) => {
                voxels.iter_mut().filter(|voxel| !voxel.is_finite()).for_each(|voxel| *voxel = value);
                Ok(())
            }
            Self::Reject => match voxels.iter().position(|voxel| !voxel.is_finite()) {
                Some(first) => Err((voxels[first..].iter().filter(|voxel| !voxel.is_finite()).count(), first)),
                None => Ok(()),
            },
        }
    }
}
