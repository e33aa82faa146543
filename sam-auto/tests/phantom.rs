//! Quality of mask propagation: Dice on a phantom, with a tiny SAM that has learned it.
//!
//! A SAM of random weights segments nothing, so its whole decoder learns the phantom first. Weights, seeds and images are fixed, so the
//! Dice of a slice depends only on the code.

use std::collections::BTreeMap;

use ndarray::Array2;
use sam_assist::{AssistConfig, Trained, learn_structure};
use sam_auto::{MaskPropagationConfig, SegmentedSlice, propagate_masks};
use sam_prompt::progress::ignore_progress;
use sam_testing::{TestResult, tiny::fixed};

use crate::common::{Images, dice, moving_image, moving_outline};

#[test]
fn a_structure_that_moves_and_ends_is_followed() -> TestResult {
    let original = fixed();
    let source = Images::new(&original, (0..10).map(moving_image).collect());
    let annotated: Vec<_> = [2, 7, 8].map(|index| source.annotated(index, moving_outline(index))).to_vec();
    let config = AssistConfig::mixed().with_trained(Trained::Decoder).with_decoder_rate(2e-3).with_iterations(60);
    let learned = learn_structure(&original, &annotated, &config, None, &mut ignore_progress())?;
    let predictor = learned.adaptation.apply(&original);
    let outlines: BTreeMap<usize, Array2<bool>> =
        annotated.iter().map(|slice| (slice.index(), slice.outline().clone())).collect();
    let found =
        propagate_masks(&predictor, &source, &outlines, &MaskPropagationConfig::default(), &mut ignore_progress())?;
    let scores: Vec<_> =
        (3..7).map(|index| found.slices[index].mask().map_or(0.0, |mask| dice(mask, &moving_outline(index)))).collect();
    println!("{scores:.3?}, losses {:.3} to {:.3}", learned.losses[0], learned.losses[learned.losses.len() - 1]);
    assert!(scores.iter().all(|&score| score > 0.8), "{scores:?}");
    // Slice 8 is annotated as empty, so nothing is found beyond it.
    assert_eq!(found.slices[9], SegmentedSlice::Empty);
    Ok(())
}
