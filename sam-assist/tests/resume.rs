//! A saved learner is resumed elsewhere with the same result, or refused.

use std::{fs, path::Path};

use burn::{
    module::{Module, ModuleMapper, Param, ParamId},
    tensor::Tensor,
};
use sam_assist::{
    AnnotatedSlice, AssistConfig, AssistError, CorrectiveClicks, LearnedKind, Learner, PromptCard, Schedule, Trained,
};
use sam_core::{Sam, SamPredictor};
use sam_prompt::progress::ignore_progress;
use sam_testing::{
    B, DEVICE, TestResult,
    card::{WEIGHTS, metadata},
    tiny,
};

use crate::common::{empty_slice, predictor, slices};

/// The same model as another process loads it: parameters have random ids there.
fn loaded_again(predictor: &SamPredictor<B>) -> SamPredictor<B> {
    let Sam { image_encoder, prompt_encoder, mask_decoder } = predictor.sam().clone();
    let sam = Sam {
        image_encoder,
        prompt_encoder: prompt_encoder.map(&mut Rename),
        mask_decoder: mask_decoder.map(&mut Rename),
    };
    SamPredictor::new(sam, predictor.preprocess()).with_weights_sha256(WEIGHTS)
}

struct Rename;

impl ModuleMapper<B> for Rename {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        Param::initialized(ParamId::new(), parameter.val())
    }
}

/// A config in which as much as possible depends on the past: a schedule, weight decay, clipping, and prompts that change in each step.
fn config(trained: Trained) -> AssistConfig {
    AssistConfig::points()
        .with_kind(LearnedKind::Mixed)
        .with_corrective(Some(CorrectiveClicks::default()))
        .with_trained(trained)
        .with_iterations(7)
        .with_decoder_rate(1e-3)
        .with_schedule(Schedule::Cosine { final_rate: 0.1 })
        .with_weight_decay(0.01)
        .with_max_grad_norm(Some(0.5))
        .with_members(2)
        .with_seed(3)
}

/// What was learned, as a card's file, and the losses. Equal files mean results that are equal to the last bit.
fn card(learner: Learner<B>, folder: &Path) -> TestResult<(Vec<u8>, Vec<f32>)> {
    let metadata = metadata("square").with_learning(learner.config().clone());
    let outcome = learner.finish();
    let path = folder.join("card.safetensors");
    PromptCard::of(metadata, &outcome.adaptation)?.save(&path)?;
    Ok((fs::read(path)?, outcome.losses))
}

#[test]
fn saved_after_any_step_it_goes_on_to_the_same_result() -> TestResult {
    let folder = tempfile::tempdir()?;
    let state = folder.path().join("state.safetensors");
    let predictor = predictor();
    let slices = slices(&predictor, 3)?;
    for trained in [
        Trained::PromptEncoder,
        Trained::ExtraTokens { count: 2 },
        Trained::TokenBranch,
        Trained::Decoder,
        Trained::LowRank { rank: 4, scale: 2.0 },
    ] {
        let mut uninterrupted = Learner::new(&predictor, &slices, config(trained))?;
        uninterrupted.run(&mut ignore_progress())?;
        let expected = card(uninterrupted, folder.path())?;
        for stop in [0, 1, 4, 7] {
            let mut learner = Learner::new(&predictor, &slices, config(trained))?;
            for _ in 0..stop {
                learner.step()?;
            }
            learner.save(&state)?;
            drop(learner);
            let mut resumed = Learner::resume(&state, &loaded_again(&predictor), &slices)?;
            assert_eq!(resumed.losses().len(), stop);
            resumed.run(&mut ignore_progress())?;
            let found = card(resumed, folder.path())?;
            assert_eq!(found.1, expected.1, "{trained:?} after {stop}: the losses differ");
            assert!(found.0 == expected.0, "{trained:?} after {stop}: the cards differ");
        }
    }
    Ok(())
}

#[test]
fn saved_twice_it_is_the_same_file_but_for_the_time_it_took() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let predictor = predictor();
    let slices = slices(&predictor, 2)?;
    let mut learner = Learner::new(&predictor, &slices, config(Trained::PromptEncoder))?;
    learner.step()?;
    learner.save(path("a"))?;
    Learner::resume(path("a"), &predictor, &slices)?.save(path("b"))?;
    assert_eq!(fs::read(path("a"))?, fs::read(path("b"))?);
    Ok(())
}

#[test]
fn what_does_not_belong_together_is_refused() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("state.safetensors");
    let predictor = predictor();
    let slices = slices(&predictor, 3)?;
    let mut learner = Learner::new(&predictor, &slices, config(Trained::PromptEncoder))?;
    learner.step()?;
    assert!(matches!(learner.save_for(&path, "79d8"), Err(AssistError::StateContent { .. })));
    learner.save(&path)?;

    let resume =
        |slices: &[AnnotatedSlice<B>], weights: &str| Learner::resume_for(&path, &predictor, weights, slices).err();
    assert!(resume(&slices, WEIGHTS).is_none());
    // A slice without the structure was never learned from.
    assert!(resume(&[slices.clone(), vec![empty_slice(&predictor, 9)?]].concat(), WEIGHTS).is_none());
    let other = WEIGHTS.replace('7', "8");
    assert!(matches!(resume(&slices, &other), Some(AssistError::OtherWeights { .. })));
    assert!(matches!(resume(&slices[..2], WEIGHTS), Some(AssistError::OtherSlices { .. })));
    let swapped = [slices[1].clone(), slices[0].clone(), slices[2].clone()];
    assert!(matches!(resume(&swapped, WEIGHTS), Some(AssistError::OtherSlices { .. })));

    let narrow = tiny::config().with_mask_in_chans(8);
    let narrow = SamPredictor::<B>::new(narrow.init(&DEVICE), narrow.preprocess).with_weights_sha256(WEIGHTS);
    let message = Learner::resume(&path, &narrow, &slices).err().ok_or("it went on")?.to_string();
    assert!(message.contains("mask_downscaling.conv2.weight"), "{message}");

    let whole = fs::read(&path)?;
    for length in (0..whole.len()).step_by(1009) {
        fs::write(&path, &whole[..length])?;
        assert!(matches!(resume(&slices, WEIGHTS), Some(AssistError::Corrupt { .. })), "{length} bytes");
    }
    for place in (0..whole.len()).step_by(709) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0b101;
        fs::write(&path, &damaged)?;
        let refused = resume(&slices, WEIGHTS);
        assert!(
            matches!(refused, Some(AssistError::Corrupt { .. } | AssistError::FormatVersion { .. })),
            "byte {place}"
        );
    }
    // A card is not a state, and a state is not a card.
    fs::write(&path, &whole)?;
    let message = sam_prompt::error_chain(&PromptCard::load(&path).expect_err("it is no card"));
    assert!(message.contains("no entry \"prompt_card\""), "{message}");
    Ok(())
}
