//! NIfTI in and out, both versions, as a single file or a pair of header and voxels.
//!
//! The `nifti` crate decodes type codes. The rest is written here:
//! - its reader reserves the memory that a header announces before it has seen the voxels, and a damaged header announces anything;
//! - its writer builds a header from its own fields, whereas a mask must leave with the bytes that its image came with;
//! - it opens files by their names, whereas content decides here;
//! - it knows NIfTI-1 alone.

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

/// How voxels that are NaN or infinite are treated.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub enum NonFinite {
    /// The volume is refused.
    #[default]
    Reject,
    /// They become this value.
    Replace(f32),
}

/// How a volume is read.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct ReadOptions {
    /// Which volume of a file with a fourth dimension; `None` insists on a single one.
    pub time: Option<usize>,
    /// How voxels that are NaN or infinite are treated.
    pub non_finite: NonFinite,
}

impl ReadOptions {
    /// Reads this volume of a file with a fourth dimension, counted from 0.
    #[must_use]
    pub const fn with_time(self, time: usize) -> Self {
        Self { time: Some(time), ..self }
    }

    /// Treats voxels that are NaN or infinite in this way.
    #[must_use]
    pub const fn with_non_finite(self, non_finite: NonFinite) -> Self {
        Self { non_finite, ..self }
    }
}

/// The files of a volume: the named one first, then the other half if it is a header pair.
pub fn nifti_files(path: impl AsRef<Path>) -> Vec<PathBuf> {
    let path = path.as_ref();
    let other = [("hdr", "img"), ("img", "hdr")].into_iter().find_map(|(from, to)| source::other_half(path, from, to));
    [Some(path.to_path_buf()), other].into_iter().flatten().collect()
}

/// Reads a single, finite volume: `.nii`, `.nii.gz`, or either half of a pair of `.hdr` and `.img`, compressed or not. The content decides, not the name.
///
/// Intensities are scaled by the header's slope and intercept. The affine is the sform, else the qform, else the one from the voxel
/// sizes, as in nibabel.
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

/// Reads a label map: whole numbers from 0 to 65535, whatever type they are stored in.
///
/// # Errors
/// As [`read_volume`], and [`DataError::NoLabel`] for any other value.
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

/// An array of decoded voxels.
fn arrange<T>(values: Vec<T>, layout: &Layout) -> Array3<T> {
    let [i, j, k] = layout.shape;
    Array3::from_shape_vec((i, j, k).f(), values).expect("as many bytes were read as the shape needs")
}

impl Layout {
    /// Where the voxels lie.
    fn grid(&self, path: &Path) -> Result<Grid, DataError> {
        let grid = Grid::try_new(self.shape, self.affine);
        grid.map_err(|source| DataError::Affine { path: path.to_path_buf(), source })
    }
}

/// The array index of the voxel at a position in the file.
fn index_of(position: usize, [i, j, _]: [usize; 3]) -> [usize; 3] {
    [position % i, position / i % j, position / i / j]
}

/// Turns stored numbers into intensities.
fn scaled((slope, intercept): (f64, f64)) -> impl Fn(f64) -> f32 {
    move |value| (value * slope + intercept) as f32
}

impl NonFinite {
    /// Replaces voxels that are not finite, or returns their number and the position of the first.
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
