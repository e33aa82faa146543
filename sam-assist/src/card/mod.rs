//! The prompt card: learned parameters in a file, for other scans.

mod metadata;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use burn::{module::AutodiffModule, tensor::backend::Backend};
use sam_core::SamPredictor;

use crate::{
    Adaptation, AssistConfig, AssistError, ContentError,
    checksummed::{Content, Format, check_finite},
    parameters,
};
pub use metadata::{CardMetadata, TrainingSlices};

/// File format of prompt cards.
const FORMAT: Format = Format { name: "prompt card", entry: "prompt_card", version: 2 };

/// A prompt card: the learned parameters of one structure, with everything needed to use them again.
///
/// A card holds only the parameters that were trained: about 25 KB for a prompt encoder. The file is safetensors with the metadata as JSON
/// in the header. Reading it runs no code, and damaged files are refused.
#[derive(Debug, Clone, PartialEq)]
pub struct PromptCard(Content<CardMetadata>);

impl PromptCard {
    /// Extension of card files.
    pub const ENDING: &str = "safetensors";

    /// Makes a card from learned parameters.
    ///
    /// # Errors
    /// [`AssistError::CardContent`] if the metadata are invalid, if their config does not match what was learned
    /// ([`Trained`](crate::Trained) or number of members), or if a parameter is not finite.
    pub fn of<B: Backend>(metadata: CardMetadata, learned: &Adaptation<B>) -> Result<Self, AssistError> {
        let structure = metadata.structure.clone();
        let AssistConfig { trained, members, .. } = metadata.learning;
        let refuse = |source| AssistError::CardContent { structure: structure.clone(), source };
        if !learned.is_of(trained, members) {
            return Err(refuse(ContentError::OtherLearning { members, trained }));
        }
        let learned = Adaptation::from_inner(learned.clone()).trainable(trained);
        let content = Content::new(metadata, parameters::read(&learned));
        check(&content).map_err(refuse)?;
        Ok(Self(content))
    }

    /// Makes an improved card: this one, moved towards what was learned from it on another scan.
    ///
    /// Its parameters are the mean of all scans: with n scans in this card, they move by `1 / (n + 1)` of the way. So each scan counts the
    /// same, and the newest does not overwrite what the others taught. This is Reptile (Nichol et al. 2018, arXiv 1803.02999) with a falling
    /// step size. `metadata` are those of the new learning; [`CardMetadata::earlier`] becomes the scans of this card. A scan that it was
    /// learned from before counts once more, because names of scans are not unique.
    ///
    /// # Errors
    /// As [`PromptCard::of`]; [`AssistError::CardContent`] if something else was learned than this card holds;
    /// [`AssistError::OtherWeights`].
    pub fn improved<B: Backend>(&self, metadata: CardMetadata, learned: &Adaptation<B>) -> Result<Self, AssistError> {
        self.check_weights(&metadata.weights_sha256)?;
        let earlier: Vec<_> = self.metadata().scans().cloned().collect();
        let count = earlier.len() as f32;
        let Self(mut content) = Self::of(CardMetadata { earlier, ..metadata }, learned)?;
        let refuse = |source| AssistError::CardContent { structure: self.metadata().structure.clone(), source };
        let AssistConfig { trained, members, .. } = content.about.learning;
        let mean = parameters::mean(&self.0.tensors, count, &content.tensors);
        content.tensors = mean.ok_or_else(|| refuse(ContentError::OtherLearning { members, trained }))?;
        check_finite(&content.tensors).map_err(refuse)?;
        Ok(Self(content))
    }

    /// The metadata.
    pub fn metadata(&self) -> &CardMetadata {
        &self.0.about
    }

    /// Name and version of the crate that wrote the card.
    pub fn written_by(&self) -> &str {
        &self.0.written_by
    }

    /// Paths and shapes of the parameters, as [`Adaptation`] names them.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.0.tensors.iter().map(|(path, data)| (path.clone(), data.shape.to_vec())).collect()
    }

    /// Returns the learned parameters as an adaptation. Parameters that were not trained are shared with the model.
    ///
    /// # Errors
    /// [`AssistError::OtherWeights`] if the card was made for other weights; [`AssistError::OtherShape`] if the model does not have exactly
    /// the card's parameters, in their shapes; [`AssistError::UnknownWeights`] if the model does not know the SHA-256 of its weights.
    pub fn adaptation<B: Backend>(&self, predictor: &SamPredictor<B>) -> Result<Adaptation<B>, AssistError> {
        self.adaptation_for(predictor, predictor.weights_sha256().ok_or(AssistError::UnknownWeights)?)
    }

    /// Returns the model with the learned parameters: applies [`PromptCard::adaptation`].
    ///
    /// # Errors
    /// As [`PromptCard::adaptation`].
    pub fn apply<B: Backend>(&self, predictor: &SamPredictor<B>) -> Result<SamPredictor<B>, AssistError> {
        Ok(self.adaptation(predictor)?.apply(predictor))
    }

    /// Like [`PromptCard::adaptation`], for a model whose weights have this SHA-256.
    ///
    /// # Errors
    /// As [`PromptCard::adaptation`].
    pub fn adaptation_for<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        weights_sha256: &str,
    ) -> Result<Adaptation<B>, AssistError> {
        self.check_weights(weights_sha256)?;
        let learning = &self.metadata().learning;
        let untrained = Adaptation::untrained(predictor, learning.trained, learning.members);
        Ok(parameters::fill(untrained, &self.0.tensors, &self.title())?.valid())
    }

    /// Like [`PromptCard::apply`], for a model whose weights have this SHA-256.
    ///
    /// # Errors
    /// As [`PromptCard::adaptation`].
    pub fn apply_for<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        weights_sha256: &str,
    ) -> Result<SamPredictor<B>, AssistError> {
        Ok(self.adaptation_for(predictor, weights_sha256)?.apply(predictor))
    }

    /// Checks that the card was made for these weights.
    ///
    /// # Errors
    /// [`AssistError::OtherWeights`] if the SHA-256, in hexadecimal, differs.
    pub fn check_weights(&self, sha256: &str) -> Result<(), AssistError> {
        check_weights(&self.title(), &self.metadata().weights_sha256, sha256)
    }

    /// Writes the card atomically.
    ///
    /// # Errors
    /// [`AssistError::Unwritable`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), AssistError> {
        FORMAT.save(&self.0, path.as_ref())
    }

    /// Reads a card.
    ///
    /// # Errors
    /// [`AssistError::Unreadable`]; [`AssistError::Corrupt`] if the file is damaged or not a card; [`AssistError::FormatVersion`] if it has
    /// another format version.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, AssistError> {
        FORMAT.load(path.as_ref(), check).map(Self)
    }

    /// Reads every card of a folder, by path. A card that cannot be read has its error instead.
    ///
    /// All files with the extension [`PromptCard::ENDING`] count as cards; subfolders are not entered.
    ///
    /// # Errors
    /// [`AssistError::Unreadable`] if the folder itself cannot be read.
    pub fn list(folder: impl AsRef<Path>) -> Result<BTreeMap<PathBuf, Result<Self, AssistError>>, AssistError> {
        let folder = folder.as_ref();
        let entries = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
        let paths = entries().map_err(|source| FORMAT.unreadable(folder, source))?;
        let cards = paths.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == Self::ENDING));
        Ok(cards.map(|path| (path.clone(), Self::load(path))).collect())
    }

    /// Name in error messages.
    fn title(&self) -> String {
        format!("the prompt card of {}", self.metadata().structure)
    }
}

/// Checks the content of a card.
fn check(content: &Content<CardMetadata>) -> Result<(), ContentError> {
    let Content { about, tensors, .. } = content;
    about.check()?;
    parameters::check_size(about.learning.trained, about.learning.members, tensors)?;
    check_finite(tensors)
}

/// Checks that `what` was learned with these weights.
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
