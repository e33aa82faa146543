//! Compares the image encoder at odd grids, windows and batch sizes with segment-anything; `goldens/generate_encoder.py` made the
//! references.

use burn::tensor::Tensor;
use safetensors::SafeTensors;
use sam_core::{
    SamConfig, ViTConfig,
    image_encoder::{AnyImageEncoder, ImageEncoder},
};
use sam_testing::{
    B, DEVICE, TestResult,
    golden::{Golden, StateDict, open},
};
use serde::Deserialize;

/// Parameters of one of the official encoders.
#[derive(Deserialize)]
struct Case {
    name: String,
    embed_dim: usize,
    depth: usize,
    num_heads: usize,
    img_size: usize,
    patch_size: usize,
    window_size: usize,
    mlp_ratio: usize,
    out_chans: usize,
    global_attn_indexes: Vec<usize>,
}

impl Case {
    fn config(&self) -> ViTConfig {
        ViTConfig::new(self.embed_dim, self.depth, self.num_heads)
            .with_global_attn_indexes(self.global_attn_indexes.clone())
            .with_image_size(self.img_size)
            .with_patch_size(self.patch_size)
            .with_window_size(self.window_size)
            .with_mlp_ratio(self.mlp_ratio)
            .with_out_chans(self.out_chans)
    }
}

fn cases(golden: &Golden) -> TestResult<Vec<Case>> {
    let (_, header) = SafeTensors::read_metadata(golden.bytes())?;
    let text = header.metadata().as_ref().and_then(|about| about.get("cases")).ok_or("the file names no cases")?;
    Ok(serde_json::from_str(text)?)
}

#[test]
fn odd_encoders_like_official() -> TestResult {
    let golden = Golden::read("vit_odd")?;
    for (index, case) in cases(&golden)?.iter().enumerate() {
        println!("{}", case.name);
        let named = golden.state_dict(&format!("case.{index}.weights."))?.into_iter();
        let weights: StateDict = named.map(|(name, tensor)| (format!("image_encoder.{name}"), tensor)).collect();
        let (_folder, checkpoint) = open(&weights)?;
        let encoder = checkpoint.load_image_encoder::<B>(&SamConfig::vit(case.config()), &DEVICE)?;
        let input: Tensor<B, 4> = golden.tensor(&format!("case.{index}.input"))?;
        golden.close(&format!("case.{index}.output"), encoder.forward(input.clone()))?;

        let AnyImageEncoder::Vit(vit) = &encoder else { return Err("a ViT was loaded as another".into()) };
        let patches = vit.patch_embed.forward(input);
        golden.close(&format!("case.{index}.patch_embed"), patches.clone())?;
        let mut tokens = patches + vit.pos_embed.val();
        for (number, block) in vit.blocks.iter().enumerate() {
            tokens = block.forward(tokens);
            golden.close(&format!("case.{index}.block.{number}"), tokens.clone())?;
        }
    }
    Ok(())
}
