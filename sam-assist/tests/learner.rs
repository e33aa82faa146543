//! Properties of every kind of learning: it lowers the loss, changes nothing else, and stops and continues with the same result.

use std::ops::ControlFlow;

use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::Tensor,
};
use sam_assist::{
    Adaptation, AnnotatedSlice, AssistConfig, AssistError, ConfigError, EarlyStopping, LearnedKind, Learner, Schedule,
    Trained, self_check,
};
use sam_core::SamPredictor;
use sam_prompt::{
    Label, Point, Prompts, SamplingScheme,
    progress::{Progress, Stage, StopReason, ignore_progress},
};
use sam_testing::{B, TestResult};

use crate::common::{Values, empty_slice, predictor, slices, values};

const EVERY_TRAINED: [Trained; 5] = [
    Trained::PromptEncoder,
    Trained::ExtraTokens { count: 2 },
    Trained::TokenBranch,
    Trained::Decoder,
    Trained::LowRank { rank: 4, scale: 2.0 },
];

fn config(trained: Trained, iterations: usize) -> AssistConfig {
    AssistConfig::points().with_trained(trained).with_iterations(iterations).with_decoder_rate(1e-3).with_seed(3)
}

#[test]
fn each_slice_is_learned_from_as_often_however_many_there_are() {
    let config = AssistConfig::points().with_iterations(60).with_slices_per_step(2);
    let iterations = [0, 1, 2, 3, 5].map(|slices| config.clone().for_slices(slices).iterations);
    assert_eq!(iterations, [60, 60, 60, 90, 150]);
    assert_eq!(config.clone().for_slices(2), config);
}

/// Turns every parameter into NaN.
struct Spoil;

impl ModuleMapper<B> for Spoil {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        parameter.map(|values| values * f32::NAN)
    }
}

#[test]
fn a_model_of_nan_is_to_blame_and_not_the_learning_rate() -> TestResult {
    let sound = predictor();
    let slices = slices(&sound, 2)?;
    let spoiled = sound.with_mask_decoder(sound.sam().mask_decoder.clone().map(&mut Spoil));
    for trained in EVERY_TRAINED {
        let error = Learner::new(&spoiled, &slices, config(trained, 4))?.step().err().ok_or("it learned from NaN")?;
        assert!(matches!(error, AssistError::NothingToLearnFrom { .. }), "{trained:?}: {error}");
        assert!(error.to_string().contains("use other weights"), "{error}");
    }
    Ok(())
}

#[test]
fn learning_goes_on_from_what_was_learned_before() -> TestResult {
    let predictor = predictor();
    let slices = slices(&predictor, 3)?;
    for trained in EVERY_TRAINED {
        let config = config(trained, 12).with_warm_iterations(4).with_members(2);
        let mut learner = Learner::new(&predictor, &slices[..2], config.clone())?;
        learner.run(&mut ignore_progress())?;
        let before = learner.finish().adaptation;

        // Without a step, the earlier result is unchanged.
        let warm = || Learner::warm(&predictor, &slices, &before, config.clone().warm());
        let applied = |adaptation: &Adaptation<B>| values(adaptation.apply(&predictor).sam());
        assert_eq!(applied(&warm()?.finish().adaptation)?, applied(&before)?, "{trained:?}");
        // Each member then learns independently, in the requested number of steps, with the same result each time.
        let outcome = |mut learner: Learner<B>| {
            let ending = learner.run(&mut ignore_progress())?;
            Outcome::of(learner, &predictor, ending)
        };
        let first = outcome(warm()?)?;
        assert_eq!((first.losses.len(), first.ending), (4, StopReason::Complete), "{trained:?}");
        assert_ne!(first.values, applied(&before)?, "{trained:?}");
        assert_eq!(first, outcome(warm()?)?, "{trained:?}");

        let other = config.clone().with_members(1);
        let refused = Learner::warm(&predictor, &slices, &before, other);
        assert!(matches!(refused, Err(AssistError::OtherLearning { .. })), "{trained:?}");
    }
    Ok(())
}

fn learned(predictor: &SamPredictor<B>, slices: &[AnnotatedSlice<B>], config: AssistConfig) -> TestResult<Outcome> {
    let mut learner = Learner::new(predictor, slices, config)?;
    let ending = learner.run(&mut ignore_progress())?;
    Outcome::of(learner, predictor, ending)
}

/// Everything that learning changed, as numbers.
#[derive(Debug, PartialEq)]
struct Outcome {
    losses: Vec<f32>,
    values: Values,
    tokens: Option<Vec<f32>>,
    ending: StopReason,
}

impl Outcome {
    fn of(learner: Learner<B>, predictor: &SamPredictor<B>, ending: StopReason) -> TestResult<Self> {
        let result = learner.finish();
        let spent = result.step_seconds.forward + result.step_seconds.backward + result.step_seconds.optimiser;
        assert!(spent <= result.seconds, "{:?} in {} s", result.step_seconds, result.seconds);
        let tokens =
            result.adaptation.members[0].tokens.as_ref().map(|tokens| tokens.val().into_data().iter().collect());
        let values = values(result.adaptation.apply(predictor).sam())?;
        Ok(Self { losses: result.losses, values, tokens, ending })
    }
}

#[test]
fn each_choice_lowers_the_loss_and_leaves_the_rest_alone() -> TestResult {
    let predictor = predictor();
    let slices = slices(&predictor, 2)?;
    let before = values(predictor.sam())?;
    for trained in EVERY_TRAINED {
        let after = learned(&predictor, &slices, config(trained, 40))?;
        let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
        let (start, end) = (mean(&after.losses[..5]), mean(&after.losses[35..]));
        assert!(end < start, "{trained:?}: the loss went from {start} to {end}");

        let is_learned = |name: &str| {
            let of_prompts = name.starts_with("prompt_encoder.")
                && !name.contains("pe_layer")
                && !name.contains("mask_downscaling")
                && !name.contains("point_embeddings.2")
                && !name.contains("point_embeddings.3");
            let of_decoder = name.starts_with("mask_decoder.")
                && match trained {
                    Trained::PromptEncoder | Trained::ExtraTokens { .. } => false,
                    // The loss does not depend on the other masks or on the predicted quality.
                    Trained::TokenBranch => name.ends_with("self_attn.q_proj.weight") || name.ends_with("lin1.weight"),
                    Trained::Decoder => name == "mask_decoder.output_upscaling.conv2.weight",
                    Trained::LowRank { .. } => {
                        name.ends_with("self_attn.q_proj.weight") || name.ends_with("lin1.weight")
                    }
                    _ => unreachable!("no other choice is tested"),
                };
            of_prompts || of_decoder
        };
        let of_image = |name: &str| {
            let has = |part: &str| name.contains(part);
            (has("token_to_image") && (has("k_proj") || has("v_proj")))
                || (has("image_to_token") && (has("q_proj") || has("out_proj")))
                || has("norm4")
                || has("output_upscaling")
        };
        let may_change = |name: &str| {
            let of_decoder = name.starts_with("mask_decoder.");
            is_learned(name)
                || match trained {
                    Trained::PromptEncoder | Trained::ExtraTokens { .. } => false,
                    Trained::Decoder => of_decoder,
                    Trained::TokenBranch | Trained::LowRank { .. } => of_decoder && !of_image(name),
                    _ => unreachable!("no other choice is tested"),
                }
        };
        for (name, values) in &before {
            let changed = values != &after.values[name];
            assert!(changed || !is_learned(name), "{trained:?} should learn {name}");
            assert!(!changed || may_change(name), "{trained:?} changed {name}");
        }
        assert_eq!(
            after.tokens.map(|tokens| tokens.len()),
            matches!(trained, Trained::ExtraTokens { .. }).then_some(512)
        );
        assert_eq!(values(predictor.sam())?, before, "{trained:?} changed the model that it started from");
    }
    Ok(())
}

#[test]
fn same_seed_learns_the_same_and_another_another() -> TestResult {
    let predictor = predictor();
    let slices = slices(&predictor, 3)?;
    for trained in EVERY_TRAINED {
        let config = config(trained, 3);
        let first = learned(&predictor, &slices, config.clone())?;
        assert_eq!(first, learned(&predictor, &slices, config.clone())?);
        assert_ne!(first, learned(&predictor, &slices, config.with_seed(4))?);
    }
    Ok(())
}

#[test]
fn stopping_and_going_on_leaves_no_trace() -> TestResult {
    let predictor = predictor();
    let slices = slices(&predictor, 3)?;
    for trained in EVERY_TRAINED {
        let config =
            config(trained, 6).with_kind(LearnedKind::Mixed).with_schedule(Schedule::Cosine { final_rate: 0.1 });
        let uninterrupted = learned(&predictor, &slices, config.clone())?;
        let mut learner = Learner::new(&predictor, &slices, config)?;
        assert_eq!(learner.run(&mut |_| ControlFlow::Break(()))?, StopReason::Stopped);
        assert_eq!(learner.step()?.done, 2);
        let stop = |progress: &Progress| {
            if progress.done == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        assert_eq!(learner.run(&mut { stop })?, StopReason::Stopped);
        let ending = learner.run(&mut ignore_progress())?;
        assert_eq!(learner.stop_reason(), Some(StopReason::Complete));
        assert_eq!(Outcome::of(learner, &predictor, ending)?, uninterrupted, "{trained:?}");
    }
    Ok(())
}

#[test]
fn nothing_learned_predicts_as_before() -> TestResult {
    let predictor = predictor();
    let slices = slices(&predictor, 1)?;
    let click = Prompts::from_points(vec![Point { x: 20.0, y: 18.0, label: Label::Foreground }]);
    let before = predictor.predict(slices[0].embedding(), &click)?;
    for trained in [Trained::PromptEncoder, Trained::TokenBranch, Trained::LowRank { rank: 2, scale: 1.0 }] {
        let adaptation = Learner::new(&predictor, &slices, config(trained, 1))?.finish().adaptation;
        assert_eq!(adaptation.apply(&predictor).predict(slices[0].embedding(), &click)?, before, "{trained:?}");
    }
    let extra = Learner::new(&predictor, &slices, config(Trained::ExtraTokens { count: 1 }, 1))?.finish().adaptation;
    assert_ne!(extra.apply(&predictor).predict(slices[0].embedding(), &click)?, before);
    Ok(())
}

#[test]
fn members_learn_in_turn_and_their_mean_is_the_answer() -> TestResult {
    let predictor = predictor();
    let slices = slices(&predictor, 2)?;
    let click = Prompts::from_points(vec![Point { x: 20.0, y: 18.0, label: Label::Foreground }]);
    let answer = |adaptation: &Adaptation<B>| -> TestResult<_> {
        Ok(adaptation.apply(&predictor).predict(slices[0].embedding(), &click)?)
    };
    for trained in EVERY_TRAINED {
        let mut learner = Learner::new(&predictor, &slices, config(trained, 6).with_members(3))?;
        // After two of three steps, the last member is still in its initial state.
        learner.step()?;
        learner.step()?;
        let early = learner.finish().adaptation;
        let alone = |index: usize| Adaptation { members: vec![early.members[index].clone()] };
        let answers = [answer(&alone(0))?, answer(&alone(1))?, answer(&alone(2))?];
        assert!(answers[0] != answers[1] && answers[1] != answers[2], "{trained:?}");
        if !matches!(trained, Trained::ExtraTokens { .. }) {
            assert_eq!(answers[2], predictor.predict(slices[0].embedding(), &click)?, "{trained:?}");
        }
        let together = answer(&early)?;
        let mean = (&answers[0].low_res + &answers[1].low_res + &answers[2].low_res) / 3.0;
        let off = (&together.low_res - &mean).iter().fold(0.0, |most: f32, off| most.max(off.abs()));
        assert!(off < 1e-4, "{trained:?}: {off}");
        let iou = answers.iter().map(|answer| answer.iou[0]).sum::<f32>() / 3.0;
        assert!((together.iou[0] - iou).abs() < 1e-5, "{trained:?}");
    }
    let none = config(Trained::PromptEncoder, 6).with_members(0);
    assert!(matches!(none.check(), Err(ConfigError { name: "members", .. })));
    // Each member sees each slice as often as a single member would.
    let config = AssistConfig::points().with_members(3).for_slices(2);
    assert_eq!(config.iterations, 3 * AssistConfig::points().for_slices(2).iterations);
    Ok(())
}

#[test]
fn every_sampling_scheme_draws_other_prompts() -> TestResult {
    let predictor = predictor();
    let slices = slices(&predictor, 1)?;
    let losses = |sampling| -> TestResult<_> {
        let config = config(Trained::PromptEncoder, 2).with_sampling(sampling);
        Ok(learned(&predictor, &slices, config)?.losses)
    };
    let [uniform, center, boundary] =
        [SamplingScheme::Uniform, SamplingScheme::Center, SamplingScheme::Boundary].map(losses);
    let (uniform, center, boundary) = (uniform?, center?, boundary?);
    assert!(uniform != center && center != boundary && boundary != uniform);
    Ok(())
}

#[test]
fn large_gradients_are_clipped_and_small_ones_are_not() -> TestResult {
    let predictor = predictor();
    let slices = slices(&predictor, 2)?;
    let clipped =
        |max_grad_norm, trained| learned(&predictor, &slices, config(trained, 3).with_max_grad_norm(max_grad_norm));
    for trained in [Trained::PromptEncoder, Trained::LowRank { rank: 2, scale: 1.0 }] {
        let free = clipped(None, trained)?;
        assert_eq!(clipped(Some(1e9), trained)?, free, "{trained:?}");
        // Gradients far below Adam's epsilon hardly change the parameters.
        let before = values(predictor.sam())?;
        let moved = |after: &Values| {
            let pairs = before.iter().flat_map(|(name, values)| values.iter().zip(&after[name]));
            pairs.map(|(before, after)| (before - after).abs()).fold(0.0, f32::max)
        };
        let (free, held) = (moved(&free.values), moved(&clipped(Some(1e-12), trained)?.values));
        assert!(free > 1e-2 && held < 1e-4, "{trained:?}: {free} and {held}");
    }
    Ok(())
}

#[test]
fn learning_ends_early_where_the_loss_no_longer_falls() -> TestResult {
    let predictor = predictor();
    let slices = slices(&predictor, 1)?;
    // No loss falls by so much, so the first one stays the lowest.
    let rule = EarlyStopping::default().with_patience(4).with_least_gain(1e3).with_smoothing(0.5);
    let config = config(Trained::PromptEncoder, 20).with_early_stopping(Some(rule));
    let mut learner = Learner::new(&predictor, &slices, config.clone())?;
    assert_eq!(learner.run(&mut ignore_progress())?, StopReason::Converged);
    assert_eq!(learner.losses().len(), 5);
    assert_eq!(learner.run(&mut ignore_progress())?, StopReason::Converged);
    assert_eq!(learner.losses().len(), 5);
    let patient = rule.with_patience(20);
    let outcome = learned(&predictor, &slices, config.with_early_stopping(Some(patient)))?;
    assert_eq!((outcome.ending, outcome.losses.len()), (StopReason::Complete, 20));
    Ok(())
}

#[test]
fn self_check_scores_each_slice_by_the_others() -> TestResult {
    let predictor = predictor();
    let slices = slices(&predictor, 3)?;
    for kind in [LearnedKind::Points, LearnedKind::Boxes, LearnedKind::Composite, LearnedKind::Mixed] {
        let config = config(Trained::PromptEncoder, 2).with_kind(kind);
        let mut seen = Vec::new();
        let check = self_check(&predictor, &slices, &config, &mut |progress| {
            assert_eq!((progress.stage, progress.total), (Stage::SelfCheck, 6));
            assert!(progress.loss.is_some_and(f32::is_finite));
            seen.push((progress.slice, progress.done));
            ControlFlow::Continue(())
        })?;
        let expected = [(0, 1), (0, 2), (1, 3), (1, 4), (2, 5), (2, 6)];
        assert_eq!(seen, expected.map(|(slice, done)| (Some(slice), done)));
        assert_eq!(check.dice.len(), 3);
        assert!(check.dice.iter().all(|dice| (0.0..=1.0).contains(dice)), "{check:?}");
        assert!((check.mean - check.dice.iter().sum::<f64>() / 3.0).abs() < 1e-12);
        assert_eq!(self_check(&predictor, &slices, &config, &mut ignore_progress())?, check);
    }
    Ok(())
}

#[test]
fn self_check_needs_three_slices_and_all_of_its_time() -> TestResult {
    let predictor = predictor();
    let slices = slices(&predictor, 3)?;
    let config = config(Trained::PromptEncoder, 2);
    // A slice without the structure does not count.
    let with_empty = [&slices[..2], &[empty_slice(&predictor, 7)?]].concat();
    let few = self_check(&predictor, &with_empty, &config, &mut ignore_progress());
    assert!(matches!(few, Err(AssistError::TooFewSlices { found: 2, expected: 3 })));
    let stopped = self_check(&predictor, &slices, &config, &mut |_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(AssistError::Stopped)));
    Ok(())
}
