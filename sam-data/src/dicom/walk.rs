//! A pass through a data set that trusts none of the lengths that it announces.

use std::{
    io::{Read, Seek},
    path::Path,
};

use dicom_core::{DataElementHeader, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_encoding::transfer_syntax::TransferSyntax;
use dicom_parser::{
    StatefulDecode,
    dataset::{LazyDataToken, lazy_read::LazyDataSetReader},
};

use super::{file::Part, texts::StoredTexts};
use crate::{DataError, DicomError};

/// Deepest nesting of sequences. Functional groups nest four deep, structured reports about twelve.
const MAX_DEPTH: usize = 64;

/// How many bytes of pixels a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PixelBytes {
    /// Uncompressed pixels.
    Native(u64),
    /// Compressed pixels; an upper bound.
    Compressed(u64),
}

/// The kind of container that an element is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Sequence,
    Item,
}

/// What is wrong with a file.
pub(super) enum Flaw {
    Truncated { what: &'static str, expected: usize, found: usize },
    Other(DicomError),
}

impl Flaw {
    /// The error for a file.
    pub(super) fn of_file(self, path: &Path) -> DataError {
        let path = path.to_path_buf();
        match self {
            Self::Truncated { what, expected, found } => DataError::Truncated { path, what, expected, found },
            Self::Other(source) => DataError::Dicom { path, source },
        }
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Flaw {
    fn from(error: E) -> Self {
        Self::Other(DicomError::Damaged(Box::new(error)))
    }
}

/// A pass through a data set, element by element, that ends at the pixels or at the first element after them.
///
/// As in dicom-rs, an element is after the pixels if its tag is higher; an element with a lower tag is read at any place.
pub(super) struct Walk {
    /// Length of the data set in bytes.
    length: u64,
    part: Part,
    /// The sequences and items that contain the current element, outermost first.
    within: Vec<Level>,
    /// End of the last value, in bytes.
    end: u64,
    /// The bytes of pixels, once they are found.
    pub(super) pixels: Option<PixelBytes>,
    /// The texts up to where the walk came, also if it ended with an error.
    pub(super) texts: StoredTexts,
}

impl Walk {
    /// Goes through a data set that ends `length` bytes from the begin of `source`, and returns what was found until the end or the flaw.
    pub(super) fn through(
        source: impl Read + Seek,
        length: u64,
        part: Part,
        syntax: &TransferSyntax,
    ) -> (Self, Result<(), Flaw>) {
        let mut walk = Self { length, part, within: Vec::new(), end: 0, pixels: None, texts: StoredTexts::default() };
        let walked = walk.run(source, syntax);
        (walk, walked)
    }

    fn run(&mut self, source: impl Read + Seek, syntax: &TransferSyntax) -> Result<(), Flaw> {
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
        Ok(())
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
        if self.within.is_empty() && StoredTexts::keeps(header.tag) {
            let mut text = Vec::new();
            decoder.read_to_vec(length, &mut text)?;
            self.texts.insert(header.tag, text);
        } else {
            decoder.skip_bytes(length)?;
        }
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
