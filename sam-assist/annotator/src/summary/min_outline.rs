//! How small an outline may be.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// At most this share of a structure's largest outline is far smaller.
const FAR_SMALLER: f64 = 0.01;
/// A brush that slipped leaves at most so many voxels.
const SLIPPED: f64 = 3.0;
/// So many voxels have slipped only if the largest outline has at least this many times as many.
const TIMES: f64 = 10.0;

/// The smallest outline that counts. Smaller ones are questioned: their slices count as not outlined for that structure.
///
/// As text: `auto`, an area in mm2 such as `20`, or a share of the structure's largest outline such as `2%`. `0` lets every outline count.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub enum MinOutline {
    /// 1 % of the structure's largest outline; or more than 3 voxels, if the largest has at least 10 times as many.
    #[default]
    Auto,
    /// An area in mm2.
    Area(f64),
    /// A share of the structure's largest outline, in percent.
    Percent(f64),
}

/// A text that is not the size of an outline.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected auto, an area in mm2 such as 20, or a share of the largest outline such as 2%, found {found:?}")]
pub struct ParseMinOutlineError {
    /// The text.
    pub found: String,
}

impl MinOutline {
    /// Every outline counts.
    pub const NONE: Self = Self::Area(0.0);

    /// Whether an outline is too small to count. Areas are in voxels; `voxel_mm2` is that of one voxel.
    pub(super) fn is_too_small(self, voxels: usize, largest: usize, voxel_mm2: f64) -> bool {
        let (voxels, largest) = (voxels as f64, largest as f64);
        match self {
            Self::Auto => voxels < FAR_SMALLER * largest || voxels <= SLIPPED && TIMES * voxels <= largest,
            Self::Area(least) => voxels * voxel_mm2 < least,
            Self::Percent(least) => 100.0 * voxels < least * largest,
        }
    }
}

impl FromStr for MinOutline {
    type Err = ParseMinOutlineError;

    fn from_str(text: &str) -> Result<Self, ParseMinOutlineError> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("auto") {
            return Ok(Self::Auto);
        }
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        let parsed = match text.strip_suffix('%') {
            Some(share) => number(share).filter(|&share| share <= 100.0).map(Self::Percent),
            None => number(text.strip_suffix("mm2").unwrap_or(text)).map(Self::Area),
        };
        parsed.ok_or_else(|| ParseMinOutlineError { found: text.to_owned() })
    }
}

impl fmt::Display for MinOutline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Area(area) => write!(f, "{area}"),
            Self::Percent(share) => write!(f, "{share}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written_alike() {
        for (text, expected) in [
            ("auto", MinOutline::Auto),
            ("0", MinOutline::NONE),
            ("12.5", MinOutline::Area(12.5)),
            ("2%", MinOutline::Percent(2.0)),
        ] {
            assert_eq!(text.parse(), Ok(expected));
            assert_eq!(expected.to_string(), text);
        }
        assert_eq!("20 mm2".parse(), Ok(MinOutline::Area(20.0)));
        for text in ["", "-1", "NaN", "inf", "101%", "big"] {
            let error = text.parse::<MinOutline>().expect_err("no size").to_string();
            assert!(error.contains("such as 2%"), "{error}");
        }
    }

    #[test]
    fn a_few_voxels_beside_whole_outlines_are_too_small_by_default() {
        let is_too_small = |voxels, largest| MinOutline::Auto.is_too_small(voxels, largest, 1.0);
        for (voxels, largest) in [(1, 550), (1, 32), (3, 32), (5, 550), (49, 5000)] {
            assert!(is_too_small(voxels, largest), "{voxels} of {largest}");
        }
        // The tip of an organ, a small vessel, a lesion of few voxels.
        for (voxels, largest) in [(60, 5000), (6, 550), (4, 32), (1, 9), (3, 4), (2, 2)] {
            assert!(!is_too_small(voxels, largest), "{voxels} of {largest}");
        }
        assert!(MinOutline::Area(3.0).is_too_small(5, 5, 0.5) && !MinOutline::Area(3.0).is_too_small(6, 6, 0.5));
        assert!(
            MinOutline::Percent(50.0).is_too_small(4, 9, 1.0) && !MinOutline::Percent(50.0).is_too_small(5, 9, 1.0)
        );
        assert!(!MinOutline::NONE.is_too_small(1, 1_000_000, 1.0));
    }
}
