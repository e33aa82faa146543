//! Prompt cards, which people exchange.

use std::{fs, path::Path, sync::OnceLock};

use rand::{Rng, RngExt};
use sam_assist::{AssistConfig, AssistError, PromptCard, Trained};
use sam_core::SamPredictor;
use sam_data::Window;
use sam_testing::{
    B,
    card::{WEIGHTS, card_of},
    tiny,
};

use crate::{check_words, sealed::Sealed};

fn predictor() -> &'static SamPredictor<B> {
    static PREDICTOR: OnceLock<SamPredictor<B>> = OnceLock::new();
    PREDICTOR.get_or_init(tiny::fixed)
}

/// A card after two training steps.
pub(crate) fn card(trained: Trained) -> PromptCard {
    card_of(predictor(), "liver", AssistConfig::mixed().with_trained(trained)).expect("what was learned")
}

/// Small cards of several kinds.
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

/// Reads a card in each way, writes it again, and applies it to a model.
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
    // `written_by` may differ: the program sets it when it writes a card.
    let again = PromptCard::load(&copy).map_err(|error| format!("it cannot be read again: {error}"))?;
    if (again.metadata(), again.shapes()) != (card.metadata(), card.shapes()) {
        return Err("it is read as another than it was written".to_owned());
    }
    match card.apply_for(predictor(), WEIGHTS) {
        Ok(_) | Err(AssistError::OtherWeights { .. } | AssistError::OtherShape { .. }) => Ok(true),
        Err(error) => Err(format!("it does not fit for a reason of its own: {error}")),
    }
}
