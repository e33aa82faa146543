//! `TinyViT`, the small encoder of `LiteMedSAM` and `MobileSAM`.

use burn::{
    config::Config,
    module::{Module, Param},
    nn::{
        Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Int, Tensor, TensorData, backend::Backend, module::conv2d, ops::ConvOptions},
};

use super::Neck;
use crate::kernels::{
    Bottleneck, MapAttention, PairBias, QkvOrder, affine, affine_gelu, depthwise, gelu, layer_norm, linear,
    linear_onto, perceptron,
};

/// Epsilon of all norms: PyTorch's default.
const EPSILON: f64 = 1e-5;

/// Config of a [`TinyVit`].
#[derive(Config, Debug, PartialEq)]
#[non_exhaustive]
pub struct TinyVitConfig {
    /// Side of the (square) input, in pixels.
    pub image_size: usize,
    /// Stride of each of the two patch-embedding convolutions: 1 for `LiteMedSAM` (kernel 1), 2 for `MobileSAM` (kernel 3).
    pub patch_stride: usize,
    /// Width of each of the four stages.
    #[config(default = "vec![64, 128, 160, 320]")]
    pub embed_dims: Vec<usize>,
    /// Number of blocks of each stage; the first stage has convolution blocks, the others have attention blocks.
    #[config(default = "vec![2, 2, 6, 2]")]
    pub depths: Vec<usize>,
    /// Number of attention heads of each stage.
    #[config(default = "vec![2, 4, 5, 10]")]
    pub num_heads: Vec<usize>,
    /// Window sides of each stage, in tokens.
    #[config(default = "vec![7, 7, 14, 7]")]
    pub window_sizes: Vec<usize>,
    /// Hidden width of perceptrons and convolution blocks, relative to the stage's width.
    #[config(default = 4)]
    pub mlp_ratio: usize,
    /// Channels of the embedding.
    #[config(default = 256)]
    pub out_chans: usize,
}

impl TinyVitConfig {
    /// The config of `LiteMedSAM`: 256-pixel input, patch stride 1.
    pub fn lite_medsam() -> Self {
        Self::new(256, 1)
    }

    /// The config of `MobileSAM`: 1024-pixel input.
    pub fn mobile_sam() -> Self {
        Self::new(1024, 2)
    }

    /// Side of the embedding, in cells: two of the three patch mergings halve the side, the last keeps it.
    pub fn grid(&self) -> usize {
        self.image_size / (self.patch_stride * self.patch_stride) / 4
    }

    /// Creates an encoder with random weights.
    pub fn init<B: Backend>(&self, device: &B::Device) -> TinyVit<B> {
        let last = self.embed_dims.len() - 1;
        let layer = |stage: usize| {
            let dim = self.embed_dims[stage];
            let block = |_| match stage {
                0 => TinyVitBlock::Convolution(MbConv::new(dim, self.mlp_ratio, device)),
                _ => TinyVitBlock::Attention(AttentionBlock::new(self, stage, device)),
            };
            TinyVitLayer {
                blocks: (0..self.depths[stage]).map(block).collect(),
                downsample: (stage < last).then(|| {
                    // In the SAM variants, the last merging keeps the side; the reference recognises it by its width of 320, 448 or 576.
                    let stride = if stage + 1 == last { 1 } else { 2 };
                    PatchMerging::new(dim, self.embed_dims[stage + 1], stride, device)
                }),
            }
        };
        TinyVit {
            patch_embed: TinyVitPatchEmbed::new(self.embed_dims[0], self.patch_stride, device),
            layers: (0..=last).map(layer).collect(),
            neck: Neck::new(self.embed_dims[last], self.out_chans, device),
        }
    }
}

/// The image encoder `TinyViT` with SAM's neck.
///
/// Source: Wu et al. 2022 and the `tiny_vit_sam.py` of `MobileSAM` and `LiteMedSAM`. Batch norms always use their stored statistics,
/// because this encoder is frozen. The parts are public for analysis.
#[derive(Module, Debug)]
pub struct TinyVit<B: Backend> {
    /// From pixels to the first stage's maps.
    pub patch_embed: TinyVitPatchEmbed<B>,
    /// The four stages.
    pub layers: Vec<TinyVitLayer<B>>,
    /// From the last stage's maps to the embedding.
    pub neck: Neck<B>,
}

impl<B: Backend> TinyVit<B> {
    pub(super) fn embed(&self, images: Tensor<B, 4>) -> Tensor<B, 4> {
        let maps = self.patch_embed.forward(images);
        let maps = self.layers.iter().fold(maps, |maps, layer| layer.forward(maps));
        self.neck.forward(maps.permute([0, 3, 1, 2]))
    }
}

/// A convolution without bias and a batch norm, folded into one convolution at run time.
#[derive(Module, Debug)]
struct ConvNorm<B: Backend> {
    c: Conv2d<B>,
    bn: FrozenBatchNorm<B>,
}

/// A batch norm that always uses its stored statistics, because this encoder is frozen.
///
/// burn's own batch norm is not used, because all clones of a module share its statistics: casting one clone would change the others.
#[derive(Module, Debug)]
struct FrozenBatchNorm<B: Backend> {
    weight: Param<Tensor<B, 1>>,
    bias: Param<Tensor<B, 1>>,
    running_mean: Param<Tensor<B, 1>>,
    running_var: Param<Tensor<B, 1>>,
}

impl<B: Backend> FrozenBatchNorm<B> {
    fn new(channels: usize, device: &B::Device) -> Self {
        let filled = |value: Initializer| value.init([channels], device);
        Self {
            weight: filled(Initializer::Ones),
            bias: filled(Initializer::Zeros),
            running_mean: filled(Initializer::Zeros),
            running_var: filled(Initializer::Ones),
        }
    }

    /// The norm as a factor and an offset, each `[channels]`.
    fn scale_and_offset(&self) -> (Tensor<B, 1>, Tensor<B, 1>) {
        let scale = self.weight.val() / (self.running_var.val() + EPSILON).sqrt();
        let offset = self.bias.val() - self.running_mean.val() * scale.clone();
        (scale, offset)
    }
}

impl<B: Backend> ConvNorm<B> {
    fn new(channels: [usize; 2], kernel: usize, stride: usize, groups: usize, device: &B::Device) -> Self {
        let padding = kernel / 2;
        let convolution = Conv2dConfig::new(channels, [kernel; 2])
            .with_stride([stride; 2])
            .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
            .with_groups(groups)
            .with_bias(false);
        Self { c: convolution.init(device), bn: FrozenBatchNorm::new(channels[1], device) }
    }

    fn pointwise(input: usize, output: usize, device: &B::Device) -> Self {
        Self::new([input, output], 1, 1, 1, device)
    }

    fn depthwise(channels: usize, stride: usize, device: &B::Device) -> Self {
        Self::new([channels; 2], 3, stride, channels, device)
    }

    /// The convolution kernel `[output, input, side, side]` with the norm folded in, and the bias.
    fn kernel(&self) -> (Tensor<B, 4>, Tensor<B, 1>) {
        let (scale, bias) = self.bn.scale_and_offset();
        let channels = scale.dims()[0];
        (self.c.weight.val() * scale.reshape([channels, 1, 1, 1]), bias)
    }

    /// The kernel as a matrix, and the bias. A 1 x 1 kernel is `[input, output]`, a depthwise kernel is `[side * side, channels]`.
    fn matrix(&self) -> (Tensor<B, 2>, Tensor<B, 1>) {
        let (kernel, bias) = self.kernel();
        (kernel.flatten::<2>(1, 3).transpose(), bias)
    }

    /// From `[n, h, w, channels]` to the same layout, with GELU if `activate`.
    fn forward(&self, maps: Tensor<B, 4>, activate: bool) -> Tensor<B, 4> {
        let ([side, _], [stride, _]) = (self.c.kernel_size, self.c.stride);
        if [side, stride] == [1, 1] {
            let (weight, bias) = self.matrix();
            return if activate { affine_gelu(maps, weight, bias) } else { affine(maps, weight, bias.unsqueeze()) };
        }
        let (kernel, bias) = self.kernel();
        let options = ConvOptions::new(self.c.stride, [side / 2; 2], self.c.dilation, self.c.groups);
        let maps = conv2d(maps.permute([0, 3, 1, 2]), kernel, Some(bias), options).permute([0, 2, 3, 1]);
        if activate { gelu(maps) } else { maps }
    }
}

/// The patch embedding: two convolutions from colours to the first stage's width.
#[derive(Module, Debug)]
pub struct TinyVitPatchEmbed<B: Backend> {
    conv1: ConvNorm<B>,
    conv2: ConvNorm<B>,
}

impl<B: Backend> TinyVitPatchEmbed<B> {
    fn new(dim: usize, stride: usize, device: &B::Device) -> Self {
        let kernel = 2 * stride - 1;
        Self {
            conv1: ConvNorm::new([3, dim / 2], kernel, stride, 1, device),
            conv2: ConvNorm::new([dim / 2, dim], kernel, stride, 1, device),
        }
    }

    /// # Shapes
    /// - images: `[n, 3, size, size]`; output: `[n, size / stride², size / stride², dim]`
    pub fn forward(&self, images: Tensor<B, 4>) -> Tensor<B, 4> {
        self.conv2.forward(self.conv1.forward(images.permute([0, 2, 3, 1]), true), false)
    }
}

/// One stage: blocks, then a patch merging to the next stage's width.
#[derive(Module, Debug)]
pub struct TinyVitLayer<B: Backend> {
    blocks: Vec<TinyVitBlock<B>>,
    downsample: Option<PatchMerging<B>>,
}

impl<B: Backend> TinyVitLayer<B> {
    /// # Shapes
    /// - input: `[n, h, w, dim]`; output: `[n, h, w, next dim]`, or half the sides
    pub fn forward(&self, maps: Tensor<B, 4>) -> Tensor<B, 4> {
        let maps = self.blocks.iter().fold(maps, |maps, block| match block {
            TinyVitBlock::Convolution(block) => block.forward(maps),
            TinyVitBlock::Attention(block) => block.forward(maps),
        });
        match &self.downsample {
            Some(merging) => merging.forward(maps),
            None => maps,
        }
    }
}

/// A block: convolutions in the first stage, attention in the others.
#[derive(Module, Debug)]
enum TinyVitBlock<B: Backend> {
    Convolution(MbConv<B>),
    Attention(AttentionBlock<B>),
}

/// Mobile inverted bottleneck: widen, depthwise convolution, narrow, add.
#[derive(Module, Debug)]
struct MbConv<B: Backend> {
    conv1: ConvNorm<B>,
    conv2: ConvNorm<B>,
    conv3: ConvNorm<B>,
}

impl<B: Backend> MbConv<B> {
    fn new(dim: usize, expand_ratio: usize, device: &B::Device) -> Self {
        let hidden = dim * expand_ratio;
        Self {
            conv1: ConvNorm::pointwise(dim, hidden, device),
            conv2: ConvNorm::depthwise(hidden, 1, device),
            conv3: ConvNorm::pointwise(hidden, dim, device),
        }
    }

    fn forward(&self, maps: Tensor<B, 4>) -> Tensor<B, 4> {
        bottleneck([&self.conv1, &self.conv2, &self.conv3], true).forward(maps)
    }
}

/// Patch merging: to the next stage's width, at half the resolution (the last one keeps it).
#[derive(Module, Debug)]
struct PatchMerging<B: Backend> {
    conv1: ConvNorm<B>,
    conv2: ConvNorm<B>,
    conv3: ConvNorm<B>,
}

impl<B: Backend> PatchMerging<B> {
    fn new(input: usize, output: usize, stride: usize, device: &B::Device) -> Self {
        Self {
            conv1: ConvNorm::pointwise(input, output, device),
            conv2: ConvNorm::depthwise(output, stride, device),
            conv3: ConvNorm::pointwise(output, output, device),
        }
    }

    fn forward(&self, maps: Tensor<B, 4>) -> Tensor<B, 4> {
        bottleneck([&self.conv1, &self.conv2, &self.conv3], false).forward(maps)
    }
}

/// A bottleneck: a 1 x 1 convolution, a depthwise convolution and a 1 x 1 convolution.
fn bottleneck<B: Backend>([widen, convolve, narrow]: [&ConvNorm<B>; 3], returns: bool) -> Bottleneck<B> {
    Bottleneck {
        widen: widen.matrix(),
        convolve: convolve.matrix(),
        narrow: narrow.matrix(),
        stride: convolve.c.stride[0],
        returns,
    }
}

/// Window attention, a depthwise convolution and a perceptron.
#[derive(Module, Debug)]
struct AttentionBlock<B: Backend> {
    attn: WindowAttention<B>,
    local_conv: ConvNorm<B>,
    mlp: Mlp<B>,
}

impl<B: Backend> AttentionBlock<B> {
    fn new(config: &TinyVitConfig, stage: usize, device: &B::Device) -> Self {
        let dim = config.embed_dims[stage];
        Self {
            attn: WindowAttention::new(dim, config.num_heads[stage], config.window_sizes[stage], device),
            local_conv: ConvNorm::depthwise(dim, 1, device),
            mlp: Mlp {
                norm: LayerNormConfig::new(dim).init(device),
                fc1: LinearConfig::new(dim, dim * config.mlp_ratio).init(device),
                fc2: LinearConfig::new(dim * config.mlp_ratio, dim).init(device),
            },
        }
    }

    /// From `[n, h, w, dim]` to the same shape.
    fn forward(&self, tokens: Tensor<B, 4>) -> Tensor<B, 4> {
        let (weight, bias) = self.local_conv.matrix();
        let tokens = depthwise(self.attn.forward(tokens), weight, bias, 1);
        perceptron(&self.mlp.norm, EPSILON, [&self.mlp.fc1, &self.mlp.fc2], tokens)
    }
}

/// The perceptron: a norm and two linear layers with GELU between them.
#[derive(Module, Debug)]
struct Mlp<B: Backend> {
    norm: LayerNorm<B>,
    fc1: Linear<B>,
    fc2: Linear<B>,
}

/// Multi-head attention within a window, with a learned bias for each offset.
#[derive(Module, Debug)]
struct WindowAttention<B: Backend> {
    norm: LayerNorm<B>,
    qkv: Linear<B>,
    proj: Linear<B>,
    /// A bias for each head and absolute offset (rows, then columns): `[heads, window²]`.
    attention_biases: Param<Tensor<B, 2>>,
    num_heads: usize,
    window_size: usize,
}

impl<B: Backend> WindowAttention<B> {
    fn new(dim: usize, num_heads: usize, window_size: usize, device: &B::Device) -> Self {
        Self {
            norm: LayerNormConfig::new(dim).init(device),
            qkv: LinearConfig::new(dim, 3 * dim).init(device),
            proj: LinearConfig::new(dim, dim).init(device),
            attention_biases: Param::from_tensor(Tensor::zeros([num_heads, window_size * window_size], device)),
            num_heads,
            window_size,
        }
    }

    /// From `[n, h, w, dim]` to the same shape: the tokens plus the attention's output.
    fn forward(&self, tokens: Tensor<B, 4>) -> Tensor<B, 4> {
        // Windows are padded with zeros before the norm, which turns the zeros into its offset. Padded pixels take part in the attention.
        let [.., dim] = tokens.dims();
        let offset = match &self.norm.beta {
            Some(offset) => offset.val(),
            None => Tensor::zeros([dim], (&tokens.device(), tokens.dtype())),
        };
        let padding = linear(&self.qkv, offset.unsqueeze::<2>()).squeeze_dim(0);
        let attention =
            MapAttention { heads: self.num_heads, window: Some(self.window_size), order: QkvOrder::HeadsThenParts };
        let qkv = linear(&self.qkv, layer_norm(&self.norm, EPSILON, tokens.clone()));
        let attended = attention.forward(qkv, padding, &PairBias::Table(self.bias()));
        linear_onto(&self.proj, attended, tokens)
    }

    /// The bias of each pair of tokens: `[heads, window², window²]`.
    fn bias(&self) -> Tensor<B, 3> {
        let side = self.window_size;
        let tokens = side * side;
        let offset = |a: usize, b: usize| (a / side).abs_diff(b / side) * side + (a % side).abs_diff(b % side);
        let pairs = (0..tokens).flat_map(|a| (0..tokens).map(move |b| offset(a, b) as i64)).collect::<Vec<_>>();
        let biases = self.attention_biases.val();
        let pairs = Tensor::<B, 1, Int>::from_data(TensorData::new(pairs, [tokens * tokens]), &biases.device());
        biases.select(1, pairs).reshape([self.num_heads, tokens, tokens])
    }
}
