//! What can be wrong with data.
//!
//! Every error says what was expected, what was found, where, and what to do next. A cause is a `source` and never repeated in the text.

#[cfg(feature = "dicom")]
mod dicom;
mod image;
mod layout;
mod value;

use std::{io, path::PathBuf};

use sam_files::{ReadError, WriteError};
#[cfg(test)]
pub(crate) use sam_prompt::error_chain;
use thiserror::Error;

#[cfg(feature = "dicom")]
pub use self::dicom::{DicomError, SegmentationError, SeriesSummary};
pub use self::{
    image::{ImageError, MatlabError},
    layout::{LabelTableError, LayoutError},
    value::{GridError, ResampleError, WindowError},
};
use crate::GridMismatch;

/// An error of another crate that is not part of this crate's interface.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why data could not be read, understood or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file that cannot be opened or read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A file that cannot be written.
    #[error("cannot write {}; check that the folder exists and is writable", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A file that ends too early.
    #[error("{} is truncated: expected {expected} bytes of {what}, found {found}; copy or download it again", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Which part ends early.
        what: &'static str,
        /// Bytes that its header announces.
        expected: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// A compressed file whose content does not match its own checksum, or cannot be decompressed at all.
    #[error("{} is damaged; copy or download it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the decompressor found.
        #[source]
        source: io::Error,
    },
    /// A file that is no NIfTI, or of a kind that is not read.
    #[error("{} cannot be read as NIfTI: expected {expected}, found {found}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is understood.
        expected: &'static str,
        /// What is there, and what to do about it.
        found: String,
    },
    /// A DICOM file or series that is no volume, or of a kind that is not read.
    #[cfg(feature = "dicom")]
    #[error("{} cannot be read as DICOM", path.display())]
    Dicom {
        /// The file or folder.
        path: PathBuf,
        /// What was expected, what was found, and what to do about it.
        #[source]
        source: DicomError,
    },
    /// A mask that DICOM SEG cannot hold.
    #[cfg(feature = "dicom")]
    #[error("{} cannot be written as DICOM SEG", path.display())]
    Segmentation {
        /// The file.
        path: PathBuf,
        /// What was expected, what was found, and what to do about it.
        #[source]
        source: SegmentationError,
    },
    /// A DICOM scan, in a program that was built without DICOM.
    #[error(
        "{} is a folder or a DICOM file, but this program was built without DICOM: build sam-data with its feature `dicom`, or convert \
         the scan to NIfTI",
        path.display()
    )]
    WithoutDicom {
        /// The file or folder.
        path: PathBuf,
    },
    /// A scan that is no DICOM series, where one is needed.
    #[error("{} is no DICOM series, but {purpose}: leave that out, or open the series", path.display())]
    NotDicom {
        /// The scan.
        path: PathBuf,
        /// What a series is needed for.
        purpose: &'static str,
    },
    /// A scan that came from no file, where its files are needed to identify it.
    #[error("{name} lies in memory alone: write it with `write_volume`, and open the file")]
    InMemory {
        /// The scan.
        name: String,
    },
    /// Half of a header pair without the other.
    #[error(
        "{} is the header of a pair, but there is no file of voxels beside it: expected the same name ending in .img or .img.gz; copy \
         both files",
        path.display()
    )]
    Half {
        /// The header.
        path: PathBuf,
    },
    /// Several volumes in one file, where one is wanted.
    #[error("{} holds {found} volumes (its fourth dimension), but one is wanted: choose one, from 0 to {}", path.display(), found - 1)]
    SeveralVolumes {
        /// The file.
        path: PathBuf,
        /// How many volumes it holds.
        found: usize,
    },
    /// A volume beyond the last one of a file.
    #[error("{} holds {found} volume(s), numbered from 0, but volume {asked} was asked for", path.display())]
    NoSuchVolume {
        /// The file.
        path: PathBuf,
        /// The number asked for.
        asked: usize,
        /// How many volumes it holds.
        found: usize,
    },
    /// A volume that does not fit into memory.
    #[error("{} holds {shape:?} voxels, more than fit into memory; read it slice by slice, or resample or crop it", path.display())]
    Memory {
        /// The file.
        path: PathBuf,
        /// The volume's shape.
        shape: [usize; 3],
    },
    /// Voxels that are NaN or infinite.
    #[error(
        "{} has {count} voxel(s) that are NaN or infinite, the first at index {first:?}; replace them in the scan, or read it with a \
         replacement value",
        path.display()
    )]
    NonFinite {
        /// The file.
        path: PathBuf,
        /// How many there are.
        count: usize,
        /// Voxel index of the first.
        first: [usize; 3],
    },
    /// A label that is no whole number from 0 to 65535.
    #[error("{} is no label map: voxel {index:?} is {value}, expected whole numbers from 0 to 65535", path.display())]
    NoLabel {
        /// The file.
        path: PathBuf,
        /// Voxel index.
        index: [usize; 3],
        /// What was found.
        value: f64,
    },
    /// A file whose header does not say where its voxels lie.
    #[error("{} does not say where its voxels lie", path.display())]
    Affine {
        /// The file.
        path: PathBuf,
        /// What is wrong with its grid.
        #[source]
        source: GridError,
    },
    /// A grid that cannot exist.
    #[error("no volume can lie on this grid")]
    InvalidGrid {
        /// What is wrong with it.
        #[from]
        source: GridError,
    },
    /// A mask on another grid than its image.
    #[error("{} does not lie on the grid of {}; resample it onto the image's grid", mask.display(), image.display())]
    Grid {
        /// The mask.
        mask: PathBuf,
        /// The image.
        image: PathBuf,
        /// How they differ.
        #[source]
        mismatch: Box<GridMismatch>,
    },
    /// An array of another shape than its grid, or a grid of another shape than its header.
    #[error(
        "an array of shape {found:?} does not fit the image's {expected:?}: keep the image's voxel order and shape"
    )]
    Shape {
        /// The image's shape.
        expected: [usize; 3],
        /// The array's shape.
        found: [usize; 3],
    },
    /// A slice of another size than its volume's slices.
    #[error(
        "a slice of {found:?} rows and columns does not fit the volume's slices of {expected:?}; cut it with SlicePlane::extract"
    )]
    SliceSize {
        /// Rows and columns of the volume's slices.
        expected: (usize, usize),
        /// Rows and columns of the slice.
        found: (usize, usize),
    },
    /// A slice beyond the last one.
    #[error("there are {count} slice(s), numbered from 0, but slice {index} was asked for")]
    NoSuchSlice {
        /// The slice that was asked for.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// Grids between which voxels cannot be resampled.
    #[error("cannot resample")]
    Resample {
        /// Why not.
        #[from]
        source: ResampleError,
    },
    /// A volume that does not fit NIfTI-1, whose sides are 16-bit numbers.
    #[error("{} cannot hold a volume of shape {found:?}: a side of a NIfTI-1 volume has 1 to 32767 voxels", path.display())]
    Sides {
        /// The file.
        path: PathBuf,
        /// The volume's shape.
        found: [usize; 3],
    },
    /// An output name whose ending does not fit the format.
    #[error("{} must end in {expected}", path.display())]
    Extension {
        /// The name given.
        path: PathBuf,
        /// The endings that are accepted.
        expected: &'static str,
    },
    /// An image file that cannot be read or written.
    #[error("{} cannot be used as an image", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        #[source]
        source: ImageError,
    },
    /// A label table that cannot be understood.
    #[error("{} is no label table; expected JSON like {{\"0\": \"background\", \"1\": \"liver\"}}", path.display())]
    Labels {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: LabelTableError,
    },
    /// A structure that the label table does not have.
    #[error("there is no structure \"{name}\"{}; there are: {available}", nearest.as_ref().map_or(String::new(), |near| format!(" (did you mean \"{near}\"?)")))]
    NoSuchStructure {
        /// What was asked for.
        name: String,
        /// The most similar name.
        nearest: Option<String>,
        /// All names and values.
        available: String,
    },
    /// Two structures under one name, whose results could not be told apart.
    #[error("there are two structures \"{name}\"; name one of them differently, like other={name}")]
    SameName {
        /// The name.
        name: String,
    },
    /// A window that cannot be applied.
    #[error("the window {window} cannot be used")]
    Window {
        /// The window, as written.
        window: String,
        /// What is wrong and what to do.
        #[source]
        source: WindowError,
    },
    /// A word that is none of those expected.
    #[error("expected {expected}, found \"{found}\"")]
    Word {
        /// What is understood.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// A folder without data of a known layout.
    #[error("{} holds no data that can be read", path.display())]
    Layout {
        /// The folder.
        path: PathBuf,
        /// What was looked for and what was found.
        #[source]
        source: LayoutError,
    },
    /// A case of a data set that cannot be used.
    #[error("the case \"{name}\" cannot be used")]
    Case {
        /// The case's name.
        name: String,
        /// Why not.
        #[source]
        source: Box<DataError>,
    },
    /// A case that a data set does not have, or several have.
    #[error(
        "{} called \"{name}\"; name one case, as in \"{nearest}\"",
        if *found == 0 { "there is no case".to_owned() } else { format!("there are {found} cases") }
    )]
    NoSuchCase {
        /// What was asked for.
        name: String,
        /// How many have that name.
        found: usize,
        /// The most similar one.
        nearest: String,
    },
    /// Cases that cannot be divided as asked.
    #[error(
        "{cases} case(s) cannot be divided into {folds} fold(s): each needs at least one to learn from and one to test"
    )]
    Folds {
        /// How many were asked for.
        folds: usize,
        /// How many cases there are.
        cases: usize,
    },
}

impl From<WriteError> for DataError {
    fn from(WriteError { path, source }: WriteError) -> Self {
        Self::Write { path, source }
    }
}

impl From<ReadError> for DataError {
    fn from(ReadError { path, source }: ReadError) -> Self {
        Self::Read { path, source }
    }
}
