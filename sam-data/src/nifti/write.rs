//! Masks and volumes out.

use std::{
    io::{self, Write},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use ndarray::ArrayView3;

use super::{HEADER_LENGTH, SMALLEST_OFFSET};
use crate::{DataError, Grid, SourceHeader, Volume, write_atomically};

/// NIfTI's number for a stored type, and its bits.
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
/// [`DataError::Shape`] if the labels do not have the image's shape; [`DataError::Extension`] unless the name ends in `.nii` or
/// `.nii.gz`; [`DataError::Write`].
pub fn write_labels(path: &Path, labels: ArrayView3<'_, u16>, image: &Volume) -> Result<(), DataError> {
    let (i, j, k) = labels.dim();
    if [i, j, k] != image.grid.shape {
        return Err(DataError::Shape { expected: image.grid.shape, found: [i, j, k] });
    }
    let stored = if labels.iter().all(|&label| label <= u16::from(u8::MAX)) { Stored::U8 } else { Stored::U16 };
    let header = match &image.header {
        Some(source) => source.for_labels(image.grid.shape, stored),
        None => fresh(&image.grid, stored),
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

/// Writes a volume with a new header: as 16-bit integers where all intensities are such, else as 32-bit floats.
///
/// # Errors
/// [`DataError::Extension`] or [`DataError::Write`].
pub fn write_volume(path: &Path, volume: &Volume) -> Result<(), DataError> {
    let whole = |&voxel: &f32| voxel.fract() == 0.0 && (f32::from(i16::MIN)..=f32::from(i16::MAX)).contains(&voxel);
    let stored = if volume.voxels.iter().all(whole) { Stored::I16 } else { Stored::F32 };
    let voxels = volume.voxels.view().reversed_axes();
    write_file(path, &fresh(&volume.grid, stored), |file| {
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
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let content = |file: &mut dyn Write| {
        file.write_all(&header.bytes)?;
        file.write_all(&header.extensions)?;
        voxels(file)
    };
    if name.ends_with(".nii.gz") {
        write_atomically(path, |file| {
            let mut packed = io::BufWriter::new(GzEncoder::new(file, Compression::default()));
            content(&mut packed)?;
            packed.into_inner().map_err(io::IntoInnerError::into_error)?.finish().map(drop)
        })
    } else if name.ends_with(".nii") {
        write_atomically(path, content)
    } else {
        Err(DataError::Extension { path: path.to_path_buf(), expected: ".nii or .nii.gz" })
    }
}

impl SourceHeader {
    /// This header for a label map of a three-dimensional shape.
    fn for_labels(&self, shape: [usize; 3], stored: Stored) -> Self {
        let mut header = self.clone();
        if header.i16_at(40) > 3 {
            header.put_i16(40, 3);
            (4..=7).for_each(|dimension| header.put_i16(40 + 2 * dimension, 1));
        }
        debug_assert!((1..=3).all(|axis| header.i16_at(40 + 2 * axis).max(1) as usize == shape[axis - 1]));
        let (code, bits) = stored.code();
        header.put_i16(70, code);
        header.put_i16(72, bits);
        // scl_slope, scl_inter, cal_max, cal_min: labels are what they are.
        for (position, value) in [(112, 1.0), (116, 0.0), (124, 0.0), (128, 0.0)] {
            header.put_f32(position, value);
        }
        header
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

/// A new header for a grid: its affine as sform, millimetres.
fn fresh(grid: &Grid, stored: Stored) -> SourceHeader {
    let extensions = vec![0; SMALLEST_OFFSET - HEADER_LENGTH];
    let mut header = SourceHeader { bytes: vec![0; HEADER_LENGTH], extensions, little_endian: true };
    header.bytes[..4].copy_from_slice(&(HEADER_LENGTH as u32).to_le_bytes());
    header.put_i16(40, 3);
    (4..=7).for_each(|dimension| header.put_i16(40 + 2 * dimension, 1));
    header.put_f32(76, 1.0);
    for axis in 0..3 {
        header.put_i16(42 + 2 * axis, grid.shape[axis] as i16);
        header.put_f32(80 + 4 * axis, grid.spacing()[axis] as f32);
    }
    let (code, bits) = stored.code();
    header.put_i16(70, code);
    header.put_i16(72, bits);
    header.put_f32(108, SMALLEST_OFFSET as f32);
    header.put_f32(112, 1.0);
    // Units: millimetres.
    header.bytes[123] = 2;
    // The sform is a scanner position.
    header.put_i16(254, 1);
    for (row, values) in grid.affine[..3].iter().enumerate() {
        for (column, &value) in values.iter().enumerate() {
            header.put_f32(280 + 16 * row + 4 * column, value as f32);
        }
    }
    header.bytes[344..].copy_from_slice(b"n+1\0");
    header
}
