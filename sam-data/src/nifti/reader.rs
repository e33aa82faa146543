//! Reads single slices of a volume that does not have to fit into memory.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use ndarray::{Array2, ArrayView2, ShapeBuilder};

use super::{
    Found, ReadOptions, decode,
    header::Layout,
    non_finite, scaled,
    source::{Head, Raw, Source},
    stream::CHUNK,
};
use crate::{DataError, Grid, ScanNote, SlicePlane, SourceHeader};

/// Largest size of a band: neighbouring slices that are read together.
const BAND: usize = 32 << 20;

/// A reader that decodes slices of a volume on disk on demand.
///
/// # Memory
/// - Uncompressed file: 32 MiB or one slice in the file's type, whichever is larger, and the decoded slice. Slices that are not contiguous
///   in the file are read in bands of neighbours, so read them in order.
/// - Compressed file: all voxels in the file's type, because gzip has no random access, and the decoded slice. A file that cannot hold the
///   voxels that its header announces is refused before: gzip unpacks to at most 1032 times the file's length.
///
/// 512 × 512 × 1000 voxels of 16 bits need 1000 MiB as a [`Volume`](crate::Volume). Here they need less than 40 MiB from a `.nii`, and
/// little more than their own 500 MiB from a `.nii.gz`.
///
/// ```
/// use sam_data::{PhantomConfig, SliceAxis, SlicePlane, VolumeReader, write_volume};
///
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let path = folder.path().join("scan.nii");
/// let phantom = PhantomConfig::default().with_shape([48, 40, 12]).generate();
/// write_volume(&path, &phantom.volume)?;
///
/// let mut reader = VolumeReader::open(&path)?;
/// let plane = SlicePlane::new(reader.grid(), SliceAxis::Axial);
/// let slice = reader.slice(&plane, 5)?;
/// assert_eq!(slice, plane.extract(phantom.volume.voxels.view(), 5));
/// # Ok::<(), sam_data::DataError>(())
/// ```
#[derive(Debug)]
pub struct VolumeReader {
    path: PathBuf,
    layout: Layout,
    grid: Grid,
    header: SourceHeader,
    notes: Vec<ScanNote>,
    options: ReadOptions,
    voxels: Raw,
    band: Band,
    /// The lowest finite intensity of the volume, once it was needed.
    lowest: Option<f32>,
}

impl VolumeReader {
    /// Opens a single volume, as [`read_volume`](crate::read_volume) does.
    ///
    /// # Errors
    /// As [`read_volume`](crate::read_volume), except that voxels that are NaN or infinite are an error of [`VolumeReader::slice`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        Self::open_with(path, &ReadOptions::default())
    }

    /// Opens a volume with options.
    ///
    /// # Errors
    /// As [`VolumeReader::open`], and [`DataError::NoSuchVolume`].
    pub fn open_with(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Self, DataError> {
        let path = path.as_ref();
        let (voxels, Head { layout, header, grid, notes, .. }) = Source::open(path, options.volume_index)?.raw()?;
        let (path, options, band) = (path.to_path_buf(), *options, Band::of(BAND));
        Ok(Self { path, layout, grid, header, notes, options, voxels, band, lowest: None })
    }

    /// What the person must know about how the file was read. Voxels that are NaN or infinite are not noted, because they may not have been
    /// read yet.
    pub fn notes(&self) -> &[ScanNote] {
        &self.notes
    }

    /// The grid of the volume.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The file's header, to write masks with: see [`write_labels_on`](crate::write_labels_on).
    pub fn header(&self) -> &SourceHeader {
        &self.header
    }

    /// Decodes a slice. The result equals that of [`SlicePlane::extract`] on the whole volume.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::NonFinite`] with the number of such voxels in this slice; [`DataError::Shape`] if the plane
    /// belongs to a grid of another shape; [`DataError::NoSuchSlice`].
    pub fn slice(&mut self, plane: &SlicePlane, index: usize) -> Result<Array2<f32>, DataError> {
        let [i, j, k] = self.grid.shape;
        plane.check((i, j, k), index)?;
        let cut = Cut::new(&self.layout, plane.axis());
        let bytes = match &mut self.voxels {
            // The voxels in memory are like a band of all slices.
            Raw::Memory(voxels) => cut.gather(voxels, cut.count, index),
            Raw::File { file, start } => {
                let held = self.band.hold(file, *start, cut, index);
                held.map_err(|source| DataError::Read { path: self.path.clone(), source })?;
                cut.gather(&self.band.bytes, self.band.width, index - self.band.first)
            }
        };
        let mut values = Vec::with_capacity(cut.sides.0 * cut.sides.1);
        decode::append(&mut values, &bytes, self.layout.kind, self.layout.little_endian, scaled(self.layout.scaling));
        if let Some(Found { count, first }) = Found::among(&values) {
            let value = self.options.non_finite.value(|| self.lowest())?;
            let refuse = || {
                let first = cut.voxel(index, first);
                DataError::NonFinite { path: self.path.clone(), count, first }
            };
            non_finite::replace(&mut values, value.ok_or_else(refuse)?);
        }
        Ok(plane.turn(cut.view(&values)))
    }

    /// The lowest finite intensity of the whole volume; `None` if there is none. Reads the volume once.
    fn lowest(&mut self) -> Result<Option<f32>, DataError> {
        if self.lowest.is_some() {
            return Ok(self.lowest);
        }
        let Layout { kind, little_endian, scaling, length, .. } = self.layout;
        let (mut lowest, mut values) = (None, Vec::new());
        let mut take = |bytes: &[u8]| {
            values.clear();
            decode::append(&mut values, bytes, kind, little_endian, scaled(scaling));
            lowest = lowest.into_iter().chain(non_finite::lowest(&values)).reduce(f32::min);
        };
        match &self.voxels {
            Raw::Memory(voxels) => voxels.chunks(CHUNK).for_each(take),
            Raw::File { file, start } => {
                let (mut file, mut bytes, mut left) = (file, vec![0; CHUNK], length);
                let mut read = || {
                    file.seek(SeekFrom::Start(*start))?;
                    while left > 0 {
                        let chunk = &mut bytes[..left.min(CHUNK)];
                        file.read_exact(chunk)?;
                        take(chunk);
                        left -= chunk.len();
                    }
                    Ok::<_, io::Error>(())
                };
                read().map_err(|source| DataError::Read { path: self.path.clone(), source })?;
            }
        }
        self.lowest = lowest;
        Ok(lowest)
    }
}

/// The layout in a file of the slices along an axis.
///
/// A file is a sequence of blocks. Each block has one run of bytes for each slice, so a slice consists of one run from each block. Along
/// the last axis there is one block, and a run is a whole slice. Along the first axis, a run is a single number.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cut {
    axis: usize,
    /// Number of slices.
    count: usize,
    /// Bytes in a run.
    run: usize,
    blocks: usize,
    /// The sides of a slice, in file order.
    sides: (usize, usize),
}

impl Cut {
    fn new(layout: &Layout, axis: usize) -> Self {
        let [i, j, k] = layout.shape;
        let size = layout.length / (i * j * k);
        let (run, blocks, sides) = [(size, j * k, (j, k)), (size * i, k, (i, k)), (size * i * j, 1, (i, j))][axis];
        Self { axis, count: layout.shape[axis], run, blocks, sides }
    }

    /// Collects the bytes of a slice from blocks of `width` runs.
    fn gather(&self, blocks: &[u8], width: usize, number: usize) -> Vec<u8> {
        let mut slice = Vec::with_capacity(self.run * self.blocks);
        for block in blocks.chunks_exact(width * self.run) {
            slice.extend_from_slice(&block[number * self.run..][..self.run]);
        }
        slice
    }

    /// The decoded voxels of a slice as an array.
    #[expect(clippy::expect_used, reason = "the reader has checked the number of bytes")]
    fn view<'a>(&self, values: &'a [f32]) -> ArrayView2<'a, f32> {
        ArrayView2::from_shape(self.sides.f(), values).expect("as many bytes as a slice needs")
    }

    /// The array index of the voxel at a position in a slice.
    fn voxel(&self, slice: usize, position: usize) -> [usize; 3] {
        let (low, high) = (position % self.sides.0, position / self.sides.0);
        match self.axis {
            0 => [slice, low, high],
            1 => [low, slice, high],
            _ => [low, high, slice],
        }
    }
}

/// Neighbouring slices of a file that were read together (a band).
#[derive(Debug)]
struct Band {
    /// Largest size in bytes. One slice is held even if it is larger.
    most: usize,
    /// `None` before the first read and after a failed read.
    cut: Option<Cut>,
    first: usize,
    width: usize,
    /// Blocks of `width` runs.
    bytes: Vec<u8>,
}

impl Band {
    fn of(most: usize) -> Self {
        Self { most, cut: None, first: 0, width: 0, bytes: Vec::new() }
    }

    /// Reads the band that contains a slice, unless it is already held.
    fn hold(&mut self, file: &File, start: u64, cut: Cut, slice: usize) -> io::Result<()> {
        if self.cut == Some(cut) && (self.first..self.first + self.width).contains(&slice) {
            return Ok(());
        }
        self.cut = None;
        // A contiguous slice needs no band.
        let most = if cut.blocks == 1 { 1 } else { (self.most / (cut.run * cut.blocks)).clamp(1, cut.count) };
        self.first = slice / most * most;
        self.width = most.min(cut.count - self.first);
        let (read, passed) = (self.width * cut.run, (cut.count - self.width) * cut.run);
        self.bytes.resize(read * cut.blocks, 0);
        let mut file = BufReader::with_capacity(256 << 10, file);
        file.seek(SeekFrom::Start(start + (self.first * cut.run) as u64))?;
        for (number, block) in self.bytes.chunks_exact_mut(read).enumerate() {
            if number > 0 {
                file.seek_relative(passed as i64)?;
            }
            file.read_exact(block)?;
        }
        self.cut = Some(cut);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;
    use proptest::prelude::*;

    use super::*;
    use crate::{SliceAxis, Volume, write_volume};

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// The bands are small, so that a volume has several of them and an incomplete last one. Slices are read in any order.
        #[test]
        fn bands_of_any_size_hold_the_same_slices(
            shape in prop::array::uniform3(1_usize..9),
            most in 0_usize..400,
            order in prop::collection::vec((0_usize..3, 0_usize..9), 1..20),
        ) {
            let [i, j, k] = shape;
            let voxels = Array3::from_shape_fn((i, j, k), |(i, j, k)| (100 * i + 10 * j + k) as f32);
            let affine = [[0.0, 2.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
            let volume = Volume::new(voxels, affine);
            let folder = tempfile::tempdir().expect("a temporary folder");
            let path = folder.path().join("scan.nii");
            write_volume(&path, &volume).expect("a writable folder");
            let mut reader = VolumeReader::open(&path).expect("just written");
            reader.band = Band::of(most);
            for (axis, index) in order {
                let plane = SlicePlane::new(&volume.grid, [SliceAxis::I, SliceAxis::J, SliceAxis::K][axis]);
                let index = index % plane.count();
                let slice = reader.slice(&plane, index).expect("just written");
                prop_assert_eq!(slice, plane.extract(volume.voxels.view(), index));
            }
        }
    }
}
