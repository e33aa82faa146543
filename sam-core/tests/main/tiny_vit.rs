//! Compares `TinyViT`, with the patch embeddings of `LiteMedSAM` and `MobileSAM`, with the reference; `goldens/generate_tiny_vit.py` made
//! it.

use safetensors::SafeTensors;
use sam_core::{
    SamConfig, TinyVitConfig,
    image_encoder::{AnyImageEncoder, ImageEncoder},
};
use sam_testing::{
    B, DEVICE, TestResult,
    golden::{Golden, StateDict, open},
};
use serde::Deserialize;

/// Parameters of one of the reference encoders.
#[derive(Deserialize)]
struct Case {
    name: String,
    image_size: usize,
    patch_stride: usize,
    embed_dims: Vec<usize>,
    depths: Vec<usize>,
    num_heads: Vec<usize>,
    window_sizes: Vec<usize>,
    out_chans: usize,
}

impl Case {
    fn config(&self) -> TinyVitConfig {
        TinyVitConfig::new(self.image_size, self.patch_stride)
            .with_embed_dims(self.embed_dims.clone())
            .with_depths(self.depths.clone())
            .with_num_heads(self.num_heads.clone())
            .with_window_sizes(self.window_sizes.clone())
            .with_out_chans(self.out_chans)
    }
}

#[test]
fn both_patch_embeddings_like_the_reference() -> TestResult {
    let golden = Golden::read("tiny_vit")?;
    let (_, header) = SafeTensors::read_metadata(golden.bytes())?;
    let cases = header.metadata().as_ref().and_then(|about| about.get("cases")).ok_or("the file names no cases")?;
    let cases: Vec<Case> = serde_json::from_str(cases)?;
    assert_eq!(cases.len(), 2);
    for (index, case) in cases.iter().enumerate() {
        println!("{}", case.name);
        let named = golden.state_dict(&format!("case.{index}.weights."))?.into_iter();
        let weights: StateDict = named.map(|(name, tensor)| (format!("image_encoder.{name}"), tensor)).collect();
        let (_folder, checkpoint) = open(&weights)?;
        let encoder = checkpoint.load_image_encoder::<B>(&SamConfig::tiny_vit(case.config()), &DEVICE)?;
        assert!(matches!(encoder, AnyImageEncoder::TinyVit(_)));
        let found = encoder.forward(golden.tensor(&format!("case.{index}.input"))?);
        assert_eq!(found.dims()[2], case.config().grid());
        golden.close(&format!("case.{index}.output"), found)?;
    }
    Ok(())
}

#[test]
fn published_sizes_have_the_published_grids() {
    for (config, grid) in [(TinyVitConfig::lite_medsam(), 64), (TinyVitConfig::mobile_sam(), 64)] {
        assert_eq!(config.grid(), grid, "{config:?}");
    }
}
