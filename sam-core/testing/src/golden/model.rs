//! The model that the reference tensors were made with.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::PathBuf,
};

use burn::tensor::backend::Backend;
use burn_store::{ModuleSnapshot, TensorSnapshot};
use safetensors::tensor::TensorView;
use sam_core::{Checkpoint, MaskDecoderConfig, Sam, SamConfig, SamPredictor, TwoWayTransformerConfig, ViTConfig};
use tempfile::TempDir;

use super::{Golden, StateDict};
use crate::{B, TestResult};

/// The config that the reference model of segment-anything was built with.
pub fn config() -> SamConfig {
    let transformer = TwoWayTransformerConfig::new().with_embedding_dim(32).with_mlp_dim(64).with_num_heads(4);
    let encoder = ViTConfig::new(64, 4, 4)
        .with_global_attn_indexes(vec![1, 3])
        .with_image_size(128)
        .with_window_size(3)
        .with_out_chans(32);
    let decoder = MaskDecoderConfig::new().with_transformer(transformer).with_iou_head_hidden_dim(40);
    SamConfig::vit(encoder).with_decoder(decoder)
}

/// The model's weights, stored in two files because of their size.
pub fn weights() -> StateDict {
    let read = |name| Golden::read(name).and_then(|file| file.state_dict("")).expect("a committed file");
    ["sam_tiny_encoder", "sam_tiny_rest"].into_iter().flat_map(read).collect()
}

/// The model with its weights loaded.
pub fn sam<T: Backend>() -> Sam<T> {
    let (_folder, checkpoint) = open(&weights()).expect("a checkpoint");
    checkpoint.load(&config(), &T::Device::default()).expect("the model's own weights")
}

/// A predictor with the model.
pub fn predictor<T: Backend>() -> SamPredictor<T> {
    SamPredictor::new(sam(), config().preprocess)
}

/// Serialises a state dict in safetensors format.
pub fn serialised(weights: &StateDict) -> Vec<u8> {
    let views: HashMap<_, _> = weights
        .iter()
        .map(|(name, (dtype, shape, bytes))| {
            (name, TensorView::new(*dtype, shape.clone(), bytes).expect("as many bytes as the shape needs"))
        })
        .collect();
    safetensors::serialize(views, None).expect("sound tensors")
}

/// Writes a state dict to a temporary folder, which lives as long as the result.
pub fn write(weights: &StateDict) -> TestResult<(TempDir, PathBuf)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("weights.safetensors");
    fs::write(&path, serialised(weights))?;
    Ok((folder, path))
}

/// Writes a state dict as [`write()`] does and opens it. Tensors are read later, so keep the folder.
pub fn open(weights: &StateDict) -> TestResult<(TempDir, Checkpoint)> {
    let (folder, path) = write(weights)?;
    let checkpoint = Checkpoint::open(path)?;
    Ok((folder, checkpoint))
}

/// Values of a module's parameters by path.
pub fn parameters(module: &impl ModuleSnapshot<B>) -> TestResult<BTreeMap<String, Vec<f32>>> {
    let read = |tensor: TensorSnapshot| {
        let data = tensor.to_data().map_err(|error| format!("{}: {error:?}", tensor.full_path()))?;
        Ok((tensor.full_path(), data.iter::<f32>().collect()))
    };
    module.collect(None, None, false).into_iter().map(read).collect()
}
