//! The storage format of a frame's pixels and its conversion to intensities.

use crate::DicomError;

/// How stored values become intensities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Levels {
    /// Bits Allocated: 8, 16 or 32.
    pub(super) allocated: u16,
    /// Bits Stored.
    pub(super) stored: u16,
    /// High Bit.
    pub(super) high: u16,
    pub(super) is_signed: bool,
    pub(super) slope: f64,
    pub(super) intercept: f64,
    /// Whether the photometric interpretation is MONOCHROME1.
    pub(super) black_is_highest: bool,
    /// Pixel Padding Value and Pixel Padding Range Limit: the first and the last stored value of pixels outside the field of view.
    pub(super) padding: Option<[i64; 2]>,
}

impl Levels {
    /// Checks that DICOM allows the bits, and that slope and intercept are finite.
    pub(super) fn checked(self) -> Result<Self, DicomError> {
        let Self { allocated, stored, high, slope, intercept, .. } = self;
        if ![8, 16, 32].contains(&allocated)
            || !(1..=allocated).contains(&stored)
            || !(stored - 1..allocated).contains(&high)
        {
            return Err(DicomError::Bits { allocated, stored, high });
        }
        if !slope.is_finite() || !intercept.is_finite() || slope == 0.0 {
            return Err(DicomError::Rescale { slope, intercept });
        }
        Ok(self)
    }

    pub(super) fn bytes(self) -> usize {
        usize::from(self.allocated / 8)
    }

    /// Converts pixels, low byte first, to intensities; `None` for a pixel of padding.
    pub(super) fn intensities(self, pixels: &[u8]) -> impl Iterator<Item = Option<f32>> {
        let mask = u32::MAX >> (32 - u32::from(self.stored));
        let shift = self.high + 1 - self.stored;
        let sign = if self.is_signed { 1_i64 << (self.stored - 1) } else { 0 };
        // The sum of the lowest and the highest value; MONOCHROME1 inverts values with it.
        let ends = i64::from(mask) - 2 * sign;
        let padding = self.padding.map(|ends| ends.map(|end| self.wrapped(end)));
        let padding = padding.map(|[one, other]| one.min(other)..=one.max(other));
        // A padding value that the stored bits cannot hold is stored in all bits.
        let lowest = -sign;
        let is_whole =
            padding.as_ref().is_some_and(|range| *range.start() < lowest || *range.end() > lowest + i64::from(mask));
        pixels.chunks_exact(self.bytes()).map(move |pixel| {
            let raw = pixel.iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte));
            let number = i64::from(raw >> shift & mask);
            let number = if number & sign == 0 { number } else { number - 2 * sign };
            let compared = if is_whole { self.wrapped(raw.into()) } else { number };
            if padding.as_ref().is_some_and(|range| range.contains(&compared)) {
                return None;
            }
            let number = if self.black_is_highest { ends - number } else { number };
            Some((number as f64 * self.slope + self.intercept) as f32)
        })
    }

    /// A number of Bits Allocated with the sign of the pixels, whatever the sign it was stored with.
    fn wrapped(self, number: i64) -> i64 {
        let count = 1_i64 << self.allocated;
        let number = number.rem_euclid(count);
        if self.is_signed && number >= count / 2 { number - count } else { number }
    }
}

/// Index of a frame in its file, and the storage format of its pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct PixelFormat {
    /// Index of the frame in its file, from 0.
    pub(super) number: usize,
    /// Number of frames in the file.
    pub(super) of: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) levels: Levels,
}

impl PixelFormat {
    /// Length of the unpacked frame in bytes.
    pub(super) fn length(&self) -> usize {
        self.rows * self.columns * self.levels.bytes()
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
            padding: None,
        };
        let of = |levels: Levels, pixels: &[u8]| {
            levels.intensities(pixels).map(|intensity| intensity.expect("no padding")).collect::<Vec<_>>()
        };
        // Bits above the stored ones hold overlays, not intensities.
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

    #[test]
    fn padding_is_known_whatever_its_sign_and_range() {
        let levels = Levels {
            allocated: 16,
            stored: 16,
            high: 15,
            is_signed: true,
            slope: 1.0,
            intercept: 0.0,
            black_is_highest: false,
            padding: Some([-2000, -2000]),
        };
        let of = |levels: Levels, pixels: &[i16]| {
            let bytes: Vec<u8> = pixels.iter().flat_map(|pixel| pixel.to_le_bytes()).collect();
            levels.intensities(&bytes).collect::<Vec<_>>()
        };
        assert_eq!(of(levels, &[-2000, -1999, 5]), [None, Some(-1999.0), Some(5.0)]);
        // Stored with the other sign.
        assert_eq!(of(Levels { padding: Some([63536, 63536]), ..levels }, &[-2000, 5]), [None, Some(5.0)]);
        let range = Levels { padding: Some([-1000, -2000]), ..levels };
        assert_eq!(of(range, &[-2001, -2000, -1000, -999]), [Some(-2001.0), None, None, Some(-999.0)]);
        // The stored 12 bits cannot hold -3000: it is compared with all 16 bits. Bits above the stored ones are no padding else.
        let narrow = Levels { stored: 12, high: 11, ..levels };
        assert_eq!(of(Levels { padding: Some([-3000, -3000]), ..narrow }, &[-3000, 5]), [None, Some(5.0)]);
        assert_eq!(of(Levels { padding: Some([5, 5]), ..narrow }, &[0x1005, 6]), [None, Some(6.0)]);
        // The stored value is compared, before MONOCHROME1 inverts it.
        let inverse = Levels { black_is_highest: true, padding: Some([0, 0]), is_signed: false, ..levels };
        assert_eq!(of(inverse, &[0, 1]), [None, Some(65534.0)]);
        let byte = Levels { allocated: 8, stored: 8, high: 7, is_signed: false, padding: Some([255, 255]), ..levels };
        assert_eq!(byte.intensities(&[255, 0]).collect::<Vec<_>>(), [None, Some(0.0)]);
    }
}
