//! A tiny SAM, and slices for it.

use std::{ops::Range, sync::Arc};

use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{Tensor, TensorData},
};
use ndarray::{Array2, Array3};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sam_core::{MaskDecoderConfig, Sam, SamConfig, SamPredictor, TinyVitConfig, TwoWayTransformerConfig, ViTConfig};

use crate::{B, DEVICE, golden::parameters};

/// Rows and columns of the slices.
pub const SIZE: (usize, usize) = (40, 50);

fn encoder() -> ViTConfig {
    ViTConfig::new(32, 1, 2).with_image_size(64)
}

/// The config of the tiny SAM.
pub fn config() -> SamConfig {
    SamConfig::vit(encoder())
}

/// A tiny SAM with random weights.
pub fn random() -> SamPredictor<B> {
    let sam = config().init::<B>(&DEVICE);
    // burn draws weights at their first use. They are drawn here, so that all clones share them.
    parameters(&sam.prompt_encoder).expect("weights of the CPU");
    parameters(&sam.mask_decoder).expect("weights of the CPU");
    SamPredictor::new(sam, config().preprocess)
}

/// A tiny SAM with fixed weights: they are drawn with a seed, not with burn's generator, which the whole process shares.
pub fn fixed() -> SamPredictor<B> {
    let sam = config().init::<B>(&DEVICE);
    let mut draw = Draw(ChaCha8Rng::seed_from_u64(5));
    let sam = Sam {
        image_encoder: Arc::new(encoder().init::<B>(&DEVICE).map(&mut draw)),
        prompt_encoder: sam.prompt_encoder.map(&mut draw),
        mask_decoder: sam.mask_decoder.map(&mut draw),
    };
    SamPredictor::new(sam, config().preprocess)
}

/// A SAM with a small `TinyViT` and random weights. Its encoder has batch normalisation, whose statistics clones of burn's modules share.
pub fn tiny_vit() -> SamPredictor<B> {
    let encoder = TinyVitConfig::new(64, 1)
        .with_embed_dims(vec![8, 16, 16, 32])
        .with_depths(vec![1, 1, 1, 1])
        .with_num_heads(vec![1, 2, 2, 4])
        .with_out_chans(32);
    let transformer = TwoWayTransformerConfig::new().with_embedding_dim(32).with_mlp_dim(64).with_num_heads(4);
    let config = SamConfig::tiny_vit(encoder).with_decoder(MaskDecoderConfig::new().with_transformer(transformer));
    SamPredictor::new(config.init(&DEVICE), config.preprocess)
}

/// Draws weights uniformly, with a variance of 1 divided by the number of inputs; scales of norms stay 1.
struct Draw(ChaCha8Rng);

impl ModuleMapper<B> for Draw {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let rng = &mut self.0;
        parameter.map(|old| {
            let dims = old.dims();
            let known: Vec<f32> = old.into_data().iter::<f32>().collect();
            let is_factor = known.iter().all(|value| (value - 1.0).abs() < f32::EPSILON);
            let bound = match D {
                1 => 0.02,
                2 => (3.0 / dims[0] as f32).sqrt(),
                _ => (3.0 / dims[1..].iter().product::<usize>() as f32).sqrt(),
            };
            let draw = |_: &f32| if is_factor { 1.0 } else { rng.random_range(-bound..bound) };
            Tensor::from_data(TensorData::new(known.iter().map(draw).collect::<Vec<_>>(), dims), &DEVICE)
        })
    }
}

/// A rectangular outline.
pub fn rectangle(rows: Range<usize>, columns: Range<usize>) -> Array2<bool> {
    Array2::from_shape_fn(SIZE, |(row, column)| rows.contains(&row) && columns.contains(&column))
}

/// An empty outline.
pub fn nothing() -> Array2<bool> {
    Array2::from_elem(SIZE, false)
}

/// An image with a texture.
pub fn texture() -> Array3<u8> {
    Array3::from_shape_fn((SIZE.0, SIZE.1, 1), |(row, column, _)| (row * column % 256) as u8)
}
