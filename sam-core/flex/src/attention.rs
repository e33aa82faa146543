//! Attention between few tokens and the many pixels of an image, in both directions.
//!
//! Pixels are processed in blocks, one task for each block. So a block's scores stay in the cache, and each task writes its own rows.
//! Results for the tokens are summed over the blocks in a fixed order, so they do not depend on the number of cores. Scores are stored as
//! `[tokens, pixels]`, so that both softmaxes vectorise over pixels. The backward pass recomputes the scores instead of storing them.

mod backward;

use std::ops::Range;

use super::{
    BLOCK_ROWS,
    fill::{blocks, fill, fill_one},
    matrix::{Matrix, MatrixMut},
    record::{Array, Kernel},
    simd::{exp, exponentials, max, vectorised},
};

/// Multi-head attention; the heads are contiguous in the channels.
#[derive(Debug, Clone)]
pub(super) struct Attention {
    pub(super) heads: usize,
}

impl Kernel<3> for Attention {
    /// The output, and the log-sum-exp of the scores for each query and head; needed only if the queries are the tokens.
    type Saved = (Array, Vec<f32>);

    fn forward(&self, inputs: &[Array; 3]) -> (Array, Self::Saved) {
        let sizes = Sizes::of(self.heads, inputs);
        let [q, k, v] = inputs.each_ref().map(Array::values);
        let (output, logs) = if sizes.tokens_ask {
            let (_, partial) = fill(&sizes.blocks(), [], |block, []| {
                let of_pixels = |values| sizes.pixel_rows(values, block);
                sizes.collect(sizes.token_rows(&q, sizes.sample(block)), of_pixels(&k), of_pixels(&v))
            });
            sizes.join(&partial)
        } else {
            let output = fill_one(&sizes.blocks(), sizes.channels, |block, output| {
                let tokens = |values| sizes.token_rows(values, sizes.sample(block));
                sizes.distribute(output, sizes.pixel_rows(&q, block), tokens(&k), tokens(&v));
            });
            (output, Vec::new())
        };
        let output = Array::new(&[sizes.samples, inputs[0].dims()[1], sizes.channels], output);
        (output.clone(), (output, logs))
    }

    fn backward(
        &self,
        inputs: &[Array; 3],
        (output, logs): &Self::Saved,
        gradient: &Array,
        wanted: [bool; 3],
    ) -> [Option<Array>; 3] {
        let sizes = Sizes::of(self.heads, inputs);
        let [q, k, v] = inputs.each_ref().map(Array::values);
        let (output, gradient) = (output.values(), gradient.values());
        // Gradients that are not needed have width 0.
        let width = |input: usize| if wanted[input] { sizes.channels } else { 0 };
        let parts = || [(); 2].map(|()| vec![0.0; sizes.tokens * sizes.channels]);
        let (to_q, to_k, to_v);
        if sizes.tokens_ask {
            let ([k_gradient, v_gradient], partial) =
                fill(&sizes.blocks(), [width(1), width(2)], |block, [to_k, to_v]| {
                    let sample = sizes.sample(block);
                    let (of_pixels, tokens) =
                        (|values| sizes.pixel_rows(values, block), |values| sizes.token_rows(values, sample));
                    let [mut to_q, _] = parts();
                    sizes.collect_backward(
                        [&mut to_q, to_k, to_v],
                        [tokens(&q), of_pixels(&k), of_pixels(&v)],
                        [tokens(&output), tokens(&gradient)],
                        &logs[sample * sizes.tokens * sizes.heads..],
                    );
                    [to_q]
                });
            let [q_gradient] = sizes.sum_up(partial, [wanted[0]]);
            (to_q, to_k, to_v) = (q_gradient, k_gradient, v_gradient);
        } else {
            let ([q_gradient], partial) = fill(&sizes.blocks(), [width(0)], |block, [to_q]| {
                let sample = sizes.sample(block);
                let (of_pixels, tokens) =
                    (|values| sizes.pixel_rows(values, block), |values| sizes.token_rows(values, sample));
                let [mut to_k, mut to_v] = parts();
                sizes.distribute_backward(
                    [to_q, &mut to_k, &mut to_v],
                    [of_pixels(&q), tokens(&k), tokens(&v)],
                    of_pixels(&gradient),
                );
                [to_k, to_v]
            });
            let [k_gradient, v_gradient] = sizes.sum_up(partial, [wanted[1], wanted[2]]);
            (to_q, to_k, to_v) = (q_gradient, k_gradient, v_gradient);
        }
        let [query, key, value] = inputs;
        [(query, to_q), (key, to_k), (value, to_v)]
            .map(|(input, values)| (!values.is_empty()).then(|| Array::new(input.dims(), over_samples(values, input))))
    }
}

/// The gradient of an input, summed over the samples that share it.
fn over_samples(mut values: Vec<f32>, input: &Array) -> Vec<f32> {
    let size = input.dims().iter().product();
    if values.len() > size {
        let (sum, others) = values.split_at_mut(size);
        for other in others.chunks_exact(size) {
            sum.iter_mut().zip(other).for_each(|(sum, value)| *sum += value);
        }
        values.truncate(size);
    }
    values
}

/// The contribution of one block of pixels to the tokens' output.
struct Partial {
    /// The maximum score of each head and token.
    largest: Vec<f32>,
    /// The sum of the exponentials of the scores, relative to the maximum.
    weight: Vec<f32>,
    /// The sum of the values, weighted by these exponentials: `[tokens, channels]`.
    values: Vec<f32>,
}

/// Sizes of an attention, and the computation of its blocks.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    samples: usize,
    /// The smaller of the numbers of queries and keys.
    tokens: usize,
    /// The larger of the numbers of queries and keys.
    pixels: usize,
    channels: usize,
    heads: usize,
    /// Whether the queries are the tokens.
    tokens_ask: bool,
}

impl Sizes {
    fn of(heads: usize, [query, key, value]: &[Array; 3]) -> Self {
        let (queries, keys) = (query.dims()[1], key.dims()[1]);
        Self {
            samples: [query, key, value].map(|input| input.dims()[0]).into_iter().max().unwrap_or(0),
            tokens: queries.min(keys),
            pixels: queries.max(keys),
            channels: query.width(),
            heads,
            tokens_ask: queries <= keys,
        }
    }

    fn scale(&self) -> f32 {
        1.0 / ((self.channels / self.heads) as f32).sqrt()
    }

    /// The channel range of a head.
    fn head(&self, head: usize) -> Range<usize> {
        let width = self.channels / self.heads;
        head * width..(head + 1) * width
    }

    /// The columns of a matrix that belong to a head.
    fn of_head<'a>(&self, head: usize, rows: Matrix<'a>) -> Matrix<'a> {
        rows.slice_columns(self.head(head))
    }

    /// The tokens of a sample; all samples may share them.
    fn token_rows<'a>(&self, values: &'a [f32], sample: usize) -> Matrix<'a> {
        let size = self.tokens * self.channels;
        let start = if values.len() > size { sample * size } else { 0 };
        Matrix::new(&values[start..start + size], self.tokens, self.channels)
    }

    /// The pixels of a block; all samples may share them.
    fn pixel_rows<'a>(&self, values: &'a [f32], block: usize) -> Matrix<'a> {
        let size = self.pixels * self.channels;
        let start = if values.len() > size { self.sample(block) * size } else { 0 };
        let first = block % self.blocks_per_sample() * BLOCK_ROWS;
        let count = BLOCK_ROWS.min(self.pixels - first);
        Matrix::new(&values[start + first * self.channels..][..count * self.channels], count, self.channels)
    }

    fn blocks_per_sample(&self) -> usize {
        self.pixels.div_ceil(BLOCK_ROWS)
    }

    /// The sample of a block.
    fn sample(&self, block: usize) -> usize {
        block / self.blocks_per_sample()
    }

    /// The number of pixels of each block, for all samples.
    fn blocks(&self) -> Vec<usize> {
        blocks(self.pixels, BLOCK_ROWS).repeat(self.samples)
    }

    /// Sums the blocks' contributions to the tokens' gradients for each sample; empty for gradients that are not needed.
    fn sum_up<const N: usize>(&self, partial: Vec<[Vec<f32>; N]>, wanted: [bool; N]) -> [Vec<f32>; N] {
        let size = self.tokens * self.channels;
        let mut sums = wanted.map(|wanted| vec![0.0; if wanted { self.samples * size } else { 0 }]);
        for (block, parts) in partial.into_iter().enumerate() {
            for (sums, part) in sums.iter_mut().zip(parts) {
                let sums = sums.iter_mut().skip(self.sample(block) * size);
                sums.zip(part).for_each(|(sum, part)| *sum += part);
            }
        }
        sums
    }

    /// The scores of one head: `[tokens, pixels]`.
    fn scores(&self, scores: &mut [f32], head: usize, tokens: Matrix<'_>, pixels: Matrix<'_>) {
        let (tokens, pixels) = (tokens.slice_columns(self.head(head)), pixels.slice_columns(self.head(head)));
        MatrixMut::new(scores, tokens.rows(), pixels.rows()).assign(self.scale(), tokens, pixels.transposed());
    }

    /// Forward pass of few queries and one block of keys and values.
    fn collect(&self, query: Matrix<'_>, key: Matrix<'_>, value: Matrix<'_>) -> Partial {
        let (tokens, pixels) = (self.tokens, key.rows());
        let mut scores = vec![0.0; tokens * pixels];
        let (mut largest, mut weight) = (Vec::new(), Vec::new());
        let mut values = vec![0.0; tokens * self.channels];
        for head in 0..self.heads {
            self.scores(&mut scores, head, query, key);
            vectorised(
                #[inline(always)]
                || {
                    for row in scores.chunks_exact_mut(pixels) {
                        let top = max(row);
                        largest.push(top);
                        weight.push(exponentials(row, top));
                    }
                },
            );
            MatrixMut::new(&mut values, tokens, self.channels).slice_columns(self.head(head)).assign(
                1.0,
                Matrix::new(&scores, tokens, pixels),
                value.slice_columns(self.head(head)),
            );
        }
        Partial { largest, weight, values }
    }

    /// Joins the blocks' contributions to the output. Also returns the log-sum-exps for the backward pass, by sample, head and token.
    fn join(&self, partial: &[Partial]) -> (Vec<f32>, Vec<f32>) {
        let mut output = vec![0.0; self.samples * self.tokens * self.channels];
        let mut logs = Vec::with_capacity(self.samples * self.heads * self.tokens);
        for (parts, output) in
            partial.chunks(self.blocks_per_sample()).zip(output.chunks_exact_mut(self.tokens * self.channels))
        {
            for (entry, (head, token)) in
                (0..self.heads).flat_map(|head| (0..self.tokens).map(move |token| (head, token))).enumerate()
            {
                let top = parts.iter().map(|part| part.largest[entry]).fold(f32::NEG_INFINITY, f32::max);
                let shares: Vec<f32> = parts.iter().map(|part| (part.largest[entry] - top).exp()).collect();
                let total: f32 = parts.iter().zip(&shares).map(|(part, share)| part.weight[entry] * share).sum();
                for channel in self.head(head) {
                    let place = token * self.channels + channel;
                    let sum: f32 = parts.iter().zip(&shares).map(|(part, share)| part.values[place] * share).sum();
                    output[place] = sum / total;
                }
                logs.push(top + total.ln());
            }
        }
        (output, logs)
    }

    /// Attention weights of a block of queries over few keys; they sum to 1 over the keys.
    fn shares(&self, shares: &mut [f32], head: usize, query: Matrix<'_>, key: Matrix<'_>) {
        let pixels = query.rows();
        self.scores(shares, head, key, query);
        vectorised(
            #[inline(always)]
            || {
                let (mut top, mut total) = ([f32::NEG_INFINITY; BLOCK_ROWS], [0.0; BLOCK_ROWS]);
                let (top, total) = (&mut top[..pixels], &mut total[..pixels]);
                for row in shares.chunks_exact(pixels) {
                    top.iter_mut().zip(row).for_each(|(top, &score)| *top = if score > *top { score } else { *top });
                }
                for row in shares.chunks_exact_mut(pixels) {
                    for ((score, top), total) in row.iter_mut().zip(&*top).zip(&mut *total) {
                        *score = exp(*score - top);
                        *total += *score;
                    }
                }
                for total in &mut *total {
                    *total = 1.0 / *total;
                }
                for row in shares.chunks_exact_mut(pixels) {
                    row.iter_mut().zip(&*total).for_each(|(share, factor)| *share *= factor);
                }
            },
        );
    }

    /// Forward pass of a block of many queries, with few keys and values.
    fn distribute(&self, output: &mut [f32], query: Matrix<'_>, key: Matrix<'_>, value: Matrix<'_>) {
        let (tokens, pixels) = (self.tokens, query.rows());
        let mut shares = vec![0.0; tokens * pixels];
        for head in 0..self.heads {
            self.shares(&mut shares, head, query, key);
            MatrixMut::new(&mut *output, pixels, self.channels).slice_columns(self.head(head)).assign(
                1.0,
                Matrix::new(&shares, tokens, pixels).transposed(),
                value.slice_columns(self.head(head)),
            );
        }
    }
}
