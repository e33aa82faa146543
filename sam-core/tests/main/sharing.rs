//! Sharing of a predictor between clones and threads, and custom image encoders.

use std::sync::Arc;

use burn::tensor::Tensor;
use sam_core::{
    Checkpoint, CoreError, EmbeddingStore, ImageEmbedding, ImageEncoder, MaskPrediction, Precision, RegionEmbedding,
    Sam, SamPredictor,
    automatic::{AutomaticConfig, AutomaticMask},
};
use sam_testing::{
    B, DEVICE, TestResult, assert_send_sync,
    golden::{config, open, predictor, weights},
    tiny::tiny_vit,
};

use crate::predictor::{boxed, click, image};

#[test]
fn weights_keep_their_hash() -> TestResult {
    let (_folder, checkpoint) = open(&weights())?;
    let plain = predictor::<B>();
    assert_eq!(plain.weights_sha256(), None);
    let loaded = plain.with_weights_sha256(checkpoint.sha256()?);
    let sam = loaded.sam();
    let variants = vec![
        loaded.with_prompt_encoder(sam.prompt_encoder.clone()),
        loaded.with_mask_decoder(sam.mask_decoder.clone()),
        loaded.with_token_branch(sam.prompt_encoder.clone(), sam.mask_decoder.clone()),
        loaded.with_tokens(Tensor::zeros([1, 32], &DEVICE))?,
        loaded.with_ensemble(vec![loaded.clone()]),
        loaded.clone().with_encoder_precision(Precision::F16)?,
    ];
    for variant in variants {
        assert_eq!(variant.weights_sha256(), Some(checkpoint.sha256()?));
    }
    Ok(())
}

#[test]
fn a_clone_in_half_precision_leaves_the_original_as_it_was() -> TestResult {
    for original in [Box::new(tiny_vit()), Box::new(predictor::<B>())] {
        let whole = image(50, 64);
        let prompts = boxed(10.0, 10.0, 40.0, 40.0);
        let answer = |predictor: &SamPredictor<B>| predictor.predict(&predictor.embed(whole.view())?, &prompts);
        let before = answer(&original)?;
        for precision in [Precision::F16, Precision::Bf16] {
            let half = (*original).clone().with_encoder_precision(precision)?;
            assert_ne!(answer(&half)?, before, "{precision} rounds");
            assert_eq!(original.encoder_precision(), Precision::F32);
            assert_eq!(answer(&original)?, before, "the original after its clone was cast to {precision}");
        }
    }
    Ok(())
}

/// A custom image encoder.
#[derive(Debug)]
struct Constant(f32);

impl ImageEncoder<B> for Constant {
    fn forward(&self, images: Tensor<B, 4>) -> Tensor<B, 4> {
        Tensor::full([images.dims()[0], 32, 8, 8], self.0, &DEVICE)
    }

    fn parameter_count(&self) -> usize {
        1
    }
}

#[test]
fn any_encoder_embeds() -> TestResult {
    let sam = Sam { image_encoder: Arc::new(Constant(0.25)), ..predictor::<B>().sam().clone() };
    let predictor = SamPredictor::new(sam, config().preprocess);
    let embedding = predictor.embed(image(90, 117).view())?;
    assert!(embedding.features().to_data().iter::<f32>().all(|value| (value - 0.25).abs() < 1e-9));
    assert_eq!(predictor.predict(&embedding, &click(30.0, 20.0))?.logits.dim(), (1, 90, 117));
    let half = predictor.with_encoder_precision(Precision::F16);
    assert!(matches!(half, Err(CoreError::PrecisionUnsupported { wanted: Precision::F16 })));
    Ok(())
}

#[test]
fn what_a_server_holds_is_shared_between_threads() {
    assert_send_sync::<SamPredictor<B>>();
    assert_send_sync::<Sam<B>>();
    assert_send_sync::<Checkpoint>();
    assert_send_sync::<ImageEmbedding<B>>();
    assert_send_sync::<EmbeddingStore<B>>();
    assert_send_sync::<sam_core::EmbeddingCache>();
    assert_send_sync::<sam_core::AnnotatedSlice<B>>();
    assert_send_sync::<MaskPrediction>();
    assert_send_sync::<RegionEmbedding<B>>();
    assert_send_sync::<(AutomaticConfig, AutomaticMask)>();
    assert_send_sync::<CoreError>();
    assert_send_sync::<sam_core::SliceError>();
}
