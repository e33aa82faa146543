//! Matrix products with factors rounded to bf16 and sums in f32. A processor with instructions for this is several times faster than with
//! f32.
//!
//! Both factors are copied into the order in which the instructions read them and padded with zeros to whole tiles. So the kernels, [`amx`]
//! and [`avx512`], process whole tiles only. A tile is 1 KiB. In the left factor it is 16 rows of 32 values. In the right factor it is 16
//! pairs of rows by 16 columns, with the two values of a pair contiguous.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512;

use std::sync::OnceLock;

use burn::tensor::bf16;
use rayon::prelude::*;

use super::{
    matrix::{Matrix, MatrixMut},
    simd::vectorised,
};

/// Rows of a tile of the left factor, and columns of a tile of the right factor.
const SIDE: usize = 16;

/// Inner dimension of a tile: columns of the left factor, rows of the right factor.
const DEPTH: usize = 32;

const TILE: usize = SIDE * DEPTH;

/// Number of tile products that are accumulated before the sum is written to memory.
const STEPS: usize = 24;

/// Rows and columns of the output block that a kernel computes at once.
const BLOCK: usize = 2 * SIDE;

/// The left factor, rounded: strips of 16 rows, an even number of them.
#[derive(Debug, Default)]
pub(super) struct Strips {
    values: Vec<bf16>,
    rows: usize,
    steps: usize,
}

impl Strips {
    /// Rounds a matrix; replaces the previous one and reuses its memory.
    pub(super) fn round(&mut self, left: Matrix<'_>) {
        (self.rows, self.steps) = (left.rows(), left.columns().div_ceil(DEPTH));
        self.values.clear();
        self.values.resize(self.rows.next_multiple_of(BLOCK) / SIDE * self.steps * TILE, bf16::ZERO);
        for row in 0..left.rows() {
            let start = (row / SIDE * self.steps * SIDE + row % SIDE) * DEPTH;
            match left.contiguous_row(row) {
                Some(values) => vectorised(
                    #[inline(always)]
                    || {
                        for (step, values) in values.chunks(DEPTH).enumerate() {
                            let rounded = &mut self.values[start + step * TILE..];
                            rounded.iter_mut().zip(values).for_each(|(rounded, &value)| *rounded = round(value));
                        }
                    },
                ),
                None => {
                    for (column, value) in left.row(row).enumerate() {
                        self.values[start + column / DEPTH * TILE + column % DEPTH] = round(value);
                    }
                }
            }
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The tiles of a strip, from tile `step` on.
    fn from(&self, strip: usize, step: usize) -> &[bf16] {
        &self.values[(strip * self.steps + step) * TILE..][..(self.steps - step) * TILE]
    }
}

/// The right factor, rounded: panels of 16 columns, an even number of them.
#[derive(Debug)]
pub(super) struct Panels {
    values: Vec<bf16>,
    size: [usize; 2],
    steps: usize,
}

impl Panels {
    /// Rounds a matrix.
    pub(super) fn round(right: Matrix<'_>) -> Self {
        let size = [right.rows(), right.columns()];
        let mut panels = Self::zero(size);
        let steps = panels.steps;
        panels.values.chunks_exact_mut(steps * TILE).enumerate().for_each(|(panel, values)| {
            fill(values, size, panel, |row, column| round(right.at(row, column)));
        });
        panels
    }

    /// Packs a matrix that is already bf16, on all cores. `strides` are the steps from one row and one column to the next.
    pub(super) fn pack(right: &[bf16], size: [usize; 2], strides: [usize; 2]) -> Self {
        let mut panels = Self::zero(size);
        let steps = panels.steps;
        panels.values.par_chunks_exact_mut(steps * TILE).enumerate().for_each(|(panel, values)| {
            fill(values, size, panel, |row, column| right[row * strides[0] + column * strides[1]]);
        });
        panels
    }

    fn zero(size: [usize; 2]) -> Self {
        let steps = size[0].div_ceil(DEPTH).max(1);
        Self { values: vec![bf16::ZERO; size[1].next_multiple_of(BLOCK) / SIDE * steps * TILE], size, steps }
    }

    pub(super) fn columns(&self) -> usize {
        self.size[1]
    }

    /// The tiles of a panel, from tile `step` on.
    fn from(&self, panel: usize, step: usize) -> &[bf16] {
        &self.values[(panel * self.steps + step) * TILE..][..(self.steps - step) * TILE]
    }
}

/// Copies 16 columns of a matrix into their panel.
fn fill(values: &mut [bf16], [rows, columns]: [usize; 2], panel: usize, at: impl Fn(usize, usize) -> bf16) {
    let first = panel * SIDE;
    let count = columns.saturating_sub(first).min(SIDE);
    for row in 0..rows {
        let pair = &mut values[row / 2 * 2 * SIDE..][..2 * SIDE];
        for column in 0..count {
            pair[2 * column + row % 2] = at(row, first + column);
        }
    }
}

/// Rounds to nearest, ties to even; NaN stays NaN.
#[inline(always)]
fn round(value: f32) -> bf16 {
    let bits = value.to_bits();
    let nearest = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) >> 16;
    bf16::from_bits(if value.is_nan() { bf16::NAN.to_bits() } else { nearest as u16 })
}

/// The instruction set of the kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instructions {
    #[cfg(target_arch = "x86_64")]
    Amx,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Plain loops, so that everything except the instructions is tested on every processor.
    #[cfg(test)]
    Loops,
}

/// The best instruction set of this processor; `None` if it has no instructions for bf16.
fn instructions() -> Option<Instructions> {
    static BEST: OnceLock<Option<Instructions>> = OnceLock::new();
    *BEST.get_or_init(|| available().first().copied())
}

/// All instruction sets of this processor, best first.
fn available() -> Vec<Instructions> {
    let found: &[Option<Instructions>] = &[
        #[cfg(target_arch = "x86_64")]
        amx::permitted().then_some(Instructions::Amx),
        #[cfg(target_arch = "x86_64")]
        is_x86_feature_detected!("avx512bf16").then_some(Instructions::Avx512),
        #[cfg(test)]
        Some(Instructions::Loops),
    ];
    found.iter().copied().flatten().collect()
}

/// Instructions, configured for use on this thread.
enum Multiplier {
    #[cfg(target_arch = "x86_64")]
    Amx(amx::Tiles),
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(test)]
    Loops,
}

impl Multiplier {
    fn with(instructions: Instructions) -> Self {
        match instructions {
            #[cfg(target_arch = "x86_64")]
            Instructions::Amx => Self::Amx(amx::Tiles::configured()),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => Self::Avx512,
            #[cfg(test)]
            Instructions::Loops => Self::Loops,
        }
    }

    /// Adds the product of two strips and two panels to a block of the output. The block starts at the beginning of `output`; its rows are
    /// `stride` values apart.
    #[cfg_attr(
        not(any(target_arch = "x86_64", test)),
        expect(unused_variables, reason = "no instructions, no products")
    )]
    fn add(&self, output: &mut [f32], stride: usize, strips: [&[bf16]; 2], panels: [&[bf16]; 2]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx(tiles) => amx::multiply(tiles, output, stride, strips, panels),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::multiply(output, stride, strips, panels),
            #[cfg(test)]
            Self::Loops => tests::multiply(output, stride, strips, panels),
            #[cfg(not(any(target_arch = "x86_64", test)))]
            _ => unreachable!("without instructions, `available` finds none"),
        }
    }
}

/// Whether this processor has instructions for bf16 products.
pub(super) fn is_available() -> bool {
    instructions().is_some()
}

/// `output += left * right`.
///
/// # Panics
/// If the sizes do not match, or the processor has no instructions for bf16. Callers check [`is_available`] first.
#[expect(clippy::expect_used, reason = "callers check `is_available` first")]
pub(super) fn multiply(output: MatrixMut<'_>, left: &Strips, right: &Panels) {
    let instructions = instructions().expect("callers check `is_available` first");
    multiply_with(instructions, output, left, right);
}

fn multiply_with(instructions: Instructions, mut output: MatrixMut<'_>, left: &Strips, right: &Panels) {
    let [rows, columns] = output.size();
    assert_eq!([left.rows, right.size[1]], [rows, columns], "the product's size");
    assert_eq!(left.steps, right.steps, "the inner sizes of the product");
    let multiplier = Multiplier::with(instructions);
    let mut corner = [0.0; BLOCK * BLOCK];
    for step in (0..right.steps).step_by(STEPS) {
        let steps = STEPS.min(right.steps - step);
        for column in (0..columns).step_by(BLOCK) {
            let panels = [0, 1].map(|next| &right.from(column / SIDE + next, step)[..steps * TILE]);
            for row in (0..rows).step_by(BLOCK) {
                let strips = [0, 1].map(|next| &left.from(row / SIDE + next, step)[..steps * TILE]);
                if let Some((values, stride)) = output.block(row, column, BLOCK) {
                    multiplier.add(values, stride, strips, panels);
                } else {
                    // The block exceeds the output, or the output's rows are not contiguous.
                    corner.fill(0.0);
                    multiplier.add(&mut corner, BLOCK, strips, panels);
                    output.add_block(row, column, &corner, BLOCK);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The tested instructions depend on the processor, so they are printed. On a machine that must have certain ones, set
    /// `SAM_FLEX_INSTRUCTIONS` to a comma-separated list of `Amx` and `Avx512`.
    #[test]
    fn the_instructions_that_were_promised_are_tested() {
        let tested: Vec<_> = available().iter().map(|instructions| format!("{instructions:?}")).collect();
        println!("products in bf16 are tested with {}", tested.join(", "));
        let promised = std::env::var("SAM_FLEX_INSTRUCTIONS").unwrap_or_default();
        for name in promised.split(',').filter(|name| !name.is_empty()) {
            assert!(
                tested.iter().any(|tested| tested == name),
                "SAM_FLEX_INSTRUCTIONS promises {name}, but only {tested:?} were found"
            );
        }
    }

    /// Reference implementation of the product of two strips and two panels.
    pub(super) fn multiply(output: &mut [f32], stride: usize, strips: [&[bf16]; 2], panels: [&[bf16]; 2]) {
        for (row, column) in (0..BLOCK).flat_map(|row| (0..BLOCK).map(move |column| (row, column))) {
            let left = strips[row / SIDE].chunks_exact(TILE).flat_map(|tile| &tile[row % SIDE * DEPTH..][..DEPTH]);
            let pairs = panels[column / SIDE].chunks_exact(2 * SIDE);
            let right = pairs.flat_map(|pair| &pair[column % SIDE * 2..][..2]);
            let products = left.zip(right).map(|(left, right)| left.to_f32() * right.to_f32());
            output[row * stride + column] += products.sum::<f32>();
        }
    }

    fn values(seed: usize, count: usize) -> Vec<f32> {
        (0..count).map(|index| ((index * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0).collect()
    }

    proptest! {
        #[test]
        fn products_are_those_of_the_rounded_factors(
            (rows, inner, columns) in (1..70_usize, 1..130_usize, 1..70_usize),
            by_rows in any::<bool>(),
            gap in 0..3_usize,
        ) {
            let (left, right, begin) = (values(1, rows * inner), values(2, inner * columns), 0.5);
            let strides = if by_rows { [columns, 1] } else { [1, inner] };
            let rounded = |value: f32| f64::from(round(value).to_f32());
            let mut strips = Strips::default();
            strips.round(Matrix::new(&left, rows, inner));
            let matrix = Matrix::strided(&right, [inner, columns], strides);
            let narrow: Vec<_> = right.iter().map(|&value| round(value)).collect();
            for panels in [Panels::round(matrix), Panels::pack(&narrow, [inner, columns], strides)] {
                for instructions in available() {
                    let step = columns + gap;
                    let mut output = vec![begin; rows * step];
                    let found = MatrixMut::strided(&mut output, [rows, columns], [step, 1]);
                    multiply_with(instructions, found, &strips, &panels);
                    for (place, &found) in output.iter().enumerate() {
                        let (row, column) = (place / step, place % step);
                        let expected = f64::from(begin) + if column < columns {
                            (0..inner).map(|k| rounded(left[row * inner + k]) * rounded(matrix.at(k, column))).sum()
                        } else {
                            0.0
                        };
                        prop_assert!(
                            (f64::from(found) - expected).abs() < 1e-4,
                            "{instructions:?} at {row}, {column}: {found}, not {expected}"
                        );
                    }
                }
            }
        }

        #[test]
        fn numbers_are_rounded_as_half_does(bits in any::<u32>()) {
            let value = f32::from_bits(bits);
            let (found, expected) = (round(value), bf16::from_f32(value));
            prop_assert!(found == expected || found.is_nan() && expected.is_nan(), "{value} is {expected}, not {found}");
        }
    }
}
