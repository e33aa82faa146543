//! SAM's prompt encoder: from clicks, boxes and masks to the tokens and maps that the mask decoder reads.

mod batch;
mod norm;
mod position;

use burn::{
    config::Config,
    module::{Module, ModuleMapper, Param},
    nn::{
        Embedding, EmbeddingConfig, Gelu,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Tensor, backend::Backend},
};

pub use batch::{PromptBatch, Token, TokenKind};
pub use norm::LayerNorm2d;
pub use position::PositionEncoding;

use crate::PromptError;

/// The hyperparameters of a [`PromptEncoder`]. Build it with `PromptEncoderConfig::new()` and its `with_*` methods.
#[derive(Config, Debug, Copy)]
#[non_exhaustive]
pub struct PromptEncoderConfig {
    /// Channels of the image embedding and of every token.
    #[config(default = 256)]
    pub embed_dim: usize,
    /// Side of the (square) image embedding.
    #[config(default = 64)]
    pub embedding_size: usize,
    /// Side of the model's (square) input, in pixels.
    #[config(default = 1024)]
    pub image_size: usize,
    /// Hidden channels of the mask down-scaling.
    #[config(default = 16)]
    pub mask_in_chans: usize,
}

impl PromptEncoderConfig {
    /// Creates a prompt encoder with random weights.
    pub fn init<B: Backend>(&self, device: &B::Device) -> PromptEncoder<B> {
        let token = || EmbeddingConfig::new(1, self.embed_dim).init(device);
        PromptEncoder {
            pe_layer: PositionEncoding::new(self.embed_dim, device),
            point_embeddings: (0..4).map(|_| token()).collect(),
            not_a_point_embed: token(),
            mask_downscaling: MaskDownscaling::new(self.mask_in_chans, self.embed_dim, device),
            no_mask_embed: token(),
            embedding_size: self.embedding_size,
            image_size: self.image_size,
        }
    }
}

/// Embeds prompts for the mask decoder. It is the only part of SAM that SAM^assist trains.
///
/// Source: `PromptEncoder` in segment-anything's `modeling/prompt_encoder.py`; field names follow its checkpoint.
#[derive(Module, Debug)]
pub struct PromptEncoder<B: Backend> {
    pe_layer: PositionEncoding<B>,
    /// Background, foreground, upper left and lower right corner of a box.
    point_embeddings: Vec<Embedding<B>>,
    not_a_point_embed: Embedding<B>,
    mask_downscaling: MaskDownscaling<B>,
    no_mask_embed: Embedding<B>,
    embedding_size: usize,
    image_size: usize,
}

/// Embedded prompts, as the mask decoder reads them.
#[derive(Debug, Clone)]
pub struct PromptEmbeddings<B: Backend> {
    /// A token for each point and box corner, then the external ones: `[n, tokens, embed_dim]`; `None` if there is no token.
    pub sparse: Option<Tensor<B, 3>>,
    /// The mask at each cell of the image embedding: `[n, embed_dim, h, w]`; without a mask, one vector for all cells:
    /// `[n, embed_dim, 1, 1]`.
    pub dense: Tensor<B, 4>,
}

impl<B: Backend> PromptEmbeddings<B> {
    /// Appends tokens to those of every prompt, such as learned ones that belong to no click.
    ///
    /// # Shapes
    /// - tokens: `[tokens, embed_dim]`
    ///
    /// # Panics
    /// If the tokens have another number of channels than the others.
    #[must_use]
    pub fn with_tokens(self, tokens: Tensor<B, 2>) -> Self {
        let ([n, _, _, _], [count, width]) = (self.dense.dims(), tokens.dims());
        let tokens = tokens.reshape([1, count, width]).expand([n, count, width]);
        let sparse = match self.sparse {
            Some(own) => Tensor::cat(vec![own, tokens], 1),
            None => tokens,
        };
        Self { sparse: Some(sparse), ..self }
    }
}

impl<B: Backend> PromptEncoder<B> {
    /// Embeds a batch of prompts.
    ///
    /// # Shapes
    /// - output: see [`PromptEmbeddings`]
    ///
    /// # Errors
    /// [`PromptError::MaskSize`] if mask prompts are not four times the embedding's size; [`PromptError::TokenWidth`] if external
    /// tokens have another number of channels than this encoder's.
    pub fn forward(&self, batch: &PromptBatch<B>) -> Result<PromptEmbeddings<B>, PromptError> {
        let sparse = batch.coordinates.as_ref().zip(batch.kinds.as_ref()).map(|(coordinates, kinds)| {
            let position = self.pe_layer.encode(coordinates.clone(), self.image_size, self.image_size);
            // The padding token has no position, only its own embedding.
            let has_position = kinds.clone().slice([0..batch.len(), 0..kinds.dims()[1], 0..1]).neg() + 1.0;
            position * has_position + kinds.clone().matmul(self.kind_embeddings().unsqueeze())
        });
        let external = batch.external.clone().map(|tokens| self.fitting(tokens)).transpose()?;
        let sparse = match (sparse, external) {
            (Some(own), Some(external)) => Some(Tensor::cat(vec![own, external], 1)),
            (own, external) => own.or(external),
        };
        Ok(PromptEmbeddings { sparse, dense: self.dense(batch)? })
    }

    /// Marks the learned parameters for gradients, but not the fixed frequencies.
    ///
    /// Needed after [`AutodiffModule::from_inner`](burn::module::AutodiffModule::from_inner), because parameters on a backend without
    /// gradients lose the mark.
    #[must_use]
    pub fn trainable(self) -> Self {
        let mut encoder = self.map(&mut RequireGradient);
        let frequencies = encoder.pe_layer.positional_encoding_gaussian_matrix;
        encoder.pe_layer.positional_encoding_gaussian_matrix = frequencies.set_require_grad(false);
        encoder
    }

    /// Channels of the image embedding and of every token.
    pub fn embed_dim(&self) -> usize {
        self.no_mask_embed.weight.dims()[1]
    }

    /// The position encoding of the embedding's cells: `[1, embed_dim, h, w]`.
    pub fn dense_pe(&self) -> Tensor<B, 4> {
        self.pe_layer.grid(self.embedding_size, self.embedding_size)
    }

    /// External tokens, if they have as many channels as this encoder's.
    fn fitting(&self, tokens: Tensor<B, 3>) -> Result<Tensor<B, 3>, PromptError> {
        let (expected, found) = (self.embed_dim(), tokens.dims()[2]);
        if found == expected { Ok(tokens) } else { Err(PromptError::TokenWidth { expected, found }) }
    }

    /// The learned embeddings in the order of [`TokenKind`]: `[5, embed_dim]`.
    fn kind_embeddings(&self) -> Tensor<B, 2> {
        let mut rows = vec![self.not_a_point_embed.weight.val()];
        rows.extend(self.point_embeddings.iter().map(|embedding| embedding.weight.val()));
        Tensor::cat(rows, 0)
    }

    fn dense(&self, batch: &PromptBatch<B>) -> Result<Tensor<B, 4>, PromptError> {
        let side = self.embedding_size;
        if let Some(masks) = &batch.masks {
            let [_, _, rows, columns] = masks.dims();
            batch::check_mask_size((4 * side, 4 * side), (rows, columns))?;
            return Ok(self.mask_downscaling.forward(masks.clone()));
        }
        let absent = self.no_mask_embed.weight.val();
        let channels = absent.dims()[1];
        Ok(absent.reshape([1, channels, 1, 1]).expand([batch.len(), channels, 1, 1]))
    }
}

/// Marks every parameter for gradients.
struct RequireGradient;

impl<B: Backend> ModuleMapper<B> for RequireGradient {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        parameter.set_require_grad(true)
    }
}

/// Reduces a mask prompt to the embedding's size: two strided convolutions, then one to the embedding's channels.
#[derive(Module, Debug)]
struct MaskDownscaling<B: Backend> {
    conv1: Conv2d<B>,
    norm1: LayerNorm2d<B>,
    conv2: Conv2d<B>,
    norm2: LayerNorm2d<B>,
    conv3: Conv2d<B>,
    activation: Gelu,
}

impl<B: Backend> MaskDownscaling<B> {
    fn new(mask_in_chans: usize, embed_dim: usize, device: &B::Device) -> Self {
        let halving = |input, output| Conv2dConfig::new([input, output], [2, 2]).with_stride([2, 2]).init(device);
        Self {
            conv1: halving(1, mask_in_chans / 4),
            norm1: LayerNorm2d::new(mask_in_chans / 4, device),
            conv2: halving(mask_in_chans / 4, mask_in_chans),
            norm2: LayerNorm2d::new(mask_in_chans, device),
            conv3: Conv2dConfig::new([mask_in_chans, embed_dim], [1, 1]).init(device),
            activation: Gelu::new(),
        }
    }

    /// # Shapes
    /// - masks: `[n, 1, 4 h, 4 w]`; output: `[n, embed_dim, h, w]`
    fn forward(&self, masks: Tensor<B, 4>) -> Tensor<B, 4> {
        let half = self.activation.forward(self.norm1.forward(self.conv1.forward(masks)));
        let quarter = self.activation.forward(self.norm2.forward(self.conv2.forward(half)));
        self.conv3.forward(quarter)
    }
}
