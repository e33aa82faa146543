//! Masks and volumes out.

use std::{
    io::{self, Write},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use ndarray::ArrayView3;

use super::{
    HEADER_LENGTH, SMALLEST_OFFSET,
    affine::{self, Rotation},
};
use crate::{DataError, Grid, SourceHeader, Volume, write_atomically};

// Where fields lie in the header, in bytes. Source: `nifti1.h`.
const DIM: usize = 40;
const DATATYPE: usize = 70;
const BITPIX: usize = 72;
const PIXDIM: usize = 76;
const VOX_OFFSET: usize = 108;
const SCL_SLOPE: usize = 112;
const SCL_INTER: usize = 116;
const XYZT_UNITS: usize = 123;
const CAL_MAX: usize = 124;
const CAL_MIN: usize = 128;
const QFORM_CODE: usize = 252;
const SFORM_CODE: usize = 254;
const QUATERN_B: usize = 256;
const QOFFSET_X: usize = 268;
const SROW_X: usize = 280;
const MAGIC: usize = 344;

/// The code of an affine in scanner coordinates.
const SCANNER: i16 = 1;
const MILLIMETRES: u8 = 2;

/// How numbers are stored.
#[derive(Debug, Clone, Copy)]
enum Stored {
    U8,
    U16,
    I16,
    F32,
}

impl Stored {
    /// NIfTI's code and the number of bits.
    const fn code(self) -> (i16, i16) {
        match self {
            Self::U8 => (2, 8),
            Self::U16 => (512, 16),
            Self::I16 => (4, 16),
            Self::F32 => (16, 32),
        }
    }
}

/// Writes a label map on an image's grid, with the image's own header.
///
/// Every byte of that header and all extensions stay as they are but for data type, scaling, display range and, where the image has
/// more than three dimensions, their number. Labels up to 255 are stored as 8 bits, others as 16. An image that came from no file
/// gets a new header.
///
/// # Errors
/// [`DataError::Shape`] if the labels do not have the shape of the image and of its header; [`DataError::Extension`] unless the name
/// ends in `.nii` or `.nii.gz`; [`DataError::Write`]; for an image without a header [`DataError::Sides`].
pub fn write_labels(path: &Path, labels: ArrayView3<'_, u16>, image: &Volume) -> Result<(), DataError> {
    let (i, j, k) = labels.dim();
    if [i, j, k] != image.grid.shape {
        return Err(DataError::Shape { expected: image.grid.shape, found: [i, j, k] });
    }
    let stored = if labels.iter().all(|&label| u8::try_from(label).is_ok()) { Stored::U8 } else { Stored::U16 };
    let header = match &image.header {
        Some(source) => source.for_labels(image.grid.shape, stored)?,
        None => fresh(path, &image.grid, stored)?,
    };
    // NIfTI's first index runs fastest.
    let voxels = labels.reversed_axes();
    write_file(path, &header, |file| {
        voxels.iter().try_for_each(|&label| match (stored, header.little_endian) {
            (Stored::U8, _) => file.write_all(&[label as u8]),
            (_, true) => file.write_all(&label.to_le_bytes()),
            (_, false) => file.write_all(&label.to_be_bytes()),
        })
    })
}

/// Checks that a mask can be written under a name, before hours of work hang on it.
///
/// # Errors
/// [`DataError::Extension`] unless the name ends in `.nii` or `.nii.gz`; [`DataError::Write`] if its folder does not exist.
pub fn check_output(path: &Path) -> Result<(), DataError> {
    packing(path)?;
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) if !folder.is_dir() => {
            let source = io::Error::new(io::ErrorKind::NotFound, format!("there is no folder {}", folder.display()));
            Err(DataError::Write { path: path.to_path_buf(), source })
        }
        _ => Ok(()),
    }
}

/// Whether a name asks for gzip; an error for a name that is no NIfTI's.
fn packing(path: &Path) -> Result<bool, DataError> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let (is_packed, unpacked) = name.strip_suffix(".gz").map_or((false, name.as_str()), |stem| (true, stem));
    if Path::new(unpacked).extension().is_some_and(|ending| ending == "nii") {
        Ok(is_packed)
    } else {
        Err(DataError::Extension { path: path.to_path_buf(), expected: ".nii or .nii.gz" })
    }
}

/// Writes a volume with a new header: as 16-bit integers where all intensities are such, else as 32-bit floats.
///
/// The affine is stored as sform and, where its axes are at right angles, as qform, both in scanner coordinates.
///
/// # Errors
/// [`DataError::Shape`] if voxels and grid differ in shape; [`DataError::Sides`]; [`DataError::Extension`] unless the name ends in
/// `.nii` or `.nii.gz`; [`DataError::Write`].
pub fn write_volume(path: &Path, volume: &Volume) -> Result<(), DataError> {
    let (i, j, k) = volume.voxels.dim();
    if [i, j, k] != volume.grid.shape {
        return Err(DataError::Shape { expected: volume.grid.shape, found: [i, j, k] });
    }
    let whole = |&voxel: &f32| voxel.fract() == 0.0 && (f32::from(i16::MIN)..=f32::from(i16::MAX)).contains(&voxel);
    let stored = if volume.voxels.iter().all(whole) { Stored::I16 } else { Stored::F32 };
    let voxels = volume.voxels.view().reversed_axes();
    write_file(path, &fresh(path, &volume.grid, stored)?, |file| {
        voxels.iter().try_for_each(|&voxel| match stored {
            Stored::I16 => file.write_all(&(voxel as i16).to_le_bytes()),
            _ => file.write_all(&voxel.to_le_bytes()),
        })
    })
}

fn write_file(
    path: &Path,
    header: &SourceHeader,
    voxels: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), DataError> {
    let is_packed = packing(path)?;
    let content = |file: &mut dyn Write| {
        file.write_all(&header.bytes)?;
        file.write_all(&header.extensions)?;
        voxels(file)
    };
    if !is_packed {
        return write_atomically(path, content);
    }
    write_atomically(path, |file| {
        let mut packed = io::BufWriter::new(GzEncoder::new(file, Compression::default()));
        content(&mut packed)?;
        packed.into_inner().map_err(io::IntoInnerError::into_error)?.finish().map(drop)
    })
}

impl SourceHeader {
    /// This header for a label map of a three-dimensional shape.
    fn for_labels(&self, shape: [usize; 3], stored: Stored) -> Result<Self, DataError> {
        let mut header = self.clone();
        let rank = header.i16_at(DIM);
        let side = |axis: i16| if axis > rank { 1 } else { header.i16_at(DIM + 2 * axis as usize) as usize };
        let own = [side(1), side(2), side(3)];
        if own != shape {
            return Err(DataError::Shape { expected: own, found: shape });
        }
        if rank > 3 {
            header.put_i16(DIM, 3);
            (4..=7).for_each(|dimension| header.put_i16(DIM + 2 * dimension, 1));
        }
        header.put_stored(stored);
        // Labels are what they are: no scaling, no display range.
        for (position, value) in [(SCL_SLOPE, 1.0), (SCL_INTER, 0.0), (CAL_MAX, 0.0), (CAL_MIN, 0.0)] {
            header.put_f32(position, value);
        }
        Ok(header)
    }

    fn put_stored(&mut self, stored: Stored) {
        let (code, bits) = stored.code();
        self.put_i16(DATATYPE, code);
        self.put_i16(BITPIX, bits);
    }

    fn i16_at(&self, position: usize) -> i16 {
        let pair = [self.bytes[position], self.bytes[position + 1]];
        if self.little_endian { i16::from_le_bytes(pair) } else { i16::from_be_bytes(pair) }
    }

    fn put_i16(&mut self, position: usize, value: i16) {
        let bytes = if self.little_endian { value.to_le_bytes() } else { value.to_be_bytes() };
        self.bytes[position..position + 2].copy_from_slice(&bytes);
    }

    fn put_f32(&mut self, position: usize, value: f32) {
        let bytes = if self.little_endian { value.to_le_bytes() } else { value.to_be_bytes() };
        self.bytes[position..position + 4].copy_from_slice(&bytes);
    }
}

/// A new header for a grid: its affine as sform and qform, millimetres, little-endian.
fn fresh(path: &Path, grid: &Grid, stored: Stored) -> Result<SourceHeader, DataError> {
    let sides = grid.shape.map(|side| i16::try_from(side).unwrap_or(0));
    if sides.contains(&0) {
        return Err(DataError::Sides { path: path.to_path_buf(), found: grid.shape });
    }
    let extensions = vec![0; SMALLEST_OFFSET - HEADER_LENGTH];
    let mut header = SourceHeader { bytes: vec![0; HEADER_LENGTH], extensions, little_endian: true };
    header.bytes[..4].copy_from_slice(&(HEADER_LENGTH as u32).to_le_bytes());
    header.put_i16(DIM, 3);
    (4..=7).for_each(|dimension| header.put_i16(DIM + 2 * dimension, 1));
    let spacing = grid.spacing();
    for axis in 0..3 {
        header.put_i16(DIM + 2 * (axis + 1), sides[axis]);
        header.put_f32(PIXDIM + 4 * (axis + 1), spacing[axis] as f32);
    }
    header.put_stored(stored);
    header.put_f32(VOX_OFFSET, SMALLEST_OFFSET as f32);
    header.put_f32(SCL_SLOPE, 1.0);
    header.bytes[XYZT_UNITS] = MILLIMETRES;
    header.put_i16(SFORM_CODE, SCANNER);
    for (row, values) in grid.affine[..3].iter().enumerate() {
        for (column, &value) in values.iter().enumerate() {
            header.put_f32(SROW_X + 16 * row + 4 * column, value as f32);
        }
        header.put_f32(QOFFSET_X + 4 * row, values[3] as f32);
    }
    let rotation = affine::rotation(&grid.affine, spacing);
    header.put_i16(QFORM_CODE, if rotation.is_some() { SCANNER } else { 0 });
    let Rotation { quaternion, handedness } = rotation.unwrap_or(Rotation { quaternion: [0.0; 3], handedness: 1.0 });
    header.put_f32(PIXDIM, handedness as f32);
    for (part, value) in quaternion.into_iter().enumerate() {
        header.put_f32(QUATERN_B + 4 * part, value as f32);
    }
    header.bytes[MAGIC..].copy_from_slice(b"n+1\0");
    Ok(header)
}
