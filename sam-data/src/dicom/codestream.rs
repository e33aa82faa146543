//! Headers of compressed pixels, and RLE decoding.
//!
//! A decoder allocates what the stream's own header says. That may differ from the file's header, so it is checked first.

use super::pixel_format::PixelFormat;
use crate::DicomError;

/// Length of the RLE header: the number of segments and the offset of each.
const RLE_HEADER: usize = 64;

/// The image format in the header of a JPEG or JPEG 2000 stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Announced {
    rows: usize,
    columns: usize,
    channels: usize,
    /// Bits of a pixel, if the decoder unpacks up to 8 bits into one byte.
    bits: Option<u8>,
}

impl Announced {
    /// Checks that the stream's format is that of the file's header.
    pub(super) fn check(&self, format: &PixelFormat) -> Result<(), DicomError> {
        let expected = (format.rows, format.columns, 1);
        let found = (self.rows, self.columns, self.channels);
        let width = self.bits.map_or(format.levels.bytes(), |bits| usize::from(bits.div_ceil(8)));
        if expected == found && width == format.levels.bytes() && width <= 2 {
            return Ok(());
        }
        Err(DicomError::Compressed {
            rows: format.rows,
            columns: format.columns,
            bits: format.levels.allocated,
            found_rows: self.rows,
            found_columns: self.columns,
            channels: self.channels,
            bytes: width,
        })
    }
}

/// Parses the header of a JPEG or JPEG 2000 stream; `None` if there is none.
pub(super) fn announced(stream: &[u8]) -> Option<Announced> {
    if stream.starts_with(&[0xff, 0xd8]) { jpeg(stream) } else { jpeg_2000(stream) }
}

/// Parses the first frame header of a JPEG. Source: ITU-T T.81, B.1.1.3 and B.2.2.
fn jpeg(stream: &[u8]) -> Option<Announced> {
    let mut position = 2;
    loop {
        let [0xff, marker, ..] = *stream.get(position..)? else { return None };
        let segment = stream.get(position + 2..)?;
        match marker {
            // Fill bytes.
            0xff => position += 1,
            // All markers in this range are frame headers, except Huffman tables, arithmetic coding and an extension.
            0xc0..=0xcf if ![0xc4, 0xc8, 0xcc].contains(&marker) => {
                let [bits, channels] = [*segment.get(2)?, *segment.get(7)?];
                let [rows, columns] = [number::<2>(segment, 3)?, number::<2>(segment, 5)?];
                return Some(Announced { rows, columns, channels: channels.into(), bits: Some(bits) });
            }
            _ => position += 2 + number::<2>(segment, 0)?,
        }
    }
}

/// Parses the marker segment SIZ, in a raw codestream or in a JP2 file. Source: ITU-T T.800, A.5.1.
fn jpeg_2000(stream: &[u8]) -> Option<Announced> {
    let start = stream.windows(4).position(|four| four == [0xff, 0x4f, 0xff, 0x51])?;
    let size = stream.get(start + 4..)?;
    let [columns, rows, left, top] =
        [number::<4>(size, 4)?, number::<4>(size, 8)?, number::<4>(size, 12)?, number::<4>(size, 16)?];
    let channels = number::<2>(size, 36)?;
    Some(Announced { rows: rows.checked_sub(top)?, columns: columns.checked_sub(left)?, channels, bits: None })
}

/// A big-endian number of `BYTES` bytes.
fn number<const BYTES: usize>(bytes: &[u8], position: usize) -> Option<usize> {
    let bytes = bytes.get(position..position + BYTES)?;
    Some(bytes.iter().fold(0, |number, &byte| number << 8 | usize::from(byte)))
}

/// Decodes RLE: one segment for each byte of a pixel, most significant byte first. Source: DICOM PS3.5, annex G.
pub(super) fn unpack_rle(packed: &[u8], area: usize, width: usize) -> Result<Vec<u8>, DicomError> {
    let word = |position: usize| {
        let bytes = packed.get(position..position + 4)?;
        Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | usize::from(byte)))
    };
    let count = word(0).filter(|_| packed.len() >= RLE_HEADER);
    if count != Some(width) {
        return Err(DicomError::RunSegments { expected: width, found: count.unwrap_or(0) });
    }
    let mut unpacked = vec![0; area * width];
    for segment in 0..width {
        let begin = word(4 * (segment + 1)).unwrap_or(0);
        let end = if segment + 1 < width { word(4 * (segment + 2)).unwrap_or(0) } else { packed.len() };
        let runs = packed.get(begin..end).filter(|_| begin >= RLE_HEADER);
        let runs = runs.ok_or(DicomError::RunsOutside)?;
        let mut place = unpacked.iter_mut().skip(width - 1 - segment).step_by(width);
        let found = unpack_runs(runs, &mut place);
        if found < area {
            return Err(DicomError::RunsTooFew { expected: area, found });
        }
    }
    Ok(unpacked)
}

/// Decodes runs into `places` until either ends; returns how many places were filled.
fn unpack_runs<'a>(mut runs: &[u8], places: &mut impl Iterator<Item = &'a mut u8>) -> usize {
    let mut filled = 0;
    let mut put = |byte: u8| {
        let place = places.next();
        filled += usize::from(place.is_some());
        place.map(|place| *place = byte)
    };
    while let [length, rest @ ..] = runs {
        let length = usize::from(*length);
        runs = match (length, rest) {
            // A literal run of `length + 1` bytes.
            (0..128, _) => {
                let (bytes, rest) = rest.split_at(rest.len().min(length + 1));
                if bytes.iter().any(|&byte| put(byte).is_none()) {
                    break;
                }
                rest
            }
            // No operation.
            (128, _) => rest,
            (_, [byte, rest @ ..]) => {
                if (0..257 - length).any(|_| put(*byte).is_none()) {
                    break;
                }
                rest
            }
            (_, []) => break,
        };
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds an RLE header with these segment offsets, followed by the runs.
    fn packed(begins: &[u32], runs: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; RLE_HEADER];
        bytes[..4].copy_from_slice(&(begins.len() as u32).to_le_bytes());
        for (segment, begin) in begins.iter().enumerate() {
            bytes[4 * (segment + 1)..][..4].copy_from_slice(&begin.to_le_bytes());
        }
        bytes.extend(runs);
        bytes
    }

    #[test]
    fn run_lengths() {
        // High bytes: three times 7, then 1 and 2. Low bytes: 0 to 4.
        let two = packed(&[64, 70], &[254, 7, 1, 1, 2, 128, 4, 0, 1, 2, 3, 4]);
        assert_eq!(unpack_rle(&two, 5, 2).expect("whole"), [0, 7, 1, 7, 2, 7, 3, 1, 4, 2]);
        assert!(unpack_rle(&two, 6, 2).is_err(), "too few");
        assert!(unpack_rle(&two, 4, 2).is_ok(), "padding");
        assert!(unpack_rle(&two, 5, 1).is_err(), "another width");
        assert!(unpack_rle(&two[..70], 5, 2).is_err(), "truncated");
        for damaged in [&packed(&[u32::MAX, 70], &[0; 9]), &packed(&[3, 70], &[0; 9]), &packed(&[70, 65], &[0; 9])] {
            assert!(unpack_rle(damaged, 5, 2).is_err());
        }
        assert!(unpack_rle(&[], 5, 1).is_err() && unpack_rle(&[0xff; 64], 5, 1).is_err());
    }

    #[test]
    fn headers_of_streams() {
        let jpeg = [0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xff, 0xc3, 0, 11, 16, 0, 5, 1, 0, 1, 0, 0];
        let expected = Announced { rows: 5, columns: 256, channels: 1, bits: Some(16) };
        assert_eq!(announced(&jpeg), Some(expected));
        let mut jpeg_2000 = vec![0xff, 0x4f, 0xff, 0x51, 0, 41, 0, 0];
        jpeg_2000.extend([10_u32, 6, 2, 1, 10, 6, 0, 0].iter().flat_map(|side| side.to_be_bytes()));
        jpeg_2000.extend([0, 1, 15, 1, 1]);
        assert_eq!(announced(&jpeg_2000), Some(Announced { rows: 5, columns: 8, channels: 1, bits: None }));
        for length in 0..jpeg.len() - 1 {
            let _ = announced(&jpeg[..length]);
        }
        assert_eq!(announced(&jpeg_2000[..30]), None);
        assert_eq!(announced(&[]), None);
    }
}
