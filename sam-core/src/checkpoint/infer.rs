//! Infers the model's shape from the shapes of its tensors.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::{
    SamConfig,
    image_encoder::{TinyVitConfig, ViTConfig},
    mask_decoder::MaskDecoderConfig,
    transformer::TwoWayTransformerConfig,
};

type Shapes = BTreeMap<String, Vec<usize>>;

/// Attention heads of the decoder in every published SAM; shapes do not show the number of heads.
const HEADS: usize = 8;

/// Why shapes are not those of a SAM.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum ShapeError {
    #[error(
        "its image encoder is neither SAM's ViT (image_encoder.patch_embed.proj.weight) nor TinyViT \
         (image_encoder.patch_embed.seq.0.c.weight)"
    )]
    Encoder,
    #[error("its image encoder is {width} wide, and its position grid has the shape {found:?}")]
    Positions { width: usize, found: Vec<usize> },
    #[error("its image encoder's block {block} has no heads of width {head_width}, as the first one has")]
    Block { block: usize, head_width: usize },
    #[error("its image encoder is {width} wide, which heads of width {head_width} do not divide")]
    HeadWidth { width: usize, head_width: usize },
    #[error("its TinyViT has no image_encoder.layers")]
    NoStages,
    #[error("its TinyViT has a stage of size 0")]
    EmptyStage,
    #[error("its TinyViT has a stage of width {width}, which {heads} heads do not divide")]
    StageHeads { width: usize, heads: usize },
    #[error(
        "its decoder is {width} wide and its cross-attention {narrowed}: expected a divisor that {HEADS} heads divide"
    )]
    Decoder { width: usize, narrowed: usize },
    #[error("it has no tensor {0}")]
    Missing(String),
    #[error("its tensor {name} of shape {shape:?} is empty")]
    Empty { name: String, shape: Vec<usize> },
    #[error("its tensor {name} has the shape {shape:?}, expected more dimensions")]
    Flat { name: String, shape: Vec<usize> },
    #[error("it has {prefix}{found}, but no {prefix}{expected}")]
    Gap { prefix: String, found: usize, expected: usize },
}

/// Infers the shape of a whole model; the error says what is missing.
pub(super) fn config(shapes: &Shapes) -> Result<SamConfig, ShapeError> {
    let mut config = if shapes.contains_key("image_encoder.patch_embed.proj.weight") {
        SamConfig::vit(vit(shapes)?)
    } else if shapes.contains_key("image_encoder.patch_embed.seq.0.c.weight") {
        SamConfig::tiny_vit(tiny_vit(shapes)?)
    } else {
        return Err(ShapeError::Encoder);
    };
    config.decoder = decoder(shapes)?;
    config.mask_in_chans = dim(shapes, "prompt_encoder.mask_downscaling.6.weight", 1)?;
    Ok(config)
}

fn vit(shapes: &Shapes) -> Result<ViTConfig, ShapeError> {
    let patch = "image_encoder.patch_embed.proj.weight";
    let (embed_dim, patch_size) = (dim(shapes, patch, 0)?, dim(shapes, patch, 3)?);
    let grid = dim(shapes, "image_encoder.pos_embed", 1)?;
    let positions = &shapes["image_encoder.pos_embed"];
    if *positions != [1, grid, grid, embed_dim] {
        return Err(ShapeError::Positions { width: embed_dim, found: positions.clone() });
    }
    let depth = count(shapes, "image_encoder.blocks.")?;
    let table = |block: usize, index| dim(shapes, &format!("image_encoder.blocks.{block}.attn.rel_pos_h"), index);
    let head_width = table(0, 1)?;
    if let Some(block) = (0..depth).find(|&block| table(block, 1) != Ok(head_width)) {
        return Err(ShapeError::Block { block, head_width });
    }
    let lengths = (0..depth).map(|block| table(block, 0)).collect::<Result<Vec<_>, _>>()?;
    // The table of a global block spans the whole grid, that of a windowed block one window.
    let global = |length: usize| length + 1 == 2 * grid;
    let window_size = lengths.iter().find(|&&length| !global(length)).map_or(0, |length| length.div_ceil(2));
    let mlp = dim(shapes, "image_encoder.blocks.0.mlp.lin1.weight", 0)?;
    if embed_dim % head_width != 0 {
        return Err(ShapeError::HeadWidth { width: embed_dim, head_width });
    }
    Ok(ViTConfig::new(embed_dim, depth, embed_dim / head_width)
        .with_global_attn_indexes((0..depth).filter(|&block| global(lengths[block])).collect())
        .with_image_size(grid * patch_size)
        .with_patch_size(patch_size)
        .with_window_size(window_size)
        .with_mlp_ratio(mlp / embed_dim)
        .with_out_chans(dim(shapes, "image_encoder.neck.0.weight", 0)?))
}

fn tiny_vit(shapes: &Shapes) -> Result<TinyVitConfig, ShapeError> {
    let layer = |stage: usize, rest: &str| format!("image_encoder.layers.{stage}.{rest}");
    let stages = count(shapes, "image_encoder.layers.")?;
    if stages == 0 {
        return Err(ShapeError::NoStages);
    }
    // Positions are relative within windows, so shapes do not show the input size. The patch embedding tells which published model it is.
    let mut config = match dim(shapes, "image_encoder.patch_embed.seq.0.c.weight", 3)? {
        1 => TinyVitConfig::lite_medsam(),
        _ => TinyVitConfig::mobile_sam(),
    };
    config.embed_dims = vec![dim(shapes, "image_encoder.patch_embed.seq.2.c.weight", 0)?];
    config.depths = (0..stages).map(|stage| count(shapes, &layer(stage, "blocks."))).collect::<Result<_, _>>()?;
    config.num_heads.truncate(1);
    config.window_sizes.truncate(1);
    for stage in 1..stages {
        config.embed_dims.push(dim(shapes, &layer(stage, "blocks.0.attn.qkv.weight"), 1)?);
        config.num_heads.push(dim(shapes, &layer(stage, "blocks.0.attn.attention_biases"), 0)?);
        config.window_sizes.push(dim(shapes, &layer(stage, "blocks.0.attn.attention_biases"), 1)?.isqrt());
    }
    let sizes = [&config.embed_dims, &config.depths, &config.num_heads, &config.window_sizes];
    if sizes.into_iter().flatten().any(|&size| size == 0) {
        return Err(ShapeError::EmptyStage);
    }
    let widths = config.embed_dims.iter().zip(&config.num_heads);
    if let Some((width, heads)) = widths.skip(1).find(|&(width, heads)| width % heads != 0) {
        return Err(ShapeError::StageHeads { width: *width, heads: *heads });
    }
    Ok(config.with_out_chans(dim(shapes, "image_encoder.neck.0.weight", 0)?))
}

fn decoder(shapes: &Shapes) -> Result<MaskDecoderConfig, ShapeError> {
    let embedding_dim = dim(shapes, "mask_decoder.iou_token.weight", 1)?;
    let layer = "mask_decoder.transformer.layers.0";
    let narrowed = dim(shapes, &format!("{layer}.cross_attn_token_to_image.q_proj.weight"), 0)?;
    if embedding_dim % narrowed != 0 || narrowed % HEADS != 0 || embedding_dim < 8 {
        return Err(ShapeError::Decoder { width: embedding_dim, narrowed });
    }
    let transformer = TwoWayTransformerConfig::new()
        .with_depth(count(shapes, "mask_decoder.transformer.layers.")?)
        .with_embedding_dim(embedding_dim)
        .with_mlp_dim(dim(shapes, &format!("{layer}.mlp.lin1.weight"), 0)?)
        .with_attention_downsample_rate(embedding_dim / narrowed);
    Ok(MaskDecoderConfig::new()
        .with_transformer(transformer)
        .with_num_multimask_outputs(dim(shapes, "mask_decoder.mask_tokens.weight", 0)?.saturating_sub(1))
        .with_iou_head_depth(count(shapes, "mask_decoder.iou_prediction_head.layers.")?)
        .with_iou_head_hidden_dim(dim(shapes, "mask_decoder.iou_prediction_head.layers.0.weight", 0)?))
}

/// One dimension of a tensor.
fn dim(shapes: &Shapes, name: &str, index: usize) -> Result<usize, ShapeError> {
    let shape = shapes.get(name).ok_or_else(|| ShapeError::Missing(name.to_owned()))?;
    // If one size is 0, the tensor has no bytes, and the other sizes may be arbitrarily large.
    if shape.contains(&0) {
        return Err(ShapeError::Empty { name: name.to_owned(), shape: shape.clone() });
    }
    shape.get(index).copied().ok_or_else(|| ShapeError::Flat { name: name.to_owned(), shape: shape.clone() })
}

/// Number of numbered children of a name. Numbers must have no gap, so that no number in a file decides how much memory is allocated.
fn count(shapes: &Shapes, prefix: &str) -> Result<usize, ShapeError> {
    let numbers: BTreeSet<usize> =
        shapes.keys().filter_map(|name| name.strip_prefix(prefix)?.split('.').next()?.parse().ok()).collect();
    match numbers.iter().enumerate().find(|&(expected, &found)| expected != found) {
        Some((expected, found)) => Err(ShapeError::Gap { prefix: prefix.to_owned(), found: *found, expected }),
        None => Ok(numbers.len()),
    }
}
