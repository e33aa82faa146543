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

    /// Converts pixels, low byte first, to intensities.
    pub(super) fn intensities(self, pixels: &[u8]) -> impl Iterator<Item = f32> {
        let mask = u32::MAX >> (32 - u32::from(self.stored));
        let shift = self.high + 1 - self.stored;
        let sign = if self.is_signed { 1_i64 << (self.stored - 1) } else { 0 };
        // The sum of the lowest and the highest value; MONOCHROME1 inverts values with it.
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
        };
        let of = |levels: Levels, pixels: &[u8]| levels.intensities(pixels).collect::<Vec<_>>();
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
}
