//! What can be wrong with a DICOM series, and with a mask of one.

use std::fmt;

use thiserror::Error;

use super::Cause;

/// A series of a folder, as users choose one.
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
        write!(f, "{} ({} \"{}\", {} files)", self.uid, self.modality, self.description, self.files)
    }
}

fn list(series: &[SeriesSummary]) -> String {
    series.iter().map(SeriesSummary::to_string).collect::<Vec<_>>().join("; ")
}

/// A DICOM file or series that is no volume, or of a kind that is not read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DicomError {
    /// A series that is not there.
    #[error("it has no series {uid}; there are: {}", list(available))]
    NoSuchSeries {
        /// The series that was asked for.
        uid: String,
        /// The series that are there.
        available: Vec<SeriesSummary>,
    },
    /// Several series, and none was chosen.
    #[error("it holds {} series; choose one of: {}", available.len(), list(available))]
    SeveralSeries {
        /// The series that are there.
        available: Vec<SeriesSummary>,
    },
    /// More voxels than are read.
    #[error("{slices} slices of {rows} x {columns} pixels are more than {most} voxels; crop the series")]
    TooLarge {
        /// Number of slices.
        slices: usize,
        /// Rows of a slice.
        rows: usize,
        /// Columns of a slice.
        columns: usize,
        /// The most voxels that are read.
        most: usize,
    },
    /// A file that was there before.
    #[error("it changed while it was read")]
    Changed,
    /// Two images that cannot be slices of one volume.
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
    /// Two images at one place.
    #[error(
        "{first} and {second} lie at one place: the series holds several volumes, or files twice; keep one of each"
    )]
    SamePlace {
        /// One image.
        first: String,
        /// The other.
        second: String,
    },
    /// Slices at unequal distances.
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
    /// An image beside the line of the others.
    #[error(
        "{image} lies {off_mm:.3} mm off the line of the others: the series holds several volumes; move its files away"
    )]
    OffLine {
        /// The image.
        image: String,
        /// By how much, in mm.
        off_mm: f64,
    },
    /// An image in colour.
    #[error("its pixels have {found} channels; grey is expected: save colour images as PNG")]
    Channels {
        /// How many it has.
        found: usize,
    },
    /// An image without size.
    #[error("it says no number of rows or columns")]
    NoSize,
    /// A file without frames.
    #[error("it holds no frames")]
    NoFrames,
    /// A file of many frames that does not place each of them.
    #[error(
        "it holds {frames} frames, but says of {placed} where they lie: a film or an old multi-frame file is no volume"
    )]
    NotPlaced {
        /// Number of frames.
        frames: usize,
        /// How many are placed.
        placed: usize,
    },
    /// A frame that lacks an attribute.
    #[error("frame {frame} does not say its {what}")]
    Lacks {
        /// The frame, counted from 1.
        frame: usize,
        /// The attribute.
        what: &'static str,
    },
    /// A pixel spacing that cannot be one.
    #[error("its pixel spacing is {found:?}; expected two positive numbers")]
    PixelSpacing {
        /// What it says.
        found: Vec<f64>,
    },
    /// Pixels of a type that is not read.
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
    /// A rescaling that destroys the intensities.
    #[error(
        "it rescales by slope {slope} and intercept {intercept}; expected finite numbers, and a slope other than 0"
    )]
    Rescale {
        /// Rescale Slope.
        slope: f64,
        /// Rescale Intercept.
        intercept: f64,
    },
    /// Intensities that are not finite.
    #[error("it rescales to intensities that are not finite; correct its slope and intercept")]
    NotFinite,
    /// A file without pixels.
    #[error("it holds no pixels; copy or download it again")]
    NoPixels,
    /// A file that announces more pixels than it holds.
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
        /// Bytes that are there.
        found: u64,
    },
    /// A frame that is not there.
    #[error("frame {frame} is missing; copy or download it again")]
    FrameMissing {
        /// The frame, counted from 1.
        frame: usize,
    },
    /// A frame of another length.
    #[error("expected {expected} bytes of pixels in frame {frame}, found {found}")]
    FrameLength {
        /// The frame, counted from 1.
        frame: usize,
        /// Bytes that its size needs.
        expected: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// Pixels that are stored as something else.
    #[error("its pixels are neither bytes nor words; copy or download it again")]
    NoPixelType,
    /// A compressed frame of another format than the header says.
    #[error(
        "expected {rows} x {columns} pixels of {bits} bits, found compressed ones of {found_rows} x {found_columns}, {channels} channel(s), \
         {bytes} byte(s) each"
    )]
    Compressed {
        /// Rows by the file's header.
        rows: usize,
        /// Columns by the file's header.
        columns: usize,
        /// Bits of a pixel by the file's header.
        bits: u16,
        /// Rows by the compressed stream.
        found_rows: usize,
        /// Columns by the compressed stream.
        found_columns: usize,
        /// Channels by the compressed stream.
        channels: usize,
        /// Bytes of a pixel by the compressed stream.
        bytes: usize,
    },
    /// Run lengths with another number of segments.
    #[error("expected {expected} segments of run lengths, found {found}")]
    RunSegments {
        /// Bytes of a pixel.
        expected: usize,
        /// Segments that are there.
        found: usize,
    },
    /// Run lengths that point elsewhere.
    #[error("its run lengths lie outside of its pixels; copy or download it again")]
    RunsOutside,
    /// Too few run lengths.
    #[error("expected {expected} pixels in run lengths, found {found}; copy or download it again")]
    RunsTooFew {
        /// Pixels of the frame.
        expected: usize,
        /// Pixels that are there.
        found: usize,
    },
    /// A transfer syntax that is not read.
    #[error("its transfer syntax {uid} ({name}) is not read, or its pixels are damaged; store it uncompressed")]
    TransferSyntax {
        /// The syntax.
        uid: String,
        /// Its name.
        name: String,
    },
    /// A transfer syntax that is not known.
    #[error("its transfer syntax {uid} is unknown")]
    UnknownSyntax {
        /// The syntax.
        uid: String,
    },
    /// A compressed frame that the decoder refuses.
    #[error("frame {frame} cannot be decompressed; copy or download it again")]
    Decode {
        /// The frame, counted from 1.
        frame: usize,
        /// The decoder's reason.
        #[source]
        source: Cause,
    },
    /// A compressed frame at which the decoder panics.
    #[error("frame {frame} is damaged; copy or download it again")]
    DamagedFrame {
        /// The frame, counted from 1.
        frame: usize,
    },
    /// A file that cannot be parsed.
    #[error("it is damaged; copy or download it again")]
    Damaged(#[source] Cause),
    /// A deflated file that is too large.
    #[error("it unpacks to more than {most} bytes; store it uncompressed")]
    Inflated {
        /// The most bytes that are read.
        most: u64,
    },
    /// Items outside of sequences, or sequences that do not end.
    #[error("its sequences and their items do not begin and end in turn; copy or download it again")]
    Nesting,
    /// Sequences in sequences without end.
    #[error("its sequences are nested more than {most} deep; copy or download it again")]
    TooDeep {
        /// The deepest nesting that is read.
        most: usize,
    },
    /// A value whose length does not fit its type.
    #[error("{length} bytes of {element} are no whole numbers; copy or download it again")]
    OddLength {
        /// Bytes of the value.
        length: u32,
        /// The element and its type.
        element: String,
    },
}

/// A mask that DICOM SEG cannot hold.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SegmentationError {
    /// Two structures with one label value.
    #[error("two structures have the label value {value}; give each its own")]
    SameValue {
        /// The value.
        value: u16,
    },
    /// No structure, or one with the label value 0.
    #[error("expected one or more structures with label values from 1 on")]
    NoSegment,
    /// A label value without a structure.
    #[error("the mask holds the label value {value}, which no structure has; name it, too")]
    Unnamed {
        /// The value.
        value: u16,
    },
    /// A mask that is too large for the format.
    #[error("{segments} structures on {slices} slices may take more than 4 GiB; write fewer of them")]
    TooLarge {
        /// Number of structures.
        segments: usize,
        /// Number of slices.
        slices: usize,
    },
    /// An object that cannot be encoded.
    #[error("the file's header cannot be encoded")]
    Encode(#[source] Cause),
}
