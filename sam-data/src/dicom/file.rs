//! Opens a DICOM file without trusting the lengths that it announces.
//!
//! dicom-rs allocates the announced length of an element before it has read the value, and it reads nested sequences by recursion. A
//! damaged file can announce any length. So a first pass goes through all elements without keeping any, and checks that their bytes are
//! there.

use std::{
    fs::File,
    io::{self, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom},
    path::Path,
};

use dicom_core::{DataElementHeader, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_encoding::{
    decode::{Decode, file_header_decoder},
    transfer_syntax::{Codec, TransferSyntax, TransferSyntaxIndex},
};
use dicom_object::{DefaultDicomObject, FileMetaTable, OpenFileOptions};
use dicom_parser::{
    StatefulDecode,
    dataset::{LazyDataToken, lazy_read::LazyDataSetReader},
};
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use flate2::read::DeflateDecoder;

use crate::{DataError, DicomError};

/// Bytes before the magic `DICM`.
const PREAMBLE: u64 = 128;
const MAGIC: &[u8] = b"DICM";
/// Deepest nesting of sequences. Functional groups nest four deep, structured reports about twelve.
const MAX_DEPTH: usize = 64;
/// The largest unpacked size of a deflated file, in bytes.
const MAX_INFLATED: u64 = 1 << 30;

/// How much of a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Everything before the pixels.
    Header,
    /// The pixels as well.
    Pixels,
}

/// How many bytes of pixels a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PixelBytes {
    /// Uncompressed pixels.
    Native(u64),
    /// Compressed pixels; an upper bound.
    Compressed(u64),
}

/// Opens a file; `None` if it is not a DICOM file.
pub(super) fn open(path: &Path, part: Part) -> Result<Option<(DefaultDicomObject, Option<PixelBytes>)>, DataError> {
    let read = |source| DataError::Read { path: path.to_path_buf(), source };
    let refuse = |source| DataError::Dicom { path: path.to_path_buf(), source };
    let mut file = BufReader::new(File::open(path).map_err(read)?);
    let length = file.get_ref().metadata().map_err(read)?.len();
    let mut start = [0; PREAMBLE as usize + MAGIC.len()];
    match file.read_exact(&mut start) {
        Ok(()) if start.ends_with(MAGIC) => {}
        Ok(()) => return Ok(None),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(read(error)),
    }
    walk_meta(&mut file, length).map_err(|error| refuse(damaged(error)))?;
    file.seek(SeekFrom::Start(PREAMBLE)).map_err(read)?;
    let meta = FileMetaTable::from_reader(&mut file).map_err(|error| refuse(damaged(error)))?;
    let uid = meta.transfer_syntax();
    let syntax =
        TransferSyntaxRegistry.get(uid).ok_or_else(|| refuse(DicomError::UnknownSyntax { uid: uid.to_owned() }))?;
    let walked = if matches!(syntax.codec(), Codec::Dataset(_)) {
        let inflated = inflate(file).map_err(|source| DataError::Damaged { path: path.to_path_buf(), source })?;
        let inflated = inflated.ok_or_else(|| refuse(DicomError::Inflated { most: MAX_INFLATED }))?;
        let length = inflated.len() as u64;
        let explicit = TransferSyntaxRegistry.get(uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap_or(syntax);
        Walk::new(length, part).run(Cursor::new(inflated), explicit)
    } else {
        Walk::new(length, part).run(file, syntax)
    };
    let pixels = walked.map_err(|flaw| match flaw {
        Flaw::Truncated { what, expected, found } => {
            DataError::Truncated { path: path.to_path_buf(), what, expected, found }
        }
        Flaw::Other(source) => refuse(source),
    })?;
    let options = OpenFileOptions::new();
    let options = match part {
        Part::Header => options.read_until(tags::PIXEL_DATA),
        Part::Pixels => options.read_to(tags::PIXEL_DATA),
    };
    let object = options.open_file(path).map_err(|error| refuse(damaged(error)))?;
    Ok(Some((object, pixels)))
}

fn damaged(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DicomError {
    DicomError::Damaged(error.into())
}

/// Unpacks the rest of a deflated file; `None` if it is too large.
fn inflate(file: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut inflated = Vec::new();
    DeflateDecoder::new(file).take(MAX_INFLATED + 1).read_to_end(&mut inflated)?;
    Ok((inflated.len() as u64 <= MAX_INFLATED).then_some(inflated))
}

/// The kind of container that an element is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Sequence,
    Item,
}

/// What is wrong with a file.
enum Flaw {
    Truncated { what: &'static str, expected: usize, found: usize },
    Other(DicomError),
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Flaw {
    fn from(error: E) -> Self {
        Self::Other(damaged(error))
    }
}

/// Checks the elements of the file meta header, as dicom-rs reads them.
fn walk_meta(file: &mut (impl Read + Seek), length: u64) -> io::Result<()> {
    let decoder = file_header_decoder();
    let element = |file: &mut _| {
        let (header, of_header) = Decode::decode_header(&decoder, file).map_err(io::Error::other)?;
        let there = length.saturating_sub(Seek::stream_position(file)?);
        match header.len.get().map(u64::from) {
            Some(size) if size <= there => Ok((size, of_header as u64 + size)),
            _ => Err(io::Error::other("its first part announces more bytes than there are")),
        }
    };
    // The first element holds the number of bytes that follow it.
    let mut announced = [0; 4];
    if element(file)?.0 != announced.len() as u64 {
        return Err(io::Error::other("its first part does not say how long it is"));
    }
    file.read_exact(&mut announced)?;
    let mut walked = 0;
    while walked < u64::from(u32::from_le_bytes(announced)) {
        let (size, whole) = element(file)?;
        file.seek_relative(size as i64)?;
        walked += whole;
    }
    Ok(())
}

/// A pass through a data set, element by element, that ends at the pixels or at the first element after them.
///
/// As in dicom-rs, an element is after the pixels if its tag is higher; an element with a lower tag is read at any place.
struct Walk {
    /// Length of the data set in bytes.
    length: u64,
    part: Part,
    /// The sequences and items that contain the current element, outermost first.
    within: Vec<Level>,
    /// End of the last value, in bytes.
    end: u64,
    pixels: Option<PixelBytes>,
}

impl Walk {
    fn new(length: u64, part: Part) -> Self {
        Self { length, part, within: Vec::new(), end: 0, pixels: None }
    }

    /// Goes through a data set and returns the number of bytes of pixels.
    fn run(mut self, source: impl Read + Seek, syntax: &TransferSyntax) -> Result<Option<PixelBytes>, Flaw> {
        let mut reader = LazyDataSetReader::new_with_ts(source, syntax)?;
        while let Some(token) = reader.advance() {
            let goes_on = match token? {
                LazyDataToken::ElementHeader(header) => !(self.within.is_empty() && header.tag > tags::PIXEL_DATA),
                LazyDataToken::SequenceStart { .. } => self.enter(Level::Sequence),
                LazyDataToken::PixelSequenceStart => self.compressed_pixels(),
                LazyDataToken::ItemStart { .. } if self.is_in(Level::Sequence) => self.enter(Level::Item),
                LazyDataToken::ItemEnd if self.is_in(Level::Item) => self.leave(),
                LazyDataToken::SequenceEnd if self.is_in(Level::Sequence) => self.leave(),
                // dicom-rs would look for the enclosing sequence and panic.
                LazyDataToken::ItemStart { .. } | LazyDataToken::ItemEnd | LazyDataToken::SequenceEnd => {
                    return Err(Flaw::Other(DicomError::Nesting));
                }
                LazyDataToken::LazyValue { header, decoder } => self.value(&header, decoder)?,
                LazyDataToken::LazyItemValue { len, decoder } => {
                    self.end = end_of(decoder, tags::PIXEL_DATA, len, self.length)?;
                    decoder.skip_bytes(len)?;
                    true
                }
                _ => true,
            };
            if !goes_on {
                break;
            }
            if self.within.len() > 2 * MAX_DEPTH {
                return Err(Flaw::Other(DicomError::TooDeep { most: MAX_DEPTH }));
            }
        }
        Ok(self.pixels)
    }

    fn is_in(&self, level: Level) -> bool {
        self.within.last() == Some(&level)
    }

    fn enter(&mut self, level: Level) -> bool {
        self.within.push(level);
        true
    }

    fn leave(&mut self) -> bool {
        self.within.pop();
        true
    }

    /// Enters a sequence of compressed pixels; returns whether to continue.
    fn compressed_pixels(&mut self) -> bool {
        self.within.push(Level::Sequence);
        if self.within.len() > 1 {
            return true;
        }
        self.pixels = Some(PixelBytes::Compressed(self.length.saturating_sub(self.end)));
        self.part != Part::Header
    }

    /// Skips a value; returns whether to continue.
    fn value(&mut self, header: &DataElementHeader, decoder: &mut impl StatefulDecode) -> Result<bool, Flaw> {
        let length = header.len.0;
        if !length.is_multiple_of(unit(header.vr)) {
            // dicom-rs reads only whole numbers and would continue in the middle of a value.
            let element = format!("{} {}", header.tag, header.vr);
            return Err(Flaw::Other(DicomError::OddLength { length, element }));
        }
        self.end = end_of(decoder, header.tag, length, self.length)?;
        if self.within.is_empty() && header.tag == tags::PIXEL_DATA {
            self.pixels = Some(PixelBytes::Native(u64::from(length)));
            if self.part == Part::Header {
                return Ok(false);
            }
        }
        decoder.skip_bytes(length)?;
        Ok(true)
    }
}

/// Bytes of one number; 1 for text.
const fn unit(vr: VR) -> u32 {
    match vr {
        VR::OW | VR::SS | VR::US => 2,
        VR::AT | VR::FL | VR::OF | VR::OL | VR::SL | VR::UL => 4,
        VR::FD | VR::OD | VR::OV | VR::SV | VR::UV => 8,
        _ => 1,
    }
}

/// The end of a value; an error if the file ends before it.
fn end_of(decoder: &impl StatefulDecode, tag: Tag, size: u32, length: u64) -> Result<u64, Flaw> {
    let position = decoder.position();
    let there = length.saturating_sub(position);
    if u64::from(size) > there {
        let what = if tag == tags::PIXEL_DATA { "pixels" } else { "header" };
        return Err(Flaw::Truncated { what, expected: size as usize, found: there as usize });
    }
    Ok(position + u64::from(size))
}
