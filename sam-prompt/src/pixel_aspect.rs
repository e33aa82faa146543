//! The aspect of pixels: how much farther apart their rows are than their columns, or the other way round.

/// Spacings whose ratio differs from 1 by less than this are equal: files store them rounded.
const ROUNDING: f64 = 1e-3;
/// A pixel that is longer than this many times its width counts as this long: filters and distances take time in proportion to it.
const MAX_RATIO: f64 = 64.0;

/// Distances between the rows and between the columns of an image, if a pixel has the area 1. Those of square pixels are exactly 1.
///
/// Lengths in this unit are lengths in pixels where pixels are square, and areas are always numbers of pixels.
///
/// ```
/// use sam_prompt::PixelAspect;
///
/// let thick = PixelAspect::of_spacing(5.0, 0.8).ok_or("a pixel of 5 mm x 0.8 mm")?;
/// assert_eq!((thick.rows(), thick.columns()), (2.5, 0.4));
/// assert_eq!(PixelAspect::of_spacing(0.7, 0.7), Some(PixelAspect::SQUARE));
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PixelAspect {
    rows: f32,
    columns: f32,
}

impl PixelAspect {
    /// The aspect of square pixels.
    pub const SQUARE: Self = Self { rows: 1.0, columns: 1.0 };

    /// The aspect of pixels with these distances between rows and between columns, in any unit. Distances that differ by less than a
    /// thousandth are equal; one that is more than 64 times the other counts as 64 times the other. `None` if one of them is not a positive
    /// number.
    pub fn of_spacing(rows: f64, columns: f64) -> Option<Self> {
        let ratio = rows / columns;
        if !(rows > 0.0 && columns > 0.0 && ratio.is_finite() && ratio > 0.0) {
            return None;
        }
        if (ratio - 1.0).abs() < ROUNDING {
            return Some(Self::SQUARE);
        }
        let side = ratio.clamp(1.0 / MAX_RATIO, MAX_RATIO).sqrt();
        Some(Self { rows: side as f32, columns: side.recip() as f32 })
    }

    /// Distance between rows.
    pub fn rows(self) -> f32 {
        self.rows
    }

    /// Distance between columns.
    pub fn columns(self) -> f32 {
        self.columns
    }

    /// The longer side of a pixel.
    pub fn longest(self) -> f32 {
        self.rows.max(self.columns)
    }

    /// Whether pixels are square.
    pub fn is_square(self) -> bool {
        self == Self::SQUARE
    }

    /// Length of a step of this many rows and columns.
    pub fn length(self, rows: f32, columns: f32) -> f32 {
        (rows * self.rows).hypot(columns * self.columns)
    }
}

impl Default for PixelAspect {
    fn default() -> Self {
        Self::SQUARE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_has_the_area_1() {
        for (rows, columns) in [(5.0, 0.7), (0.7, 5.0), (1.0, 1.01), (1e9, 1.0), (1.0, 1e300)] {
            let aspect = PixelAspect::of_spacing(rows, columns).expect("positive numbers");
            assert!((aspect.rows() * aspect.columns() - 1.0).abs() < 1e-6 && !aspect.is_square(), "{aspect:?}");
            assert_eq!(aspect.rows() > aspect.columns(), rows > columns);
            assert!(aspect.longest() <= 8.0);
        }
        assert_eq!(PixelAspect::of_spacing(0.976_562, 0.976_562_5), Some(PixelAspect::SQUARE));
        assert_eq!(PixelAspect::SQUARE.length(3.0, 4.0).to_bits(), 5.0_f32.to_bits());
        for (rows, columns) in [(0.0, 1.0), (-1.0, -1.0), (f64::NAN, 1.0), (1.0, f64::INFINITY)] {
            assert_eq!(PixelAspect::of_spacing(rows, columns), None);
        }
    }
}
