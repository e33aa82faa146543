//! What can be wrong with data.

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::GridMismatch;

/// Why data could not be read, understood or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file that cannot be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file that cannot be written.
    #[error("cannot write {}: {source}; check that the folder exists and is writable", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
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
    /// A compressed file whose content does not match its own checksum, or cannot be unpacked at all.
    #[error("{} is damaged ({source}); copy or download it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What unpacking met.
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
    #[error("{} cannot be read as DICOM: {reason}", path.display())]
    Dicom {
        /// The file or folder.
        path: PathBuf,
        /// What was expected, what was found, and what to do about it.
        reason: String,
    },
    /// A mask that DICOM SEG cannot hold.
    #[error("{} cannot be written as DICOM SEG: {reason}", path.display())]
    Segmentation {
        /// The file.
        path: PathBuf,
        /// What was expected, what was found, and what to do about it.
        reason: String,
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
        /// The volume's.
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
    /// A mask on another grid than its image.
    #[error("{} does not lie on the grid of {}: {mismatch}; resample it onto the image's grid", mask.display(), image.display())]
    Grid {
        /// The mask.
        mask: PathBuf,
        /// The image.
        image: PathBuf,
        /// How they differ.
        mismatch: Box<GridMismatch>,
    },
    /// An array of another shape than its grid, or a grid of another shape than its header.
    #[error(
        "an array of shape {found:?} does not fit the image's {expected:?}: keep the image's voxel order and shape"
    )]
    Shape {
        /// The image's.
        expected: [usize; 3],
        /// The array's.
        found: [usize; 3],
    },
    /// Grids between which voxels cannot be resampled.
    #[error("cannot resample: {reason}")]
    Resample {
        /// What was expected, what was found, and what to do.
        reason: String,
    },
    /// A volume that does not fit NIfTI-1, whose sides are 16-bit numbers.
    #[error("{} cannot hold a volume of shape {found:?}: a side of a NIfTI-1 volume has 1 to 32767 voxels", path.display())]
    Sides {
        /// The file.
        path: PathBuf,
        /// The volume's.
        found: [usize; 3],
    },
    /// An output name whose ending tells no format.
    #[error("{} must end in {expected}", path.display())]
    Extension {
        /// The name given.
        path: PathBuf,
        /// The endings that are understood.
        expected: &'static str,
    },
    /// An image file that cannot be read.
    #[error("{} cannot be read as an image: {reason}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
    /// A label table that cannot be understood.
    #[error("{} is no label table: {reason}; expected JSON like {{\"0\": \"background\", \"1\": \"liver\"}}", path.display())]
    Labels {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
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
    #[error("the window {window} cannot be used: {reason}")]
    Window {
        /// The window, as written.
        window: String,
        /// What is wrong and what to do.
        reason: String,
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
    #[error("{} holds no data that can be read: {reason}", path.display())]
    Layout {
        /// The folder.
        path: PathBuf,
        /// What was looked for.
        reason: String,
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
        "{cases} case(s) cannot be divided into {folds} fold(s): at least one must be learned from and one tested in each"
    )]
    Folds {
        /// How many were asked for.
        folds: usize,
        /// How many cases there are.
        cases: usize,
    },
}
