//! What can be wrong with an image or a mask in an image file.

use std::path::PathBuf;

use thiserror::Error;

use super::Cause;

/// An image file that cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A file that cannot be decoded: of an unknown format, or damaged.
    #[error("it is of an unknown format, or damaged; save it as PNG or TIFF")]
    Decode(#[source] Cause),
    /// Pixels of a type that is not read.
    #[error("expected grey or colour of 8 or 16 bits, found {found}; convert it to one of these")]
    PixelType {
        /// The type.
        found: String,
    },
    /// A picture to be written that is not in colour.
    #[error("expected three channels, found {found}")]
    Channels {
        /// How many there are.
        found: usize,
    },
    /// A mask in a format that changes its values.
    #[error("JPEG changes label values; save masks as PNG or TIFF")]
    JpegMask,
    /// A mask in colour.
    #[error("a mask must be grey, with label values as pixels; found {found}")]
    ColourMask {
        /// The type of its pixels.
        found: String,
    },
    /// A mask of another size than its image.
    #[error("the mask has {found:?} rows and columns, {} has {expected:?}", image.display())]
    MaskSize {
        /// The image.
        image: PathBuf,
        /// Rows and columns of the image.
        expected: (usize, usize),
        /// Rows and columns of the mask.
        found: (usize, usize),
    },
    /// A MATLAB file without an instance map.
    #[error("expected a MATLAB level-5 file with an array inst_map of instance numbers")]
    Matlab {
        /// What is there instead.
        #[from]
        source: MatlabError,
    },
}

/// What a MATLAB file holds instead of an instance map.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MatlabError {
    /// A file that is too short.
    #[error("found {found} bytes, less than a header")]
    NoHeader {
        /// Bytes of the file.
        found: usize,
    },
    /// A file of version 7.3.
    #[error("found version 7.3, which is HDF5; save it with the option -v7")]
    Hdf5,
    /// A file that is no MATLAB file.
    #[error("found no such header")]
    NotMatlab,
    /// An element that ends too early.
    #[error("found a file that is cut off; copy or download it again")]
    CutOff,
    /// A compressed element that cannot be decompressed.
    #[error("found a damaged compressed element; copy or download it again")]
    Damaged(#[source] std::io::Error),
    /// An array whose description is incomplete.
    #[error("found an array without its {part}")]
    Incomplete {
        /// What is missing.
        part: &'static str,
    },
    /// No array of that name.
    #[error("found {}", if others.is_empty() { "no array at all".to_owned() } else { format!("only {}", others.join(", ")) })]
    NoArray {
        /// Names of the arrays that are there.
        others: Vec<String>,
    },
    /// An array of another kind.
    #[error("found something else than a full array of real numbers under that name")]
    NotNumeric,
    /// An array that is no image.
    #[error("found an array with {found} sides, expected 2")]
    Sides {
        /// How many sides it has.
        found: usize,
    },
    /// An array whose numbers do not fill its sides.
    #[error("found {found} numbers for {rows} rows and {columns} columns")]
    Count {
        /// Numbers in the array.
        found: usize,
        /// Its rows.
        rows: usize,
        /// Its columns.
        columns: usize,
    },
    /// Numbers of a type that the format does not have.
    #[error("found numbers of the unknown type {found}")]
    NumberType {
        /// The type's code.
        found: u32,
    },
    /// A number that is no label.
    #[error("found the value {found}, expected whole numbers from 0 to 65535")]
    Value {
        /// The number.
        found: f64,
    },
}
