//! The model configuration that is stored with reference tensors.

use anyhow::{Context, Result, ensure};
use sam_core::{MaskDecoderConfig, Normalise, Preprocess, SamConfig, TwoWayTransformerConfig, ViTConfig};
use serde::Deserialize;

use super::Goldens;

/// The sizes of the segment-anything model that produced the reference tensors: `sam_tiny_config.json`.
///
/// Fields that only the generator uses, such as the seed, are ignored.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct GoldenConfig {
    /// Side of the model's input, in pixels.
    img_size: usize,
    /// Side of a patch, in pixels.
    patch: usize,
    embed_dim: usize,
    depth: usize,
    heads: usize,
    out_chans: usize,
    /// Side of a window, in patches; 0 if all blocks attend to the whole image.
    pub(super) window: usize,
    /// Blocks with global attention.
    pub(super) glob: Vec<usize>,
    mask_in_chans: usize,
    dec_depth: usize,
    mlp_dim: usize,
    dec_heads: usize,
    iou_depth: usize,
    iou_hidden: usize,
    pixel_mean: [f32; 3],
    pixel_std: [f32; 3],
    /// Ratio of the hidden width to the width in the encoder's MLPs; segment-anything's default if missing.
    #[serde(default = "default_ratio")]
    mlp_ratio: usize,
    /// Number of masks for an ambiguous prompt; segment-anything's default if missing.
    #[serde(default = "default_masks")]
    multimasks: usize,
}

const fn default_ratio() -> usize {
    4
}

const fn default_masks() -> usize {
    3
}

impl GoldenConfig {
    /// Reads the configuration of a folder of reference tensors.
    pub(super) fn read(goldens: &Goldens) -> Result<Self> {
        let path = goldens.path("sam_tiny_config.json");
        let text = sam_files::read_text(&path).map_err(|error| error.source).with_context(|| {
            format!(
                "cannot read {}: the sizes of the model must lie beside its reference tensors, as \
                 sam-core/tests/goldens/generate_official.py writes them",
                path.display()
            )
        })?;
        let config: Self = serde_json::from_str(&text).with_context(|| {
            format!(
                "{} does not hold the sizes of the model, as sam-core/tests/goldens/generate_official.py writes them",
                path.display()
            )
        })?;
        config.check().with_context(|| format!("in {}", path.display()))?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        let Self { img_size, patch, embed_dim, heads, out_chans, dec_heads, .. } = *self;
        ensure!(
            patch > 0 && img_size > 0 && img_size % patch == 0,
            "img_size {img_size} must be a multiple of patch {patch}"
        );
        ensure!(heads > 0 && embed_dim % heads == 0, "embed_dim {embed_dim} must be a multiple of heads {heads}");
        ensure!(
            dec_heads > 0 && out_chans % (2 * dec_heads) == 0 && out_chans % 8 == 0,
            "out_chans {out_chans} must be a multiple of 8 and of twice dec_heads {dec_heads}"
        );
        ensure!(
            self.depth > 0 && self.dec_depth > 0 && self.iou_depth > 0,
            "depth, dec_depth and iou_depth must be at least 1"
        );
        Ok(())
    }

    /// Side of the embedding, in cells.
    pub(super) const fn grid(&self) -> usize {
        self.img_size / self.patch
    }

    /// Whether the first block attends within windows.
    pub(super) fn begins_with_windows(&self) -> bool {
        self.window > 0 && !self.glob.contains(&0)
    }

    /// The configuration of the model.
    pub(super) fn sam(&self) -> SamConfig {
        let encoder = ViTConfig::new(self.embed_dim, self.depth, self.heads)
            .with_global_attn_indexes(self.glob.clone())
            .with_image_size(self.img_size)
            .with_patch_size(self.patch)
            .with_window_size(self.window)
            .with_mlp_ratio(self.mlp_ratio)
            .with_out_chans(self.out_chans);
        let transformer = TwoWayTransformerConfig::new()
            .with_depth(self.dec_depth)
            .with_embedding_dim(self.out_chans)
            .with_num_heads(self.dec_heads)
            .with_mlp_dim(self.mlp_dim);
        let decoder = MaskDecoderConfig::new()
            .with_transformer(transformer)
            .with_num_multimask_outputs(self.multimasks)
            .with_iou_head_depth(self.iou_depth)
            .with_iou_head_hidden_dim(self.iou_hidden);
        let normalise = Normalise::MeanStd { mean: self.pixel_mean, std: self.pixel_std };
        SamConfig::vit(encoder)
            .with_decoder(decoder)
            .with_mask_in_chans(self.mask_in_chans)
            .with_preprocess(Preprocess::sam(self.img_size).with_normalise(normalise))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"{"seed": 7, "img_size": 160, "patch": 16, "embed_dim": 48, "depth": 3, "heads": 2, "out_chans": 32,
        "window": 4, "glob": [1], "mask_in_chans": 16, "dec_depth": 2, "mlp_dim": 64, "dec_heads": 2, "iou_depth": 3,
        "iou_hidden": 40, "orig": [133, 71], "pixel_mean": [123.675, 116.28, 103.53], "pixel_std": [58.395, 57.12, 57.375]}"#;

    fn read(text: &str) -> Result<GoldenConfig> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("sam_tiny_config.json"), text)?;
        GoldenConfig::read(&Goldens::open(folder.path())?)
    }

    #[test]
    fn all_sizes_come_from_the_file() -> Result<()> {
        let config = read(WHOLE)?;
        assert_eq!((config.grid(), config.window, config.begins_with_windows()), (10, 4, true));
        let sam = config.sam();
        assert_eq!((sam.decoder.transformer.num_heads, sam.preprocess.image_size), (2, 160));
        Ok(())
    }

    #[test]
    fn a_missing_or_impossible_size_is_named() {
        let message = |text: &str| format!("{:#}", read(text).expect_err("it must be refused"));
        let error = message(&WHOLE.replace("\"window\": 4, ", ""));
        assert!(error.contains("sam_tiny_config.json") && error.contains("missing field `window`"), "{error}");
        let error = message(&WHOLE.replace("\"patch\": 16", "\"patch\": 15"));
        assert!(error.contains("img_size 160 must be a multiple of patch 15"), "{error}");
    }
}
