//! The backward pass of attention, block by block.

use super::{
    super::{
        BLOCK_ROWS,
        matrix::{Matrix, MatrixMut},
        simd::{exp, vectorised},
    },
    Sizes,
};

impl Sizes {
    /// Gradients of few queries and of one block of keys and values.
    pub(super) fn collect_backward(
        &self,
        [to_query, to_key, to_value]: [&mut [f32]; 3],
        [query, key, value]: [Matrix<'_>; 3],
        [output, gradient]: [Matrix<'_>; 2],
        logs: &[f32],
    ) {
        let (tokens, pixels, channels) = (self.tokens, key.rows(), self.channels);
        let (mut shares, mut slopes) = (vec![0.0; tokens * pixels], vec![0.0; tokens * pixels]);
        for head in 0..self.heads {
            self.scores(&mut shares, head, query, key);
            let levels: Vec<f32> =
                (0..tokens).map(|token| dot(self.of_head(head, output), self.of_head(head, gradient), token)).collect();
            MatrixMut::new(&mut slopes, tokens, pixels).assign(
                1.0,
                self.of_head(head, gradient),
                self.of_head(head, value).transposed(),
            );
            vectorised(
                #[inline(always)]
                || {
                    let rows = shares.chunks_exact_mut(pixels).zip(slopes.chunks_exact_mut(pixels));
                    for (token, (shares, slopes)) in rows.enumerate() {
                        let (log, level) = (logs[head * tokens + token], levels[token]);
                        for (share, slope) in shares.iter_mut().zip(slopes) {
                            *share = exp(*share - log);
                            *slope = *share * (*slope - level);
                        }
                    }
                },
            );
            let (shares, slopes) = (Matrix::new(&shares, tokens, pixels), Matrix::new(&slopes, tokens, pixels));
            let columns = self.head(head);
            let into = |values, rows| MatrixMut::new(values, rows, channels).slice_columns(columns.clone());
            if !to_value.is_empty() {
                into(&mut *to_value, pixels).assign(1.0, shares.transposed(), self.of_head(head, gradient));
            }
            if !to_key.is_empty() {
                into(&mut *to_key, pixels).assign(self.scale(), slopes.transposed(), self.of_head(head, query));
            }
            into(&mut *to_query, tokens).assign(self.scale(), slopes, self.of_head(head, key));
        }
    }

    /// Gradients of a block of many queries, and the block's contribution to the gradients of few keys and values.
    pub(super) fn distribute_backward(
        &self,
        [to_query, to_key, to_value]: [&mut [f32]; 3],
        [query, key, value]: [Matrix<'_>; 3],
        gradient: Matrix<'_>,
    ) {
        let (tokens, pixels, channels) = (self.tokens, query.rows(), self.channels);
        let (mut shares, mut slopes) = (vec![0.0; tokens * pixels], vec![0.0; tokens * pixels]);
        for head in 0..self.heads {
            self.shares(&mut shares, head, query, key);
            MatrixMut::new(&mut slopes, tokens, pixels).assign(
                1.0,
                self.of_head(head, value),
                self.of_head(head, gradient).transposed(),
            );
            vectorised(
                #[inline(always)]
                || {
                    let mut level = [0.0; BLOCK_ROWS];
                    let level = &mut level[..pixels];
                    for (shares, slopes) in shares.chunks_exact(pixels).zip(slopes.chunks_exact(pixels)) {
                        for ((level, share), slope) in level.iter_mut().zip(shares).zip(slopes) {
                            *level += share * slope;
                        }
                    }
                    for (shares, slopes) in shares.chunks_exact(pixels).zip(slopes.chunks_exact_mut(pixels)) {
                        for ((slope, share), level) in slopes.iter_mut().zip(shares).zip(&*level) {
                            *slope = share * (*slope - level);
                        }
                    }
                },
            );
            let (shares, slopes) = (Matrix::new(&shares, tokens, pixels), Matrix::new(&slopes, tokens, pixels));
            let columns = self.head(head);
            let into = |values, rows| MatrixMut::new(values, rows, channels).slice_columns(columns.clone());
            into(&mut *to_value, tokens).assign(1.0, shares, self.of_head(head, gradient));
            into(&mut *to_key, tokens).assign(self.scale(), slopes, self.of_head(head, query));
            if !to_query.is_empty() {
                into(&mut *to_query, pixels).assign(self.scale(), slopes.transposed(), self.of_head(head, key));
            }
        }
    }
}

/// The dot product of the same row of two matrices.
fn dot(left: Matrix<'_>, right: Matrix<'_>, row: usize) -> f32 {
    left.row(row).zip(right.row(row)).map(|(a, b)| a * b).sum()
}
