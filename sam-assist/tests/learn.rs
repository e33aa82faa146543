//! Tests of `learn` and `learn_structure`.

use std::ops::ControlFlow;

use sam_assist::{
    AnnotatedSlice, AssistConfig, AssistError, ConfigError, EarlyStopping, Learned, Schedule, Trained, learn,
    learn_structure,
};
use sam_core::SamPredictor;
use sam_prompt::progress::{Stage, StopReason, ignore_progress};
use sam_testing::{B, TestResult, tiny::rectangle};

use crate::common::{empty_slice, predictor, slices, texture, values};

fn learn_unwatched(
    predictor: &SamPredictor<B>,
    slices: &[AnnotatedSlice<B>],
    config: &AssistConfig,
) -> Result<Learned<B>, AssistError> {
    learn(predictor, slices, config, &mut ignore_progress())
}

#[test]
fn same_seed_learns_the_same() -> TestResult {
    let predictor = predictor();
    let corner = rectangle(0..6, 0..9);
    let slices = [slices(&predictor, 1)?, vec![AnnotatedSlice::new(1, texture(&predictor)?, corner)?]].concat();
    for config in [AssistConfig::points(), AssistConfig::boxes(), AssistConfig::composite(), AssistConfig::mixed()] {
        let config = config.with_iterations(4).with_seed(5);
        let first = learn_unwatched(&predictor, &slices, &config)?.losses;
        assert_eq!(first.len(), 4);
        assert_eq!(first, learn_unwatched(&predictor, &slices, &config)?.losses, "{:?}", config.kind);
        let other = config.with_seed(6);
        assert_ne!(first, learn_unwatched(&predictor, &slices, &other)?.losses, "{:?}", other.kind);
    }
    Ok(())
}

#[test]
fn learning_lowers_the_loss() -> TestResult {
    let predictor = predictor();
    let slices = slices(&predictor, 1)?;
    let config = AssistConfig::points().with_iterations(60).prompt_encoder_only();
    let learned = learn_unwatched(&predictor, &slices, &config)?;
    assert!(learned.adaptation.members[0].mask_decoder.is_none(), "the prompt encoder alone was to learn");
    assert_eq!(learned.stop_reason, StopReason::Complete);
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    let (start, end) = (mean(&learned.losses[..5]), mean(&learned.losses[55..]));
    assert!(end < start, "the loss went from {start} to {end}");
    assert!(learned.losses.iter().all(|loss| loss.is_finite()) && learned.seconds > 0.0);
    assert_ne!(values(learned.adaptation.apply(&predictor).sam())?, values(predictor.sam())?);
    Ok(())
}

#[test]
fn the_observer_sees_every_iteration_and_can_stop() -> TestResult {
    let predictor = predictor();
    let slices = slices(&predictor, 1)?;
    let config = AssistConfig::points().with_iterations(10);
    let mut seen = Vec::new();
    let learned = learn(&predictor, &slices, &config, &mut |progress| {
        assert_eq!((progress.stage, progress.total), (Stage::Learn, 10));
        seen.push((progress.done, progress.loss));
        if progress.done == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    assert_eq!(seen.iter().map(|&(done, _)| done).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(seen.iter().filter_map(|&(_, loss)| loss).collect::<Vec<_>>(), learned.losses);
    assert_eq!(learned.stop_reason, StopReason::Stopped);
    Ok(())
}

#[test]
fn slices_without_the_structure_are_skipped() -> TestResult {
    let predictor = predictor();
    let shown = slices(&predictor, 2)?;
    let with_empty = [vec![empty_slice(&predictor, 5)?], shown.clone(), vec![empty_slice(&predictor, 6)?]].concat();
    let config = AssistConfig::mixed().with_iterations(4);
    let expected = learn_unwatched(&predictor, &shown, &config)?.losses;
    assert_eq!(learn_unwatched(&predictor, &with_empty, &config)?.losses, expected);
    for nothing in [&[][..], &with_empty[..1]] {
        let error = learn_unwatched(&predictor, nothing, &config).expect_err("no slice shows the structure");
        assert!(matches!(error, AssistError::NoSlices), "{error}");
    }
    Ok(())
}

#[test]
fn a_structure_is_learned_in_iterations_for_its_slices_and_from_where_it_was() -> TestResult {
    let predictor = predictor();
    let annotated = [slices(&predictor, 2)?, vec![empty_slice(&predictor, 5)?]].concat();
    let config = AssistConfig::points().with_iterations(3).with_warm_iterations(2);
    let first = learn_structure(&predictor, &annotated, &config, None, &mut ignore_progress())?;
    assert_eq!((first.losses.len(), first.config.iterations), (6, 6));
    let same = learn_unwatched(&predictor, &annotated, &config.clone().for_slices(2))?;
    assert_eq!(first.losses, same.losses);
    let start = Some(&first.adaptation);
    let warm = learn_structure(&predictor, &annotated, &config, start, &mut ignore_progress())?;
    assert_eq!((warm.losses.len(), warm.config.iterations), (4, 4));
    assert_ne!(warm.losses, first.losses[..4]);
    Ok(())
}

#[test]
fn values_out_of_range_are_errors() -> TestResult {
    let predictor = predictor();
    let slices = slices(&predictor, 1)?;
    let valid = AssistConfig::points;
    let stopping = |rule| valid().with_early_stopping(Some(rule));
    for (field, config) in [
        ("iterations", valid().with_iterations(0)),
        ("learning_rate", valid().with_learning_rate(1e9)),
        ("learning_rate", valid().with_learning_rate(f64::NAN)),
        ("learning_rate", valid().with_learning_rate(-1e-3)),
        ("decoder_rate", valid().with_decoder_rate(1.0)),
        ("decoder_rate", valid().with_decoder_rate(-1.0)),
        ("final_rate", valid().with_schedule(Schedule::Cosine { final_rate: f64::INFINITY })),
        ("initial_spread", valid().with_initial_spread(f64::NAN)),
        ("max_grad_norm", valid().with_max_grad_norm(Some(0.0))),
        ("extra_tokens.count", valid().with_trained(Trained::ExtraTokens { count: 0 })),
        ("low_rank.rank", valid().with_trained(Trained::LowRank { rank: 0, scale: 1.0 })),
        ("low_rank.scale", valid().with_trained(Trained::LowRank { rank: 4, scale: f64::NAN })),
        ("early_stopping.patience", stopping(EarlyStopping::default().with_patience(0))),
        ("early_stopping.least_gain", stopping(EarlyStopping::default().with_least_gain(-1.0))),
        ("early_stopping.smoothing", stopping(EarlyStopping::default().with_smoothing(1.0))),
        ("check_points", valid().with_check_points(0)),
        ("weight_decay", valid().with_weight_decay(-1.0)),
        ("dice_weight", valid().with_dice_weight(f64::NAN)),
        ("points", valid().with_points((0, 3))),
        ("points", valid().with_points((4, 3))),
        ("slices_per_step", valid().with_slices_per_step(0)),
    ] {
        let found = learn_unwatched(&predictor, &slices, &config).err();
        assert!(
            matches!(&found, Some(AssistError::Config(ConfigError { name, .. })) if *name == field),
            "{field}: {found:?}"
        );
    }
    let message = valid().with_iterations(0).check().expect_err("no iterations").to_string();
    assert_eq!(message, "iterations: expected at least 1, found 0");
    Ok(())
}
