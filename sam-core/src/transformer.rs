//! The two-way transformer: prompt tokens and image attend to each other.

use burn::{
    config::Config,
    module::Module,
    nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig},
    tensor::{Tensor, activation::relu, backend::Backend},
};

use crate::kernels::{add, affine, attention, layer_norm, linear};

/// Epsilon of the transformer's layer norms.
const NORM_EPSILON: f64 = 1e-5;

/// Config of a [`TwoWayTransformer`].
#[derive(Config, Debug, Copy, PartialEq)]
#[non_exhaustive]
pub struct TwoWayTransformerConfig {
    /// Number of layers.
    #[config(default = 2)]
    pub depth: usize,
    /// Channels of tokens and image pixels.
    #[config(default = 256)]
    pub embedding_dim: usize,
    /// Number of heads of every attention.
    #[config(default = 8)]
    pub num_heads: usize,
    /// Hidden width of the layers' perceptrons.
    #[config(default = 2048)]
    pub mlp_dim: usize,
    /// Factor by which cross-attention reduces its channels.
    #[config(default = 2)]
    pub attention_downsample_rate: usize,
}

impl TwoWayTransformerConfig {
    /// Creates a transformer with random weights.
    pub fn init<B: Backend>(&self, device: &B::Device) -> TwoWayTransformer<B> {
        TwoWayTransformer {
            layers: (0..self.depth).map(|layer| TwoWayAttentionBlock::new(self, layer == 0, device)).collect(),
            final_attn_token_to_image: Attention::new(self, self.attention_downsample_rate, device),
            norm_final_attn: LayerNormConfig::new(self.embedding_dim).with_epsilon(NORM_EPSILON).init(device),
        }
    }
}

/// The two-way transformer: tokens attend to themselves and the image, and the image attends to the tokens.
///
/// Source: `TwoWayTransformer` in segment-anything's `modeling/transformer.py`.
#[derive(Module, Debug)]
pub struct TwoWayTransformer<B: Backend> {
    /// The two-way layers.
    pub layers: Vec<TwoWayAttentionBlock<B>>,
    final_attn_token_to_image: Attention<B>,
    norm_final_attn: LayerNorm<B>,
}

/// The image's position encoding, projected for each attention to or from the image. It does not depend on prompts or images.
#[derive(Debug, Clone)]
pub struct ImagePositions<B: Backend> {
    layers: Vec<LayerPositions<B>>,
    /// Keys of the final attention: `[1, pixels, internal]`.
    last: Tensor<B, 3>,
}

/// [`ImagePositions`] of one layer, each `[1, pixels, internal]`.
#[derive(Debug, Clone)]
struct LayerPositions<B: Backend> {
    keys: Tensor<B, 3>,
    queries: Tensor<B, 3>,
}

impl<B: Backend> ImagePositions<B> {
    pub(crate) fn device(&self) -> B::Device {
        self.last.device()
    }

    /// Converts to another backend.
    pub(crate) fn map<C: Backend>(self, convert: impl Fn(Tensor<B, 3>) -> Tensor<C, 3>) -> ImagePositions<C> {
        let layer =
            |layer: LayerPositions<B>| LayerPositions { keys: convert(layer.keys), queries: convert(layer.queries) };
        ImagePositions { layers: self.layers.into_iter().map(layer).collect(), last: convert(self.last) }
    }
}

/// An image as input of a layer: the pixels, and their projections for the layer's attentions.
#[derive(Debug, Clone)]
pub struct ProjectedImage<B: Backend> {
    /// `[n, pixels, embedding_dim]`.
    pixels: Tensor<B, 3>,
    /// Keys for the attention of tokens to the image: `[n, pixels, internal]`.
    keys: Tensor<B, 3>,
    /// Values for the attention of tokens to the image: `[n, pixels, internal]`.
    values: Tensor<B, 3>,
    /// Queries for the attention of the image to tokens: `[n, pixels, internal]`.
    queries: Tensor<B, 3>,
}

impl<B: Backend> ProjectedImage<B> {
    /// Concatenates images along the batch dimension.
    ///
    /// # Panics
    /// If there are no images.
    #[must_use]
    pub fn cat(images: &[&Self]) -> Self {
        let joined = |part: fn(&Self) -> &Tensor<B, 3>| {
            Tensor::cat(images.iter().map(|&image| part(image).clone()).collect::<Vec<_>>(), 0)
        };
        Self {
            pixels: joined(|image| &image.pixels),
            keys: joined(|image| &image.keys),
            values: joined(|image| &image.values),
            queries: joined(|image| &image.queries),
        }
    }

    /// Drops the projections and returns the pixels.
    pub(crate) fn into_pixels(self) -> Tensor<B, 3> {
        self.pixels
    }

    /// Converts to another backend, such as one that tracks gradients.
    #[must_use]
    pub fn map<C: Backend>(self, convert: impl Fn(Tensor<B, 3>) -> Tensor<C, 3>) -> ProjectedImage<C> {
        ProjectedImage {
            pixels: convert(self.pixels),
            keys: convert(self.keys),
            values: convert(self.values),
            queries: convert(self.queries),
        }
    }
}

impl<B: Backend> TwoWayTransformer<B> {
    /// Runs all layers: tokens and image attend to each other.
    ///
    /// # Shapes
    /// - image: `[n, pixels, embedding_dim]`; its position encoding: `[1, pixels, embedding_dim]`; tokens:
    ///   `[n, tokens, embedding_dim]`
    /// - output: tokens and image, each of the shape of its input
    pub fn forward(
        &self,
        image: Tensor<B, 3>,
        image_pe: Tensor<B, 3>,
        tokens: Tensor<B, 3>,
    ) -> (Tensor<B, 3>, Tensor<B, 3>) {
        let positions = self.project_positions(image_pe);
        self.forward_projected(self.project(image, &positions), None, &positions, tokens)
    }

    /// Projects the position encoding, once for all images.
    ///
    /// # Shapes
    /// - position encoding: `[1, pixels, embedding_dim]`
    pub fn project_positions(&self, image_pe: Tensor<B, 3>) -> ImagePositions<B> {
        ImagePositions {
            layers: self.layers.iter().map(|layer| layer.project_positions(image_pe.clone())).collect(),
            last: linear(&self.final_attn_token_to_image.k_proj, image_pe),
        }
    }

    /// Projects an image for the first layer, once for all prompts.
    ///
    /// # Shapes
    /// - image: `[n, pixels, embedding_dim]`
    pub fn project(&self, image: Tensor<B, 3>, positions: &ImagePositions<B>) -> ProjectedImage<B> {
        self.layers[0].project(image, &positions.layers[0])
    }

    /// As [`TwoWayTransformer::forward`], for an image that is already projected.
    ///
    /// # Shapes
    /// - image: one for each prompt, or one for all
    /// - everywhere: a vector that is added to every pixel, such as the embedding of "no mask prompt": `[n, 1, embedding_dim]`
    /// - tokens: `[n, tokens, embedding_dim]`
    pub fn forward_projected(
        &self,
        image: ProjectedImage<B>,
        everywhere: Option<Tensor<B, 3>>,
        positions: &ImagePositions<B>,
        tokens: Tensor<B, 3>,
    ) -> (Tensor<B, 3>, Tensor<B, 3>) {
        let (mut queries, mut pixels) =
            self.layers[0].forward_projected(tokens.clone(), image, everywhere, tokens.clone());
        for (layer, positions) in self.layers.iter().zip(&positions.layers).skip(1) {
            (queries, pixels) =
                layer.forward_projected(queries, layer.project(pixels, positions), None, tokens.clone());
        }
        let last = &self.final_attn_token_to_image;
        let keys = affine(pixels.clone(), last.k_proj.weight.val(), positions.last.clone());
        let values = linear(&last.v_proj, pixels.clone());
        let attended = last.attend(linear(&last.q_proj, queries.clone() + tokens), keys, values);
        let queries = queries + linear(&last.out_proj, attended);
        (layer_norm(&self.norm_final_attn, NORM_EPSILON, queries), pixels)
    }
}

/// One layer: self-attention of the tokens, attention of tokens to the image, perceptron, attention of the image to tokens.
#[derive(Module, Debug)]
pub struct TwoWayAttentionBlock<B: Backend> {
    self_attn: Attention<B>,
    norm1: LayerNorm<B>,
    cross_attn_token_to_image: Attention<B>,
    norm2: LayerNorm<B>,
    mlp: MlpBlock<B>,
    norm3: LayerNorm<B>,
    norm4: LayerNorm<B>,
    cross_attn_image_to_token: Attention<B>,
    /// In the first layer, the tokens are their own position encoding, so it is not added.
    skip_first_layer_pe: bool,
}

impl<B: Backend> TwoWayAttentionBlock<B> {
    fn new(config: &TwoWayTransformerConfig, skip_first_layer_pe: bool, device: &B::Device) -> Self {
        let norm = || LayerNormConfig::new(config.embedding_dim).with_epsilon(NORM_EPSILON).init(device);
        let cross = || Attention::new(config, config.attention_downsample_rate, device);
        Self {
            self_attn: Attention::new(config, 1, device),
            norm1: norm(),
            cross_attn_token_to_image: cross(),
            norm2: norm(),
            mlp: MlpBlock {
                lin1: LinearConfig::new(config.embedding_dim, config.mlp_dim).init(device),
                lin2: LinearConfig::new(config.mlp_dim, config.embedding_dim).init(device),
            },
            norm3: norm(),
            norm4: norm(),
            cross_attn_image_to_token: cross(),
            skip_first_layer_pe,
        }
    }

    /// Runs the layer.
    ///
    /// # Shapes
    /// - queries and their position encoding: `[n, tokens, embedding_dim]`; keys: `[n, pixels, embedding_dim]`; their position
    ///   encoding: `[1, pixels, embedding_dim]`
    /// - output: queries and keys, each of the shape of its input
    pub fn forward(
        &self,
        queries: Tensor<B, 3>,
        keys: Tensor<B, 3>,
        query_pe: Tensor<B, 3>,
        key_pe: Tensor<B, 3>,
    ) -> (Tensor<B, 3>, Tensor<B, 3>) {
        let image = self.project(keys, &self.project_positions(key_pe));
        self.forward_projected(queries, image, None, query_pe)
    }

    fn project_positions(&self, image_pe: Tensor<B, 3>) -> LayerPositions<B> {
        LayerPositions {
            keys: linear(&self.cross_attn_token_to_image.k_proj, image_pe.clone()),
            queries: linear(&self.cross_attn_image_to_token.q_proj, image_pe),
        }
    }

    fn project(&self, pixels: Tensor<B, 3>, positions: &LayerPositions<B>) -> ProjectedImage<B> {
        // (pixels + positions) W + b = pixels W + (positions W + b)
        let (to_image, to_token) = (&self.cross_attn_token_to_image, &self.cross_attn_image_to_token);
        ProjectedImage {
            keys: affine(pixels.clone(), to_image.k_proj.weight.val(), positions.keys.clone()),
            values: linear(&to_image.v_proj, pixels.clone()),
            queries: affine(pixels.clone(), to_token.q_proj.weight.val(), positions.queries.clone()),
            pixels,
        }
    }

    fn forward_projected(
        &self,
        queries: Tensor<B, 3>,
        image: ProjectedImage<B>,
        everywhere: Option<Tensor<B, 3>>,
        query_pe: Tensor<B, 3>,
    ) -> (Tensor<B, 3>, Tensor<B, 3>) {
        let queries = if self.skip_first_layer_pe {
            self.self_attn.forward(queries.clone(), queries.clone(), queries)
        } else {
            let placed = queries.clone() + query_pe.clone();
            queries.clone() + self.self_attn.forward(placed.clone(), placed, queries)
        };
        let queries = layer_norm(&self.norm1, NORM_EPSILON, queries);

        let (to_image, to_token) = (&self.cross_attn_token_to_image, &self.cross_attn_image_to_token);
        let asked = linear(&to_image.q_proj, queries.clone() + query_pe.clone());
        let mut attended = to_image.attend(asked, image.keys, image.values);
        if let Some(everywhere) = &everywhere {
            // A vector common to all keys does not change the softmax. The attention weights sum to 1, so the values' common part is added
            // once.
            attended = attended + everywhere.clone().matmul(to_image.v_proj.weight.val().unsqueeze());
        }
        let queries = layer_norm(&self.norm2, NORM_EPSILON, queries + linear(&to_image.out_proj, attended));
        let queries = layer_norm(&self.norm3, NORM_EPSILON, queries.clone() + self.mlp.forward(queries));

        let keys = linear(&to_token.k_proj, queries.clone() + query_pe);
        let values = linear(&to_token.v_proj, queries.clone());
        let (mut asked, mut pixels) = (image.queries, image.pixels);
        if let Some(everywhere) = everywhere {
            asked = add(asked, everywhere.clone().matmul(to_token.q_proj.weight.val().unsqueeze()));
            pixels = add(pixels, everywhere);
        }
        let attended = linear(&to_token.out_proj, to_token.attend(asked, keys, values));
        (queries, layer_norm(&self.norm4, NORM_EPSILON, add(attended, pixels)))
    }
}

/// Two linear layers with a ReLU between them.
#[derive(Module, Debug)]
struct MlpBlock<B: Backend> {
    lin1: Linear<B>,
    lin2: Linear<B>,
}

impl<B: Backend> MlpBlock<B> {
    fn forward(&self, tokens: Tensor<B, 3>) -> Tensor<B, 3> {
        linear(&self.lin2, relu(linear(&self.lin1, tokens)))
    }
}

/// Multi-head attention, optionally with fewer internal channels than its input.
#[derive(Module, Debug)]
struct Attention<B: Backend> {
    q_proj: Linear<B>,
    k_proj: Linear<B>,
    v_proj: Linear<B>,
    out_proj: Linear<B>,
    num_heads: usize,
}

impl<B: Backend> Attention<B> {
    fn new(config: &TwoWayTransformerConfig, downsample_rate: usize, device: &B::Device) -> Self {
        let internal = config.embedding_dim / downsample_rate;
        let inward = || LinearConfig::new(config.embedding_dim, internal).init(device);
        Self {
            q_proj: inward(),
            k_proj: inward(),
            v_proj: inward(),
            out_proj: LinearConfig::new(internal, config.embedding_dim).init(device),
            num_heads: config.num_heads,
        }
    }

    /// # Shapes
    /// - query: `[n, q, channels]`; key and value: `[n, k, channels]`; output: `[n, q, channels]`
    fn forward(&self, query: Tensor<B, 3>, key: Tensor<B, 3>, value: Tensor<B, 3>) -> Tensor<B, 3> {
        let (query, key, value) = (linear(&self.q_proj, query), linear(&self.k_proj, key), linear(&self.v_proj, value));
        linear(&self.out_proj, self.attend(query, key, value))
    }

    /// Attention without the input and output projections.
    fn attend(&self, query: Tensor<B, 3>, key: Tensor<B, 3>, value: Tensor<B, 3>) -> Tensor<B, 3> {
        attention(query, key, value, self.num_heads)
    }
}
