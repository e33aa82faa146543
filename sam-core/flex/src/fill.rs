//! Arrays that are filled in parallel.

use std::mem::{self, MaybeUninit};

use rayon::prelude::*;

/// Sizes of the blocks of `size` rows; the last block may be smaller.
pub(super) fn blocks(rows: usize, size: usize) -> Vec<usize> {
    (0..rows).step_by(size).map(|start| size.min(rows - start)).collect()
}

/// Allocates arrays of the given widths and fills blocks of their rows in parallel.
///
/// `rows` is the number of rows of each block. `work` gets the block's index and its rows of each array, all zero. Returns the arrays and
/// the results of `work`, in the order of the blocks.
///
/// Each block is zeroed by the task that fills it. If a large array were zeroed as a whole, it would leave the cache before its use, and
/// zeroing would occupy one core while the others wait.
pub(super) fn fill<const N: usize, R: Send>(
    rows: &[usize],
    widths: [usize; N],
    work: impl Fn(usize, [&mut [f32]; N]) -> R + Sync,
) -> ([Vec<f32>; N], Vec<R>) {
    let total: usize = rows.iter().sum();
    let mut arrays = widths.map(|width| Vec::with_capacity(total * width));
    let mut rest = arrays.each_mut().map(Vec::spare_capacity_mut);
    let mut tasks = Vec::with_capacity(rows.len());
    for &rows in rows {
        let mut index = 0;
        tasks.push(rest.each_mut().map(|rest| {
            let (block, others) = mem::take(rest).split_at_mut(rows * widths[index]);
            *rest = others;
            index += 1;
            block
        }));
    }
    let answers =
        tasks.into_par_iter().enumerate().map(|(task, blocks)| work(task, blocks.map(zeroed))).collect::<Vec<_>>();
    for (array, width) in arrays.iter_mut().zip(widths) {
        #[expect(unsafe_code, reason = "the blocks cover the array, and each was zeroed")]
        // SAFETY: the blocks were split off the spare capacity one behind the other, and their rows sum up to the total, so they cover
        // its first `total * width` values. Every block was zeroed: the work on all of them has come to an end, and work that panics
        // does not come here.
        unsafe {
            array.set_len(total * width);
        }
    }
    (arrays, answers)
}

/// Fills one array; `work` returns nothing.
pub(super) fn fill_one(rows: &[usize], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let ([array], _) = fill(rows, [width], |block, [rows]| work(block, rows));
    array
}

fn zeroed(block: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    block.fill(MaybeUninit::new(0.0));
    #[expect(unsafe_code, reason = "the block was just zeroed")]
    // SAFETY: all values were just initialised, `MaybeUninit<f32>` has the layout of `f32`, and the block is borrowed mutably for as
    // long as what is made of it.
    unsafe {
        &mut *(std::ptr::from_mut(block) as *mut [f32])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 5;

    #[test]
    fn every_block_is_filled_once_and_starts_at_zero() {
        let rows = blocks(2 * SIZE + 3, SIZE);
        let ([narrow, absent, wide], answers) = fill(&rows, [1, 0, 2], |block, [narrow, absent, wide]| {
            assert!(narrow.iter().chain(&*wide).all(|&value| value.abs() < f32::EPSILON));
            assert!(absent.is_empty());
            narrow.fill(block as f32);
            wide.fill(-(block as f32));
            block
        });
        assert_eq!(answers, [0, 1, 2]);
        assert!(absent.is_empty());
        for (row, value) in narrow.iter().enumerate() {
            assert!((value - (row / SIZE) as f32).abs() < f32::EPSILON);
            assert!((wide[2 * row] + value).abs() < f32::EPSILON && (wide[2 * row + 1] + value).abs() < f32::EPSILON);
        }
        assert_eq!(narrow.len(), 2 * SIZE + 3);
    }
}
