//! The mask decoder: image embedding and prompt tokens to mask logits and their predicted quality.

use burn::{
    config::Config,
    module::Module,
    nn::{
        Embedding, EmbeddingConfig, Gelu,
        conv::{ConvTranspose2d, ConvTranspose2dConfig},
    },
    tensor::{Tensor, backend::Backend},
};
use sam_prompt::{LayerNorm2d, PromptEmbeddings};

use crate::{
    mlp::Mlp,
    transformer::{TwoWayTransformer, TwoWayTransformerConfig},
};

/// The shape of a [`MaskDecoder`].
#[derive(Config, Debug, Copy, PartialEq)]
pub struct MaskDecoderConfig {
    /// The transformer's shape.
    #[config(default = "TwoWayTransformerConfig::new()")]
    pub transformer: TwoWayTransformerConfig,
    /// Masks offered for an ambiguous prompt, beside the single one.
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
    /// A mask decoder with random weights.
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

/// Which masks are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaskOutput {
    /// One mask (token 0): for prompts that leave no doubt, and for learned ones.
    Single,
    /// All others (tokens 1 and up): for one ambiguous click.
    Multi,
}

/// What the decoder says of each prompt.
#[derive(Debug, Clone)]
pub struct MaskLogits<B: Backend> {
    /// Low-res logits, positive inside: `[n, masks, 4 h, 4 w]` for an embedding of `h` x `w`.
    pub low_res: Tensor<B, 4>,
    /// Predicted intersection over union of each mask: `[n, masks]`.
    pub iou: Tensor<B, 2>,
}

/// Predicts masks from an image embedding and embedded prompts.
///
/// Source: `MaskDecoder` in segment-anything's `modeling/mask_decoder.py`.
#[derive(Module, Debug)]
pub struct MaskDecoder<B: Backend> {
    /// Tokens and image attend to each other.
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
    /// If the shapes do not fit.
    pub fn forward(
        &self,
        image_embedding: Tensor<B, 4>,
        image_pe: Tensor<B, 4>,
        prompts: PromptEmbeddings<B>,
        output: MaskOutput,
    ) -> MaskLogits<B> {
        let [n, channels, height, width] = prompts.dense.dims();
        let image = flatten_pixels(image_embedding + prompts.dense);
        let image_pe = flatten_pixels(image_pe.expand([n, channels, height, width]));
        let (tokens, image) = self.transformer.forward(image, image_pe, self.tokens(n, prompts.sparse));

        let image = image.swap_dims(1, 2).reshape([n, channels, height, width]);
        let upscaled = self.output_upscaling.forward(image);
        let mask_count = self.output_hypernetworks_mlps.len();
        let wanted = match output {
            MaskOutput::Single => 0..1,
            MaskOutput::Multi => 1..mask_count,
        };
        let token = |index: usize| tokens.clone().slice([0..n, index..index + 1]).reshape([n, channels]);
        let weights = wanted.clone().map(|mask| self.output_hypernetworks_mlps[mask].forward(token(1 + mask)));
        let weights = Tensor::stack::<3>(weights.collect(), 1);
        let [_, narrow, fine_height, fine_width] = upscaled.dims();
        let low_res = weights.matmul(upscaled.reshape([n, narrow, fine_height * fine_width]));
        MaskLogits {
            low_res: low_res.reshape([n, wanted.len(), fine_height, fine_width]),
            iou: self.iou_prediction_head.forward(token(0)).slice([0..n, wanted]),
        }
    }

    /// The decoder's own tokens before the prompt's: `[n, 1 + masks + sparse, channels]`.
    fn tokens(&self, n: usize, sparse: Option<Tensor<B, 3>>) -> Tensor<B, 3> {
        let own = Tensor::cat(vec![self.iou_token.weight.val(), self.mask_tokens.weight.val()], 0);
        let [count, channels] = own.dims();
        let own = own.reshape([1, count, channels]).expand([n, count, channels]);
        match sparse {
            Some(sparse) => Tensor::cat(vec![own, sparse], 1),
            None => own,
        }
    }

    /// The image's way back from the transformer to four times its resolution, for those who look inside.
    ///
    /// # Shapes
    /// - image: `[n, channels, h, w]`; output: `[n, channels / 8, 4 h, 4 w]`
    pub fn upscale(&self, image: Tensor<B, 4>) -> Tensor<B, 4> {
        self.output_upscaling.forward(image)
    }
}

/// `[n, channels, h, w]` to `[n, h * w, channels]`.
fn flatten_pixels<B: Backend>(maps: Tensor<B, 4>) -> Tensor<B, 3> {
    let [n, channels, height, width] = maps.dims();
    maps.reshape([n, channels, height * width]).swap_dims(1, 2)
}

/// Two transposed convolutions that double the resolution each.
#[derive(Module, Debug)]
struct Upscaling<B: Backend> {
    conv1: ConvTranspose2d<B>,
    norm1: LayerNorm2d<B>,
    conv2: ConvTranspose2d<B>,
    activation: Gelu,
}

impl<B: Backend> Upscaling<B> {
    fn new(channels: usize, device: &B::Device) -> Self {
        let doubling =
            |input, output| ConvTranspose2dConfig::new([input, output], [2, 2]).with_stride([2, 2]).init(device);
        Self {
            conv1: doubling(channels, channels / 4),
            norm1: LayerNorm2d::new(channels / 4, device),
            conv2: doubling(channels / 4, channels / 8),
            activation: Gelu::new(),
        }
    }

    fn forward(&self, maps: Tensor<B, 4>) -> Tensor<B, 4> {
        let doubled = self.activation.forward(self.norm1.forward(double(&self.conv1, maps)));
        self.activation.forward(double(&self.conv2, doubled))
    }
}

/// A transposed convolution of kernel 2 and stride 2 as one matrix product.
///
/// Its patches do not overlap, so each pixel becomes 2 x 2 pixels by itself. burn-ndarray takes hundreds of times longer for the
/// same through its general kernel.
fn double<B: Backend>(conv: &ConvTranspose2d<B>, maps: Tensor<B, 4>) -> Tensor<B, 4> {
    let [n, _, height, width] = maps.dims();
    let weight = conv.weight.val();
    let [input, output, _, _] = weight.dims();
    let patches = flatten_pixels(maps).matmul(weight.reshape([1, input, output * 4]));
    let patches = patches.reshape([n, height, width, output, 2, 2]).permute([0, 3, 1, 4, 2, 5]);
    let doubled = patches.reshape([n, output, 2 * height, 2 * width]);
    match &conv.bias {
        Some(bias) => doubled + bias.val().reshape([1, output, 1, 1]),
        None => doubled,
    }
}
