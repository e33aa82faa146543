//! SAM's vision transformer, with windowed and global attention and decomposed relative positions.

use burn::{
    config::Config,
    module::{Module, Param},
    nn::{
        LayerNorm, LayerNormConfig, Linear, LinearConfig,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Int, Tensor, TensorData, backend::Backend},
};

use super::Neck;
use crate::{
    kernels::{MapAttention, PairBias, QkvOrder, affine, layer_norm, linear, linear_onto, perceptron},
    resize,
};

/// Epsilon of the blocks' norms (`build_sam.py`).
const EPSILON: f64 = 1e-6;

/// Config of an [`ImageEncoderViT`].
#[derive(Config, Debug, PartialEq)]
#[non_exhaustive]
pub struct ViTConfig {
    /// Width of every token.
    pub embed_dim: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Number of attention heads of each block.
    pub num_heads: usize,
    /// Blocks with global attention, counted from 0; the others attend within windows.
    #[config(default = "Vec::new()")]
    pub global_attn_indexes: Vec<usize>,
    /// Side of the (square) input, in pixels.
    #[config(default = 1024)]
    pub image_size: usize,
    /// Side of a patch, in pixels.
    #[config(default = 16)]
    pub patch_size: usize,
    /// Side of an attention window, in patches; 0 for global attention everywhere.
    #[config(default = 14)]
    pub window_size: usize,
    /// Hidden width of the blocks' perceptrons, relative to `embed_dim`.
    #[config(default = 4)]
    pub mlp_ratio: usize,
    /// Channels of the embedding.
    #[config(default = 256)]
    pub out_chans: usize,
}

impl ViTConfig {
    /// The encoder of SAM ViT-B: 89.7 M parameters.
    pub fn base() -> Self {
        Self::new(768, 12, 12).with_global_attn_indexes(vec![2, 5, 8, 11])
    }

    /// The encoder of SAM ViT-L: 308.3 M parameters.
    pub fn large() -> Self {
        Self::new(1024, 24, 16).with_global_attn_indexes(vec![5, 11, 17, 23])
    }

    /// The encoder of SAM ViT-H: 637.0 M parameters.
    pub fn huge() -> Self {
        Self::new(1280, 32, 16).with_global_attn_indexes(vec![7, 15, 23, 31])
    }

    /// Side of the embedding, in cells.
    pub fn grid(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Side of a block's attention window, or `None` for global attention.
    fn window(&self, block: usize) -> Option<usize> {
        (self.window_size > 0 && !self.global_attn_indexes.contains(&block)).then_some(self.window_size)
    }

    /// Creates an encoder with random weights.
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

/// SAM's image encoder, a vision transformer.
///
/// Source: `ImageEncoderViT` in segment-anything's `modeling/image_encoder.py`. The parts are public for analysis.
#[derive(Module, Debug)]
pub struct ImageEncoderViT<B: Backend> {
    /// From patches to tokens.
    pub patch_embed: PatchEmbed<B>,
    /// Absolute position embedding: `[1, h, w, embed_dim]`.
    pub pos_embed: Param<Tensor<B, 4>>,
    /// The transformer's blocks.
    pub blocks: Vec<Block<B>>,
    /// From tokens to the embedding.
    pub neck: Neck<B>,
}

impl<B: Backend> ImageEncoderViT<B> {
    pub(super) fn embed(&self, images: Tensor<B, 4>) -> Tensor<B, 4> {
        let tokens = self.patch_embed.forward(images) + self.pos_embed.val();
        let tokens = self.blocks.iter().fold(tokens, |tokens, block| block.forward(tokens));
        self.neck.forward(tokens.permute([0, 3, 1, 2]))
    }
}

/// The patch embedding: cuts an image into patches and embeds each.
#[derive(Module, Debug)]
pub struct PatchEmbed<B: Backend> {
    proj: Conv2d<B>,
}

impl<B: Backend> PatchEmbed<B> {
    /// Embeds each patch.
    ///
    /// # Shapes
    /// - images: `[n, 3, size, size]`; output: `[n, h, w, embed_dim]`
    pub fn forward(&self, images: Tensor<B, 4>) -> Tensor<B, 4> {
        let ([n, colours, height, width], [side, _]) = (images.dims(), self.proj.kernel_size);
        let ([rows, columns], length) = ([height / side, width / side], colours * side * side);
        let whole = images.slice([0..n, 0..colours, 0..rows * side, 0..columns * side]);
        let patches = whole.reshape([n, colours, rows, side, columns, side]).permute([0, 2, 4, 1, 3, 5]);
        let patches = patches.reshape([n, rows, columns, length]);
        // Patches do not overlap, so the convolution is a linear layer on each patch.
        let weight = self.proj.weight.val().flatten::<2>(1, 3).transpose();
        match &self.proj.bias {
            Some(bias) => affine(patches, weight, bias.val().unsqueeze()),
            None => patches.matmul(weight.unsqueeze()),
        }
    }
}

/// One transformer block: attention within windows or over the whole image, then a perceptron.
#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    /// The norm before the attention.
    pub norm1: LayerNorm<B>,
    /// The attention, within windows or not.
    pub attn: Attention<B>,
    norm2: LayerNorm<B>,
    mlp: MlpBlock<B>,
    /// Side of the windows; 0 for global attention.
    window_size: usize,
}

impl<B: Backend> Block<B> {
    fn new(config: &ViTConfig, window: Option<usize>, device: &B::Device) -> Self {
        let dim = config.embed_dim;
        let norm = || LayerNormConfig::new(dim).with_epsilon(EPSILON).init(device);
        Self {
            norm1: norm(),
            attn: Attention::new(dim, config.num_heads, window.unwrap_or(config.grid()), device),
            norm2: norm(),
            mlp: MlpBlock {
                lin1: LinearConfig::new(dim, dim * config.mlp_ratio).init(device),
                lin2: LinearConfig::new(dim * config.mlp_ratio, dim).init(device),
            },
            window_size: window.unwrap_or(0),
        }
    }

    /// Runs the block, residual connections included.
    ///
    /// # Shapes
    /// - input and output: `[n, h, w, embed_dim]`
    pub fn forward(&self, tokens: Tensor<B, 4>) -> Tensor<B, 4> {
        let window = (self.window_size > 0).then_some(self.window_size);
        let normed = layer_norm(&self.norm1, EPSILON, tokens.clone());
        let tokens = linear_onto(&self.attn.proj, self.attn.attend(normed, window), tokens);
        perceptron(&self.norm2, EPSILON, [&self.mlp.lin1, &self.mlp.lin2], tokens)
    }
}

/// Two linear layers with GELU between them.
#[derive(Module, Debug)]
struct MlpBlock<B: Backend> {
    lin1: Linear<B>,
    lin2: Linear<B>,
}

/// Multi-head attention over a map, with relative positions decomposed by axis.
#[derive(Module, Debug)]
pub struct Attention<B: Backend> {
    qkv: Linear<B>,
    proj: Linear<B>,
    /// Relative positions of rows: `[2 h - 1, head width]`.
    rel_pos_h: Param<Tensor<B, 2>>,
    /// Relative positions of columns: `[2 w - 1, head width]`.
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

    /// Attends over the whole of each map.
    ///
    /// # Shapes
    /// - input and output: `[n, h, w, embed_dim]`
    pub fn forward(&self, tokens: Tensor<B, 4>) -> Tensor<B, 4> {
        linear(&self.proj, self.attend(tokens, None))
    }

    /// The heads' outputs before the output projection; within windows of side `window`, if there is one. Padded pixels are zero, so only
    /// the bias of the layer takes part in the attention.
    fn attend(&self, tokens: Tensor<B, 4>, window: Option<usize>) -> Tensor<B, 4> {
        let [_, height, width, dim] = tokens.dims();
        let [height, width] = window.map_or([height, width], |side| [side, side]);
        let bias = PairBias::Decomposed {
            rows: relative_positions(self.rel_pos_h.val(), height, height),
            columns: relative_positions(self.rel_pos_w.val(), width, width),
        };
        let padding = match &self.qkv.bias {
            Some(bias) => bias.val(),
            None => Tensor::zeros([3 * dim], (&tokens.device(), tokens.dtype())),
        };
        let attention = MapAttention { heads: self.num_heads, window, order: QkvOrder::PartsThenHeads };
        attention.forward(linear(&self.qkv, tokens), padding, &bias)
    }
}

/// The relative position embedding of each query to each key along one axis.
///
/// A table of another length than needed is resized linearly. Source: `get_rel_pos` in segment-anything's `modeling/image_encoder.py`.
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

#[cfg(test)]
mod tests {
    use burn_flex::{Flex, FlexDevice};

    use super::*;

    #[test]
    fn pixels_beyond_the_last_whole_patch_are_left_out() {
        let encoder = ViTConfig::new(32, 1, 2).with_image_size(100).init::<Flex>(&FlexDevice);
        let output = encoder.embed(Tensor::ones([2, 3, 100, 100], &FlexDevice));
        assert_eq!(output.dims(), [2, 256, 6, 6]);
    }
}
