//! Products with `VDPBF16PS`, which adds two products to each of sixteen sums.

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_set1_epi32,
    _mm512_setzero_ps, _mm512_storeu_ps,
};

use burn::tensor::bf16;

use super::{BLOCK, DEPTH, SIDE, TILE};

/// Number of rows whose sums are kept in registers, in addition to two panels.
const ROWS: usize = 8;

/// Adds the product of two strips and two panels to a block of the output.
///
/// # Panics
/// If the factors' lengths differ, the block does not fit into the output, or the processor lacks the instruction.
#[expect(unsafe_code, reason = "calls what is compiled for instructions that were asked for")]
pub(super) fn multiply(output: &mut [f32], stride: usize, strips: [&[bf16]; 2], panels: [&[bf16]; 2]) {
    let steps = strips[0].len() / TILE;
    assert!([strips[0], strips[1], panels[0], panels[1]].iter().all(|tiles| tiles.len() == steps * TILE));
    assert!(stride >= BLOCK && output.len() >= (BLOCK - 1) * stride + BLOCK);
    assert!(is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512f"));
    for row in (0..BLOCK).step_by(ROWS) {
        let output = &mut output[row * stride..];
        let strip = &strips[row / SIDE][row % SIDE * DEPTH..];
        // SAFETY: the processor has the instructions, as was just checked.
        unsafe {
            multiply_rows(output, stride, strip, panels, steps);
        }
    }
}

/// Computes some of the block's rows; `strip` starts at the first of them.
#[target_feature(enable = "avx512f,avx512bf16")]
fn multiply_rows(output: &mut [f32], stride: usize, strip: &[bf16], panels: [&[bf16]; 2], steps: usize) {
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    for step in 0..steps {
        for pair in 0..SIDE {
            let right = panels.map(|panel| vector(&panel[step * TILE + pair * DEPTH..]));
            for (row, sums) in sums.iter_mut().enumerate() {
                let at = step * TILE + row * DEPTH + 2 * pair;
                let (low, high) = (strip[at].to_bits(), strip[at + 1].to_bits());
                let left = as_bf16(_mm512_set1_epi32((u32::from(high) << 16 | u32::from(low)).cast_signed()));
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = _mm512_dpbf16_ps(*sum, left, right);
                }
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        for (half, &sum) in sums.iter().enumerate() {
            add(&mut output[row * stride + half * SIDE..], sum);
        }
    }
}

/// Loads the first 32 values.
#[expect(unsafe_code, reason = "loads through a pointer")]
#[target_feature(enable = "avx512f")]
fn vector(values: &[bf16]) -> __m512bh {
    let values = &values[..DEPTH];
    // SAFETY: 64 bytes are read, the 32 values of the slice, at any alignment.
    as_bf16(unsafe { _mm512_loadu_si512(values.as_ptr().cast()) })
}

#[expect(unsafe_code, reason = "the standard library has no other way between these types")]
#[target_feature(enable = "avx512f")]
fn as_bf16(bits: __m512i) -> __m512bh {
    // SAFETY: both types are 512 bits, and all bits are values.
    unsafe { std::mem::transmute(bits) }
}

/// Adds to the first 16 values.
#[expect(unsafe_code, reason = "loads and stores through pointers")]
#[target_feature(enable = "avx512f")]
fn add(values: &mut [f32], sum: __m512) {
    let values = &mut values[..SIDE];
    // SAFETY: 64 bytes are read and written, the 16 values of the slice, at any alignment.
    unsafe {
        let before = _mm512_loadu_ps(values.as_ptr());
        _mm512_storeu_ps(values.as_mut_ptr(), std::arch::x86_64::_mm512_add_ps(before, sum));
    }
}
