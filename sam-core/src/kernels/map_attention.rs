//! Self-attention between the pixels of a map, within windows or over the whole map.

use burn::tensor::{DType, Tensor, activation::softmax, backend::Backend};

use crate::image_encoder::{window_partition_with, window_unpartition};

/// Config of the self-attention of a map: heads, windows, and the order of queries, keys and values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MapAttention {
    pub(crate) heads: usize,
    /// Side of the windows, padded at the bottom and right; `None` for attention over the whole map.
    pub(crate) window: Option<usize>,
    pub(crate) order: QkvOrder,
}

/// Order of queries, keys and values of all heads in the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QkvOrder {
    /// `[3, heads, width]`: the queries of all heads first.
    PartsThenHeads,
    /// `[heads, 3, width]`: queries, keys and values of the first head first.
    HeadsThenParts,
}

/// Position bias: a term added to the score of two pixels in a window, by their positions.
#[derive(Debug)]
pub(crate) enum PairBias<B: Backend> {
    /// The product of the unscaled query and the embedding of the distance, for rows and columns: `[h, h, width]` from the query's row to
    /// the key's, and `[w, w, width]`.
    Decomposed { rows: Tensor<B, 3>, columns: Tensor<B, 3> },
    /// One value for each pair of pixels: `[heads, pixels, pixels]`.
    Table(Tensor<B, 3>),
}

impl<B: Backend> PairBias<B> {
    #[cfg(feature = "flex")]
    fn borrowed(&self) -> sam_flex::PairBias<'_, B> {
        match self {
            Self::Decomposed { rows, columns } => sam_flex::PairBias::Decomposed { rows, columns },
            Self::Table(table) => sam_flex::PairBias::Table(table),
        }
    }

    pub(super) fn cast(&self, dtype: DType) -> Self {
        let cast = |tensor: &Tensor<B, 3>| tensor.clone().cast(dtype);
        match self {
            Self::Decomposed { rows, columns } => Self::Decomposed { rows: cast(rows), columns: cast(columns) },
            Self::Table(table) => Self::Table(cast(table)),
        }
    }
}

impl MapAttention {
    /// # Shapes
    /// - qkv: `[n, h, w, 3 * channels]`; padding: the value of a padded pixel, `[3 * channels]`; output: `[n, h, w, channels]`
    pub(crate) fn forward<B: Backend>(
        &self,
        qkv: Tensor<B, 4>,
        padding: Tensor<B, 1>,
        bias: &PairBias<B>,
    ) -> Tensor<B, 4> {
        try_kernel!(sam_flex::map_attention(&self.for_flex(), &qkv, &padding, &bias.borrowed()));
        self.composed(qkv, padding, bias)
    }

    #[cfg(feature = "flex")]
    fn for_flex(self) -> sam_flex::MapAttention {
        let order = match self.order {
            QkvOrder::PartsThenHeads => sam_flex::QkvOrder::PartsThenHeads,
            QkvOrder::HeadsThenParts => sam_flex::QkvOrder::HeadsThenParts,
        };
        sam_flex::MapAttention { heads: self.heads, window: self.window, order }
    }

    /// The attention, composed of burn's operations.
    pub(super) fn composed<B: Backend>(
        &self,
        qkv: Tensor<B, 4>,
        padding: Tensor<B, 1>,
        bias: &PairBias<B>,
    ) -> Tensor<B, 4> {
        let bias = &bias.cast(qkv.dtype());
        let Some(window) = self.window else { return self.attend(qkv, bias) };
        let [_, height, width, _] = qkv.dims();
        window_unpartition(self.attend(window_partition_with(qkv, window, padding), bias), height, width)
    }

    /// Attention over each whole map.
    fn attend<B: Backend>(&self, qkv: Tensor<B, 4>, bias: &PairBias<B>) -> Tensor<B, 4> {
        let [n, height, width, all] = qkv.dims();
        let (pixels, heads, channels) = (height * width, self.heads, all / 3);
        let (head_width, batch) = (channels / heads, n * heads);
        let qkv = match self.order {
            QkvOrder::PartsThenHeads => qkv.reshape([n, pixels, 3, heads, head_width]).permute([2, 0, 3, 1, 4]),
            QkvOrder::HeadsThenParts => qkv.reshape([n, pixels, heads, 3, head_width]).permute([3, 0, 2, 1, 4]),
        };
        let qkv = qkv.reshape([3, batch, pixels, head_width]);
        let part = |index: usize| qkv.clone().slice([index..index + 1]).reshape([batch, pixels, head_width]);
        let (query, key, value) = (part(0), part(1), part(2));

        let scores = (query.clone() / (head_width as f64).sqrt()).matmul(key.transpose());
        let scores = match bias {
            PairBias::Decomposed { rows, columns } => {
                scores + decomposed_bias(query.reshape([batch, height, width, head_width]), rows, columns)
            }
            PairBias::Table(table) => {
                let scores: Tensor<B, 4> = scores.reshape([n, heads, pixels, pixels]);
                (scores + table.clone().unsqueeze()).reshape([batch, pixels, pixels])
            }
        };
        let attended = softmax(scores, 2).matmul(value);
        attended.reshape([n, heads, pixels, head_width]).swap_dims(1, 2).reshape([n, height, width, channels])
    }
}

/// [`PairBias::Decomposed`] for all pairs, from unscaled queries `[batch, h, w, width]`: `[batch, h * w, h * w]`.
fn decomposed_bias<B: Backend>(query: Tensor<B, 4>, rows: &Tensor<B, 3>, columns: &Tensor<B, 3>) -> Tensor<B, 3> {
    let [batch, height, width, _] = query.dims();
    // [batch, h, w, c] x [h, c, h]: for each query row, the bias of every key row.
    let by_row = query.clone().matmul(rows.clone().swap_dims(1, 2).unsqueeze());
    let by_column = query.swap_dims(1, 2).matmul(columns.clone().swap_dims(1, 2).unsqueeze()).swap_dims(1, 2);
    let bias = by_row.reshape([batch, height, width, height, 1]) + by_column.reshape([batch, height, width, 1, width]);
    bias.reshape([batch, height * width, height * width])
}
