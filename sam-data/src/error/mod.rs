//! Errors of reading and writing data.
//!
//! Every message says what was expected, what was found, where, and what to do next. A cause is the error's `source`; the message never
//! repeats it.

#[cfg(feature = "dicom")]
mod dicom;
mod image;
mod layout;
#[cfg(feature = "dicom")]
mod segmentation;
mod value;

use std::{io, path::PathBuf};

use sam_files::{ReadError, WriteError};
use sam_prompt::SliceNumber;
#[cfg(test)]
pub(crate) use sam_prompt::error_chain;
use thiserror::Error;

#[cfg(feature = "dicom")]
pub use self::{
    dicom::{DicomError, SeriesSummary},
    segmentation::SegmentationError,
};
pub use self::{
    image::{ImageError, MatlabError},
    layout::{LabelTableError, LayoutError},
    value::{GridError, PlacementError, ResampleError, WindowError},
};
use crate::GridMismatch;

/// An error of another crate that is not part of this crate's public API.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The error of reading, checking or writing data.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file cannot be opened or read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}; check that the folder exists and is writable", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// A file is truncated.
    #[error("{} is truncated: expected {expected} bytes of {what}, found {found}; copy or download it again", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The truncated part.
        what: &'static str,
        /// Bytes expected.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// A compressed file cannot be decompressed, or its checksum is wrong.
    #[error("{} is damaged; copy or download it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The decompressor's error.
        #[source]
        source: io::Error,
    },
    /// A file is not NIfTI, or of a kind that is not supported.
    #[error("{} cannot be read as NIfTI: expected {expected}, found {found}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What was expected.
        expected: &'static str,
        /// What was found, and what to do about it.
        found: String,
    },
    /// A DICOM file or series is not a volume or is not supported.
    #[cfg(feature = "dicom")]
    #[error("{} cannot be read as DICOM", path.display())]
    Dicom {
        /// The file or folder.
        path: PathBuf,
        /// What was expected, what was found, and what to do about it.
        #[source]
        source: DicomError,
    },
    /// A mask cannot be written as DICOM SEG.
    #[cfg(feature = "dicom")]
    #[error("{} cannot be written as DICOM SEG", path.display())]
    Segmentation {
        /// The file.
        path: PathBuf,
        /// What was expected, what was found, and what to do about it.
        #[source]
        source: SegmentationError,
    },
    /// The scan is DICOM, but the program was built without the feature `dicom`.
    #[error(
        "{} is a folder or a DICOM file, but this program was built without DICOM: build sam-data with its feature `dicom`, or convert \
         the scan to NIfTI",
        path.display()
    )]
    WithoutDicom {
        /// The file or folder.
        path: PathBuf,
    },
    /// A DICOM series is needed, but the scan is none.
    #[error("{} is no DICOM series, but {purpose}: leave that out, or open the series", path.display())]
    NotDicom {
        /// The scan.
        path: PathBuf,
        /// What the series is needed for.
        purpose: &'static str,
    },
    /// The scan was not read from a file, so it has no identity.
    #[error("{name} lies in memory alone: write it with `write_volume`, and open the file")]
    InMemory {
        /// The scan.
        name: String,
    },
    /// The other file of a header pair is missing.
    #[error(
        "{} is the header of a pair, but there is no file of voxels beside it: expected the same name ending in .img or .img.gz; copy \
         both files",
        path.display()
    )]
    Half {
        /// The header.
        path: PathBuf,
    },
    /// The file holds several volumes, and none was chosen.
    #[error("{} holds {found} volumes (its fourth dimension), but one is wanted; choose one from 1 to {found}, or save it as a file of its own", path.display())]
    SeveralVolumes {
        /// The file.
        path: PathBuf,
        /// Number of volumes in the file.
        found: usize,
    },
    /// The file does not have the volume that was asked for.
    #[error("{} holds {found} volume(s), counted from 1, but volume {} was asked for", path.display(), asked + 1)]
    NoSuchVolume {
        /// The file.
        path: PathBuf,
        /// Index of the volume, counted from 0.
        asked: usize,
        /// Number of volumes in the file.
        found: usize,
    },
    /// A volume does not fit into memory.
    #[error("{} holds {shape:?} voxels, more than fit into memory; read it slice by slice, or resample or crop it", path.display())]
    Memory {
        /// The file.
        path: PathBuf,
        /// The volume's shape.
        shape: [usize; 3],
    },
    /// The volume has voxels that are NaN or infinite.
    #[error(
        "{} has {count} voxel(s) that are NaN or infinite, the first at index {first:?}, and there is no value to replace them by; give one, \
         or replace them in the scan",
        path.display()
    )]
    NonFinite {
        /// The file.
        path: PathBuf,
        /// Number of these voxels.
        count: usize,
        /// Voxel index of the first.
        first: [usize; 3],
    },
    /// A label is not a whole number from 0 to 65535.
    #[error("{} is no label map: voxel {index:?} is {value}, expected whole numbers from 0 to 65535", path.display())]
    NoLabel {
        /// The file.
        path: PathBuf,
        /// Voxel index.
        index: [usize; 3],
        /// The value found.
        value: f64,
    },
    /// The affine of a file is not valid.
    #[error("{} does not say where its voxels lie", path.display())]
    Affine {
        /// The file.
        path: PathBuf,
        /// What is wrong with the grid.
        #[source]
        source: GridError,
    },
    /// A grid is not valid.
    #[error("no volume can lie on this grid")]
    InvalidGrid {
        /// What is wrong with the grid.
        #[from]
        source: GridError,
    },
    /// Image and mask have different grids.
    #[error(
        "{} does not lie on the grid of {}; resample it onto the image's grid with nearest neighbours, for example in 3D Slicer by \
         exporting it as a label map with the image as reference volume",
        mask.display(),
        image.display()
    )]
    Grid {
        /// The mask.
        mask: PathBuf,
        /// The image.
        image: PathBuf,
        /// How they differ.
        #[source]
        mismatch: Box<GridMismatch>,
    },
    /// A label map cannot be put on the image's grid.
    #[error("{} cannot be put on the grid of {}", mask.display(), image.display())]
    Placement {
        /// The mask.
        mask: PathBuf,
        /// The image.
        image: PathBuf,
        /// Why not.
        #[source]
        source: PlacementError,
    },
    /// An array has another shape than its grid, or a grid another shape than its header.
    #[error(
        "an array of shape {found:?} does not fit the image's {expected:?}: keep the image's voxel order and shape"
    )]
    Shape {
        /// The image's shape.
        expected: [usize; 3],
        /// The array's shape.
        found: [usize; 3],
    },
    /// A slice has another size than the slices of the volume.
    #[error(
        "a slice of {found:?} rows and columns does not fit the volume's slices of {expected:?}; cut it with SlicePlane::extract"
    )]
    SliceSize {
        /// Rows and columns of the volume's slices.
        expected: (usize, usize),
        /// Rows and columns of the slice.
        found: (usize, usize),
    },
    /// The volume does not have the slice that was asked for.
    #[error("there are {count} slice(s), counted from 1, but slice {} was asked for", SliceNumber::of_index(*index))]
    NoSuchSlice {
        /// The slice, counted from 0.
        index: usize,
        /// Number of slices.
        count: usize,
    },
    /// Voxels cannot be resampled from one grid to the other.
    #[error("cannot resample")]
    Resample {
        /// Why not.
        #[from]
        source: ResampleError,
    },
    /// The volume does not fit NIfTI-1, whose sides are 16-bit numbers.
    #[error("{} cannot hold a volume of shape {found:?}: a side of a NIfTI-1 volume has 1 to 32767 voxels", path.display())]
    Sides {
        /// The file.
        path: PathBuf,
        /// The volume's shape.
        found: [usize; 3],
    },
    /// The output name has the wrong extension.
    #[error("{} must end in {expected}", path.display())]
    Extension {
        /// The name given.
        path: PathBuf,
        /// The extensions that are accepted.
        expected: &'static str,
    },
    /// An image file cannot be read or written.
    #[error("{} cannot be used as an image", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        #[source]
        source: ImageError,
    },
    /// A label table cannot be understood.
    #[error("{} is no label table; expected JSON like {{\"0\": \"background\", \"1\": \"liver\"}}", path.display())]
    Labels {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: LabelTableError,
    },
    /// The label table does not have the structure.
    #[error("there is no structure \"{name}\"{}; there are: {available}", nearest.as_ref().map_or(String::new(), |near| format!(" (did you mean \"{near}\"?)")))]
    NoSuchStructure {
        /// The name that was asked for.
        name: String,
        /// The most similar name.
        nearest: Option<String>,
        /// All names and values.
        available: String,
    },
    /// Two structures have the same name, so their results could not be distinguished.
    #[error("there are two structures \"{name}\"; name one of them differently, like other={name}")]
    SameName {
        /// The name.
        name: String,
    },
    /// A window cannot be applied.
    #[error("the window {window} cannot be used")]
    Window {
        /// The window in text form.
        window: String,
        /// What is wrong, and what to do.
        #[source]
        source: WindowError,
    },
    /// A word is not one of those expected.
    #[error("expected {expected}, found \"{found}\"")]
    Word {
        /// The words that are accepted.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// A folder holds no data of a known layout.
    #[error("{} holds no data that can be read", path.display())]
    Layout {
        /// The folder.
        path: PathBuf,
        /// What was looked for and what was found.
        #[source]
        source: LayoutError,
    },
    /// A case of a data set cannot be used.
    #[error("the case \"{name}\" cannot be used")]
    Case {
        /// The case's name.
        name: String,
        /// Why not.
        #[source]
        source: Box<DataError>,
    },
    /// No case, or more than one, has the name that was asked for.
    #[error(
        "{} called \"{name}\"; name one case, as in \"{nearest}\"",
        if *found == 0 { "there is no case".to_owned() } else { format!("there are {found} cases") }
    )]
    NoSuchCase {
        /// The name that was asked for.
        name: String,
        /// Number of cases with that name.
        found: usize,
        /// The most similar name.
        nearest: String,
    },
    /// The cases cannot be divided into the requested folds.
    #[error(
        "{cases} case(s) cannot be divided into {folds} fold(s): each needs at least one to learn from and one to test"
    )]
    Folds {
        /// Number of folds requested.
        folds: usize,
        /// Number of cases.
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
