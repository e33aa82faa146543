//! Prompt cards: written, read, applied, and refused where they do not fit.

use std::{fs, path::Path};

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Tensor, TensorPrimitive},
};
use burn_flex::{Flex, FlexDevice};
use ndarray::{Array2, Array3};
use sam_assist::{
    Adaptation, AnnotatedSlice, AssistConfig, AssistError, CardMetadata, MultiClass, PromptCard, Trained,
    TrainingSlices, learn,
};
use sam_core::{ImageEmbedding, SamConfig, SamPredictor, ViTConfig};
use sam_prompt::{BoundingBox, Label, Point, Prompts};

type B = Flex;
type TestResult<T = ()> = Result<T, Box<dyn std::error::Error>>;

const WEIGHTS: &str = "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76";

fn config() -> SamConfig {
    SamConfig::vit(ViTConfig::new(32, 1, 2).with_image_size(64))
}

fn predictor() -> SamPredictor<B> {
    let config = config();
    let sam = config.init(&FlexDevice);
    // burn draws weights when they are first used: drawn here, all clones share them.
    sam.visit(&mut Places::default());
    SamPredictor::new(sam, config.preprocess)
}

fn image(predictor: &SamPredictor<B>) -> TestResult<ImageEmbedding<B>> {
    let image = Array3::from_shape_fn((40, 50, 1), |(row, column, _)| (row * column % 256) as f32);
    Ok(predictor.embed(image.view())?)
}

fn clicks() -> Prompts {
    let at = |x, y, label| Point { x, y, label };
    Prompts::from_points(vec![at(12.0, 20.0, Label::Foreground), at(40.0, 5.0, Label::Background)])
}

fn metadata(structure: &str) -> CardMetadata {
    let training = TrainingSlices {
        scan: "scan.nii.gz".to_owned(),
        axis: "axial".to_owned(),
        indices: vec![31, 40],
        annotated: 3,
    };
    CardMetadata {
        structure: structure.to_owned(),
        window: "abdomen".to_owned(),
        model: config(),
        weights_sha256: WEIGHTS.to_owned(),
        learning: AssistConfig {
            learning_rate: 0.1 + 0.2,
            seed: u64::MAX,
            ..AssistConfig::mixed().prompt_encoder_only()
        },
        training,
        self_check_dice: Some(0.912_345_678_901_234_5),
        created: Some("2024-05-06".to_owned()),
    }
}

/// What two steps teach.
fn learned(predictor: &SamPredictor<B>, learning: &AssistConfig) -> TestResult<Adaptation<B>> {
    let outline =
        Array2::from_shape_fn((40, 50), |(row, column)| (10..25).contains(&row) && (12..28).contains(&column));
    let slices = [AnnotatedSlice::new(image(predictor)?, outline)?];
    let config = AssistConfig { iterations: 2, decoder_rate: 1e-2, ..learning.clone() };
    Ok(learn(predictor, &slices, &config, &mut |_| std::ops::ControlFlow::Continue(()))?.adaptation)
}

/// What was learned with a seed, on a card.
fn card_of(predictor: &SamPredictor<B>, structure: &str, learning: AssistConfig) -> TestResult<PromptCard> {
    let adaptation = learned(predictor, &learning)?;
    Ok(PromptCard::of(CardMetadata { learning, ..metadata(structure) }, &adaptation)?)
}

fn card(structure: &str) -> TestResult<PromptCard> {
    card_of(&predictor(), structure, metadata(structure).learning)
}

/// How many numbers a prompt encoder learns.
fn prompt_parameters(predictor: &SamPredictor<B>) -> usize {
    // All but the position frequencies.
    predictor.sam().prompt_encoder.num_params() - 2 * predictor.sam().prompt_encoder.embed_dim() / 2
}

#[test]
fn a_card_of_each_kind_predicts_to_the_bit_as_what_was_learned() -> TestResult {
    let folder = tempfile::tempdir()?;
    let original = predictor();
    let embedding = image(&original)?;
    let before = original.predict(&embedding, &clicks())?;
    let of_decoder = original.sam().mask_decoder.num_params();
    for trained in [
        Trained::PromptEncoder,
        Trained::ExtraTokens { count: 2 },
        Trained::TokenSide,
        Trained::Decoder,
        Trained::LowRank { rank: 4, scale: 2.0 },
    ] {
        let path = folder.path().join("liver.safetensors");
        let learning = AssistConfig { trained, ..metadata("liver").learning };
        let adaptation = learned(&original, &learning)?;
        let card = PromptCard::of(CardMetadata { learning, ..metadata("liver") }, &adaptation)?;
        card.save(&path)?;
        let read = PromptCard::load(&path)?;
        assert_eq!(read, card);
        assert!(read.written_by().starts_with("sam-assist "), "{}", read.written_by());

        let kept: usize = read.shapes().values().map(|shape| shape.iter().product::<usize>()).sum();
        let beside = kept - prompt_parameters(&original);
        match trained {
            Trained::PromptEncoder => assert_eq!(beside, 0),
            Trained::ExtraTokens { .. } => assert_eq!(beside, 2 * 256),
            Trained::TokenSide => assert!(beside > of_decoder / 2 && beside < of_decoder * 95 / 100, "{beside}"),
            Trained::Decoder => assert_eq!(beside, of_decoder),
            Trained::LowRank { .. } => assert!(beside > 0 && beside < of_decoder / 10, "{beside}"),
        }
        let bytes = fs::read(&path)?.len();
        assert!((4 * kept..4 * kept + 40_000).contains(&bytes), "{trained:?}: {bytes} bytes");

        let expected = adaptation.apply(&original).predict(&embedding, &clicks())?;
        let applied = read.apply(&original, WEIGHTS)?;
        assert_eq!(applied.predict(&embedding, &clicks())?, expected, "{trained:?}");
        assert_ne!(before, expected, "{trained:?}");
        // The model itself is as before.
        assert_eq!(original.predict(&embedding, &clicks())?, before);
    }
    Ok(())
}

#[test]
fn a_card_of_several_members_predicts_as_they_did_together() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("liver.safetensors");
    let original = predictor();
    let embedding = image(&original)?;
    let learning = AssistConfig { members: 2, ..metadata("liver").learning };
    let adaptation = learned(&original, &learning)?;
    let card = PromptCard::of(CardMetadata { learning, ..metadata("liver") }, &adaptation)?;
    card.save(&path)?;
    let read = PromptCard::load(&path)?;
    assert_eq!(read, card);
    let kept: usize = read.shapes().values().map(|shape| shape.iter().product::<usize>()).sum();
    assert_eq!(kept, 2 * prompt_parameters(&original));
    let expected = adaptation.apply(&original).predict(&embedding, &clicks())?;
    assert_eq!(read.apply(&original, WEIGHTS)?.predict(&embedding, &clicks())?, expected);
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
    let expected =
        AssistConfig { points: (1, 5), iterations: 7, learning_rate: 0.02, seed: 3, ..AssistConfig::mixed() };
    assert_eq!(read, expected);
    let misspelt = serde_json::from_str::<AssistConfig>(r#"{"learning_rat":0.02}"#).expect_err("no such number");
    assert!(misspelt.to_string().contains("learning_rat"), "{misspelt}");
    Ok(())
}

#[test]
fn equal_cards_are_equal_files_and_a_failed_save_leaves_the_old_one() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let card = card("liver")?;
    for name in ["a.safetensors", "b.safetensors"] {
        card.save(path(name))?;
    }
    assert_eq!(fs::read(path("a.safetensors"))?, fs::read(path("b.safetensors"))?);
    PromptCard::load(path("a.safetensors"))?.save(path("a.safetensors"))?;
    assert_eq!(fs::read(path("a.safetensors"))?, fs::read(path("b.safetensors"))?);
    assert_eq!(fs::read_dir(folder.path())?.count(), 2);

    let nowhere = path("missing").join("card.safetensors");
    assert!(matches!(card.save(&nowhere), Err(AssistError::Unwritable { .. })));
    assert!(matches!(PromptCard::load(&nowhere), Err(AssistError::Unreadable { .. })));
    assert!(matches!(PromptCard::load(folder.path()), Err(AssistError::Unreadable { .. })));
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
    let narrow = SamConfig { mask_in_chans: 8, ..config() };
    let narrow = SamPredictor::<B>::new(narrow.init(&FlexDevice), narrow.preprocess);
    let message = card("liver")?.apply(&narrow, WEIGHTS).expect_err("other shapes").to_string();
    for word in ["liver", "of another shape", "mask_downscaling.conv2.weight", "[8, 2, 2, 2]", "[16, 4, 2, 2]"] {
        assert!(message.contains(word), "{message}");
    }
    let other = WEIGHTS.replace('7', "8");
    let message = card("liver")?.apply(&predictor(), &other).expect_err("other weights").to_string();
    assert!(message.contains("89d8c9dca6db..."), "{message}");
    Ok(())
}

/// Says why a file of these bytes is refused.
fn refusal(path: &Path, bytes: &[u8]) -> TestResult<String> {
    fs::write(path, bytes)?;
    match PromptCard::load(path) {
        Ok(_) => Err("it was taken for a card".into()),
        Err(error @ (AssistError::NotWhole { .. } | AssistError::FormatVersion { .. })) => Ok(error.to_string()),
        Err(error) => Err(error.into()),
    }
}

#[test]
fn damaged_files_are_refused_wherever_the_damage_is() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("card.safetensors");
    card("liver")?.save(&path)?;
    let whole = fs::read(&path)?;
    for length in (0..whole.len()).step_by(509).chain([1, 7, 8, 9, whole.len() - 1]) {
        let message = refusal(&path, &whole[..length]).map_err(|error| format!("{length} bytes: {error}"))?;
        assert!(message.contains("card.safetensors"), "{message}");
    }
    for place in (0..whole.len()).step_by(211) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0b101;
        refusal(&path, &damaged).map_err(|error| format!("byte {place}: {error}"))?;
    }
    let longer = [whole.as_slice(), b"more"].concat();
    refusal(&path, &longer)?;
    Ok(())
}

/// A card's file with a text of its header replaced by one of the same length.
fn edited(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut edited = bytes.to_vec();
    let place = bytes.windows(from.len()).position(|window| window == from.as_bytes()).expect("it is in the header");
    edited[place..place + to.len()].copy_from_slice(to.as_bytes());
    edited
}

#[test]
fn files_of_other_kinds_and_versions_are_refused_in_words() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("card.safetensors");
    card("liver")?.save(&path)?;
    let whole = fs::read(&path)?;

    let message = refusal(&path, &edited(&whole, r#"\"format_version\":2"#, r#"\"format_version\":7"#))?;
    assert!(message.contains("format version 7") && message.contains("reads version 2"), "{message}");
    let message = refusal(&path, &edited(&whole, "liver", "spine"))?;
    assert!(message.contains("checksum"), "{message}");
    let message = refusal(&path, &edited(&whole, "prompt_card", "prompt_bard"))?;
    assert!(message.contains("no entry \"prompt_card\""), "{message}");

    let checkpoint = safetensors::serialize(
        [("a", safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &[0; 4])?)],
        None,
    )?;
    let message = refusal(&path, &checkpoint)?;
    assert!(message.contains("is it a checkpoint?"), "{message}");
    let message = refusal(&path, b"PK\x03\x04 a zip file, as .pth is")?;
    assert!(message.contains("no safetensors file"), "{message}");
    // A header that claims more than a card has is not even looked for.
    let message = refusal(&path, &[u64::MAX.to_le_bytes().as_slice(), b"{}"].concat())?;
    assert!(message.contains("larger header"), "{message}");
    Ok(())
}

#[test]
fn no_card_is_made_of_nonsense() -> TestResult {
    let predictor = predictor();
    let adaptation = learned(&predictor, &metadata("liver").learning)?;
    let refuse = |metadata: CardMetadata| match PromptCard::of(metadata, &adaptation) {
        Err(error @ AssistError::CardContent { .. }) => Ok(error.to_string()),
        other => Err(format!("{other:?}")),
    };
    let message = refuse(metadata("li\u{1b}[31mver"))?;
    assert!(message.contains("control characters") && !message.contains('\u{1b}'), "{message}");
    assert!(refuse(metadata(" "))?.contains("no name"));
    let message = refuse(CardMetadata { weights_sha256: "79d8".to_owned(), ..metadata("liver") })?;
    assert!(message.contains("64 hexadecimal digits") && message.contains("79d8"), "{message}");
    assert!(refuse(CardMetadata { self_check_dice: Some(f64::NAN), ..metadata("liver") })?.contains("Dice"));
    for trained in [Trained::ExtraTokens { count: 1 }, Trained::Decoder, Trained::LowRank { rank: 1, scale: 1.0 }] {
        let learning = AssistConfig { trained, ..metadata("liver").learning };
        let message = refuse(CardMetadata { learning, ..metadata("liver") })?;
        assert!(message.contains("not what was learned"), "{message}");
    }
    let learning = AssistConfig { members: 2, ..metadata("liver").learning };
    assert!(refuse(CardMetadata { learning, ..metadata("liver") })?.contains("2 times"));
    let learning = AssistConfig { weight_decay: -1.0, ..metadata("liver").learning };
    assert!(refuse(CardMetadata { learning, ..metadata("liver") })?.contains("weight_decay"));

    let spoilt = adaptation.clone().map(&mut Spoil);
    let message = PromptCard::of(metadata("liver"), &spoilt).expect_err("no numbers").to_string();
    assert!(message.contains("no numbers"), "{message}");
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
fn a_folder_lists_its_cards_and_what_is_broken() -> TestResult {
    let folder = tempfile::tempdir()?;
    for structure in ["spleen", "liver"] {
        card(structure)?.save(folder.path().join(structure).with_extension("safetensors"))?;
    }
    fs::write(folder.path().join("broken.safetensors"), b"half a")?;
    fs::write(folder.path().join("notes.txt"), b"no card")?;
    fs::create_dir(folder.path().join("folder.safetensors"))?;
    let found = PromptCard::list(folder.path())?;
    let found: Vec<_> = found
        .iter()
        .map(|(path, card)| {
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            (name, card.as_ref().ok().map(|card| card.metadata().structure.as_str()))
        })
        .collect();
    assert_eq!(found, [("broken", None), ("folder", None), ("liver", Some("liver")), ("spleen", Some("spleen"))]);
    assert!(matches!(PromptCard::list(folder.path().join("missing")), Err(AssistError::Unreadable { .. })));
    Ok(())
}

#[test]
fn several_cards_share_one_embedding_and_share_out_its_pixels() -> TestResult {
    let original = predictor();
    let embedding = image(&original)?;
    let predictor = |seed: u64| -> TestResult<_> {
        let learning = AssistConfig { seed, ..metadata("any").learning };
        Ok(card_of(&original, "any", learning)?.apply(&original, WEIGHTS)?)
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

/// Where each parameter lies in memory.
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
        predictor.sam().image_encoder.visit(&mut places);
        predictor.sam().mask_decoder.visit(&mut places);
        let places = std::cell::RefCell::new(places);
        // What the decoder computes of positions is shared as well.
        let _ = predictor.positions().clone().map(|tensor| {
            places.borrow_mut().keep(&tensor);
            tensor
        });
        places.into_inner().0
    };
    let original = predictor();
    let filled = card_of(&original, "liver", metadata("liver").learning)?.apply(&original, WEIGHTS)?;
    assert!(places(&original).len() > 100);
    assert_eq!(places(&original), places(&filled));
    Ok(())
}
