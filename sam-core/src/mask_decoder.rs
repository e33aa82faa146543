//! The mask decoder: turns an image embedding and prompt tokens into mask logits and their predicted quality.

use burn::{
    config::Config,
    module::Module,
    nn::{
        Embedding, EmbeddingConfig,
        conv::{ConvTranspose2d, ConvTranspose2dConfig},
    },
    tensor::{Tensor, backend::Backend},
};
use sam_prompt::{LayerNorm2d, PromptEmbeddings};

use crate::{
    kernels::{self, add},
    mlp::Mlp,
    transformer::{ImagePositions, ProjectedImage, TwoWayTransformer, TwoWayTransformerConfig},
};

/// Config of a [`MaskDecoder`].
#[derive(Config, Debug, Copy, PartialEq)]
#[non_exhaustive]
pub struct MaskDecoderConfig {
    /// The transformer's shape.
    #[config(default = "TwoWayTransformerConfig::new()")]
    pub transformer: TwoWayTransformerConfig,
    /// Number of masks for an ambiguous prompt, in addition to the single mask.
    #[config(default = 3)]
    pub num_multimask_outputs: usize,
    /// Layers of the IoU prediction head.
    #[config(default = 3)]
    pub iou_head_depth: usize,
    /// Hidden width of the IoU prediction head.
    #[config(default = 256)]
    pub iou_head_hidden_dim: usize,
}

impl MaskDecoderConfig {
    /// Creates a mask decoder with random weights.
    pub fn init<B: Backend>(&self, device: &B::Device) -> MaskDecoder<B> {
        let channels = self.transformer.embedding_dim;
        let mask_tokens = self.num_multimask_outputs + 1;
        MaskDecoder {
            transformer: self.transformer.init(device),
            iou_token: EmbeddingConfig::new(1, channels).init(device),
            mask_tokens: EmbeddingConfig::new(mask_tokens, channels).init(device),
            output_upscaling: Upscaling::new(channels, device),
            output_hypernetworks_mlps: (0..mask_tokens)
                .map(|_| Mlp::new(channels, channels, channels / 8, 3, device))
                .collect(),
            iou_prediction_head: Mlp::new(channels, self.iou_head_hidden_dim, mask_tokens, self.iou_head_depth, device),
        }
    }
}

/// Which masks the decoder outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaskOutput {
    /// One mask (token 0), for unambiguous or learned prompts.
    Single,
    /// All other masks (tokens 1 and up), for an ambiguous prompt such as one click.
    Multi,
}

/// Output of the decoder for each prompt.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MaskLogits<B: Backend> {
    /// Low-res logits, positive inside the mask: `[n, masks, 4 h, 4 w]` for an embedding of `h` x `w`.
    pub low_res: Tensor<B, 4>,
    /// Predicted intersection over union of each mask: `[n, masks]`.
    pub iou: Tensor<B, 2>,
}

/// The image's position encoding, projected by the decoder's attentions.
#[derive(Debug, Clone)]
pub struct DecoderPositions<B: Backend> {
    height: usize,
    width: usize,
    positions: ImagePositions<B>,
}

impl<B: Backend> DecoderPositions<B> {
    /// Rows and columns of the image embedding.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// The device of the tensors.
    pub fn device(&self) -> B::Device {
        self.positions.device()
    }

    /// Converts to another backend, such as one that tracks gradients.
    #[must_use]
    pub fn map<C: Backend>(self, convert: impl Fn(Tensor<B, 3>) -> Tensor<C, 3>) -> DecoderPositions<C> {
        let Self { height, width, positions } = self;
        DecoderPositions { height, width, positions: positions.map(convert) }
    }
}

/// Predicts masks from an image embedding and embedded prompts.
///
/// Source: `MaskDecoder` in segment-anything's `modeling/mask_decoder.py`.
#[derive(Module, Debug)]
pub struct MaskDecoder<B: Backend> {
    /// The two-way transformer between tokens and image.
    pub transformer: TwoWayTransformer<B>,
    iou_token: Embedding<B>,
    mask_tokens: Embedding<B>,
    output_upscaling: Upscaling<B>,
    output_hypernetworks_mlps: Vec<Mlp<B>>,
    iou_prediction_head: Mlp<B>,
}

impl<B: Backend> MaskDecoder<B> {
    /// Decodes a batch of prompts.
    ///
    /// # Shapes
    /// - image embedding: `[1, channels, h, w]` for prompts of one image, or `[n, channels, h, w]` with one for each prompt
    /// - image position encoding: `[1, channels, h, w]`
    /// - output: low-res logits `[n, masks, 4 h, 4 w]`, predicted IoU `[n, masks]`
    ///
    /// # Panics
    /// If the shapes do not match.
    pub fn forward(
        &self,
        image_embedding: Tensor<B, 4>,
        image_pe: Tensor<B, 4>,
        prompts: PromptEmbeddings<B>,
        output: MaskOutput,
    ) -> MaskLogits<B> {
        let positions = self.project_positions(image_pe);
        self.decode(self.project(image_embedding, &positions), &positions, prompts, output)
    }

    /// Projects the image's position encoding, once for all images.
    ///
    /// # Shapes
    /// - image position encoding: `[1, channels, h, w]`
    pub fn project_positions(&self, image_pe: Tensor<B, 4>) -> DecoderPositions<B> {
        let [_, _, height, width] = image_pe.dims();
        DecoderPositions { height, width, positions: self.transformer.project_positions(pixels_first(image_pe)) }
    }

    /// Projects an image embedding, once for all prompts.
    ///
    /// # Shapes
    /// - image embedding: `[n, channels, h, w]`
    pub fn project(&self, image_embedding: Tensor<B, 4>, positions: &DecoderPositions<B>) -> ProjectedImage<B> {
        self.transformer.project(pixels_first(image_embedding), &positions.positions)
    }

    /// As [`MaskDecoder::forward`], for images that are already projected: one for each prompt, or one for all.
    ///
    /// # Panics
    /// If the shapes do not match.
    pub fn decode(
        &self,
        image: ProjectedImage<B>,
        positions: &DecoderPositions<B>,
        prompts: PromptEmbeddings<B>,
        output: MaskOutput,
    ) -> MaskLogits<B> {
        let DecoderPositions { height, width, positions } = positions;
        let [n, channels, dense_height, dense_width] = prompts.dense.dims();
        let dense = pixels_first(prompts.dense);
        let (image, everywhere) = if (dense_height, dense_width) == (1, 1) {
            (image, Some(dense))
        } else {
            (self.transformer.project(add(image.into_pixels(), dense), positions), None)
        };
        let tokens = self.tokens(n, prompts.sparse);
        let (tokens, image) = self.transformer.forward_projected(image, everywhere, positions, tokens);

        let mask_count = self.output_hypernetworks_mlps.len();
        let wanted = match output {
            MaskOutput::Single => 0..1,
            MaskOutput::Multi => 1..mask_count,
        };
        let token = |index: usize| tokens.clone().slice([0..n, index..index + 1]).reshape([n, channels]);
        let weights = wanted.clone().map(|mask| self.output_hypernetworks_mlps[mask].forward(token(1 + mask)));
        let weights = Tensor::stack::<3>(weights.collect(), 1);
        let low_res = self.output_upscaling.layers().masks(image, weights).transpose();
        MaskLogits {
            low_res: unfold_blocks(low_res, *height, *width),
            iou: self.iou_prediction_head.forward(token(0)).slice([0..n, wanted]),
        }
    }

    /// The decoder's own tokens, followed by the prompt's: `[n, 1 + masks + sparse, channels]`.
    fn tokens(&self, n: usize, sparse: Option<Tensor<B, 3>>) -> Tensor<B, 3> {
        let own = Tensor::cat(vec![self.iou_token.weight.val(), self.mask_tokens.weight.val()], 0);
        let [count, channels] = own.dims();
        let own = own.reshape([1, count, channels]).expand([n, count, channels]);
        match sparse {
            Some(sparse) => Tensor::cat(vec![own, sparse], 1),
            None => own,
        }
    }

    /// Upscales the transformer's image output to four times its resolution. Public for analysis.
    ///
    /// # Shapes
    /// - image: `[n, h * w, channels]`; output: `[n, channels / 8, 4 h, 4 w]`
    pub fn upscale(&self, image: Tensor<B, 3>, height: usize, width: usize) -> Tensor<B, 4> {
        unfold_blocks(self.output_upscaling.layers().forward(image).transpose(), height, width)
    }
}

/// `[n, channels, h, w]` to `[n, h * w, channels]`; without a copy if channels are already contiguous.
fn pixels_first<B: Backend>(maps: Tensor<B, 4>) -> Tensor<B, 3> {
    let [n, channels, height, width] = maps.dims();
    maps.permute([0, 2, 3, 1]).reshape([n, height * width, channels])
}

/// Two transposed convolutions; each doubles the resolution.
///
/// Their kernels do not overlap, so each pixel becomes a block of 2 x 2 pixels by a matrix product. Pixels stay in block order, with
/// contiguous channels, until the masks are computed. Only the masks are reordered into rows.
#[derive(Module, Debug)]
struct Upscaling<B: Backend> {
    conv1: ConvTranspose2d<B>,
    norm1: LayerNorm2d<B>,
    conv2: ConvTranspose2d<B>,
}

impl<B: Backend> Upscaling<B> {
    fn new(channels: usize, device: &B::Device) -> Self {
        let doubling =
            |input, output| ConvTranspose2dConfig::new([input, output], [2, 2]).with_stride([2, 2]).init(device);
        Self {
            conv1: doubling(channels, channels / 4),
            norm1: LayerNorm2d::new(channels / 4, device),
            conv2: doubling(channels / 4, channels / 8),
        }
    }

    /// The two convolutions as matrix products.
    fn layers(&self) -> kernels::Upscaling<B> {
        let (first_weight, first_bias) = matrix(&self.conv1);
        let (second_weight, second_bias) = matrix(&self.conv2);
        let (scale, offset) = (self.norm1.weight.val(), self.norm1.bias.val());
        kernels::Upscaling { first_weight, first_bias, scale, offset, second_weight, second_bias }
    }
}

/// Converts a transposed convolution of kernel 2 and stride 2 to a weight `[input, 4 * output]` and a bias `[4 * output]`.
fn matrix<B: Backend>(conv: &ConvTranspose2d<B>) -> (Tensor<B, 2>, Tensor<B, 1>) {
    let weight = conv.weight.val();
    let [input, output, _, _] = weight.dims();
    let bias = match &conv.bias {
        Some(bias) => bias.val().repeat_dim(0, 4),
        None => Tensor::zeros([4 * output], &weight.device()),
    };
    (weight.permute([0, 2, 3, 1]).reshape([input, 4 * output]), bias)
}

/// Reorders values from the block order of [`Upscaling`] to rows and columns: `[n, m, h * w * 16]` to `[n, m, 4 h, 4 w]`.
fn unfold_blocks<B: Backend>(values: Tensor<B, 3>, height: usize, width: usize) -> Tensor<B, 4> {
    let [n, m, _] = values.dims();
    // Rows are merged with the masks, because burn-ndarray supports at most six dimensions.
    let blocks = values.reshape([n * m * height, width, 2, 2, 2, 2]).permute([0, 2, 4, 1, 3, 5]);
    blocks.reshape([n, m, 4 * height, 4 * width])
}
