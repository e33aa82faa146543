//! From a file's pixels to intensities.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
};

use dicom_core::{DicomValue, PrimitiveValue};
use dicom_dictionary_std::{tags, uids};
use dicom_encoding::{
    adapters::{PixelDataObject, RawPixelData},
    transfer_syntax::{Codec, TransferSyntax, TransferSyntaxIndex},
};
use dicom_object::DefaultDicomObject;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;

use super::{causes, codestream};

/// How stored numbers become intensities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Levels {
    /// Bits of a pixel in the file: 8, 16 or 32.
    pub(super) allocated: u16,
    /// Of these, how many count.
    pub(super) stored: u16,
    /// The highest of them.
    pub(super) high: u16,
    pub(super) is_signed: bool,
    pub(super) slope: f64,
    pub(super) intercept: f64,
    /// MONOCHROME1.
    pub(super) black_is_highest: bool,
}

impl Levels {
    /// Checks that the bits are such as DICOM knows.
    pub(super) fn checked(self) -> Result<Self, String> {
        let Self { allocated, stored, high, slope, intercept, .. } = self;
        if ![8, 16, 32].contains(&allocated)
            || !(1..=allocated).contains(&stored)
            || !(stored - 1..allocated).contains(&high)
        {
            return Err(format!(
                "its pixels have {allocated} bits of which {stored} are stored, up to bit {high}; expected 8, 16 or 32 bits"
            ));
        }
        if !slope.is_finite() || !intercept.is_finite() || slope == 0.0 {
            return Err(format!("it rescales by slope {slope} and intercept {intercept}, which no intensity survives"));
        }
        Ok(self)
    }

    pub(super) fn bytes(self) -> usize {
        usize::from(self.allocated / 8)
    }

    /// The intensities of pixels, low byte first.
    pub(super) fn intensities(self, pixels: &[u8]) -> impl Iterator<Item = f32> {
        let mask = u32::MAX >> (32 - u32::from(self.stored));
        let shift = self.high + 1 - self.stored;
        let sign = if self.is_signed { 1_i64 << (self.stored - 1) } else { 0 };
        // The lowest and the highest number together.
        let ends = i64::from(mask) - 2 * sign;
        pixels.chunks_exact(self.bytes()).map(move |pixel| {
            let raw = pixel.iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte));
            let number = i64::from(raw >> shift & mask);
            let number = if number & sign == 0 { number } else { number - 2 * sign };
            let number = if self.black_is_highest { ends - number } else { number };
            (number as f64 * self.slope + self.intercept) as f32
        })
    }
}

/// A frame of a file, by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) number: usize,
    /// Frames in its file.
    pub(super) of: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) levels: Levels,
}

impl Wanted {
    /// Bytes of the frame once it is unpacked.
    fn length(&self) -> usize {
        self.rows * self.columns * self.levels.bytes()
    }

    /// The frame's pixels, row by row, low byte first.
    pub(super) fn unpack<'a>(&self, object: &'a DefaultDicomObject) -> Result<Cow<'a, [u8]>, String> {
        let pixels = object.get(tags::PIXEL_DATA).ok_or("it holds no pixels; copy or download it again")?;
        let pixels = match pixels.value() {
            DicomValue::Primitive(value) => self.native(value)?,
            DicomValue::PixelSequence(sequence) => {
                let packed = self.fragments(sequence.offset_table(), sequence.fragments())?;
                Cow::Owned(self.decompress(&packed, object.meta().transfer_syntax())?)
            }
            DicomValue::Sequence(_) => return Err("its pixels are a sequence; copy or download it again".to_owned()),
        };
        if pixels.len() == self.length() {
            Ok(pixels)
        } else {
            Err(format!(
                "expected {} bytes of pixels in frame {}, found {}",
                self.length(),
                self.number + 1,
                pixels.len()
            ))
        }
    }

    fn native<'a>(&self, value: &'a PrimitiveValue) -> Result<Cow<'a, [u8]>, String> {
        let (start, length) = (self.number * self.length(), self.length());
        let end = start + length;
        // Pixels of a byte may be stored as words, and a frame may begin within one.
        let found: Option<Cow<'a, [u8]>> = match value {
            PrimitiveValue::U8(bytes) => bytes.get(start..end).map(Cow::Borrowed),
            PrimitiveValue::U16(words) => words
                .get(start / 2..end.div_ceil(2))
                .map(|words| words.iter().flat_map(|word| word.to_le_bytes()).skip(start % 2).take(length).collect()),
            PrimitiveValue::U32(words) => words
                .get(start / 4..end.div_ceil(4))
                .map(|words| words.iter().flat_map(|word| word.to_le_bytes()).skip(start % 4).take(length).collect()),
            _ => return Err("its pixels are neither bytes nor words; copy or download it again".to_owned()),
        };
        found.ok_or_else(|| format!("frame {} is missing; copy or download it again", self.number + 1))
    }

    /// The fragments that a compressed frame consists of.
    fn fragments<'a>(&self, offsets: &[u32], fragments: &'a [Vec<u8>]) -> Result<Cow<'a, [u8]>, String> {
        let missing = || format!("frame {} is missing; copy or download it again", self.number + 1);
        if fragments.len() == self.of {
            return fragments.get(self.number).map(|one| Cow::Borrowed(&**one)).ok_or_else(missing);
        }
        if self.of == 1 {
            return Ok(Cow::Owned(fragments.concat()));
        }
        let start = *offsets.get(self.number).ok_or_else(missing)?;
        let end = offsets.get(self.number + 1).copied().unwrap_or(u32::MAX);
        // Each fragment begins with a tag and its length, which count.
        let begins = fragments.iter().scan(0_u64, |next, fragment| {
            let begin = *next;
            *next += fragment.len() as u64 + 8;
            Some(begin)
        });
        let own = begins.zip(fragments).filter(|(begin, _)| (u64::from(start)..u64::from(end)).contains(begin));
        Ok(Cow::Owned(own.flat_map(|(_, fragment)| fragment.iter().copied()).collect()))
    }

    fn decompress(&self, packed: &[u8], syntax: &str) -> Result<Vec<u8>, String> {
        if syntax == uids::RLE_LOSSLESS {
            return codestream::unpack_rle(packed, self.rows * self.columns, self.levels.bytes());
        }
        let found = TransferSyntaxRegistry.get(syntax);
        let (Some(Codec::EncapsulatedPixelData(Some(reader), _)), Some(announced)) =
            (found.map(TransferSyntax::codec), codestream::announced(packed))
        else {
            let name = found.map_or("unknown", |found| found.name());
            return Err(format!(
                "its transfer syntax {syntax} ({name}) is not read, or its pixels are damaged; store it uncompressed"
            ));
        };
        announced.check(self)?;
        // The decoders are not ours: where damaged pixels make one panic, the file is damaged, not this program.
        let mut unpacked = Vec::new();
        let frame = PackedFrame { wanted: self, packed, syntax };
        let decoded = catch_unwind(AssertUnwindSafe(|| reader.decode_frame(&frame, 0, &mut unpacked)));
        match decoded {
            Ok(Ok(())) => Ok(unpacked),
            Ok(Err(error)) => Err(causes(&error)),
            Err(_) => Err(format!("frame {} is damaged; copy or download it again", self.number + 1)),
        }
    }
}

/// One compressed frame, as dicom-rs's decoders ask for it.
struct PackedFrame<'a> {
    wanted: &'a Wanted,
    packed: &'a [u8],
    syntax: &'a str,
}

impl PixelDataObject for PackedFrame<'_> {
    fn transfer_syntax_uid(&self) -> &str {
        self.syntax
    }

    fn rows(&self) -> Option<u16> {
        u16::try_from(self.wanted.rows).ok()
    }

    fn cols(&self) -> Option<u16> {
        u16::try_from(self.wanted.columns).ok()
    }

    fn samples_per_pixel(&self) -> Option<u16> {
        Some(1)
    }

    fn bits_allocated(&self) -> Option<u16> {
        Some(self.wanted.levels.allocated)
    }

    fn bits_stored(&self) -> Option<u16> {
        Some(self.wanted.levels.stored)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_numbers_become_intensities() {
        let plain = Levels {
            allocated: 16,
            stored: 12,
            high: 11,
            is_signed: false,
            slope: 2.0,
            intercept: -1024.0,
            black_is_highest: false,
        };
        let of = |levels: Levels, pixels: &[u8]| levels.intensities(pixels).collect::<Vec<_>>();
        // Bits above the stored ones are overlays, not intensities.
        assert_eq!(of(plain, &[0x01, 0xf0, 0xff, 0x0f]), [-1022.0, 7166.0]);
        assert_eq!(of(Levels { is_signed: true, ..plain }, &[0xff, 0x0f, 0x00, 0x08]), [-1026.0, -5120.0]);
        let inverse = Levels { black_is_highest: true, slope: 1.0, intercept: 0.0, ..plain };
        assert_eq!(of(inverse, &[0x01, 0x00]), [4094.0]);
        assert_eq!(of(Levels { is_signed: true, ..inverse }, &[0xff, 0x0f]), [0.0]);
        assert_eq!(of(Levels { high: 15, ..plain }, &[0x1f, 0x00]), [-1022.0]);
        assert_eq!(of(Levels { allocated: 8, stored: 8, high: 7, ..plain }, &[3]), [-1018.0]);
        assert_eq!(of(Levels { allocated: 32, stored: 32, high: 31, ..plain }, &[1, 0, 1, 0]), [130_050.0]);
        for wrong in [
            Levels { stored: 0, ..plain },
            Levels { stored: 17, ..plain },
            Levels { high: 3, ..plain },
            Levels { allocated: 1, ..plain },
            Levels { slope: f64::NAN, ..plain },
        ] {
            assert!(wrong.checked().is_err(), "{wrong:?}");
        }
    }
}
