//! SAM's vision transformer, with windowed and global attention and decomposed relative positions.

use burn::{
    config::Config,
    module::{Module, Param},
    nn::{
        Gelu, LayerNorm, LayerNormConfig, Linear, LinearConfig,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Int, Tensor, TensorData, activation::softmax, backend::Backend},
};

use super::{ImageEncoder, Neck, window_partition, window_unpartition};
use crate::resize;

/// The shape of an [`ImageEncoderViT`].
#[derive(Config, Debug, PartialEq)]
pub struct ViTConfig {
    /// Width of every token.
    pub embed_dim: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads of each block.
    pub num_heads: usize,
    /// Blocks that attend to the whole image, counted from 0; the others attend within windows.
    #[config(default = "Vec::new()")]
    pub global_attn_indexes: Vec<usize>,
    /// Side of the (square) input, in pixels.
    #[config(default = 1024)]
    pub image_size: usize,
    /// Side of a patch, in pixels.
    #[config(default = 16)]
    pub patch_size: usize,
    /// Side of a window, in patches; 0 for global attention everywhere.
    #[config(default = 14)]
    pub window_size: usize,
    /// Hidden width of the blocks' perceptrons, over `embed_dim`.
    #[config(default = 4)]
    pub mlp_ratio: usize,
    /// Channels of the embedding.
    #[config(default = 256)]
    pub out_chans: usize,
}

impl ViTConfig {
    /// SAM ViT-B's encoder: 89.7 M parameters.
    pub fn base() -> Self {
        Self::new(768, 12, 12).with_global_attn_indexes(vec![2, 5, 8, 11])
    }

    /// SAM ViT-L's encoder: 308.3 M parameters.
    pub fn large() -> Self {
        Self::new(1024, 24, 16).with_global_attn_indexes(vec![5, 11, 17, 23])
    }

    /// SAM ViT-H's encoder: 637.0 M parameters.
    pub fn huge() -> Self {
        Self::new(1280, 32, 16).with_global_attn_indexes(vec![7, 15, 23, 31])
    }

    /// Side of the embedding, in cells.
    pub fn grid(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Side of the window in which a block attends, or `None` for the whole image.
    fn window(&self, block: usize) -> Option<usize> {
        (self.window_size > 0 && !self.global_attn_indexes.contains(&block)).then_some(self.window_size)
    }

    /// An encoder with random weights.
    pub fn init<B: Backend>(&self, device: &B::Device) -> ImageEncoderViT<B> {
        let (grid, dim) = (self.grid(), self.embed_dim);
        let patch = [self.patch_size; 2];
        ImageEncoderViT {
            patch_embed: PatchEmbed { proj: Conv2dConfig::new([3, dim], patch).with_stride(patch).init(device) },
            pos_embed: Param::from_tensor(Tensor::zeros([1, grid, grid, dim], device)),
            blocks: (0..self.depth).map(|block| Block::new(self, self.window(block), device)).collect(),
            neck: Neck::new(dim, self.out_chans, device),
        }
    }
}

/// SAM's image encoder.
///
/// Source: `ImageEncoderViT` in segment-anything's `modeling/image_encoder.py`. The parts are public for those who look inside.
#[derive(Module, Debug)]
pub struct ImageEncoderViT<B: Backend> {
    /// Patches to tokens.
    pub patch_embed: PatchEmbed<B>,
    /// Absolute positions: `[1, h, w, embed_dim]`.
    pub pos_embed: Param<Tensor<B, 4>>,
    /// The transformer's blocks.
    pub blocks: Vec<Block<B>>,
    /// Tokens to the embedding.
    pub neck: Neck<B>,
}

impl<B: Backend> ImageEncoder<B> for ImageEncoderViT<B> {
    fn forward(&self, images: Tensor<B, 4>) -> Tensor<B, 4> {
        let tokens = self.patch_embed.forward(images) + self.pos_embed.val();
        let tokens = self.blocks.iter().fold(tokens, |tokens, block| block.forward(tokens));
        self.neck.forward(tokens.permute([0, 3, 1, 2]))
    }
}

/// Cuts an image into patches and embeds each.
#[derive(Module, Debug)]
pub struct PatchEmbed<B: Backend> {
    proj: Conv2d<B>,
}

impl<B: Backend> PatchEmbed<B> {
    /// # Shapes
    /// - images: `[n, 3, size, size]`; output: `[n, h, w, embed_dim]`
    pub fn forward(&self, images: Tensor<B, 4>) -> Tensor<B, 4> {
        self.proj.forward(images).permute([0, 2, 3, 1])
    }
}

/// One transformer block: attention within windows or the whole image, then a perceptron.
#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    /// Before the attention.
    pub norm1: LayerNorm<B>,
    /// The attention, within windows or not.
    pub attn: Attention<B>,
    norm2: LayerNorm<B>,
    mlp: MlpBlock<B>,
    /// 0 for global attention.
    window_size: usize,
}

impl<B: Backend> Block<B> {
    fn new(config: &ViTConfig, window: Option<usize>, device: &B::Device) -> Self {
        let dim = config.embed_dim;
        let norm = || LayerNormConfig::new(dim).with_epsilon(1e-6).init(device);
        Self {
            norm1: norm(),
            attn: Attention::new(dim, config.num_heads, window.unwrap_or(config.grid()), device),
            norm2: norm(),
            mlp: MlpBlock {
                lin1: LinearConfig::new(dim, dim * config.mlp_ratio).init(device),
                lin2: LinearConfig::new(dim * config.mlp_ratio, dim).init(device),
                activation: Gelu::new(),
            },
            window_size: window.unwrap_or(0),
        }
    }

    /// # Shapes
    /// - input and output: `[n, h, w, embed_dim]`
    pub fn forward(&self, tokens: Tensor<B, 4>) -> Tensor<B, 4> {
        let [_, height, width, _] = tokens.dims();
        let normed = self.norm1.forward(tokens.clone());
        let attended = match self.window_size {
            0 => self.attn.forward(normed),
            window => {
                let windows = self.attn.forward(window_partition(normed, window));
                window_unpartition(windows, height, width)
            }
        };
        let tokens = tokens + attended;
        tokens.clone() + self.mlp.forward(self.norm2.forward(tokens))
    }
}

/// Two linear layers with GELU between them.
#[derive(Module, Debug)]
struct MlpBlock<B: Backend> {
    lin1: Linear<B>,
    lin2: Linear<B>,
    activation: Gelu,
}

impl<B: Backend> MlpBlock<B> {
    fn forward(&self, tokens: Tensor<B, 4>) -> Tensor<B, 4> {
        self.lin2.forward(self.activation.forward(self.lin1.forward(tokens)))
    }
}

/// Multi-head attention over a map, with relative positions decomposed by axis.
#[derive(Module, Debug)]
pub struct Attention<B: Backend> {
    qkv: Linear<B>,
    proj: Linear<B>,
    /// `[2 h - 1, head width]`
    rel_pos_h: Param<Tensor<B, 2>>,
    /// `[2 w - 1, head width]`
    rel_pos_w: Param<Tensor<B, 2>>,
    num_heads: usize,
}

impl<B: Backend> Attention<B> {
    fn new(dim: usize, num_heads: usize, side: usize, device: &B::Device) -> Self {
        let table = || Param::from_tensor(Tensor::zeros([2 * side - 1, dim / num_heads], device));
        Self {
            qkv: LinearConfig::new(dim, 3 * dim).init(device),
            proj: LinearConfig::new(dim, dim).init(device),
            rel_pos_h: table(),
            rel_pos_w: table(),
            num_heads,
        }
    }

    /// # Shapes
    /// - input and output: `[n, h, w, embed_dim]`
    pub fn forward(&self, tokens: Tensor<B, 4>) -> Tensor<B, 4> {
        let [n, height, width, dim] = tokens.dims();
        let (pixels, head_width, batch) = (height * width, dim / self.num_heads, n * self.num_heads);
        let qkv = self
            .qkv
            .forward(tokens)
            .reshape([n, pixels, 3, self.num_heads, head_width])
            .permute([2, 0, 3, 1, 4])
            .reshape([3, batch, pixels, head_width]);
        let part = |index: usize| qkv.clone().slice([index..index + 1]).reshape([batch, pixels, head_width]);
        let (query, key, value) = (part(0), part(1), part(2));

        let bias = self.relative_bias(query.clone(), height, width);
        let scores = (query / (head_width as f64).sqrt()).matmul(key.transpose()) + bias;
        let attended = softmax(scores, 2).matmul(value);
        let attended =
            attended.reshape([n, self.num_heads, pixels, head_width]).swap_dims(1, 2).reshape([n, height, width, dim]);
        self.proj.forward(attended)
    }

    /// What relative positions add to the scores, from unscaled queries: `[batch, h * w, h * w]`.
    fn relative_bias(&self, query: Tensor<B, 3>, height: usize, width: usize) -> Tensor<B, 3> {
        let [batch, _, head_width] = query.dims();
        let by_row = relative_positions(self.rel_pos_h.val(), height, height);
        let by_column = relative_positions(self.rel_pos_w.val(), width, width);
        // [batch, h, w, c] x [h, c, h]: for each query row, its distance to every key row.
        let query = query.reshape([batch, height, width, head_width]);
        let rows = query.clone().matmul(by_row.swap_dims(1, 2).unsqueeze::<4>());
        let columns = query.swap_dims(1, 2).matmul(by_column.swap_dims(1, 2).unsqueeze::<4>()).swap_dims(1, 2);
        let bias = rows.reshape([batch, height, width, height, 1]) + columns.reshape([batch, height, width, 1, width]);
        bias.reshape([batch, height * width, height * width])
    }
}

/// The relative position embedding of each query to each key along one axis.
///
/// A table of another length than the two sizes need is resized linearly. Source: `get_rel_pos` in segment-anything's
/// `modeling/image_encoder.py`.
///
/// # Shapes
/// - table: `[positions, channels]`; output: `[queries, keys, channels]`
pub fn relative_positions<B: Backend>(table: Tensor<B, 2>, queries: usize, keys: usize) -> Tensor<B, 3> {
    let [positions, channels] = table.dims();
    let needed = 2 * queries.max(keys) - 1;
    let device = table.device();
    let table = if positions == needed {
        table
    } else {
        let interpolated: Tensor<B, 2> = resize::matrix(positions, needed, &device);
        interpolated.cast(table.dtype()).matmul(table)
    };
    let (query_step, key_step) = ((keys as f64 / queries as f64).max(1.0), (queries as f64 / keys as f64).max(1.0));
    let indexes = (0..queries)
        .flat_map(|query| (0..keys).map(move |key| (query, key)))
        .map(|(query, key)| query as f64 * query_step - key as f64 * key_step + (keys as f64 - 1.0) * key_step)
        .map(|distance| distance as i64)
        .collect::<Vec<_>>();
    let indexes = Tensor::<B, 1, Int>::from_data(TensorData::new(indexes, [queries * keys]), &device);
    table.select(0, indexes).reshape([queries, keys, channels])
}
