//! Errors of reading a DICOM series.

use std::fmt;

use sam_prompt::counted;
use thiserror::Error;

use super::Cause;

/// Summary of a DICOM series, to choose one from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeriesSummary {
    /// Series Instance UID.
    pub uid: String,
    /// Modality: CT, MR, US.
    pub modality: String,
    /// Series Description.
    pub description: String,
    /// Number of files.
    pub files: usize,
}

impl fmt::Display for SeriesSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uid, modality, description, files } = self;
        let uid = if uid.is_empty() { "without a UID" } else { uid };
        write!(f, "{uid} ({modality} \"{description}\", {})", counted(*files, "file"))
    }
}

/// The most series that an error lists.
const LISTED: usize = 20;

fn list(series: &[SeriesSummary]) -> String {
    let listed = series.iter().take(LISTED).map(SeriesSummary::to_string).collect::<Vec<_>>().join("; ");
    if series.len() > LISTED { format!("{listed}; and {} more", series.len() - LISTED) } else { listed }
}

/// What to do about several series.
fn hint(series: &[SeriesSummary]) -> &'static str {
    if series.iter().all(|series| series.files == 1) {
        "if they are the slices of one volume, each with a series of its own, read all of them as one; else leave one series in the folder"
    } else {
        "choose one, or several for a volume that is stored as several series, or leave one in the folder"
    }
}

/// The error for a DICOM file or series that is not a volume or is not supported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DicomError {
    /// The series does not exist in the folder.
    #[error("it has no series {uid}; there are: {}", list(available))]
    NoSuchSeries {
        /// The series that was asked for.
        uid: String,
        /// The series in the folder.
        available: Vec<SeriesSummary>,
    },
    /// The folder holds several series, and none was chosen.
    #[error("it holds {} series: {}; {}", available.len(), list(available), hint(available))]
    SeveralSeries {
        /// The series in the folder.
        available: Vec<SeriesSummary>,
    },
    /// The series has too many voxels.
    #[error("{} of {rows} x {columns} pixels hold more than {most} voxels; crop the series", counted(*slices, "slice"))]
    TooLarge {
        /// Number of slices.
        slices: usize,
        /// Rows of a slice.
        rows: usize,
        /// Columns of a slice.
        columns: usize,
        /// The largest number of voxels that is read.
        most: usize,
    },
    /// A file changed while it was read.
    #[error("it changed while it was read")]
    Changed,
    /// Two images differ in an attribute that must be the same in all slices of a volume.
    #[error(
        "{first} and {second} differ in {what}: they are no slices of one volume; move one of them away, or choose a series"
    )]
    Differ {
        /// One image.
        first: String,
        /// The other.
        second: String,
        /// What differs.
        what: &'static str,
    },
    /// Two images are at the same position.
    #[error(
        "{first} and {second} lie at one place: the series holds several volumes, or files twice; keep one of each"
    )]
    SamePlace {
        /// One image.
        first: String,
        /// The other.
        second: String,
    },
    /// The distances between slices are not equal.
    #[error(
        "between {first} and {second} are {found_mm:.3} mm, elsewhere {expected_mm:.3} mm: slices are missing, or their distance changes; \
         complete the series, or resample it to equal distances"
    )]
    Gap {
        /// One image.
        first: String,
        /// The next.
        second: String,
        /// Their distance, in mm.
        found_mm: f64,
        /// The usual distance, in mm.
        expected_mm: f64,
    },
    /// An image is off the line on which the other slices are.
    #[error(
        "{image} lies {off_mm:.3} mm off the line of the others: the series holds several volumes; move its files away"
    )]
    OffLine {
        /// The image.
        image: String,
        /// Distance from the line, in mm.
        off_mm: f64,
    },
    /// The image is in colour.
    #[error("its pixels have {found} channels; grey is expected: save colour images as PNG")]
    Channels {
        /// Number of channels.
        found: usize,
    },
    /// The image has no number of rows or columns.
    #[error("it says no number of rows or columns")]
    NoSize,
    /// The file has no frames.
    #[error("it holds no frames")]
    NoFrames,
    /// Not every frame of a multi-frame file has a position.
    #[error(
        "it holds {frames} frames, but states the position of {placed}: if its frames are the slices of a volume, give their distances; \
         a film is no volume"
    )]
    NotPlaced {
        /// Number of frames.
        frames: usize,
        /// Number of frames with a position.
        placed: usize,
    },
    /// A frame lacks an attribute.
    #[error("frame {frame} does not say its {what}")]
    Lacks {
        /// The frame, counted from 1.
        frame: usize,
        /// The attribute.
        what: &'static str,
    },
    /// A frame does not state its position, as in ultrasound and X-ray images.
    #[error(
        "frame {frame} does not state its position (0020,0032), as in ultrasound and X-ray images: give the distances of its pixels and \
         slices, or save it as PNG for programs that take images"
    )]
    NoPosition {
        /// The frame, counted from 1.
        frame: usize,
    },
    /// Distances were given for images that state their positions.
    #[error("it states where its pixels are, so its distances cannot be given; leave them out")]
    SpacingKnown,
    /// A value is present, but cannot be read.
    #[error(
        "its {element} is \"{found}\", expected {expected}; correct the value in the file, or export the series again"
    )]
    Unreadable {
        /// Name and tag of the element.
        element: String,
        /// The value's text.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A file is named like the images of the series, but is not DICOM.
    #[error(
        "it is {}, but named like the images of the series; copy or download it again, or move it away",
        if *is_blank { "empty or filled with zeros" } else { "not DICOM" }
    )]
    NotDicom {
        /// Whether it is empty or begins with zeros.
        is_blank: bool,
    },
    /// A file cannot be read, and its series is unknown.
    #[error(
        "its series is unknown, so it may be a slice that would be missing; copy or download it again, move it away, or choose the series \
         to leave it out"
    )]
    UnknownSeries(#[source] Box<super::DataError>),
    /// The pixel type is not supported.
    #[error(
        "its pixels have {allocated} bits of which {stored} are stored, up to bit {high}; expected 8, 16 or 32 bits"
    )]
    Bits {
        /// Bits Allocated.
        allocated: u16,
        /// Bits Stored.
        stored: u16,
        /// High Bit.
        high: u16,
    },
    /// The rescaling is not valid.
    #[error(
        "it rescales by slope {slope} and intercept {intercept}; expected finite numbers, and a slope other than 0"
    )]
    Rescale {
        /// Rescale Slope.
        slope: f64,
        /// Rescale Intercept.
        intercept: f64,
    },
    /// The rescaled intensities are not finite.
    #[error("it rescales to intensities that are not finite; correct its slope and intercept")]
    NotFinite,
    /// The file has no pixels.
    #[error("it holds no pixels; copy or download it again")]
    NoPixels,
    /// The file announces more pixels than it holds.
    #[error(
        "it announces {frames} frame(s) of {rows} x {columns} pixels of {bits} bits, but holds {found} bytes of them; copy or download it \
         again"
    )]
    TooFewBytes {
        /// Number of frames.
        frames: usize,
        /// Rows of each.
        rows: usize,
        /// Columns of each.
        columns: usize,
        /// Bits of a pixel.
        bits: u64,
        /// Bytes found.
        found: u64,
    },
    /// A frame is missing.
    #[error("frame {frame} is missing; copy or download it again")]
    FrameMissing {
        /// The frame, counted from 1.
        frame: usize,
    },
    /// The number of bytes of a frame is wrong.
    #[error("expected {expected} bytes of pixels in frame {frame}, found {found}")]
    FrameLength {
        /// The frame, counted from 1.
        frame: usize,
        /// Bytes expected.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// The pixel data is neither bytes nor words.
    #[error("its pixels are neither bytes nor words; copy or download it again")]
    NoPixelType,
    /// The format of a compressed frame differs from the file's header.
    #[error(
        "expected {rows} x {columns} pixels of {bits} bits, found compressed ones of {found_rows} x {found_columns}, {channels} channel(s), \
         {bytes} byte(s) each"
    )]
    Compressed {
        /// Rows in the file's header.
        rows: usize,
        /// Columns in the file's header.
        columns: usize,
        /// Bits of a pixel in the file's header.
        bits: u16,
        /// Rows in the compressed stream.
        found_rows: usize,
        /// Columns in the compressed stream.
        found_columns: usize,
        /// Channels in the compressed stream.
        channels: usize,
        /// Bytes of a pixel in the compressed stream.
        bytes: usize,
    },
    /// RLE data has the wrong number of segments.
    #[error("expected {expected} segments of run lengths, found {found}")]
    RunSegments {
        /// Segments expected, one for each byte of a pixel.
        expected: usize,
        /// Segments found.
        found: usize,
    },
    /// An RLE segment is outside the pixel data.
    #[error("its run lengths lie outside of its pixels; copy or download it again")]
    RunsOutside,
    /// RLE data ends before the frame is complete.
    #[error("expected {expected} pixels in run lengths, found {found}; copy or download it again")]
    RunsTooFew {
        /// Pixels of the frame.
        expected: usize,
        /// Pixels found.
        found: usize,
    },
    /// The transfer syntax is not supported.
    #[error("its transfer syntax {uid} ({name}) is not read, or its pixels are damaged; store it uncompressed")]
    TransferSyntax {
        /// UID of the transfer syntax.
        uid: String,
        /// Its name.
        name: String,
    },
    /// The transfer syntax is unknown.
    #[error("its transfer syntax {uid} is unknown")]
    UnknownSyntax {
        /// UID of the transfer syntax.
        uid: String,
    },
    /// The decoder refuses a compressed frame.
    #[error("frame {frame} cannot be decompressed; copy or download it again")]
    Decode {
        /// The frame, counted from 1.
        frame: usize,
        /// The decoder's error.
        #[source]
        source: Cause,
    },
    /// The decoder panics on a compressed frame.
    #[error("frame {frame} is damaged; copy or download it again")]
    DamagedFrame {
        /// The frame, counted from 1.
        frame: usize,
    },
    /// The file cannot be parsed.
    #[error("it is damaged; copy or download it again")]
    Damaged(#[source] Cause),
    /// A deflated file unpacks to too many bytes.
    #[error("it unpacks to more than {most} bytes; store it uncompressed")]
    Inflated {
        /// The largest number of bytes that is read.
        most: u64,
    },
    /// An item is outside a sequence, or a sequence or item does not end.
    #[error("its sequences and their items do not begin and end in turn; copy or download it again")]
    Nesting,
    /// Sequences are nested too deep.
    #[error("its sequences are nested more than {most} deep; copy or download it again")]
    TooDeep {
        /// The deepest nesting that is read.
        most: usize,
    },
    /// The length of a value is not a multiple of its type's size.
    #[error("{length} bytes of {element} are no whole numbers; copy or download it again")]
    OddLength {
        /// Length of the value in bytes.
        length: u32,
        /// Tag and type of the element.
        element: String,
    },
}
