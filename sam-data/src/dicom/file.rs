//! One DICOM file, opened without trust in what it announces.
//!
//! dicom-rs reserves the memory that an element announces before it has seen its value, and reads sequences within sequences by
//! recursion; a damaged file announces anything. So a file is walked first, element by element and keeping none: what is then read is there.

use std::{
    fs::File,
    io::{self, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom},
    path::Path,
};

use dicom_core::{Tag, VR};
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

use super::causes;
use crate::DataError;

/// `DICM` stands behind so many bytes.
const PREAMBLE: u64 = 128;
const MAGIC: &[u8] = b"DICM";
/// Functional groups nest four deep, structured reports a dozen.
const MAX_DEPTH: usize = 64;
/// A deflated file may unpack to so many bytes.
const MAX_INFLATED: u64 = 1 << 30;

/// How much of a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All before the pixels.
    Header,
    /// The pixels, too.
    Pixels,
}

/// How many bytes of pixels a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PixelBytes {
    /// Pixels as they are.
    Native(u64),
    /// Compressed ones; at most so many bytes.
    Compressed(u64),
}

/// Opens a file, or passes it over where it is no DICOM file at all.
pub(super) fn open(path: &Path, part: Part) -> Result<Option<(DefaultDicomObject, Option<PixelBytes>)>, DataError> {
    let read = |source| DataError::Read { path: path.to_path_buf(), source };
    let refuse = |reason: String| DataError::Dicom { path: path.to_path_buf(), reason };
    let mut file = BufReader::new(File::open(path).map_err(read)?);
    let length = file.get_ref().metadata().map_err(read)?.len();
    let mut start = [0; PREAMBLE as usize + MAGIC.len()];
    match file.read_exact(&mut start) {
        Ok(()) if start.ends_with(MAGIC) => {}
        Ok(()) => return Ok(None),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(read(error)),
    }
    let damaged = |error: &dyn std::error::Error| refuse(format!("{}; copy or download it again", causes(error)));
    walk_meta(&mut file, length).map_err(|error| damaged(&error))?;
    file.seek(SeekFrom::Start(PREAMBLE)).map_err(read)?;
    let meta = FileMetaTable::from_reader(&mut file).map_err(|error| damaged(&error))?;
    let syntax = TransferSyntaxRegistry.get(meta.transfer_syntax());
    let syntax = syntax.ok_or_else(|| refuse(format!("its transfer syntax {} is unknown", meta.transfer_syntax())))?;
    let walked = if matches!(syntax.codec(), Codec::Dataset(_)) {
        let mut inflated = Vec::new();
        let inflating = DeflateDecoder::new(file).take(MAX_INFLATED + 1).read_to_end(&mut inflated);
        inflating.map_err(|source| DataError::Damaged { path: path.to_path_buf(), source })?;
        if inflated.len() as u64 > MAX_INFLATED {
            return Err(refuse(format!("it unpacks to more than {MAX_INFLATED} bytes; store it uncompressed")));
        }
        let length = inflated.len() as u64;
        let explicit = TransferSyntaxRegistry.get(uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap_or(syntax);
        walk(Cursor::new(inflated), length, explicit, part)
    } else {
        walk(file, length, syntax, part)
    };
    let pixels = walked.map_err(|flaw| match flaw {
        Flaw::Truncated { what, expected, found } => {
            DataError::Truncated { path: path.to_path_buf(), what, expected, found }
        }
        Flaw::Other(reason) => refuse(format!("{reason}; copy or download it again")),
    })?;
    let options = OpenFileOptions::new();
    let options = match part {
        Part::Header => options.read_until(tags::PIXEL_DATA),
        Part::Pixels => options.read_to(tags::PIXEL_DATA),
    };
    let object = options.open_file(path).map_err(|error| damaged(&error))?;
    Ok(Some((object, pixels)))
}

/// What an element lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Sequence,
    Item,
}

/// What is wrong with a file.
enum Flaw {
    Truncated { what: &'static str, expected: usize, found: usize },
    Other(String),
}

/// Goes through the file's own header, as dicom-rs does.
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
    // The first element says how many bytes follow it.
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

/// Goes through a data set until its pixels, or until what comes behind them; tells how many bytes of them there are.
///
/// As dicom-rs does: what comes behind has a higher tag, and what has a lower one is read wherever it stands.
fn walk(
    source: impl Read + Seek,
    length: u64,
    syntax: &TransferSyntax,
    part: Part,
) -> Result<Option<PixelBytes>, Flaw> {
    let other = |error: &dyn std::error::Error| Flaw::Other(causes(error));
    let mut reader = LazyDataSetReader::new_with_ts(source, syntax).map_err(|error| other(&error))?;
    let (mut within, mut pixels) = (Vec::new(), None);
    let mut walked = 0;
    while let Some(token) = reader.advance() {
        match token.map_err(|error| other(&error))? {
            LazyDataToken::ElementHeader(header) if within.is_empty() && header.tag > tags::PIXEL_DATA => break,
            LazyDataToken::SequenceStart { .. } => within.push(Level::Sequence),
            LazyDataToken::PixelSequenceStart => {
                within.push(Level::Sequence);
                if within.len() == 1 {
                    pixels = Some(PixelBytes::Compressed(length.saturating_sub(walked)));
                    if part == Part::Header {
                        break;
                    }
                }
            }
            LazyDataToken::ItemStart { .. } if within.last() == Some(&Level::Sequence) => within.push(Level::Item),
            LazyDataToken::ItemEnd if within.last() == Some(&Level::Item) => drop(within.pop()),
            LazyDataToken::SequenceEnd if within.last() == Some(&Level::Sequence) => drop(within.pop()),
            // dicom-rs would look for the sequence that it belongs to, and panic.
            LazyDataToken::ItemStart { .. } | LazyDataToken::ItemEnd | LazyDataToken::SequenceEnd => {
                return Err(Flaw::Other("its sequences and their items do not begin and end in turn".to_owned()));
            }
            LazyDataToken::LazyValue { header, decoder } => {
                if !header.len.0.is_multiple_of(unit(header.vr)) {
                    // dicom-rs reads whole numbers alone and would go on in the midst of a value.
                    return Err(Flaw::Other(format!(
                        "{} bytes of {} {} are no whole numbers",
                        header.len.0, header.tag, header.vr
                    )));
                }
                walked = end_of(decoder, header.tag, header.len.0, length)?;
                if within.is_empty() && header.tag == tags::PIXEL_DATA {
                    pixels = Some(PixelBytes::Native(u64::from(header.len.0)));
                    if part == Part::Header {
                        break;
                    }
                }
                decoder.skip_bytes(header.len.0).map_err(|error| other(&error))?;
            }
            LazyDataToken::LazyItemValue { len, decoder } => {
                walked = end_of(decoder, tags::PIXEL_DATA, len, length)?;
                decoder.skip_bytes(len).map_err(|error| other(&error))?;
            }
            _ => {}
        }
        if within.len() > 2 * MAX_DEPTH {
            return Err(Flaw::Other(format!("its sequences are nested more than {MAX_DEPTH} deep")));
        }
    }
    Ok(pixels)
}

/// Bytes of one number, of one letter for texts.
const fn unit(vr: VR) -> u32 {
    match vr {
        VR::OW | VR::SS | VR::US => 2,
        VR::AT | VR::FL | VR::OF | VR::OL | VR::SL | VR::UL => 4,
        VR::FD | VR::OD | VR::OV | VR::SV | VR::UV => 8,
        _ => 1,
    }
}

/// Where a value ends, if all of it is there.
fn end_of(decoder: &impl StatefulDecode, tag: Tag, size: u32, length: u64) -> Result<u64, Flaw> {
    let position = decoder.position();
    let there = length.saturating_sub(position);
    if u64::from(size) > there {
        let what = if tag == tags::PIXEL_DATA { "pixels" } else { "header" };
        return Err(Flaw::Truncated { what, expected: size as usize, found: there as usize });
    }
    Ok(position + u64::from(size))
}
