//! Drawn masks as run lengths.

use std::iter::repeat_n;

use ndarray::{Array2, ShapeError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A drawn mask, `[rows, columns]`, stored in documents as run lengths.
///
/// In JSON: `{"rows", "columns", "runs"}`. Runs count the pixels in scan order, row by row, alternately outside and inside, starting
/// outside. They add up to the number of pixels; the first is 0 if the first pixel is inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RunLengths", into = "RunLengths")]
pub struct DrawnMask(pub Array2<bool>);

/// The largest number of rows or columns. No slice has more.
pub(super) const LONGEST_SIDE: usize = 1 << 14;

/// The largest number of pixels, 8192 x 8192, so that a small file cannot use up the memory.
const MOST_PIXELS: usize = 1 << 26;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunLengths {
    rows: usize,
    columns: usize,
    runs: Vec<usize>,
}

impl From<DrawnMask> for RunLengths {
    fn from(DrawnMask(mask): DrawnMask) -> Self {
        let (rows, columns) = mask.dim();
        let pixels: Vec<bool> = mask.into_iter().collect();
        let none_outside = pixels.first().filter(|&&inside| inside).map(|_| 0);
        let runs = none_outside.into_iter().chain(pixels.chunk_by(bool::eq).map(<[bool]>::len)).collect();
        Self { rows, columns, runs }
    }
}

/// Why run lengths are not a valid mask.
#[derive(Debug, Error)]
enum RunsError {
    #[error("a mask of {rows} x {columns} pixels is too large: no side may exceed {LONGEST_SIDE}")]
    LongSide { rows: usize, columns: usize },
    #[error("a mask of {rows} x {columns} pixels is too large: the limit is {MOST_PIXELS} in all")]
    TooLarge { rows: usize, columns: usize },
    #[error(
        "runs cover {} pixels, but a mask of {rows} x {columns} has {}",
        covered.map_or("more".to_owned(), |covered| covered.to_string()),
        rows * columns
    )]
    Covered { covered: Option<usize>, rows: usize, columns: usize },
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

impl TryFrom<RunLengths> for DrawnMask {
    type Error = RunsError;

    fn try_from(RunLengths { rows, columns, runs }: RunLengths) -> Result<Self, RunsError> {
        if rows.max(columns) > LONGEST_SIDE {
            return Err(RunsError::LongSide { rows, columns });
        }
        if rows * columns > MOST_PIXELS {
            return Err(RunsError::TooLarge { rows, columns });
        }
        let covered = runs.iter().try_fold(0_usize, |sum, &run| sum.checked_add(run));
        if covered != Some(rows * columns) {
            return Err(RunsError::Covered { covered, rows, columns });
        }
        let pixels =
            runs.iter().zip([false, true].into_iter().cycle()).flat_map(|(&run, inside)| repeat_n(inside, run));
        Ok(Self(Array2::from_shape_vec((rows, columns), pixels.collect())?))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn runs_alternate_from_outside() {
        let mask = DrawnMask(array![[true, true, false], [false, true, false]]);
        let text = serde_json::to_string(&mask).expect("a mask is plain data");
        assert_eq!(text, r#"{"rows":2,"columns":3,"runs":[0,2,2,1,1]}"#);
        assert_eq!(serde_json::from_str::<DrawnMask>(&text).expect("it was just written"), mask);
    }

    #[test]
    fn runs_that_do_not_fit_are_errors() {
        for (text, expected) in [
            (r#"{"rows":2,"columns":3,"runs":[5]}"#, "cover 5 pixels"),
            (r#"{"rows":2,"columns":3,"runs":[18446744073709551615, 7]}"#, "cover more pixels"),
            (r#"{"rows":16384,"columns":16384,"runs":[268435456]}"#, "too large"),
            (r#"{"rows":1000000000000,"columns":1000000000000,"runs":[1]}"#, "too large"),
        ] {
            let found = serde_json::from_str::<DrawnMask>(text).expect_err("the runs do not fit").to_string();
            assert!(found.contains(expected), "{found}");
        }
    }
}
