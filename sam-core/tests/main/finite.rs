//! NaN and infinity in weights, features and logits; and files that are given as weights by mistake.

use std::sync::Arc;

use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::Tensor,
};
use safetensors::Dtype;
use sam_core::{
    Checkpoint, CoreError, EmbeddingStore, MaskOutput, NotWeights, Precision, ReadError, Region, Sam, SliceSource,
    automatic::AutomaticConfig,
};
use sam_prompt::progress::ignore_progress;
use sam_testing::{
    B, DEVICE, TestResult,
    golden::{StateDict, config, open, path, predictor, weights},
};

use crate::predictor::{boxed, click, image};

/// The weights, with the last value of a tensor replaced.
fn spoiled(name: &str, value: f32) -> StateDict {
    let mut weights = weights();
    let (_, _, bytes) = weights.get_mut(name).expect("SAM has it");
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&value.to_le_bytes());
    weights
}

/// The tensors that a checkpoint was refused for.
fn refused<T>(found: Result<T, CoreError>) -> TestResult<Vec<String>> {
    match found {
        Err(CoreError::NotFinite { tensors, .. }) => Ok(tensors),
        Err(error) => Err(error.into()),
        Ok(_) => Err("it was loaded".into()),
    }
}

#[test]
fn weights_that_are_not_finite_are_refused_by_name() -> TestResult {
    for (name, value) in [
        ("image_encoder.patch_embed.proj.weight", f32::NAN),
        ("prompt_encoder.no_mask_embed.weight", f32::INFINITY),
        ("mask_decoder.iou_token.weight", f32::NEG_INFINITY),
    ] {
        let (folder, checkpoint) = open(&spoiled(name, value))?;
        assert_eq!(refused(checkpoint.load::<B>(&config(), &DEVICE))?, [name]);
        assert_eq!(refused(checkpoint.predictor::<B>(&DEVICE))?, [name]);
        let copy = folder.path().join("copy.safetensors");
        assert_eq!(refused(checkpoint.save_safetensors(&copy, Precision::Bf16))?, [name]);
        let parts = [
            ("image_encoder.", checkpoint.load_image_encoder::<B>(&config(), &DEVICE).map(drop)),
            ("prompt_encoder.", checkpoint.load_prompt_encoder::<B>(&config(), &DEVICE).map(drop)),
            ("mask_decoder.", checkpoint.load_mask_decoder::<B>(&config(), &DEVICE).map(drop)),
        ];
        for (part, loaded) in parts {
            if name.starts_with(part) {
                let message = loaded.as_ref().map_or_else(ToString::to_string, |()| String::new());
                assert!(message.contains(name) && message.contains("another copy"), "{message}");
            } else {
                loaded?;
            }
        }
    }
    Ok(())
}

#[test]
fn all_spoiled_tensors_are_named_in_the_error_and_the_first_ones_in_its_text() -> TestResult {
    let mut weights = weights();
    for (_, _, bytes) in weights.values_mut() {
        bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    }
    let (_folder, checkpoint) = open(&weights)?;
    let count = checkpoint.shapes().len();
    let error = checkpoint.load::<B>(&config(), &DEVICE).err().ok_or("it was loaded")?;
    assert!(error.to_string().contains(&format!("and {} more tensors", count - 5)), "{error}");
    assert_eq!(refused::<()>(Err(error))?.len(), count);
    Ok(())
}

#[test]
fn a_checkpoint_in_the_older_format_is_checked_too() -> TestResult {
    let mut bytes = std::fs::read(path("ckpt_legacy_format.pth"))?;
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("legacy.pth");
    std::fs::write(&path, bytes)?;
    let found = Checkpoint::open(&path)?.load_prompt_encoder::<B>(&config(), &DEVICE);
    assert_eq!(refused(found)?, ["prompt_encoder.mask_downscaling.3.bias"]);
    Ok(())
}

#[test]
fn values_that_do_not_fit_the_precision_are_refused() -> TestResult {
    let name = "prompt_encoder.no_mask_embed.weight";
    let (folder, checkpoint) = open(&spoiled(name, 1e6))?;
    let copy = folder.path().join("copy.safetensors");
    let error = checkpoint.save_safetensors(&copy, Precision::F16).expect_err("f16 ends at 65504");
    assert!(matches!(&error, CoreError::TooLarge { tensor, .. } if tensor == name), "{error}");
    assert!(error.to_string().contains("f32 or bf16"), "{error}");
    for precision in [Precision::F32, Precision::Bf16] {
        checkpoint.save_safetensors(&copy, precision)?;
    }
    // A finite value of f64 that is infinite in f32.
    let mut weights = weights();
    weights.insert(
        name.to_owned(),
        (Dtype::F64, vec![1, 32], vec![1e300_f64; 32].iter().flat_map(|value| value.to_le_bytes()).collect()),
    );
    let (_folder, checkpoint) = open(&weights)?;
    assert_eq!(refused(checkpoint.load::<B>(&config(), &DEVICE))?, [name]);
    Ok(())
}

/// Turns every parameter into NaN.
struct Spoil;

impl ModuleMapper<B> for Spoil {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        parameter.map(|values| values * f32::NAN)
    }
}

/// Asserts that a model's output was refused.
fn assert_not_finite<T>(found: Result<T, CoreError>, output: &str, what: &str) {
    let error = found.err().unwrap_or_else(|| panic!("{what}: NaN was taken for background"));
    assert!(matches!(&error, CoreError::OutputNotFinite { what: found, .. } if *found == output), "{what}: {error}");
    let message = error.to_string();
    assert!(message.contains("SHA-256 0123456789ab...") && message.contains("use other weights"), "{message}");
}

#[test]
fn logits_of_nan_are_an_error_and_no_background() -> TestResult {
    let sound = predictor::<B>().with_weights_sha256(&"0123456789abcdef".repeat(4));
    let embedding = sound.embed(image(90, 117).view())?;
    let earlier = sound.predict(&embedding, &click(30.0, 20.0))?;
    let decoder = sound.sam().mask_decoder.clone().map(&mut Spoil);
    let spoiled = sound.with_mask_decoder(decoder);
    let ensemble = sound.with_ensemble(vec![spoiled.clone()]);
    for (what, predictor) in [("alone", &spoiled), ("in an ensemble", &ensemble)] {
        let prompts = click(30.0, 20.0);
        assert_not_finite(predictor.predict(&embedding, &prompts), "logits", what);
        assert_not_finite(predictor.predict_multi(&embedding, &boxed(1.0, 1.0, 50.0, 60.0)), "logits", what);
        assert_not_finite(predictor.predict_batch(&[(&embedding, &prompts)], MaskOutput::Multi), "logits", what);
        assert_not_finite(predictor.refine(&embedding, &prompts, &earlier), "logits", what);
        let region = Region { top: 0, left: 0, height: 50, width: 60 };
        let part = predictor.embed_region(image(90, 117).view(), region)?;
        assert_not_finite(predictor.predict_region(&part, &prompts, MaskOutput::Single), "logits", what);
        let found = AutomaticConfig::default().generate(predictor, image(90, 117).view(), &mut ignore_progress());
        assert_not_finite(found, "logits", what);
    }
    Ok(())
}

#[test]
fn features_of_nan_are_an_error() -> TestResult {
    let sound = predictor::<B>();
    let encoder = Arc::new(config().encoder.init::<B>(&DEVICE).map(&mut Spoil));
    let sam = Sam { image_encoder: encoder, ..sound.sam().clone() };
    let predictor = sam_core::SamPredictor::new(sam, config().preprocess);
    let predictor = predictor.with_weights_sha256(&"0123456789abcdef".repeat(4));
    let pixels = image(90, 117);
    assert_not_finite(predictor.embed(pixels.view()), "features", "an image");
    assert_not_finite(predictor.embed_batch(&[pixels.view(), pixels.view()]), "features", "two images");
    let store = EmbeddingStore::new(predictor, vec![pixels]);
    let error = store.embedding(0).err().ok_or("it was embedded")?;
    assert!(sam_prompt::error_chain(&error).contains("features that are NaN"), "{error}");
    Ok(())
}

#[test]
fn files_that_are_given_by_mistake_are_named_with_what_to_do() -> TestResult {
    let folder = tempfile::tempdir()?;
    for (content, expected, advice) in [
        (
            "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daa\nsize 39\n",
            NotWeights::LfsPointer,
            "git lfs pull",
        ),
        ("<!DOCTYPE html><html><head><title>Google Drive", NotWeights::WebPage, "download the file itself"),
        ("{\"error\":\"Repository not found\"}", NotWeights::Json, "error message of a server"),
        ("", NotWeights::Empty, "get the file again"),
    ] {
        for name in ["weights.pth", "weights.safetensors"] {
            let path = folder.path().join(name);
            std::fs::write(&path, content)?;
            let error = Checkpoint::open(&path).err().ok_or("it was taken for weights")?;
            let is_named = matches!(&error, CoreError::Unreadable { source: ReadError::NotWeights(found), .. } if *found == expected);
            let message = sam_prompt::error_chain(&error);
            assert!(is_named && message.contains(advice) && message.contains(name), "{message}");
        }
    }
    Ok(())
}
