//! Extracts the pixels of a frame from its file.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
};

use dicom_core::{DicomValue, PrimitiveValue};
use dicom_dictionary_std::uids;
use dicom_encoding::{
    adapters::{PixelDataObject, RawPixelData},
    transfer_syntax::{Codec, TransferSyntax, TransferSyntaxIndex},
};
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;

use super::{codestream, file::DataSet, pixel_format::PixelFormat};
use crate::DicomError;

impl PixelFormat {
    /// The frame's pixels, row by row, low byte first.
    pub(super) fn unpack<'a>(&self, data: &'a DataSet) -> Result<Cow<'a, [u8]>, DicomError> {
        let pixels = match data.pixel_data().ok_or(DicomError::NoPixels)? {
            DicomValue::Primitive(value) => self.native(value)?,
            DicomValue::PixelSequence(sequence) => {
                let packed = self.fragments(sequence.offset_table(), sequence.fragments())?;
                Cow::Owned(self.decompress(&packed, data.transfer_syntax())?)
            }
            DicomValue::Sequence(_) => return Err(DicomError::NoPixelType),
        };
        if pixels.len() == self.length() {
            Ok(pixels)
        } else {
            Err(DicomError::FrameLength { frame: self.number + 1, expected: self.length(), found: pixels.len() })
        }
    }

    fn native<'a>(&self, value: &'a PrimitiveValue) -> Result<Cow<'a, [u8]>, DicomError> {
        let (start, length) = (self.number * self.length(), self.length());
        let end = start + length;
        // 8-bit pixels may be stored as words, so a frame may begin in the middle of a word.
        let found: Option<Cow<'a, [u8]>> = match value {
            PrimitiveValue::U8(bytes) => bytes.get(start..end).map(Cow::Borrowed),
            PrimitiveValue::U16(words) => words
                .get(start / 2..end.div_ceil(2))
                .map(|words| words.iter().flat_map(|word| word.to_le_bytes()).skip(start % 2).take(length).collect()),
            PrimitiveValue::U32(words) => words
                .get(start / 4..end.div_ceil(4))
                .map(|words| words.iter().flat_map(|word| word.to_le_bytes()).skip(start % 4).take(length).collect()),
            _ => return Err(DicomError::NoPixelType),
        };
        found.ok_or(DicomError::FrameMissing { frame: self.number + 1 })
    }

    /// The fragments that a compressed frame consists of.
    fn fragments<'a>(&self, offsets: &[u32], fragments: &'a [Vec<u8>]) -> Result<Cow<'a, [u8]>, DicomError> {
        let missing = || DicomError::FrameMissing { frame: self.number + 1 };
        if fragments.len() == self.of {
            return fragments.get(self.number).map(|one| Cow::Borrowed(&**one)).ok_or_else(missing);
        }
        if self.of == 1 {
            return Ok(Cow::Owned(fragments.concat()));
        }
        let start = *offsets.get(self.number).ok_or_else(missing)?;
        let end = offsets.get(self.number + 1).copied().unwrap_or(u32::MAX);
        // Offsets include the tag and the length of each fragment.
        let begins = fragments.iter().scan(0_u64, |next, fragment| {
            let begin = *next;
            *next += fragment.len() as u64 + 8;
            Some(begin)
        });
        let own = begins.zip(fragments).filter(|(begin, _)| (u64::from(start)..u64::from(end)).contains(begin));
        Ok(Cow::Owned(own.flat_map(|(_, fragment)| fragment.iter().copied()).collect()))
    }

    fn decompress(&self, packed: &[u8], syntax: &str) -> Result<Vec<u8>, DicomError> {
        if syntax == uids::RLE_LOSSLESS {
            return codestream::unpack_rle(packed, self.rows * self.columns, self.levels.bytes());
        }
        let found = TransferSyntaxRegistry.get(syntax);
        let (Some(Codec::EncapsulatedPixelData(Some(reader), _)), Some(announced)) =
            (found.map(TransferSyntax::codec), codestream::announced(packed))
        else {
            let name = found.map_or("unknown", |found| found.name()).to_owned();
            return Err(DicomError::TransferSyntax { uid: syntax.to_owned(), name });
        };
        announced.check(self)?;
        // A decoder that panics is treated as a damaged file, because damaged pixels can make dicom-rs's decoders panic.
        let mut unpacked = Vec::new();
        let frame = PackedFrame { format: self, packed, syntax };
        let decoded = catch_unwind(AssertUnwindSafe(|| reader.decode_frame(&frame, 0, &mut unpacked)));
        match decoded {
            Ok(Ok(())) => Ok(unpacked),
            Ok(Err(error)) => Err(DicomError::Decode { frame: self.number + 1, source: Box::new(error) }),
            Err(_) => Err(DicomError::DamagedFrame { frame: self.number + 1 }),
        }
    }
}

/// One compressed frame in the form that dicom-rs's decoders need.
struct PackedFrame<'a> {
    format: &'a PixelFormat,
    packed: &'a [u8],
    syntax: &'a str,
}

impl PixelDataObject for PackedFrame<'_> {
    fn transfer_syntax_uid(&self) -> &str {
        self.syntax
    }

    fn rows(&self) -> Option<u16> {
        u16::try_from(self.format.rows).ok()
    }

    fn cols(&self) -> Option<u16> {
        u16::try_from(self.format.columns).ok()
    }

    fn samples_per_pixel(&self) -> Option<u16> {
        Some(1)
    }

    fn bits_allocated(&self) -> Option<u16> {
        Some(self.format.levels.allocated)
    }

    fn bits_stored(&self) -> Option<u16> {
        Some(self.format.levels.stored)
    }

    fn photometric_interpretation(&self) -> Option<&str> {
        Some("MONOCHROME2")
    }

    fn number_of_frames(&self) -> Option<u32> {
        Some(1)
    }

    fn number_of_fragments(&self) -> Option<u32> {
        Some(1)
    }

    fn fragment(&self, fragment: usize) -> Option<Cow<'_, [u8]>> {
        (fragment == 0).then_some(Cow::Borrowed(self.packed))
    }

    fn offset_table(&self) -> Option<Cow<'_, [u32]>> {
        None
    }

    fn raw_pixel_data(&self) -> Option<RawPixelData> {
        Some(RawPixelData { fragments: vec![self.packed.to_vec()].into(), offset_table: Vec::new().into() })
    }
}
