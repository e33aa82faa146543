//! Errors of image files and masks.

use std::path::PathBuf;

use thiserror::Error;

use super::Cause;

/// The error for an image file that cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The file cannot be decoded: its format is unknown, or it is damaged.
    #[error("it is of an unknown format, or damaged; save it as PNG or TIFF")]
    Decode(#[source] Cause),
    /// The file has another format than that of an image.
    #[error("it is {found}, but an image is wanted; save it as PNG or TIFF")]
    OtherFormat {
        /// The format.
        found: &'static str,
    },
    /// The pixel type is not supported.
    #[error("expected grey or colour of 8 or 16 bits, found {found}; convert it to one of these")]
    PixelType {
        /// The pixel type found.
        found: String,
    },
    /// An image to be written in colour does not have three channels.
    #[error("expected three channels, found {found}")]
    Channels {
        /// Channels found.
        found: usize,
    },
    /// The mask is a JPEG, whose compression changes label values.
    #[error("JPEG changes label values; save masks as PNG or TIFF")]
    JpegMask,
    /// The mask is in colour.
    #[error("a mask must be grey, with label values as pixels; found {found}")]
    ColourMask {
        /// The pixel type found.
        found: String,
    },
    /// The mask differs in size from its image.
    #[error("the mask has {found:?} rows and columns, {} has {expected:?}", image.display())]
    MaskSize {
        /// The image.
        image: PathBuf,
        /// Rows and columns of the image.
        expected: (usize, usize),
        /// Rows and columns of the mask.
        found: (usize, usize),
    },
    /// The MATLAB file has no instance map.
    #[error("expected a MATLAB level-5 file with an array inst_map of instance numbers")]
    Matlab {
        /// What was found.
        #[from]
        source: MatlabError,
    },
}

/// The error for a MATLAB file without a valid instance map.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MatlabError {
    /// The file is shorter than a header.
    #[error("found {found} bytes, less than a header")]
    NoHeader {
        /// Length of the file in bytes.
        found: usize,
    },
    /// The file has version 7.3, which is HDF5.
    #[error("found version 7.3, which is HDF5; save it with the option -v7")]
    Hdf5,
    /// The file is not a MATLAB file.
    #[error("found no such header")]
    NotMatlab,
    /// An element is cut off.
    #[error("found a file that is cut off; copy or download it again")]
    CutOff,
    /// A compressed element cannot be decompressed.
    #[error("found a damaged compressed element; copy or download it again")]
    Damaged(#[source] std::io::Error),
    /// The description of an array is incomplete.
    #[error("found an array without its {part}")]
    Incomplete {
        /// The missing part.
        part: &'static str,
    },
    /// There is no array of the expected name.
    #[error("found {}", if others.is_empty() { "no array at all".to_owned() } else { format!("only {}", others.join(", ")) })]
    NoArray {
        /// Names of the arrays found.
        others: Vec<String>,
    },
    /// The array is not a full array of real numbers.
    #[error("found something else than a full array of real numbers under that name")]
    NotNumeric,
    /// The array does not have two dimensions.
    #[error("found an array with {found} sides, expected 2")]
    Sides {
        /// Number of dimensions found.
        found: usize,
    },
    /// The number of values does not fit the array's shape.
    #[error("found {found} numbers for {rows} rows and {columns} columns")]
    Count {
        /// Number of values found.
        found: usize,
        /// Rows of the array.
        rows: usize,
        /// Columns of the array.
        columns: usize,
    },
    /// The number type is unknown.
    #[error("found numbers of the unknown type {found}")]
    NumberType {
        /// Code of the type.
        found: u32,
    },
    /// A value is not a label.
    #[error("found the value {found}, expected whole numbers from 0 to 65535")]
    Value {
        /// The value found.
        found: f64,
    },
}
