//! NIfTI-1 in and out.
//!
//! Headers are parsed by the `nifti` crate. Voxels are decoded and masks written here, because that crate's writer resets what a
//! mask must keep (it rewrites the header from its fields), and its reader trusts the announced size before it has seen the bytes.

mod decode;
mod write;

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use ::nifti::{Endianness, NiftiHeader, NiftiType};
use flate2::bufread::MultiGzDecoder;
use ndarray::{Array3, ShapeBuilder};

pub use write::{write_labels, write_volume};

use crate::{DataError, Grid, LabelVolume, SourceHeader, Volume};

/// Length of a NIfTI-1 header, in bytes.
const HEADER_LENGTH: usize = 348;
/// Voxels start here at the earliest in a single file: header and extension flag.
const SMALLEST_OFFSET: usize = 352;

/// What is done with voxels that are NaN or infinite.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum NonFinite {
    /// The volume is refused.
    #[default]
    Reject,
    /// They become this value.
    Replace(f32),
}

/// How a volume is read.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ReadOptions {
    /// Which volume of a file with a fourth dimension; `None` insists on a single one.
    pub time: Option<usize>,
    /// What is done with voxels that are NaN or infinite.
    pub non_finite: NonFinite,
}

/// Reads a single, finite volume: `.nii` or `.nii.gz`, told by content.
///
/// Intensities are scaled by the header's slope and intercept. The affine is the sform, else the qform, else the one from the voxel
/// sizes, as in nibabel.
///
/// # Errors
/// [`DataError::Read`], [`DataError::Truncated`], [`DataError::Format`], [`DataError::SeveralVolumes`] or [`DataError::NonFinite`].
pub fn read_volume(path: &Path) -> Result<Volume, DataError> {
    read_volume_with(path, &ReadOptions::default())
}

/// Reads a volume as told by the options.
///
/// # Errors
/// As [`read_volume`].
pub fn read_volume_with(path: &Path, options: &ReadOptions) -> Result<Volume, DataError> {
    let raw = RawVolume::read(path, options.time)?;
    let (slope, intercept) = raw.scaling();
    let mut voxels = raw.decode(|value| (value * slope + intercept) as f32);
    match options.non_finite {
        NonFinite::Replace(value) => voxels.mapv_inplace(|voxel| if voxel.is_finite() { voxel } else { value }),
        NonFinite::Reject => {
            let mut bad = voxels.indexed_iter().filter(|(_, voxel)| !voxel.is_finite()).map(|(index, _)| index);
            if let Some((i, j, k)) = bad.next() {
                return Err(DataError::NonFinite { path: raw.path, count: 1 + bad.count(), first: [i, j, k] });
            }
        }
    }
    Ok(Volume { voxels, grid: raw.grid, header: Some(raw.source) })
}

/// Reads a label map: whole numbers from 0 to 65535, whatever type they are stored in.
///
/// # Errors
/// As [`read_volume`], and [`DataError::NoLabel`] for any other value.
pub fn read_labels(path: &Path) -> Result<LabelVolume, DataError> {
    let raw = RawVolume::read(path, None)?;
    let (slope, intercept) = raw.scaling();
    let values = raw.decode(|value| value * slope + intercept);
    let is_label = |value: f64| value.fract() == 0.0 && (0.0..=f64::from(u16::MAX)).contains(&value);
    if let Some(((i, j, k), &value)) = values.indexed_iter().find(|&(_, &value)| !is_label(value)) {
        return Err(DataError::NoLabel { path: raw.path, index: [i, j, k], value });
    }
    Ok(LabelVolume { labels: values.mapv(|value| value as u16), grid: raw.grid })
}

/// A file's header and the undecoded voxels of one volume.
struct RawVolume {
    path: PathBuf,
    source: SourceHeader,
    header: NiftiHeader,
    kind: NiftiType,
    grid: Grid,
    voxels: Vec<u8>,
}

impl RawVolume {
    fn read(path: &Path, time: Option<usize>) -> Result<Self, DataError> {
        let path = path.to_path_buf();
        let unreadable = |source| DataError::Read { path: path.clone(), source };
        let format = |reason: String| DataError::Format { path: path.clone(), reason };
        let mut stream = open(&path).map_err(unreadable)?;

        let bytes = read_part(&mut *stream, HEADER_LENGTH, "header", &path)?;
        let little_endian = match [bytes[0], bytes[1], bytes[2], bytes[3]] {
            size if u32::from_le_bytes(size) == HEADER_LENGTH as u32 => true,
            size if u32::from_be_bytes(size) == HEADER_LENGTH as u32 => false,
            _ => return Err(format("its header does not begin with the number 348: it is no NIfTI-1 file".to_owned())),
        };
        match &bytes[344..348] {
            b"n+1\0" => {}
            b"ni1\0" => {
                return Err(format(
                    "it is the header of a .hdr/.img pair: convert it to a single .nii file".to_owned(),
                ));
            }
            other => {
                return Err(format(format!("expected the magic \"n+1\", found {:?}", String::from_utf8_lossy(other))));
            }
        }
        let header = NiftiHeader::from_reader(&bytes[..]).map_err(|error| format(error.to_string()))?;
        debug_assert_eq!(header.endianness == Endianness::Little, little_endian);
        let kind = header.data_type().map_err(|_| format(format!("its data type {} is unknown", header.datatype)))?;
        let size = decode::size_of(kind).ok_or_else(|| {
            format(format!("its data type {kind:?} is not supported: expected an integer or a float of up to 64 bits"))
        })?;
        let (shape, volumes) = dimensions(&bytes, little_endian).map_err(format)?;
        let skipped = match time {
            Some(time) if time < volumes => time,
            Some(time) => {
                return Err(format(format!("volume {time} was asked for, but it holds {volumes}, counted from 0")));
            }
            None if volumes == 1 => 0,
            None => return Err(DataError::SeveralVolumes { path, found: volumes }),
        };
        let offset = header.vox_offset;
        if !(offset >= SMALLEST_OFFSET as f32 && offset < i32::MAX as f32) {
            return Err(format(format!(
                "its voxels are said to begin at byte {offset}, expected at least {SMALLEST_OFFSET}"
            )));
        }
        let length = shape.iter().try_fold(size, |bytes, &side| bytes.checked_mul(side));
        let length = length.ok_or_else(|| format(format!("its shape {shape:?} is too large to be real")))?;
        let extensions = read_part(&mut *stream, offset as usize - HEADER_LENGTH, "extensions", &path)?;
        let announced = (length as u64).saturating_mul(skipped as u64);
        io::copy(&mut (&mut *stream).take(announced), &mut io::sink())
            .map_err(|source| DataError::Read { path: path.clone(), source })?;
        let voxels = read_part(&mut *stream, length, "voxels", &path)?;

        let affine = affine(&header);
        if affine.iter().flatten().any(|value| !value.is_finite()) {
            return Err(DataError::Format { path, reason: format!("its affine is not finite: {affine:?}") });
        }
        let source = SourceHeader { bytes, extensions, little_endian };
        Ok(Self { path, source, header, kind, grid: Grid::new(shape, affine), voxels })
    }

    /// Slope and intercept; 1 and 0 where the header gives none.
    fn scaling(&self) -> (f64, f64) {
        let (slope, intercept) = (f64::from(self.header.scl_slope), f64::from(self.header.scl_inter));
        let valid = slope != 0.0 && slope.is_finite() && intercept.is_finite();
        if valid { (slope, intercept) } else { (1.0, 0.0) }
    }

    fn decode<T>(&self, convert: impl Fn(f64) -> T) -> Array3<T> {
        let values = decode::values(&self.voxels, self.kind, self.source.little_endian, convert);
        let [i, j, k] = self.grid.shape;
        Array3::from_shape_vec((i, j, k).f(), values).expect("as many bytes were read as the shape needs")
    }
}

/// Opens a file and, where its first bytes are gzip's, unpacks it on the fly.
fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let mut file = BufReader::new(File::open(path)?);
    let is_gzip = io::BufRead::fill_buf(&mut file)?.starts_with(&[0x1f, 0x8b]);
    Ok(if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// Reads exactly so many bytes. Memory grows with what is really there, not with what a header announces.
fn read_part(stream: &mut dyn Read, expected: usize, what: &'static str, path: &Path) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    let ended_early = match stream.take(expected as u64).read_to_end(&mut bytes) {
        Ok(_) => bytes.len() < expected,
        // A gzip stream that is cut off.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => true,
        Err(source) => return Err(DataError::Read { path: path.to_path_buf(), source }),
    };
    if ended_early {
        return Err(DataError::Truncated { path: path.to_path_buf(), what, expected, found: bytes.len() });
    }
    Ok(bytes)
}

/// The three spatial sizes and the number of volumes.
fn dimensions(bytes: &[u8], little_endian: bool) -> Result<([usize; 3], usize), String> {
    let dim = |index: usize| {
        let pair = [bytes[40 + 2 * index], bytes[41 + 2 * index]];
        if little_endian { i16::from_le_bytes(pair) } else { i16::from_be_bytes(pair) }
    };
    let rank = dim(0);
    if !(1..=7).contains(&rank) {
        return Err(format!("it has {rank} dimensions, expected 1 to 7"));
    }
    let side = |index: usize| match dim(index) {
        _ if index > rank as usize => Ok(1),
        side @ 1.. => Ok(side as usize),
        side => Err(format!("dimension {index} has the size {side}, expected at least 1")),
    };
    let volumes = (4..=7).map(side).try_fold(1, |product: usize, side| Ok::<_, String>(product * side?))?;
    Ok(([side(1)?, side(2)?, side(3)?], volumes))
}

/// Voxel index to mm: sform, else qform, else from the voxel sizes as nibabel does it.
fn affine(header: &NiftiHeader) -> [[f64; 4]; 4] {
    let bottom = [0.0, 0.0, 0.0, 1.0];
    if header.sform_code > 0 {
        let row = |row: [f32; 4]| row.map(f64::from);
        return [row(header.srow_x), row(header.srow_y), row(header.srow_z), bottom];
    }
    let sizes = [1, 2, 3].map(|axis| f64::from(header.pixdim[axis]));
    if header.qform_code > 0 {
        return qform(header, sizes);
    }
    // nibabel's base affine: the first axis towards the left, the volume's centre at the origin.
    let scale = [-sizes[0], sizes[1], sizes[2]];
    let mut affine = [[0.0; 4]; 4];
    for axis in 0..3 {
        affine[axis][axis] = scale[axis];
        affine[axis][3] = -scale[axis] * (f64::from(header.dim[axis + 1].max(1)) - 1.0) / 2.0;
    }
    affine[3] = bottom;
    affine
}

/// The rotation of a unit quaternion, scaled and moved. Source: the NIfTI-1 standard, `nifti1.h`, method 2.
fn qform(header: &NiftiHeader, sizes: [f64; 3]) -> [[f64; 4]; 4] {
    let [b, c, d] = [header.quatern_b, header.quatern_c, header.quatern_d].map(f64::from);
    let a = (1.0 - (b * b + c * c + d * d)).max(0.0).sqrt();
    let rotation = [
        [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
        [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
        [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ];
    let handedness = if header.pixdim[0] < 0.0 { -1.0 } else { 1.0 };
    let offset = [header.quatern_x, header.quatern_y, header.quatern_z].map(f64::from);
    let row = |row: usize| {
        let [x, y, z] = rotation[row];
        [x * sizes[0], y * sizes[1], z * sizes[2] * handedness, offset[row]]
    };
    [row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]]
}
