//! COCO run-length encoding of masks.

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A mask in COCO's uncompressed run-length encoding, column by column, beginning with the pixels outside.
///
/// As JSON: `{"size": [rows, columns], "counts": [...]}`, which `pycocotools` calls uncompressed RLE.
///
/// Deserialisation rejects counts whose sum differs from the number of pixels, and masks of more than 2^26 pixels, so that a small file
/// cannot exhaust the memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct RunLengths {
    /// Rows and columns.
    size: [usize; 2],
    /// Lengths of runs, alternately outside and inside.
    counts: Vec<usize>,
}

/// [`RunLengths`] in a file, not validated yet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    size: [usize; 2],
    counts: Vec<usize>,
}

/// Maximum number of pixels of a mask that is read: a square of 8192.
const MOST_PIXELS: usize = 1 << 26;

/// Why run lengths are invalid.
#[derive(Debug, Error)]
enum RunLengthsError {
    #[error("a mask of {rows} x {columns} pixels is too large: expected {MOST_PIXELS} or fewer in all")]
    TooLarge { rows: usize, columns: usize },
    #[error("counts cover {covered} pixels, but a mask of {rows} x {columns} has {pixels}")]
    Covered { covered: usize, rows: usize, columns: usize, pixels: usize },
    #[error("counts cover more pixels than can be counted, expected {pixels}")]
    Uncountable { pixels: usize },
}

impl TryFrom<Unchecked> for RunLengths {
    type Error = RunLengthsError;

    fn try_from(Unchecked { size, counts }: Unchecked) -> Result<Self, RunLengthsError> {
        let [rows, columns] = size;
        let pixels = rows.checked_mul(columns).filter(|&pixels| pixels <= MOST_PIXELS);
        let pixels = pixels.ok_or(RunLengthsError::TooLarge { rows, columns })?;
        match counts.iter().try_fold(0_usize, |sum, &count| sum.checked_add(count)) {
            Some(covered) if covered == pixels => Ok(Self { size, counts }),
            Some(covered) => Err(RunLengthsError::Covered { covered, rows, columns, pixels }),
            None => Err(RunLengthsError::Uncountable { pixels }),
        }
    }
}

impl RunLengths {
    /// Encodes a mask `[rows, columns]`.
    pub fn encode(mask: ArrayView2<'_, bool>) -> Self {
        let (mut counts, mut run, mut current) = (Vec::new(), 0, false);
        for &inside in mask.t() {
            if inside != current {
                counts.push(std::mem::take(&mut run));
                current = inside;
            }
            run += 1;
        }
        counts.push(run);
        Self { size: [mask.nrows(), mask.ncols()], counts }
    }

    /// Decodes the mask: `[rows, columns]`.
    pub fn decode(&self) -> Array2<bool> {
        let [rows, columns] = self.size;
        let runs = self.counts.iter().enumerate().flat_map(|(run, &count)| std::iter::repeat_n(run % 2 == 1, count));
        let mut mask = Array2::from_elem((columns, rows), false);
        mask.iter_mut().zip(runs).for_each(|(pixel, inside)| *pixel = inside);
        mask.reversed_axes().as_standard_layout().into_owned()
    }

    /// Rows and columns of the mask.
    pub const fn size(&self) -> [usize; 2] {
        self.size
    }

    /// Lengths of runs, alternately outside and inside.
    pub fn counts(&self) -> &[usize] {
        &self.counts
    }

    /// Number of pixels inside.
    pub fn area(&self) -> usize {
        self.counts.iter().skip(1).step_by(2).sum()
    }

    /// COCO's compressed form of the counts, as `pycocotools` writes it. Each count is stored as the difference from the count two places
    /// before it. The difference is split into groups of five bits, least significant first, with a continuation bit, and each group
    /// becomes a character from `0` on.
    pub fn compressed(&self) -> String {
        let mut text = String::new();
        for (index, &count) in self.counts.iter().enumerate() {
            let before = if index > 2 { self.counts[index - 2] } else { 0 };
            let mut rest = count as i64 - before as i64;
            loop {
                let group = (rest & 0x1f) as u8;
                rest >>= 5;
                let is_last = if group & 0x10 == 0 { rest == 0 } else { rest == -1 };
                text.push(char::from(group + if is_last { 48 } else { 48 + 0x20 }));
                if is_last {
                    break;
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn runs_go_down_the_columns() {
        let mask = array![[false, true, true], [false, true, false]];
        let runs = RunLengths::encode(mask.view());
        assert_eq!((runs.size(), runs.counts(), runs.area()), ([2, 3], &[2, 3, 1][..], 3));
        assert_eq!(runs.decode(), mask);
        let full = Array2::from_elem((2, 2), true);
        assert_eq!(RunLengths::encode(full.view()).counts(), [0, 4]);
        assert_eq!(RunLengths::encode(full.view()).decode(), full);
    }

    #[test]
    fn runs_that_do_not_fit_are_refused() {
        let read = |text| serde_json::from_str::<RunLengths>(text);
        assert_eq!(read(r#"{"size": [2, 3], "counts": [2, 3, 1]}"#).expect("they fit").area(), 3);
        for (text, part) in [
            (r#"{"size": [2, 3], "counts": [2, 3]}"#, "cover 5 pixels"),
            (r#"{"size": [2, 3], "counts": [18446744073709551615, 7]}"#, "more pixels"),
            (r#"{"size": [100000, 100000], "counts": [10000000000]}"#, "too large"),
            (r#"{"size": [18446744073709551615, 2], "counts": [1]}"#, "too large"),
        ] {
            let error = read(text).expect_err("they do not fit").to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
