//! Opens a DICOM file without trusting the lengths that it announces.
//!
//! dicom-rs allocates the announced length of an element before it has read the value, and it reads nested sequences by recursion. A
//! damaged file can announce any length. So a first pass goes through all elements without keeping any, and checks that their bytes are
//! there.

use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read, Seek, SeekFrom},
    path::Path,
};

use dicom_core::{DataElement, DicomValue, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_encoding::{
    decode::{Decode, file_header_decoder},
    transfer_syntax::{Codec, TransferSyntaxIndex},
};
use dicom_object::{DefaultDicomObject, FileMetaTable, InMemDicomObject, OpenFileOptions, file::ReadPreamble};
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use flate2::read::DeflateDecoder;

use super::{
    texts::StoredTexts,
    value::Attributes,
    walk::{PixelBytes, Walk},
};
use crate::{DataError, DicomError};

/// Bytes before the magic `DICM`.
const PREAMBLE: usize = 128;
const MAGIC: &[u8] = b"DICM";
/// The first element of a data set is short: a length, a character set, an image type or a UID.
const MAX_FIRST: u32 = 1024;
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

/// A file that was opened.
#[derive(Debug)]
pub(super) enum Opened {
    Dicom(Box<DataSet>),
    /// The file is not DICOM. It is blank if it is empty or begins with zeros, as after a copy that failed.
    Foreign {
        is_blank: bool,
    },
}

/// The data set of a file.
#[derive(Debug)]
pub(super) struct DataSet {
    object: DefaultDicomObject,
    /// How many bytes of pixels the file holds; `None` if it has no pixels.
    pub(super) pixels: Option<PixelBytes>,
    /// Texts of patient, study and series.
    pub(super) texts: StoredTexts,
}

impl DataSet {
    pub(super) fn attributes(&self) -> Attributes<'_> {
        Attributes::new(&self.object)
    }

    pub(super) fn pixel_data(&self) -> Option<&DicomValue<InMemDicomObject, Vec<u8>>> {
        self.object.get(tags::PIXEL_DATA).map(DataElement::value)
    }

    pub(super) fn transfer_syntax(&self) -> &str {
        self.object.meta().transfer_syntax()
    }

    /// SOP Class UID and SOP Instance UID of the file meta header; empty if the file has no such header.
    pub(super) fn media_storage(&self) -> [&str; 2] {
        let meta = self.object.meta();
        [meta.media_storage_sop_class_uid(), meta.media_storage_sop_instance_uid()]
    }
}

/// A DICOM file that cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// Series Instance UID, if it is known.
    pub(super) series: Option<String>,
    pub(super) error: Box<DataError>,
}

/// Where the parts of a file begin.
#[derive(Debug, PartialEq, Eq)]
struct Layout {
    /// What the file lacks before its first byte: preamble, magic, and file meta header.
    missing: Vec<u8>,
    /// Offset of the data set, or of the file meta header.
    offset: usize,
    /// The transfer syntax, if the file has no file meta header.
    syntax: Option<&'static str>,
}

impl Layout {
    /// The layout of a file with these first bytes; `None` if it is not DICOM.
    ///
    /// A file without preamble is no valid DICOM file (PS3.10, 7.1), but archives and older scanners write such files.
    fn of(start: &[u8]) -> Option<Self> {
        let preamble = [0; PREAMBLE].to_vec();
        let group_length = [2, 0, 0, 0, b'U', b'L', 4, 0];
        if start.get(PREAMBLE..PREAMBLE + MAGIC.len()) == Some(MAGIC) {
            Some(Self { missing: Vec::new(), offset: PREAMBLE + MAGIC.len(), syntax: None })
        } else if start.starts_with(MAGIC) {
            Some(Self { missing: preamble, offset: MAGIC.len(), syntax: None })
        } else if start.starts_with(&group_length) {
            Some(Self { missing: [&preamble[..], MAGIC].concat(), offset: 0, syntax: None })
        } else {
            let syntax = data_set_syntax(start)?;
            Some(Self { missing: [&preamble[..], MAGIC, &meta(syntax)].concat(), offset: 0, syntax: Some(syntax) })
        }
    }
}

/// Whether a file with these first bytes is a DICOM file, with or without a preamble.
pub(crate) fn begins_dicom(start: &[u8]) -> bool {
    Layout::of(start).is_some()
}

/// The transfer syntax of a data set, by its first element; `None` if these bytes begin no data set.
///
/// The first element is in group 8. With explicit types, two letters follow the tag; with implicit types, a length of four bytes.
fn data_set_syntax(start: &[u8]) -> Option<&'static str> {
    let [8, 0, _, 0, rest @ ..] = start else { return None };
    let length = u32::from_le_bytes(*rest.first_chunk()?);
    if VR::from_binary([rest[0], rest[1]]).is_some() {
        Some(uids::EXPLICIT_VR_LITTLE_ENDIAN)
    } else {
        (length <= MAX_FIRST).then_some(uids::IMPLICIT_VR_LITTLE_ENDIAN)
    }
}

/// A file meta header that states the transfer syntax alone.
fn meta(syntax: &str) -> Vec<u8> {
    let mut syntax = syntax.as_bytes().to_vec();
    syntax.resize(syntax.len().next_multiple_of(2), 0);
    let element = |element: u8, value: &[u8]| {
        [&[2, 0, element, 0, b'U', b'I'][..], &(value.len() as u16).to_le_bytes(), value].concat()
    };
    let elements = [element(2, &[]), element(3, &[]), element(0x10, &syntax)].concat();
    [&[2, 0, 0, 0, b'U', b'L', 4, 0][..], &(elements.len() as u32).to_le_bytes(), &elements].concat()
}

/// Opens a file.
pub(super) fn open(path: &Path, part: Part) -> Result<Opened, Unreadable> {
    let unreadable = |error| Unreadable { series: None, error: Box::new(error) };
    let read = |source| unreadable(DataError::Read { path: path.to_path_buf(), source });
    let refuse = |source| unreadable(DataError::Dicom { path: path.to_path_buf(), source });
    let mut file = BufReader::new(File::open(path).map_err(read)?);
    let length = file.get_ref().metadata().map_err(read)?.len();
    let mut start = Vec::new();
    file.by_ref().take((PREAMBLE + MAGIC.len()) as u64).read_to_end(&mut start).map_err(read)?;
    let Some(layout) = Layout::of(&start) else {
        return Ok(Opened::Foreign { is_blank: start.iter().all(|&byte| byte == 0) });
    };
    file.seek(SeekFrom::Start(layout.offset as u64)).map_err(read)?;
    let uid = match layout.syntax {
        Some(uid) => uid.to_owned(),
        None => read_meta(&mut file, layout.offset as u64, length).map_err(|error| refuse(damaged(error)))?,
    };
    let syntax =
        TransferSyntaxRegistry.get(&uid).ok_or_else(|| refuse(DicomError::UnknownSyntax { uid: uid.clone() }))?;
    let (walk, walked) = if matches!(syntax.codec(), Codec::Dataset(_)) {
        let damaged = |source| unreadable(DataError::Damaged { path: path.to_path_buf(), source });
        let inflated = inflate(file).map_err(damaged)?;
        let inflated = inflated.ok_or_else(|| refuse(DicomError::Inflated { most: MAX_INFLATED }))?;
        let explicit = TransferSyntaxRegistry.get(uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap_or(syntax);
        Walk::through(Cursor::new(&inflated), inflated.len() as u64, part, explicit)
    } else {
        Walk::through(file, length, part, syntax)
    };
    let Walk { texts, pixels, .. } = walk;
    let read = walked.map_err(|flaw| flaw.of_file(path)).and_then(|()| read_object(path, part, layout.missing));
    match read {
        Ok(object) => Ok(Opened::Dicom(Box::new(DataSet { object, pixels, texts }))),
        Err(error) => {
            let series = texts.shown(tags::SERIES_INSTANCE_UID);
            Err(Unreadable { series: (!series.is_empty()).then_some(series), error: Box::new(error) })
        }
    }
}

/// Reads the data set of a file whose lengths are checked. `missing` is what the file lacks before its first byte.
fn read_object(path: &Path, part: Part, missing: Vec<u8>) -> Result<DefaultDicomObject, DataError> {
    let file = File::open(path).map_err(|source| DataError::Read { path: path.to_path_buf(), source })?;
    let options = OpenFileOptions::new().read_preamble(ReadPreamble::Always);
    let options = match part {
        Part::Header => options.read_until(tags::PIXEL_DATA),
        Part::Pixels => options.read_to(tags::PIXEL_DATA),
    };
    let object = options.from_reader(Cursor::new(missing).chain(file));
    object.map_err(|error| DataError::Dicom { path: path.to_path_buf(), source: damaged(error) })
}

/// Reads the file meta header, which begins at `offset`, and returns the transfer syntax.
fn read_meta(
    file: &mut (impl Read + Seek),
    offset: u64,
    length: u64,
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    walk_meta(file, length)?;
    file.seek(SeekFrom::Start(offset))?;
    let meta = FileMetaTable::from_reader(Cursor::new(MAGIC).chain(file))?;
    Ok(meta.transfer_syntax().to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_recognised_by_their_first_bytes() {
        let mut whole = vec![0; PREAMBLE];
        whole.extend(MAGIC);
        let syntax = |start: &[u8]| Layout::of(start).map(|layout| (layout.offset, layout.syntax));
        assert_eq!(syntax(&whole), Some((132, None)));
        assert_eq!(syntax(b"DICM\x02\0\0\0UL\x04\0"), Some((4, None)));
        assert_eq!(syntax(b"\x02\0\0\0UL\x04\0"), Some((0, None)));
        assert_eq!(syntax(b"\x08\0\x16\0UI\x1a\x001.2"), Some((0, Some(uids::EXPLICIT_VR_LITTLE_ENDIAN))));
        assert_eq!(syntax(b"\x08\0\x16\0\x1a\0\0\x001.2"), Some((0, Some(uids::IMPLICIT_VR_LITTLE_ENDIAN))));
        for other in
            [&b""[..], &whole[..131], b"\x08\0\x16\0", b"\x08\0\x16\0\xff\xff\xff\xff", b"\x5c\x01\0\0\0\0\0\0"]
        {
            assert_eq!(syntax(other), None);
        }
    }

    #[test]
    fn the_header_that_is_put_before_a_data_set_can_be_read() {
        let bytes = [MAGIC, &meta(uids::IMPLICIT_VR_LITTLE_ENDIAN)].concat();
        let mut source = Cursor::new(&bytes);
        let table = FileMetaTable::from_reader(&mut source).expect("a whole header");
        assert_eq!(table.transfer_syntax(), uids::IMPLICIT_VR_LITTLE_ENDIAN);
        assert_eq!(source.position(), bytes.len() as u64);
    }
}
