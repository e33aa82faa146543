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
mod form;
mod gzip;
mod header;
mod issue;
mod labels;
mod non_finite;
mod note;
mod reader;
mod source;
mod stream;
mod write;

use std::path::{Path, PathBuf};

use ndarray::{Array3, ShapeBuilder};

pub use form::AffineForm;
use header::Layout;
pub use labels::read_labels;
pub(crate) use labels::read_labels_on;
use non_finite::Found;
pub use non_finite::NonFinite;
pub use note::NiftiNote;
pub use reader::VolumeReader;
use source::{Head, Source};
pub use write::{check_output, write_labels, write_labels_on, write_volume};

use crate::{DataError, ScanNote, Volume};

/// Options for reading a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct ReadOptions {
    /// Index of the volume, counted from 0, in a file with a fourth dimension. With `None`, the file must hold a single volume.
    pub volume_index: Option<usize>,
    /// What to do with voxels that are NaN or infinite.
    pub non_finite: NonFinite,
}

impl ReadOptions {
    /// These options with a volume index, counted from 0, for a file with a fourth dimension.
    #[must_use]
    pub const fn with_volume_index(self, index: usize) -> Self {
        Self { volume_index: Some(index), ..self }
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
/// as in nibabel, in the header's unit of length. An sform without an inverse is not used if there is a qform.
///
/// # Memory
/// The voxels as 32-bit floats, once, and less than 1 MiB, also for a compressed file. A file that cannot hold the voxels that its header
/// announces is refused before: a gzip file unpacks to at most 1032 times its length.
///
/// # Errors
/// [`DataError::Read`], [`DataError::Truncated`], [`DataError::Damaged`], [`DataError::Format`], [`DataError::Half`],
/// [`DataError::SeveralVolumes`], [`DataError::Memory`], [`DataError::Affine`] or [`DataError::NonFinite`].
pub fn read_volume(path: impl AsRef<Path>) -> Result<Volume, DataError> {
    read_volume_with(path, &ReadOptions::default())
}

/// Reads a volume with options. What [`read_volume_noted`] returns as notes is logged as warnings.
///
/// # Errors
/// As [`read_volume`], and [`DataError::NoSuchVolume`].
pub fn read_volume_with(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Volume, DataError> {
    let (volume, notes) = read_volume_noted(path, options)?;
    crate::note::log(&notes);
    Ok(volume)
}

/// Reads a volume with options. Also returns what the person must know about how it was read.
///
/// # Errors
/// As [`read_volume_with`].
pub fn read_volume_noted(path: impl AsRef<Path>, options: &ReadOptions) -> Result<(Volume, Vec<ScanNote>), DataError> {
    let path = path.as_ref();
    let source = Source::open(path, options.volume_index)?;
    let scaled = scaled(source.head.layout.scaling);
    let (mut values, mut head) = source.decode(scaled)?;
    if let Some(Found { count, first }) = Found::among(&values) {
        let first = index_of(first, head.layout.shape);
        let value = options.non_finite.value(|| Ok::<_, DataError>(non_finite::lowest(&values)))?;
        let value = value.ok_or_else(|| DataError::NonFinite { path: path.to_path_buf(), count, first })?;
        non_finite::replace(&mut values, value);
        if options.non_finite == NonFinite::Lowest {
            head.note(NiftiNote::NonFinite { count, first, value });
        }
    }
    let Head { layout, header, grid, notes, .. } = head;
    Ok((Volume { voxels: arrange(values, &layout), grid, header: Some(header) }, notes))
}

/// Arranges decoded voxels as an array.
#[expect(clippy::expect_used, reason = "the reader has checked the number of bytes")]
fn arrange<T>(values: Vec<T>, layout: &Layout) -> Array3<T> {
    let [i, j, k] = layout.shape;
    Array3::from_shape_vec((i, j, k).f(), values).expect("as many bytes were read as the shape needs")
}

/// The array index of the voxel at a position in the file.
fn index_of(position: usize, [i, j, _]: [usize; 3]) -> [usize; 3] {
    [position % i, position / i % j, position / i / j]
}

/// Returns the function from stored values to intensities.
fn scaled((slope, intercept): (f64, f64)) -> impl Fn(f64) -> f32 {
    move |value| (value * slope + intercept) as f32
}
