//! The prompt card: what was learned, kept for other scans.

mod metadata;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use burn::{module::AutodiffModule, tensor::backend::Backend};
use sam_core::SamPredictor;

use crate::{
    Adaptation, AssistConfig, AssistError, parameters,
    sealed::{Content, Kind, check_finite},
};
pub use metadata::{CardMetadata, TrainingSlices};

/// As which cards are written.
const KIND: Kind = Kind { name: "prompt card", entry: "prompt_card", version: 2 };

/// What was learned about one structure, with all that is needed to use it again.
///
/// A card holds the parameters that its learning could change, and nothing that the model has anyway: of a prompt encoder some 25 KB. As
/// a file it is safetensors, with the metadata as JSON in the header, and is read without running any code; a damaged one is refused.
#[derive(Debug, Clone, PartialEq)]
pub struct PromptCard(Content<CardMetadata>);

impl PromptCard {
    /// Ending of the files' names.
    pub const ENDING: &str = "safetensors";

    /// Puts what was learned on a card.
    ///
    /// # Errors
    /// [`AssistError::CardContent`] if the metadata make no sense, if they name another [`Trained`](crate::Trained) than was learned, or
    /// if a parameter is not finite.
    pub fn of<B: Backend>(metadata: CardMetadata, learned: &Adaptation<B>) -> Result<Self, AssistError> {
        let structure = metadata.structure.clone();
        let AssistConfig { trained, members, .. } = metadata.learning;
        let refuse = |reason| AssistError::CardContent { structure: structure.clone(), reason };
        if !learned.is_of(trained, members) {
            return Err(refuse(format!(
                "its learning says {members} times {trained:?}, which is not what was learned"
            )));
        }
        let learned = Adaptation::from_inner(learned.clone()).trainable(trained);
        let content = Content::new(metadata, parameters::read(&learned));
        check(&content).map_err(refuse)?;
        Ok(Self(content))
    }

    /// What the card says of itself.
    pub fn metadata(&self) -> &CardMetadata {
        &self.0.about
    }

    /// Name and version of the crate that made it.
    pub fn written_by(&self) -> &str {
        &self.0.written_by
    }

    /// Paths and shapes of the parameters, as [`Adaptation`] names them.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.0.tensors.iter().map(|(path, data)| (path.clone(), data.shape.to_vec())).collect()
    }

    /// What was learned, ready for the model that it was learned on. Whatever did not learn is shared with the model, not copied.
    ///
    /// # Errors
    /// [`AssistError::OtherWeights`] as [`PromptCard::check_weights`]; [`AssistError::OtherShape`] if the model does not have exactly the
    /// card's parameters, in their shapes.
    pub fn adaptation<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        weights_sha256: &str,
    ) -> Result<Adaptation<B>, AssistError> {
        self.check_weights(weights_sha256)?;
        let learning = &self.metadata().learning;
        let unlearned = parameters::unlearned(predictor, learning.trained, learning.members);
        Ok(parameters::fill(unlearned, &self.0.tensors, &self.title())?.valid())
    }

    /// The model as it was after learning: [`PromptCard::adaptation`], applied.
    ///
    /// # Errors
    /// As [`PromptCard::adaptation`].
    pub fn apply<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        weights_sha256: &str,
    ) -> Result<SamPredictor<B>, AssistError> {
        Ok(self.adaptation(predictor, weights_sha256)?.apply(predictor))
    }

    /// Refuses weights that the card was not made for: what it learned means nothing to them.
    ///
    /// # Errors
    /// [`AssistError::OtherWeights`] if the SHA-256, in hexadecimal, is another one.
    pub fn check_weights(&self, sha256: &str) -> Result<(), AssistError> {
        check_weights(&self.title(), &self.metadata().weights_sha256, sha256)
    }

    /// Writes the card, whole or not at all.
    ///
    /// # Errors
    /// [`AssistError::Unwritable`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), AssistError> {
        KIND.save(&self.0, path.as_ref())
    }

    /// Reads a card.
    ///
    /// # Errors
    /// [`AssistError::Unreadable`]; [`AssistError::NotWhole`] if the file holds something else or is damaged;
    /// [`AssistError::FormatVersion`] if it is of another format.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, AssistError> {
        KIND.load(path.as_ref(), check).map(Self)
    }

    /// Every card of a folder by its path, those that cannot be read with the reason why.
    ///
    /// All files that end in [`PromptCard::ENDING`] are taken for cards; folders within are not entered.
    ///
    /// # Errors
    /// [`AssistError::Unreadable`] if the folder itself cannot be read.
    pub fn list(folder: impl AsRef<Path>) -> Result<BTreeMap<PathBuf, Result<Self, AssistError>>, AssistError> {
        let folder = folder.as_ref();
        let entries = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
        let paths = entries().map_err(|source| KIND.unreadable(folder, source))?;
        let cards = paths.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == Self::ENDING));
        Ok(cards.map(|path| (path.clone(), Self::load(path))).collect())
    }

    /// As errors call it.
    fn title(&self) -> String {
        format!("the prompt card of {}", self.metadata().structure)
    }
}

/// Says what is wrong with a card, if anything is.
fn check(content: &Content<CardMetadata>) -> Result<(), String> {
    let Content { about, tensors, .. } = content;
    about.check()?;
    parameters::check_size(about.learning.trained, about.learning.members, tensors)?;
    check_finite(tensors)
}

/// Refuses other weights than those that `what` was learned with.
pub(crate) fn check_weights(what: &str, expected: &str, found: &str) -> Result<(), AssistError> {
    if expected.eq_ignore_ascii_case(found) {
        return Ok(());
    }
    let start = |hash: &str| hash.chars().take(12).collect();
    Err(AssistError::OtherWeights { what: what.to_owned(), expected: start(expected), found: start(found) })
}

/// Whether a text is a SHA-256 in hexadecimal.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.chars().all(|digit| digit.is_ascii_hexdigit())
}
