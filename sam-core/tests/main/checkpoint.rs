//! Loading of checkpoints: every format, and every kind of invalid file.

use burn::tensor::{DType, TensorData};
use safetensors::Dtype;
use sam_core::{Checkpoint, CoreError, EncoderConfig, KeyMismatch, Precision, SamConfig};
use sam_testing::{
    B, DEVICE, TestResult,
    golden::{Golden, StateDict, config, open, parameters, path, weights, write},
};
use sha2::Digest;
use std::error::Error;

const RENAMED: &str = "prompt_encoder.no_mask_embed.weight";
const RESHAPED: &str = "mask_decoder.transformer.layers.0.mlp.lin1.weight";

fn mismatch<T>(found: Result<T, CoreError>) -> TestResult<(KeyMismatch, String)> {
    match found {
        Err(error) => {
            let message = error.to_string();
            let CoreError::Mismatch { mismatch, .. } = error else { return Err(message.into()) };
            Ok((*mismatch, message))
        }
        Ok(_) => Err("weights that do not fit were loaded".into()),
    }
}

#[test]
fn shape_is_inferred() -> TestResult {
    let (_folder, checkpoint) = open(&weights())?;
    let mut expected = config();
    // Shapes do not show the number of heads: the published 8 is assumed.
    expected.decoder.transformer.num_heads = 8;
    assert_eq!(checkpoint.config()?, expected);
    assert_eq!(checkpoint.shapes()[RESHAPED], [64, 32]);
    Ok(())
}

#[test]
fn windowless_shape_is_inferred() -> TestResult {
    let mut weights = weights();
    // All four blocks have the tables of global attention, which span the 8 x 8 grid.
    let table = weights["image_encoder.blocks.1.attn.rel_pos_h"].clone();
    for block in [0, 2] {
        for axis in ["h", "w"] {
            weights.insert(format!("image_encoder.blocks.{block}.attn.rel_pos_{axis}"), table.clone());
        }
    }
    let (_folder, checkpoint) = open(&weights)?;
    let config = checkpoint.config()?;
    let EncoderConfig::Vit(encoder) = &config.encoder else { return Err("a ViT was taken for another".into()) };
    assert_eq!((encoder.window_size, encoder.global_attn_indexes.as_slice()), (0, [0, 1, 2, 3].as_slice()));
    checkpoint.load::<B>(&config, &DEVICE)?;
    Ok(())
}

#[test]
fn renamed_tensor_is_named_with_its_nearest() -> TestResult {
    let mut weights = weights();
    let tensor = weights.remove(RENAMED).expect("SAM has it");
    weights.insert("prompt_encoder.no_mask_embedding.weight".to_owned(), tensor);
    let (_folder, checkpoint) = open(&weights)?;
    for found in [
        mismatch(checkpoint.load::<B>(&config(), &DEVICE))?,
        mismatch(checkpoint.load_prompt_encoder::<B>(&config(), &DEVICE))?,
    ] {
        let (mismatch, message) = found;
        let nearest = "prompt_encoder.no_mask_embedding.weight".to_owned();
        assert_eq!(mismatch.missing, [(RENAMED.to_owned(), vec![1, 32], Some(nearest.clone()))]);
        assert_eq!(mismatch.unexpected, [(nearest, vec![1, 32])]);
        assert!(mismatch.reshaped.is_empty());
        assert!(message.contains("nearest: prompt_encoder.no_mask_embedding.weight"), "{message}");
    }
    // The decoder is complete, and it loads without the prompt encoder.
    checkpoint.load_mask_decoder::<B>(&config(), &DEVICE)?;
    Ok(())
}

#[test]
fn dropped_added_and_transposed_tensors_are_named() -> TestResult {
    let mut weights = weights();
    weights.remove("mask_decoder.iou_token.weight");
    weights.insert("image_encoder.adapter.scale".to_owned(), (Dtype::F32, vec![2], vec![0; 8]));
    weights.get_mut(RESHAPED).expect("SAM has it").1.reverse();
    let (_folder, checkpoint) = open(&weights)?;
    let (mismatch, message) = mismatch(checkpoint.load::<B>(&config(), &DEVICE))?;
    assert_eq!(mismatch.missing.len(), 1);
    assert_eq!(mismatch.missing[0].0, "mask_decoder.iou_token.weight");
    assert_eq!(mismatch.unexpected, [("image_encoder.adapter.scale".to_owned(), vec![2])]);
    assert_eq!(mismatch.reshaped, [(RESHAPED.to_owned(), vec![64, 32], vec![32, 64])]);
    assert!(message.contains(&format!("{RESHAPED}: the model has [64, 32], the file [32, 64]")), "{message}");
    // Without that token the decoder's width is unknown.
    assert!(matches!(checkpoint.config(), Err(CoreError::NotSam { .. })));
    Ok(())
}

#[test]
fn weights_of_another_size_are_refused() -> TestResult {
    let (_folder, checkpoint) = open(&weights())?;
    let (mismatch, message) = mismatch(checkpoint.load::<B>(&SamConfig::lite_medsam(), &DEVICE))?;
    assert!(!mismatch.missing.is_empty() && !mismatch.unexpected.is_empty() && !mismatch.reshaped.is_empty());
    assert!(message.contains("more") && message.lines().count() < 30, "long lists are cut: {message}");
    Ok(())
}

#[test]
fn prefixes_are_dropped() -> TestResult {
    let weights = weights();
    for prefix in ["module.", "model.", "state_dict.module."] {
        let prefixed: StateDict =
            weights.iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor.clone())).collect();
        let (_folder, checkpoint) = open(&prefixed)?;
        let encoder = checkpoint.load_prompt_encoder::<B>(&config(), &DEVICE)?;
        Golden::read("prompt_encoder")?.close("dense_pe", encoder.dense_pe())?;
        checkpoint.load::<B>(&config(), &DEVICE)?;
    }
    Ok(())
}

#[test]
fn two_tensors_of_one_name_are_refused() -> TestResult {
    let mut weights = weights();
    let tensor = weights[RENAMED].clone();
    weights.insert(format!("ema.{RENAMED}"), tensor);
    let Err(error) = open(&weights) else { return Err("one of two tensors was chosen".into()) };
    let message = error.to_string();
    assert!(message.contains(&format!("\"ema.{RENAMED}\" and \"{RENAMED}\"")), "{message}");
    Ok(())
}

#[test]
fn shapes_that_make_no_sense_are_refused() -> TestResult {
    let (attention, positions) = ("image_encoder.blocks.0.attn.rel_pos_h", "image_encoder.pos_embed");
    let narrowed = "mask_decoder.transformer.layers.0.cross_attn_token_to_image.q_proj.weight";
    for (name, shape, part) in [
        (attention, vec![7, 4096], "heads of width 4096"),
        (attention, vec![7, 0], "is empty"),
        (positions, vec![1, 0, 1 << 40, 32], "is empty"),
        (positions, vec![1, 99, 1, 64], "position grid"),
        ("image_encoder.blocks.3.attn.rel_pos_h", vec![99, 1], "block 3"),
        (narrowed, vec![0, 32], "is empty"),
        (narrowed, vec![64, 32], "expected a divisor"),
        // Numbers that would need too much memory, or overflow.
        ("mask_decoder.transformer.layers.18446744073709551615.norm1.weight", vec![32], "but no mask_decoder"),
        ("mask_decoder.iou_prediction_head.layers.99999999.weight", vec![32], "but no mask_decoder"),
        ("image_encoder.blocks.18446744073709551615.norm1.weight", vec![32], "but no image_encoder.blocks"),
    ] {
        let mut weights = weights();
        let values = vec![0; 4 * shape.iter().product::<usize>()];
        weights.insert(name.to_owned(), (Dtype::F32, shape, values));
        let (_folder, checkpoint) = open(&weights)?;
        let found = checkpoint.config();
        let Err(CoreError::NotSam { reason, .. }) = found else { return Err(format!("{name}: {found:?}").into()) };
        assert!(reason.contains(part), "{reason}");
    }
    let patches = "image_encoder.patch_embed.seq.0.c.weight".to_owned();
    let mut tiny: StateDict = weights();
    tiny.remove("image_encoder.patch_embed.proj.weight");
    tiny.insert(patches, (Dtype::F32, vec![8, 3, 3, 1], vec![0; 4 * 72]));
    let stem = "image_encoder.patch_embed.seq.2.c.weight";
    tiny.insert(stem.to_owned(), (Dtype::F32, vec![8, 8, 3, 3], vec![0; 4 * 576]));
    for (name, part) in [
        (None, "no image_encoder.layers"),
        (Some("image_encoder.layers.0.downsample.conv1.c.weight"), "a stage of size 0"),
        (Some("image_encoder.layers.4000000000.blocks.0.attn.qkv.weight"), "but no image_encoder.layers.1"),
    ] {
        tiny.extend(name.map(|name| (name.to_owned(), (Dtype::F32, vec![8], vec![0; 32]))));
        let (_folder, checkpoint) = open(&tiny)?;
        let found = checkpoint.config();
        let Err(CoreError::NotSam { reason, .. }) = found else { return Err(format!("{found:?}").into()) };
        assert!(reason.contains(part), "{reason}");
    }
    Ok(())
}

#[test]
fn a_file_has_its_hash() -> TestResult {
    let (folder, checkpoint) = open(&weights())?;
    let file = std::fs::read_dir(folder.path())?.next().ok_or("the checkpoint is there")??.path();
    let expected = sha2::Sha256::digest(std::fs::read(file)?);
    let expected = expected.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let (other_folder, other) = open(&weights())?;
    assert_eq!(checkpoint.sha256()?, expected);
    drop((folder, other_folder));
    assert_eq!(checkpoint.sha256()?, expected, "it is kept");
    assert!(matches!(other.sha256(), Err(CoreError::Unreadable { .. })), "nobody had asked for it");
    Ok(())
}

/// Asserts that parameters are close to those in full precision, relative to each value.
fn near(
    found: &impl burn_store::ModuleSnapshot<B>,
    exact: &impl burn_store::ModuleSnapshot<B>,
    tolerance: f32,
) -> TestResult {
    let (found, exact) = (parameters(found)?, parameters(exact)?);
    assert!(found.keys().eq(exact.keys()));
    for (name, values) in &found {
        for (found, exact) in values.iter().zip(&exact[name]) {
            // In addition to the relative error, f16 has steps of 6e-8 near zero.
            assert!((found - exact).abs() <= tolerance * exact.abs() + 1e-7, "{name}: {found} for {exact}");
        }
    }
    Ok(())
}

#[test]
fn half_precision_is_widened() -> TestResult {
    let weights = weights();
    let (_folder, checkpoint) = open(&weights)?;
    let exact = checkpoint.load_prompt_encoder::<B>(&config(), &DEVICE)?;
    let exact_decoder = checkpoint.load_mask_decoder::<B>(&config(), &DEVICE)?;
    // 11 and 8 significant bits.
    for (dtype, wire, tolerance) in [(DType::F16, Dtype::F16, 1.0 / 2048.0), (DType::BF16, Dtype::BF16, 1.0 / 256.0)] {
        let halved = |(_, shape, bytes): &(Dtype, Vec<usize>, Vec<u8>)| {
            let values: Vec<f32> = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            let data = TensorData::new(values, shape.clone()).convert_dtype(dtype);
            (wire, shape.clone(), data.as_bytes().to_vec())
        };
        let half: StateDict = weights.iter().map(|(name, tensor)| (name.clone(), halved(tensor))).collect();
        let (_folder, checkpoint) = open(&half)?;
        near(&checkpoint.load_prompt_encoder::<B>(&config(), &DEVICE)?, &exact, tolerance)?;
        near(&checkpoint.load_mask_decoder::<B>(&config(), &DEVICE)?, &exact_decoder, tolerance)?;
    }
    Ok(())
}

#[test]
fn every_pickle_format_is_read() -> TestResult {
    let (_folder, checkpoint) = open(&weights())?;
    let exact = checkpoint.load_prompt_encoder::<B>(&config(), &DEVICE)?;
    // `ckpt_half` alternates between f16 and bf16.
    for (name, tolerance) in [("ckpt_nested.pth", 0.0), ("ckpt_legacy_format.pth", 0.0), ("ckpt_half.pth", 1.0 / 256.0)]
    {
        let checkpoint = Checkpoint::open(path(name)).map_err(|error| format!("{name}: {error}"))?;
        near(&checkpoint.load_prompt_encoder::<B>(&config(), &DEVICE)?, &exact, tolerance)?;
        // The files contain only a part of a model.
        assert!(matches!(checkpoint.config(), Err(CoreError::NotSam { .. })), "{name}");
        assert!(matches!(checkpoint.load::<B>(&config(), &DEVICE), Err(CoreError::Mismatch { .. })), "{name}");
    }
    Ok(())
}

#[test]
fn files_that_are_no_checkpoint_are_errors() -> TestResult {
    let folder = tempfile::tempdir()?;
    let huge_header = [u64::MAX.to_le_bytes().as_slice(), b"{\"a\":1}"].concat();
    let broken_header = [7_u64.to_le_bytes().as_slice(), b"{\"a\": }"].concat();
    for (name, content) in [
        ("empty.pth", b"".as_slice()),
        ("empty.safetensors", b"".as_slice()),
        ("text.pth", b"<html>404: not found</html>".as_slice()),
        ("zeros.pth", &[0; 512]),
        ("zip.pth", b"PK\x03\x04 but no archive"),
        ("pickle.pth", b"\x80\x02}q\x00."),
        ("huge.safetensors", &huge_header),
        ("broken.safetensors", &broken_header),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, content)?;
        let error = Checkpoint::open(&path).err().ok_or(format!("{name} was taken for a checkpoint"))?;
        assert!(matches!(error, CoreError::Unreadable { .. } | CoreError::NotSam { .. }), "{name}: {error}");
        assert!(error.to_string().contains(name), "{error}");
    }
    for path in [folder.path().to_path_buf(), folder.path().join("missing.pth")] {
        assert!(matches!(Checkpoint::open(&path), Err(CoreError::Unreadable { .. })), "{}", path.display());
    }
    Ok(())
}

/// Loads the prompt encoder from a truncated file. Tensors are read on demand, so the missing end may be noticed only then.
fn load_cut(whole: &[u8], kept: usize) -> TestResult<bool> {
    let folder = tempfile::tempdir()?;
    let cut = folder.path().join("cut");
    std::fs::write(&cut, &whole[..kept])?;
    Ok(Checkpoint::open(&cut).and_then(|cut| cut.load_prompt_encoder::<B>(&config(), &DEVICE)).is_ok())
}

#[test]
fn cut_off_files_are_errors() -> TestResult {
    let (_folder, safetensors) = write(&weights())?;
    for file in [safetensors, path("ckpt_nested.pth")] {
        let whole = std::fs::read(&file)?;
        let length = whole.len();
        for kept in [1, 9, 100, length / 4, length / 2, length - 100, length - 1] {
            assert!(!load_cut(&whole, kept)?, "{kept} of {length} bytes of {} were loaded", file.display());
        }
    }
    let legacy = std::fs::read(path("ckpt_legacy_format.pth"))?;
    for kept in [1, 9, 100, 1000, legacy.len() / 2, legacy.len() - 1] {
        assert!(!load_cut(&legacy, kept)?, "{kept} of {} bytes of the legacy format were loaded", legacy.len());
    }
    Ok(())
}

#[test]
fn shapes_that_ask_for_more_than_the_file_holds_are_refused_before_it_is_made() -> TestResult {
    let mut weights = weights();
    for name in
        ["mask_decoder.iou_token.weight", "mask_decoder.transformer.layers.0.cross_attn_token_to_image.q_proj.weight"]
    {
        // A decoder of width 160,000: about 10^11 parameters.
        let shape = if name.ends_with("token.weight") { vec![1, 160_000] } else { vec![160_000, 1] };
        weights.insert(name.to_owned(), (Dtype::F32, shape, vec![0; 640_000]));
    }
    let (_folder, checkpoint) = open(&weights)?;
    let error = checkpoint.predictor::<B>(&DEVICE).err().ok_or("it was loaded")?;
    assert!(
        matches!(&error, CoreError::NotSam { reason, .. } if reason.contains("parameters, and it holds")),
        "{error}"
    );
    Ok(())
}

#[test]
fn converted_checkpoints_hold_the_same_weights() -> TestResult {
    let folder = tempfile::tempdir()?;
    let original = Checkpoint::open(path("ckpt_nested.pth"))?;
    let expected = parameters(&original.load_prompt_encoder::<B>(&config(), &DEVICE)?)?;
    for (precision, tolerance) in [(Precision::F32, 0.0), (Precision::F16, 1e-3), (Precision::Bf16, 1e-2)] {
        let target = folder.path().join(format!("{precision}.safetensors"));
        original.save_safetensors(&target, precision)?;
        let converted = Checkpoint::open(&target)?;
        assert_eq!(converted.shapes(), original.shapes());
        let found = parameters(&converted.load_prompt_encoder::<B>(&config(), &DEVICE)?)?;
        for (name, expected) in &expected {
            for (found, expected) in found[name].iter().zip(expected) {
                assert!(
                    (found - expected).abs() <= tolerance * expected.abs() + tolerance * 1e-3,
                    "{name}, {precision}"
                );
            }
        }
    }
    let nowhere = folder.path().join("missing").join("weights.safetensors");
    let found = original.save_safetensors(&nowhere, Precision::F32);
    assert!(matches!(found, Err(CoreError::Unwritable { .. })), "{found:?}");
    let Err(error) = found else { return Err("it was written nowhere".into()) };
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    assert!(!cause.contains(".unfinished") && cause.contains("os error 2"), "{error}: {cause}");
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 3, "nothing half-written is left");
    Ok(())
}

#[test]
fn another_model_is_told_apart() -> TestResult {
    let tensor = (Dtype::F32, vec![2, 2], vec![0; 16]);
    let other = StateDict::from([("backbone.conv1.weight".to_owned(), tensor.clone())]);
    let (_folder, path) = write(&other)?;
    let error = Checkpoint::open(path).err().ok_or("another model was taken for SAM")?;
    assert!(
        matches!(error, CoreError::NotSam { .. }) && error.to_string().contains("backbone.conv1.weight"),
        "{error}"
    );

    let half = StateDict::from([("image_encoder.conv1.weight".to_owned(), tensor)]);
    let (_folder, checkpoint) = open(&half)?;
    assert!(matches!(checkpoint.predictor::<B>(&DEVICE), Err(CoreError::NotSam { .. })));
    Ok(())
}
