//! How the pixels of a frame are stored, and what intensities they stand for.

use crate::DicomError;

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
    /// Checks that the bits are such as DICOM allows.
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

/// Which frame of a file, and how its pixels are stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct PixelFormat {
    /// The frame within its file, from 0.
    pub(super) number: usize,
    /// Frames in its file.
    pub(super) of: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) levels: Levels,
}

impl PixelFormat {
    /// Bytes of the frame once it is unpacked.
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
