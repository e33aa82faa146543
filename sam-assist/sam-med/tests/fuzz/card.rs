//! Prompt cards, which travel between people.

use std::{fs, ops::ControlFlow, path::Path, sync::OnceLock};

use burn::tensor::backend::Backend;
use burn_flex::{Flex, FlexDevice};
use rand::{Rng, RngExt};
use sam_assist::{AssistConfig, AssistError, CardMetadata, PromptCard, Trained, TrainingSlices, learn};
use sam_core::{AnnotatedSlice, SamConfig, SamPredictor, ViTConfig};
use sam_data::Window;
use sam_prompt::ndarray::{Array2, Array3};

use crate::{check_words, sealed::Sealed};

/// SHA-256 of no weights at all.
pub(crate) const WEIGHTS: &str = "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76";

fn config() -> SamConfig {
    SamConfig::vit(ViTConfig::new(32, 1, 2).with_image_size(64))
}

/// A tiny model of random weights.
fn predictor() -> &'static SamPredictor<Flex> {
    static PREDICTOR: OnceLock<SamPredictor<Flex>> = OnceLock::new();
    PREDICTOR.get_or_init(|| {
        Flex::seed(&FlexDevice, 0);
        SamPredictor::new(config().init(&FlexDevice), config().preprocess)
    })
}

/// What one step taught.
pub(crate) fn card(trained: Trained) -> PromptCard {
    let image = Array3::from_shape_fn((40, 50, 1), |(row, column, _)| (row * column % 256) as u8);
    let embedding = predictor().embed(image.view()).expect("an image");
    let outline = Array2::from_shape_fn((40, 50), |(row, column)| row < 20 && column > 9);
    let slices = [AnnotatedSlice::new(31, embedding, outline).expect("an outline")];
    let learning = AssistConfig::mixed().with_trained(trained).with_iterations(1);
    let learned = learn(predictor(), &slices, &learning, &mut |_| ControlFlow::Continue(())).expect("a step");
    let training = TrainingSlices::new("scan.nii.gz", "k", vec![31], 3);
    let metadata = CardMetadata::new("liver", "abdomen", config(), WEIGHTS, learning, training)
        .with_self_check_dice(Some(0.9))
        .with_created(Some("2024-05-06".to_owned()));
    PromptCard::of(metadata, &learned.adaptation).expect("what was learned")
}

/// Cards of the kinds that are small.
fn cards() -> &'static [Sealed] {
    static CARDS: OnceLock<Vec<Sealed>> = OnceLock::new();
    CARDS.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let kinds =
            [Trained::PromptEncoder, Trained::ExtraTokens { count: 2 }, Trained::LowRank { rank: 1, scale: 2.0 }];
        let sealed = kinds.map(|trained| {
            let path = folder.path().join("card.safetensors");
            card(trained).save(&path).expect("a writable folder");
            Sealed::of(&fs::read(&path).expect("just written")).expect("a card")
        });
        sealed.into()
    })
}

/// A folder with one card.
pub(crate) fn prepare(folder: &Path, random: &mut dyn Rng) -> usize {
    let cards = cards();
    let bytes = cards[random.random_range(0..cards.len())].clone().damaged(random);
    fs::write(folder.join("card.safetensors"), &bytes).expect("a writable folder");
    bytes.len()
}

/// Reads a card in each way, writes it again, and puts it on a model.
pub(crate) fn read(folder: &Path) -> Result<bool, String> {
    let path = folder.join("card.safetensors");
    let mut listed = PromptCard::list(folder).map_err(|error| format!("the folder cannot be listed: {error}"))?;
    let card = match (PromptCard::load(&path), listed.remove(&path)) {
        (Ok(card), Some(Ok(listed))) if card == listed => card,
        (Err(error), Some(Err(_))) => return check_words(&error.to_string(), "card.safetensors").map(|()| false),
        outcomes => return Err(format!("a card is read in one way and not in another: {outcomes:?}")),
    };
    let about = format!("{} {} {}", card.written_by(), card.metadata().structure, card.metadata().window);
    check_words(&about, "")?;
    if let Err(error) = sam_annotate::cards::window(Window::Auto, std::slice::from_ref(&card)) {
        check_words(&format!("{:#}", anyhow::Error::from(error)), "window")?;
    }
    let copy = folder.join("copy.safetensors");
    card.save(&copy).map_err(|error| format!("it cannot be written again: {error}"))?;
    // Who wrote it is the program's word, not the card's.
    let again = PromptCard::load(&copy).map_err(|error| format!("it cannot be read again: {error}"))?;
    if (again.metadata(), again.shapes()) != (card.metadata(), card.shapes()) {
        return Err("it is read as another than it was written".to_owned());
    }
    match card.apply(predictor(), WEIGHTS) {
        Ok(_) | Err(AssistError::OtherWeights { .. } | AssistError::OtherShape { .. }) => Ok(true),
        Err(error) => Err(format!("it does not fit for a reason of its own: {error}")),
    }
}
