//! Prompt cards: made, applied, and refused if they do not fit.

use std::{fs, sync::Arc};

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Tensor, TensorPrimitive},
};
use sam_assist::{AssistConfig, AssistError, CardMetadata, MultiClass, PromptCard, Trained, TrainingSlices};
use sam_core::SamPredictor;
use sam_prompt::{BoundingBox, Prompts, error_chain};
use sam_testing::{
    B, DEVICE, TestResult,
    card::{WEIGHTS, card_of, learned, metadata},
    tiny::{self, rectangle},
};

use crate::common::{card, clicks, predictor, texture, values};

/// Number of parameters that a prompt encoder learns.
fn prompt_parameters(predictor: &SamPredictor<B>) -> usize {
    // All parameters except the position frequencies.
    predictor.sam().prompt_encoder.num_params() - 2 * predictor.sam().prompt_encoder.embed_dim() / 2
}

#[test]
fn a_card_of_each_kind_predicts_to_the_bit_as_what_was_learned() -> TestResult {
    let folder = tempfile::tempdir()?;
    let original = predictor();
    let embedding = texture(&original)?;
    let before = original.predict(&embedding, &clicks())?;
    let of_decoder = original.sam().mask_decoder.num_params();
    for trained in [
        Trained::PromptEncoder,
        Trained::ExtraTokens { count: 2 },
        Trained::TokenBranch,
        Trained::Decoder,
        Trained::LowRank { rank: 4, scale: 2.0 },
    ] {
        let path = folder.path().join("liver.safetensors");
        let learning = metadata("liver").learning.with_trained(trained);
        let adaptation = learned(&original, &learning)?;
        let card = PromptCard::of(metadata("liver").with_learning(learning), &adaptation)?;
        card.save(&path)?;
        let read = PromptCard::load(&path)?;
        assert_eq!(read, card);
        assert!(read.written_by().starts_with("sam-assist "), "{}", read.written_by());

        let kept: usize = read.shapes().values().map(|shape| shape.iter().product::<usize>()).sum();
        let beside = kept - prompt_parameters(&original);
        match trained {
            Trained::PromptEncoder => assert_eq!(beside, 0),
            Trained::ExtraTokens { .. } => assert_eq!(beside, 2 * 256),
            Trained::TokenBranch => assert!(beside > of_decoder / 2 && beside < of_decoder * 95 / 100, "{beside}"),
            Trained::Decoder => assert_eq!(beside, of_decoder),
            Trained::LowRank { .. } => assert!(beside > 0 && beside < of_decoder / 10, "{beside}"),
            _ => unreachable!("no other choice is tested"),
        }
        let bytes = fs::read(&path)?.len();
        assert!((4 * kept..4 * kept + 40_000).contains(&bytes), "{trained:?}: {bytes} bytes");

        let expected = adaptation.apply(&original).predict(&embedding, &clicks())?;
        let applied = read.apply(&original)?;
        assert_eq!(applied.predict(&embedding, &clicks())?, expected, "{trained:?}");
        assert_ne!(before, expected, "{trained:?}");
        // The original model is unchanged.
        assert_eq!(original.predict(&embedding, &clicks())?, before);
    }
    Ok(())
}

#[test]
fn a_card_of_several_members_predicts_as_they_did_together() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("liver.safetensors");
    let original = predictor();
    let embedding = texture(&original)?;
    let learning = metadata("liver").learning.with_members(2);
    let adaptation = learned(&original, &learning)?;
    let card = PromptCard::of(metadata("liver").with_learning(learning), &adaptation)?;
    card.save(&path)?;
    let read = PromptCard::load(&path)?;
    assert_eq!(read, card);
    let kept: usize = read.shapes().values().map(|shape| shape.iter().product::<usize>()).sum();
    assert_eq!(kept, 2 * prompt_parameters(&original));
    let expected = adaptation.apply(&original).predict(&embedding, &clicks())?;
    assert_eq!(read.apply(&original)?.predict(&embedding, &clicks())?, expected);
    Ok(())
}

#[test]
fn each_scan_of_an_improved_card_counts_the_same() -> TestResult {
    let original = predictor();
    let learning = |seed| metadata("liver").learning.with_seed(seed);
    let learn = |seed| learned(&original, &learning(seed));
    let card = |seed| PromptCard::of(metadata("liver"), &learn(seed)?);
    let values = |card: &PromptCard| -> TestResult<_> { values(card.apply(&original)?.sam()) };
    let about = |scan: &str| {
        let training = TrainingSlices::new(scan, "axial", vec![3], 1);
        let CardMetadata { window, model, learning, .. } = metadata("liver");
        CardMetadata::new("liver", window, model, WEIGHTS, learning, training)
    };
    let second = card(0)?.improved(about("second"), &learn(1)?)?;
    let third = second.improved(about("third"), &learn(2)?)?;
    let scans: Vec<_> = third.metadata().scans().map(|training| training.scan.as_str()).collect();
    assert_eq!(scans, ["scan.nii.gz", "second", "third"]);
    let each = [values(&card(0)?)?, values(&card(1)?)?, values(&card(2)?)?];
    for (path, found) in values(&third)? {
        for (place, found) in found.into_iter().enumerate() {
            let mean = each.iter().map(|values| values[&path][place]).sum::<f32>() / 3.0;
            assert!((found - mean).abs() < 1e-5, "{path}: {found}, expected {mean}");
        }
    }
    // The list of scans is kept in the file.
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("liver.safetensors");
    third.save(&path)?;
    assert_eq!(PromptCard::load(&path)?, third);

    let other = learning(0).with_trained(Trained::ExtraTokens { count: 1 });
    let tokens = learned(&original, &other)?;
    let error = card(0)?.improved(about("second").with_learning(other), &tokens).expect_err("other parameters");
    assert!(error_chain(&error).contains("not what was learned"), "{error:?}");
    let hidden = card(0)?.improved(about("\u{1b}[31m"), &learn(1)?).expect_err("a control character");
    assert!(error_chain(&hidden).contains("control characters"), "{hidden:?}");
    Ok(())
}

#[test]
fn a_prompt_encoders_card_takes_its_6220_numbers_and_a_header_of_4_kib() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("liver.safetensors");
    card("liver")?.save(&path)?;
    let bytes = fs::read(&path)?.len();
    assert!((4 * 6220..4 * 6220 + 4096).contains(&bytes), "{bytes} bytes");
    Ok(())
}

#[test]
fn a_learning_that_lacks_newer_numbers_has_those_of_today() -> TestResult {
    let old = r#"{"kind":"mixed","points":[1,5],"iterations":7,"learning_rate":0.02,"seed":3}"#;
    let read: AssistConfig = serde_json::from_str(old)?;
    let expected = AssistConfig::mixed().with_points((1, 5)).with_iterations(7).with_learning_rate(0.02).with_seed(3);
    assert_eq!(read, expected);
    let misspelt = serde_json::from_str::<AssistConfig>(r#"{"learning_rat":0.02}"#).expect_err("no such number");
    assert!(misspelt.to_string().contains("learning_rat"), "{misspelt}");
    Ok(())
}

#[test]
fn a_model_that_does_not_know_its_weights_is_refused() -> TestResult {
    let known = predictor();
    let unknown = SamPredictor::new(known.sam().clone(), known.preprocess());
    let message = card("liver")?.apply(&unknown).expect_err("it knows no weights").to_string();
    assert!(message.contains("with_weights_sha256"), "{message}");
    card("liver")?.apply_for(&unknown, WEIGHTS)?;
    Ok(())
}

#[test]
fn other_weights_are_refused_with_both_hashes() -> TestResult {
    let card = card("liver")?;
    card.check_weights(WEIGHTS)?;
    card.check_weights(&WEIGHTS.to_uppercase())?;
    let other = format!("0123456789abcdef{}", &WEIGHTS[16..]);
    let message = card.check_weights(&other).expect_err("other weights").to_string();
    for word in ["liver", "79d8c9dca6db...", "0123456789ab...", "learn again"] {
        assert!(message.contains(word), "{message}");
    }
    assert!(card.check_weights("").is_err());
    Ok(())
}

#[test]
fn another_model_is_refused_by_the_names_and_shapes_that_differ() -> TestResult {
    let narrow = tiny::config().with_mask_in_chans(8);
    let narrow = SamPredictor::<B>::new(narrow.init(&DEVICE), narrow.preprocess).with_weights_sha256(WEIGHTS);
    let message = card("liver")?.apply(&narrow).expect_err("other shapes").to_string();
    for word in ["liver", "of another shape", "mask_downscaling.conv2.weight", "[8, 2, 2, 2]", "[16, 4, 2, 2]"] {
        assert!(message.contains(word), "{message}");
    }
    let other = WEIGHTS.replace('7', "8");
    let message = card("liver")?.apply_for(&predictor(), &other).expect_err("other weights").to_string();
    assert!(message.contains("89d8c9dca6db..."), "{message}");
    Ok(())
}

#[test]
fn no_card_is_made_of_nonsense() -> TestResult {
    let predictor = predictor();
    let adaptation = learned(&predictor, &metadata("liver").learning)?;
    let refuse = |metadata: CardMetadata| match PromptCard::of(metadata, &adaptation) {
        Err(error @ AssistError::CardContent { .. }) => Ok(error_chain(&error)),
        other => Err(format!("{other:?}")),
    };
    let message = refuse(metadata("li\u{1b}[31mver"))?;
    assert!(message.contains("control characters") && !message.contains('\u{1b}'), "{message}");
    assert!(refuse(metadata(" "))?.contains("no name"));
    let mut short = metadata("liver");
    short.weights_sha256 = "79d8".to_owned();
    let message = refuse(short)?;
    assert!(message.contains("64 hexadecimal digits") && message.contains("79d8"), "{message}");
    assert!(refuse(metadata("liver").with_self_check_dice(Some(f64::NAN)))?.contains("Dice"));
    for trained in [Trained::ExtraTokens { count: 1 }, Trained::Decoder, Trained::LowRank { rank: 1, scale: 1.0 }] {
        let learning = metadata("liver").learning.with_trained(trained);
        let message = refuse(metadata("liver").with_learning(learning))?;
        assert!(message.contains("not what was learned"), "{message}");
    }
    let learning = metadata("liver").learning.with_members(2);
    assert!(refuse(metadata("liver").with_learning(learning))?.contains("2 times"));
    let learning = metadata("liver").learning.with_weight_decay(-1.0);
    assert!(refuse(metadata("liver").with_learning(learning))?.contains("weight_decay"));

    let spoilt = adaptation.clone().map(&mut Spoil);
    let message = error_chain(&PromptCard::of(metadata("liver"), &spoilt).expect_err("no numbers"));
    assert!(message.contains("not finite"), "{message}");
    Ok(())
}

/// Makes every parameter infinite.
struct Spoil;

impl ModuleMapper<B> for Spoil {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        parameter.map(|value| value / 0.0)
    }
}

#[test]
fn several_cards_share_one_embedding_and_share_out_its_pixels() -> TestResult {
    let original = predictor();
    let embedding = texture(&original)?;
    let predictor = |seed: u64| -> TestResult<_> {
        let learning = metadata("any").learning.with_seed(seed);
        Ok(card_of(&original, "any", learning)?.apply(&original)?)
    };
    let predictors = (0..3).map(predictor).collect::<TestResult<Vec<_>>>()?;
    let corner = BoundingBox { x_min: 2.0, y_min: 2.0, x_max: 20.0, y_max: 20.0 };
    let prompts = [Some(clicks()), None, Some(Prompts::from_boxes(vec![corner]))];

    let structures = MultiClass::new(predictors.clone());
    let logits = structures.logits(&embedding, &prompts)?;
    assert!(logits[1].is_none());
    for (index, predictor) in predictors.iter().enumerate() {
        let Some(prompts) = &prompts[index] else { continue };
        let alone = predictor.predict(&embedding, prompts)?.logits;
        assert_eq!(logits[index].as_ref().expect("prompted"), alone.index_axis(ndarray::Axis(0), 0));
    }
    let labels = structures.labels(&embedding, &prompts)?;
    assert_eq!(labels.dim(), (40, 50));
    for ((row, column), &label) in labels.indexed_iter() {
        let at = |index: usize| logits[index].as_ref().expect("prompted")[(row, column)];
        let expected = match (at(0), at(2)) {
            (first, third) if first <= 0.0 && third <= 0.0 => 0,
            (first, third) if first >= third => 1,
            _ => 3,
        };
        assert_eq!(label, expected);
    }
    let message = structures.labels(&embedding, &prompts[..2]).expect_err("one is missing").to_string();
    assert!(message.contains("3 structures") && message.contains("prompts for 2"), "{message}");
    Ok(())
}

/// Address of each parameter in memory.
#[derive(Default)]
struct Places(Vec<*const f32>);

impl Places {
    fn keep<const D: usize>(&mut self, tensor: &Tensor<B, D>) {
        let TensorPrimitive::Float(tensor) = tensor.clone().into_primitive() else { return };
        self.0.push(tensor.storage::<f32>().as_ptr());
    }
}

impl ModuleVisitor<B> for Places {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<B, D>>) {
        self.keep(&parameter.val());
    }
}

#[test]
fn predictors_of_several_cards_share_the_weights() -> TestResult {
    let places = |predictor: &SamPredictor<B>| {
        let mut places = Places::default();
        predictor.sam().mask_decoder.visit(&mut places);
        let places = std::cell::RefCell::new(places);
        // The decoder's projected positions are shared as well.
        let _ = predictor.positions().clone().map(|tensor| {
            places.borrow_mut().keep(&tensor);
            tensor
        });
        places.into_inner().0
    };
    let original = predictor();
    let filled = card_of(&original, "liver", metadata("liver").learning)?.apply(&original)?;
    assert!(places(&original).len() > 50);
    assert_eq!(places(&original), places(&filled));
    assert!(Arc::ptr_eq(&original.sam().image_encoder, &filled.sam().image_encoder));
    Ok(())
}

#[test]
fn structures_that_overlap_are_predicted_again_from_the_boxes_of_their_masks() -> TestResult {
    let original = predictor();
    let embedding = texture(&original)?;
    let predictor = |seed: u64| -> TestResult<_> {
        let learning = metadata("any").learning.with_seed(seed);
        Ok(card_of(&original, "any", learning)?.apply(&original)?)
    };
    let structures = MultiClass::new(vec![predictor(1)?, predictor(2)?]);
    let square = |from: usize| rectangle(from..from + 20, from..from + 20);
    let (first, second) = (square(2), square(12));
    let joined = structures.join(&[Some(&first), Some(&second)], || Ok(embedding.clone()))?.ok_or("two masks")?;
    let boxes = [&first, &second]
        .map(|mask| sam_prompt::bounding_box(mask.view()).map(|exact| Prompts::from_boxes(vec![exact])));
    let logits = structures.logits(&embedding, &boxes)?;
    for (pixel, &label) in joined.indexed_iter() {
        let logit = |index: usize| logits[index].as_ref().map_or(0.0, |logits| logits[pixel].max(f32::MIN_POSITIVE));
        let expected = match (first[pixel], second[pixel]) {
            (false, false) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (true, true) => {
                if logit(1) > logit(0) {
                    2
                } else {
                    1
                }
            }
        };
        assert_eq!(label, expected, "{pixel:?}");
    }
    Ok(())
}
