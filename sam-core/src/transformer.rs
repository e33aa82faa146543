//! The two-way transformer: prompt tokens and image attend to each other.

use burn::{
    config::Config,
    module::Module,
    nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig},
    tensor::{Tensor, activation::relu, backend::Backend},
};

use crate::kernels::{attention, layer_norm, linear};

/// Added to the variance in the transformer's norms.
const NORM_EPSILON: f64 = 1e-5;

/// The shape of a [`TwoWayTransformer`].
#[derive(Config, Debug, Copy, PartialEq)]
pub struct TwoWayTransformerConfig {
    /// Number of layers.
    #[config(default = 2)]
    pub depth: usize,
    /// Channels of tokens and image.
    #[config(default = 256)]
    pub embedding_dim: usize,
    /// Heads of every attention.
    #[config(default = 8)]
    pub num_heads: usize,
    /// Hidden width of the layers' perceptrons.
    #[config(default = 2048)]
    pub mlp_dim: usize,
    /// By how much cross-attention narrows its channels.
    #[config(default = 2)]
    pub attention_downsample_rate: usize,
}

impl TwoWayTransformerConfig {
    /// A transformer with random weights.
    pub fn init<B: Backend>(&self, device: &B::Device) -> TwoWayTransformer<B> {
        TwoWayTransformer {
            layers: (0..self.depth).map(|layer| TwoWayAttentionBlock::new(self, layer == 0, device)).collect(),
            final_attn_token_to_image: Attention::new(self, self.attention_downsample_rate, device),
            norm_final_attn: LayerNormConfig::new(self.embedding_dim).with_epsilon(NORM_EPSILON).init(device),
        }
    }
}

/// Tokens attend to themselves and the image, the image attends to the tokens.
///
/// Source: `TwoWayTransformer` in segment-anything's `modeling/transformer.py`.
#[derive(Module, Debug)]
pub struct TwoWayTransformer<B: Backend> {
    /// The two-way layers.
    pub layers: Vec<TwoWayAttentionBlock<B>>,
    final_attn_token_to_image: Attention<B>,
    norm_final_attn: LayerNorm<B>,
}

impl<B: Backend> TwoWayTransformer<B> {
    /// # Shapes
    /// - image and its position encoding: `[n, pixels, embedding_dim]`; tokens: `[n, tokens, embedding_dim]`
    /// - output: tokens and image, each of its input's shape
    pub fn forward(
        &self,
        image: Tensor<B, 3>,
        image_pe: Tensor<B, 3>,
        tokens: Tensor<B, 3>,
    ) -> (Tensor<B, 3>, Tensor<B, 3>) {
        let (mut queries, mut keys) = (tokens.clone(), image);
        for layer in &self.layers {
            (queries, keys) = layer.forward(queries, keys, tokens.clone(), image_pe.clone());
        }
        let attended =
            self.final_attn_token_to_image.forward(queries.clone() + tokens, keys.clone() + image_pe, keys.clone());
        (layer_norm(&self.norm_final_attn, NORM_EPSILON, queries + attended), keys)
    }
}

/// One layer: self-attention of the tokens, tokens to image, perceptron, image to tokens.
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
    /// The first layer's tokens are their own position encoding, so it adds none.
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

    /// # Shapes
    /// - queries and their position encoding: `[n, tokens, embedding_dim]`; keys and theirs: `[n, pixels, embedding_dim]`
    /// - output: queries and keys, each of its input's shape
    pub fn forward(
        &self,
        queries: Tensor<B, 3>,
        keys: Tensor<B, 3>,
        query_pe: Tensor<B, 3>,
        key_pe: Tensor<B, 3>,
    ) -> (Tensor<B, 3>, Tensor<B, 3>) {
        let queries = if self.skip_first_layer_pe {
            self.self_attn.forward(queries.clone(), queries.clone(), queries)
        } else {
            let placed = queries.clone() + query_pe.clone();
            queries.clone() + self.self_attn.forward(placed.clone(), placed, queries)
        };
        let queries = layer_norm(&self.norm1, NORM_EPSILON, queries);

        let placed_keys = keys.clone() + key_pe;
        let attended = self.cross_attn_token_to_image.forward(
            queries.clone() + query_pe.clone(),
            placed_keys.clone(),
            keys.clone(),
        );
        let queries = layer_norm(&self.norm2, NORM_EPSILON, queries + attended);
        let queries = layer_norm(&self.norm3, NORM_EPSILON, queries.clone() + self.mlp.forward(queries));

        let attended = self.cross_attn_image_to_token.forward(placed_keys, queries.clone() + query_pe, queries.clone());
        (queries, layer_norm(&self.norm4, NORM_EPSILON, keys + attended))
    }
}

/// Two linear layers with ReLU between them.
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

/// Multi-head attention that may work in fewer channels than its input has.
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
        linear(&self.out_proj, attention(query, key, value, self.num_heads))
    }
}
