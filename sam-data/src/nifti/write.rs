//! Writes masks and volumes as NIfTI.

use std::{
    io::{self, Write},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use ndarray::ArrayView3;
use sam_files::{check_writable, write_atomic};

use super::{
    affine::{self, Rotation},
    fields::NIFTI_1,
};
use crate::{DataError, Grid, SourceHeader, Volume};

/// The code for scanner coordinates.
const SCANNER: f64 = 1.0;
const MILLIMETRES: f64 = 2.0;

/// The number type of the stored voxels.
#[derive(Debug, Clone, Copy)]
enum Stored {
    U8,
    U16,
    I16,
    F32,
}

impl Stored {
    /// The NIfTI type code and the number of bits.
    const fn code(self) -> (f64, f64) {
        match self {
            Self::U8 => (2.0, 8.0),
            Self::U16 => (512.0, 16.0),
            Self::I16 => (4.0, 16.0),
            Self::F32 => (16.0, 32.0),
        }
    }
}

/// Writes a label map on the grid of an image, with the header of that image.
///
/// All bytes of the header and all extensions stay the same, except the data type, the scaling, the display range and, if it is above
/// three, the number of dimensions. If the image was a header pair, the header now says that the mask is a single file. Labels up to 255
/// are stored in 8 bits, others in 16. If the image was not read from a file, the mask gets a new header.
///
/// # Errors
/// [`DataError::Shape`] if the labels differ in shape from the image or its header; [`DataError::Extension`] unless the name ends in `.nii`
/// or `.nii.gz`; [`DataError::Write`]; [`DataError::Sides`] for an image without a header.
pub fn write_labels(path: impl AsRef<Path>, labels: ArrayView3<'_, u16>, image: &Volume) -> Result<(), DataError> {
    let path = path.as_ref();
    write_labels_on(path, labels, &image.grid, image.header.as_ref())
}

/// Writes a label map like [`write_labels`], for an image that is not in memory. A [`VolumeReader`](crate::VolumeReader) has the grid and
/// the header.
///
/// # Errors
/// As [`write_labels`].
pub fn write_labels_on(
    path: impl AsRef<Path>,
    labels: ArrayView3<'_, u16>,
    grid: &Grid,
    header: Option<&SourceHeader>,
) -> Result<(), DataError> {
    let path = path.as_ref();
    let (i, j, k) = labels.dim();
    if [i, j, k] != grid.shape {
        return Err(DataError::Shape { expected: grid.shape, found: [i, j, k] });
    }
    let stored = if labels.iter().all(|&label| u8::try_from(label).is_ok()) { Stored::U8 } else { Stored::U16 };
    let header = match header {
        Some(source) => source.for_labels(grid.shape, stored)?,
        None => fresh(path, grid, stored)?,
    };
    write_file(path, &header, labels, |label, bytes| match (stored, header.little_endian) {
        (Stored::U8, _) => bytes.push(label as u8),
        (_, true) => bytes.extend(label.to_le_bytes()),
        (_, false) => bytes.extend(label.to_be_bytes()),
    })
}

/// Checks that a mask can be written under this name. Call it before a long computation.
///
/// # Errors
/// [`DataError::Extension`] unless the name ends in `.nii` or `.nii.gz`; [`DataError::Write`] if its folder does not exist or
/// cannot be written to.
pub fn check_output(path: impl AsRef<Path>) -> Result<(), DataError> {
    let path = path.as_ref();
    packing(path)?;
    Ok(check_writable(path)?)
}

/// Whether to compress, by the extension; an error if the extension is not that of NIfTI.
fn packing(path: &Path) -> Result<bool, DataError> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let (is_packed, unpacked) = name.strip_suffix(".gz").map_or((false, name.as_str()), |stem| (true, stem));
    if Path::new(unpacked).extension().is_some_and(|ending| ending == "nii") {
        Ok(is_packed)
    } else {
        Err(DataError::Extension { path: path.to_path_buf(), expected: ".nii or .nii.gz" })
    }
}

/// Writes a volume with a new header: as 16-bit integers if all intensities are whole numbers of that range, else as 32-bit floats.
///
/// The affine is stored as sform and, if its axes are at right angles, as qform, both in scanner coordinates.
///
/// # Errors
/// [`DataError::Shape`] if voxels and grid differ in shape; [`DataError::Sides`]; [`DataError::Extension`] unless the name ends in
/// `.nii` or `.nii.gz`; [`DataError::Write`].
pub fn write_volume(path: impl AsRef<Path>, volume: &Volume) -> Result<(), DataError> {
    let path = path.as_ref();
    let (i, j, k) = volume.voxels.dim();
    if [i, j, k] != volume.grid.shape {
        return Err(DataError::Shape { expected: volume.grid.shape, found: [i, j, k] });
    }
    let whole = |&voxel: &f32| voxel.fract() == 0.0 && (f32::from(i16::MIN)..=f32::from(i16::MAX)).contains(&voxel);
    let stored = if volume.voxels.iter().all(whole) { Stored::I16 } else { Stored::F32 };
    write_file(path, &fresh(path, &volume.grid, stored)?, volume.voxels.view(), |voxel, bytes| match stored {
        Stored::I16 => bytes.extend((voxel as i16).to_le_bytes()),
        _ => bytes.extend(voxel.to_le_bytes()),
    })
}

fn write_file<T: Copy>(
    path: &Path,
    header: &SourceHeader,
    voxels: ArrayView3<'_, T>,
    encode: impl Fn(T, &mut Vec<u8>),
) -> Result<(), DataError> {
    let is_packed = packing(path)?;
    let content = |file: &mut dyn Write| {
        file.write_all(&header.bytes)?;
        file.write_all(&header.extensions)?;
        // NIfTI stores the first index fastest.
        let mut bytes = Vec::new();
        for slice in voxels.reversed_axes().outer_iter() {
            bytes.clear();
            slice.iter().for_each(|&voxel| encode(voxel, &mut bytes));
            file.write_all(&bytes)?;
        }
        Ok(())
    };
    if !is_packed {
        return Ok(write_atomic(path, content)?);
    }
    Ok(write_atomic(path, |file| {
        let mut packed = io::BufWriter::new(GzEncoder::new(file, Compression::default()));
        content(&mut packed)?;
        packed.into_inner().map_err(io::IntoInnerError::into_error)?.finish().map(drop)
    })?)
}

impl SourceHeader {
    /// This header for a three-dimensional label map in a single file.
    fn for_labels(&self, shape: [usize; 3], stored: Stored) -> Result<Self, DataError> {
        let (mut header, version) = (self.clone(), self.version());
        let rank = header.integer(version.dim, 0);
        let side = |axis: usize| if axis as i64 > rank { 1 } else { header.integer(version.dim, axis) as usize };
        let own = [side(1), side(2), side(3)];
        if own != shape {
            return Err(DataError::Shape { expected: own, found: shape });
        }
        if rank > 3 {
            header.put(version.dim, 0, 3.0);
            (4..=7).for_each(|dimension| header.put(version.dim, dimension, 1.0));
        }
        if header.magic() == version.pair {
            header.put_magic(version.single);
            header.put(version.vox_offset, 0, (version.length + header.extensions.len()) as f64);
        }
        header.put_stored(stored);
        // Labels need no scaling and no display range.
        for (field, value) in
            [(version.scl_slope, 1.0), (version.scl_inter, 0.0), (version.cal_max, 0.0), (version.cal_min, 0.0)]
        {
            header.put(field, 0, value);
        }
        Ok(header)
    }

    fn put_stored(&mut self, stored: Stored) {
        let (code, bits) = stored.code();
        let version = self.version();
        self.put(version.datatype, 0, code);
        self.put(version.bitpix, 0, bits);
    }
}

/// A new NIfTI-1 header for a grid: the affine as sform and qform, in millimetres, little-endian.
fn fresh(path: &Path, grid: &Grid, stored: Stored) -> Result<SourceHeader, DataError> {
    let storable = |&side: &usize| (1..=i16::MAX as usize).contains(&side);
    if !grid.shape.iter().all(storable) {
        return Err(DataError::Sides { path: path.to_path_buf(), found: grid.shape });
    }
    let version = &NIFTI_1;
    let mut header = SourceHeader { bytes: vec![0; version.length], extensions: vec![0; 4], little_endian: true };
    header.bytes[..4].copy_from_slice(&(version.length as u32).to_le_bytes());
    header.put_magic(version.single);
    header.put(version.dim, 0, 3.0);
    (4..=7).for_each(|dimension| header.put(version.dim, dimension, 1.0));
    let spacing = grid.spacing();
    for (axis, (side, size)) in grid.shape.into_iter().zip(spacing).enumerate() {
        header.put(version.dim, axis + 1, side as f64);
        header.put(version.pixdim, axis + 1, size);
    }
    header.put_stored(stored);
    header.put(version.vox_offset, 0, version.smallest_offset() as f64);
    header.put(version.scl_slope, 0, 1.0);
    header.put(version.xyzt_units, 0, MILLIMETRES);
    header.put(version.sform_code, 0, SCANNER);
    for (row, values) in grid.affine[..3].iter().enumerate() {
        for (column, &value) in values.iter().enumerate() {
            header.put(version.srow, 4 * row + column, value);
        }
        header.put(version.qoffset, row, values[3]);
    }
    let rotation = affine::rotation(&grid.affine, spacing);
    header.put(version.qform_code, 0, if rotation.is_some() { SCANNER } else { 0.0 });
    let Rotation { quaternion, handedness } = rotation.unwrap_or(Rotation { quaternion: [0.0; 3], handedness: 1.0 });
    header.put(version.pixdim, 0, handedness);
    for (part, value) in quaternion.into_iter().enumerate() {
        header.put(version.quatern, part, value);
    }
    Ok(header)
}
