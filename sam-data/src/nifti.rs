//! NIfTI-1 in and out.
//!
//! The fields of a header and its type codes are told by the `nifti` crate. The rest is written here:
//! - its reader reserves the memory that a header announces before it has seen the voxels, and a damaged header announces anything;
//! - its writer builds a header from its own fields, whereas a mask must leave with the bytes that its image came with;
//! - it opens files by their names, whereas content decides here.

mod affine;
mod decode;
mod header;
mod write;

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;
use ndarray::{Array3, ShapeBuilder};

use header::Layout;
pub use write::{check_output, write_labels, write_volume};

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
/// [`DataError::Read`], [`DataError::Truncated`], [`DataError::Damaged`], [`DataError::Format`], [`DataError::SeveralVolumes`] or
/// [`DataError::NonFinite`].
pub fn read_volume(path: &Path) -> Result<Volume, DataError> {
    read_volume_with(path, &ReadOptions::default())
}

/// Reads a volume as told by the options.
///
/// # Errors
/// As [`read_volume`], and [`DataError::NoSuchVolume`].
pub fn read_volume_with(path: &Path, options: &ReadOptions) -> Result<Volume, DataError> {
    let raw = RawVolume::read(path, options.time)?;
    let (slope, intercept) = raw.layout.scaling;
    let mut voxels = raw.decode(|value| (value * slope + intercept) as f32);
    match options.non_finite {
        NonFinite::Replace(value) => voxels.mapv_inplace(|voxel| if voxel.is_finite() { voxel } else { value }),
        NonFinite::Reject => {
            let mut bad = voxels.indexed_iter().filter(|(_, voxel)| !voxel.is_finite()).map(|(index, _)| index);
            if let Some((i, j, k)) = bad.next() {
                return Err(DataError::NonFinite {
                    path: path.to_path_buf(),
                    count: 1 + bad.count(),
                    first: [i, j, k],
                });
            }
        }
    }
    Ok(Volume { voxels, grid: raw.grid(), header: Some(raw.source) })
}

/// Reads a label map: whole numbers from 0 to 65535, whatever type they are stored in.
///
/// # Errors
/// As [`read_volume`], and [`DataError::NoLabel`] for any other value.
pub fn read_labels(path: &Path) -> Result<LabelVolume, DataError> {
    let raw = RawVolume::read(path, None)?;
    let (slope, intercept) = raw.layout.scaling;
    let values = raw.decode(|value| value * slope + intercept);
    let is_label = |value: f64| value.fract() == 0.0 && (0.0..=f64::from(u16::MAX)).contains(&value);
    if let Some(((i, j, k), &value)) = values.indexed_iter().find(|&(_, &value)| !is_label(value)) {
        return Err(DataError::NoLabel { path: path.to_path_buf(), index: [i, j, k], value });
    }
    Ok(LabelVolume { labels: values.mapv(|value| value as u16), grid: raw.grid() })
}

/// A file's header and the undecoded voxels of one volume.
struct RawVolume {
    layout: Layout,
    source: SourceHeader,
    voxels: Vec<u8>,
}

impl RawVolume {
    fn read(path: &Path, time: Option<usize>) -> Result<Self, DataError> {
        let mut stream = Stream::open(path)?;
        let bytes = stream.part(HEADER_LENGTH, "header")?;
        let layout = Layout::parse(&bytes).map_err(|complaint| DataError::Format {
            path: path.to_path_buf(),
            expected: complaint.expected,
            found: complaint.found,
        })?;
        let volumes = layout.volumes;
        let wanted = match time {
            Some(time) if time < volumes => time,
            Some(asked) => return Err(DataError::NoSuchVolume { path: path.to_path_buf(), asked, found: volumes }),
            None if volumes == 1 => 0,
            None => return Err(DataError::SeveralVolumes { path: path.to_path_buf(), found: volumes }),
        };
        let extensions = stream.part(layout.offset - HEADER_LENGTH, "extensions")?;
        stream.skip(wanted, layout.length)?;
        let voxels = stream.part(layout.length, "voxels")?;
        stream.skip(volumes - 1 - wanted, layout.length)?;
        stream.finish()?;
        let source = SourceHeader { bytes, extensions, little_endian: layout.little_endian };
        Ok(Self { layout, source, voxels })
    }

    fn grid(&self) -> Grid {
        Grid::new(self.layout.shape, self.layout.affine)
    }

    fn decode<T>(&self, convert: impl Fn(f64) -> T) -> Array3<T> {
        let values = decode::values(&self.voxels, self.layout.kind, self.layout.little_endian, convert);
        let [i, j, k] = self.layout.shape;
        Array3::from_shape_vec((i, j, k).f(), values).expect("as many bytes were read as the shape needs")
    }
}

/// The bytes of a file, unpacked where they are gzip's.
struct Stream<'a> {
    path: &'a Path,
    bytes: Box<dyn Read>,
}

impl<'a> Stream<'a> {
    fn open(path: &'a Path) -> Result<Self, DataError> {
        let open = || {
            let mut file = BufReader::new(File::open(path)?);
            let is_gzip = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
            Ok::<Box<dyn Read>, io::Error>(if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
        };
        let bytes = open().map_err(|source| DataError::Read { path: path.to_path_buf(), source })?;
        Ok(Self { path, bytes })
    }

    /// Reads exactly so many bytes. Memory grows with what is really there, not with what a header announces.
    fn part(&mut self, expected: usize, what: &'static str) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        let outcome = (&mut self.bytes).take(expected as u64).read_to_end(&mut bytes);
        self.complete(outcome.map(|_| ()), what, expected, bytes.len())?;
        Ok(bytes)
    }

    /// Passes over whole volumes, which must be there nonetheless.
    fn skip(&mut self, volumes: usize, length: usize) -> Result<(), DataError> {
        let expected = volumes.saturating_mul(length);
        let mut found = 0;
        let outcome = io::copy(&mut (&mut self.bytes).take(expected as u64), &mut io::sink());
        let outcome = outcome.map(|passed| found = passed as usize);
        self.complete(outcome, "other volumes", expected, found)
    }

    /// Compares gzip's checksum, which happens where its stream ends: one byte beyond the voxels.
    fn finish(mut self) -> Result<(), DataError> {
        let outcome = (&mut self.bytes).take(1).read_to_end(&mut Vec::new());
        outcome.map(drop).map_err(|source| self.failure(source))
    }

    fn complete(
        &self,
        outcome: io::Result<()>,
        what: &'static str,
        expected: usize,
        found: usize,
    ) -> Result<(), DataError> {
        match outcome {
            Ok(()) if found == expected => Ok(()),
            Err(source) if source.kind() != io::ErrorKind::UnexpectedEof => Err(self.failure(source)),
            // A plain file ends, a gzip stream is cut off.
            _ => Err(DataError::Truncated { path: self.path.to_path_buf(), what, expected, found }),
        }
    }

    fn failure(&self, source: io::Error) -> DataError {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        let path = self.path.to_path_buf();
        match source.kind() {
            InvalidData | InvalidInput | UnexpectedEof => DataError::Damaged { path, source },
            _ => DataError::Read { path, source },
        }
    }
}
