//! The prompt card: what was learned, kept for other scans.

mod file;
mod metadata;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use burn::{
    module::{Module, ParamId},
    tensor::{DType, TensorData, backend::Backend},
};
use burn_store::{ModuleSnapshot, TensorSnapshot};
use sam_core::{KeyMismatch, write_whole};

use crate::AssistError;
pub use metadata::{CardMetadata, TrainingSlices};

/// What was learned about one structure, with all that is needed to use it again.
///
/// A card holds the parameters of whatever module was learned, by their paths in it: a prompt encoder takes some 30 KB. As a file it
/// is safetensors, with the metadata as JSON in the header, and is read without running any code; a damaged one is refused.
#[derive(Debug, Clone, PartialEq)]
pub struct PromptCard {
    metadata: CardMetadata,
    /// Name and version of the crate that made it.
    written_by: String,
    /// Parameters by their paths, in f32.
    tensors: BTreeMap<String, TensorData>,
}

impl PromptCard {
    /// Ending of the files' names.
    pub const ENDING: &str = "safetensors";

    /// Puts a learned module on a card.
    ///
    /// Its float parameters are kept; integers and flags are the module's shape, not learned. Hand in the learned part alone, not
    /// the whole model.
    ///
    /// # Errors
    /// [`AssistError::CardContent`] if the metadata make no sense, if the module has no parameter, or if one is not finite.
    pub fn of<B: Backend, M: Module<B>>(metadata: CardMetadata, module: &M) -> Result<Self, AssistError> {
        let refuse = |reason| AssistError::CardContent { structure: metadata.structure.clone(), reason };
        let value = |tensor: &TensorSnapshot| match tensor.to_data() {
            Ok(data) => Ok((tensor.full_path(), data.convert_dtype(DType::F32))),
            Err(error) => Err(refuse(format!("{} cannot be read: {error:?}", tensor.full_path()))),
        };
        let tensors = parameters(module).iter().map(value).collect::<Result<_, _>>()?;
        let written_by = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned();
        let card = Self { metadata: metadata.clone(), written_by, tensors };
        card.check().map_err(refuse)?;
        Ok(card)
    }

    /// What the card says of itself.
    pub fn metadata(&self) -> &CardMetadata {
        &self.metadata
    }

    /// Name and version of the crate that made it.
    pub fn written_by(&self) -> &str {
        &self.written_by
    }

    /// Paths and shapes of the parameters.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.tensors.iter().map(|(path, data)| (path.clone(), data.shape.to_vec())).collect()
    }

    /// Fills a module with the card's parameters; the module's own values are gone.
    ///
    /// # Errors
    /// [`AssistError::CardMismatch`] if the module does not have exactly the card's parameters, in their shapes.
    pub fn apply_to<B: Backend, M: Module<B>>(&self, mut module: M) -> Result<M, AssistError> {
        let mismatch = self.compare(&module);
        if !mismatch.is_empty() {
            let structure = self.metadata.structure.clone();
            return Err(AssistError::CardMismatch { structure, mismatch: Box::new(mismatch) });
        }
        let snapshot = |(path, data): (&String, &TensorData)| {
            let path = path.split('.').map(str::to_owned).collect();
            TensorSnapshot::from_data(data.clone(), path, Vec::new(), ParamId::new())
        };
        // Nothing can be left over: paths and shapes were compared above.
        module.apply(self.tensors.iter().map(snapshot).collect(), None, None, false);
        Ok(module)
    }

    /// Refuses weights that the card was not made for: what it learned means nothing to them.
    ///
    /// # Errors
    /// [`AssistError::OtherWeights`] if the SHA-256, in hexadecimal, is another one.
    pub fn check_weights(&self, sha256: &str) -> Result<(), AssistError> {
        let CardMetadata { structure, weights_sha256, .. } = &self.metadata;
        if weights_sha256.eq_ignore_ascii_case(sha256) {
            return Ok(());
        }
        let start = |hash: &str| hash.chars().take(12).collect();
        Err(AssistError::OtherWeights {
            structure: structure.clone(),
            card: start(weights_sha256),
            model: start(sha256),
        })
    }

    /// Writes the card, whole or not at all.
    ///
    /// # Errors
    /// [`AssistError::CardUnwritable`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), AssistError> {
        let path = path.as_ref();
        let write = || write_whole(path, &file::to_bytes(self).map_err(io::Error::other)?);
        write().map_err(|source| AssistError::CardUnwritable { path: path.to_path_buf(), source })
    }

    /// Reads a card.
    ///
    /// # Errors
    /// [`AssistError::CardUnreadable`]; [`AssistError::NotACard`] if the file holds something else or is damaged;
    /// [`AssistError::CardVersion`] if it is of another format.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, AssistError> {
        let path = path.as_ref();
        let bytes = file::read(path)?;
        file::from_bytes(&bytes).map_err(|flaw| flaw.at(path))
    }

    /// Every card of a folder by its path, those that cannot be read with the reason why.
    ///
    /// All files that end in [`PromptCard::ENDING`] are taken for cards; folders within are not entered.
    ///
    /// # Errors
    /// [`AssistError::CardUnreadable`] if the folder itself cannot be read.
    pub fn list(folder: impl AsRef<Path>) -> Result<BTreeMap<PathBuf, Result<Self, AssistError>>, AssistError> {
        let folder = folder.as_ref();
        let entries = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
        let paths = entries().map_err(|source| AssistError::CardUnreadable { path: folder.to_path_buf(), source })?;
        let cards = paths.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == Self::ENDING));
        Ok(cards.map(|path| (path.clone(), Self::load(path))).collect())
    }

    /// Says what is wrong with it, if anything is.
    fn check(&self) -> Result<(), String> {
        self.metadata.check()?;
        if self.tensors.is_empty() {
            return Err("it holds no parameter".to_owned());
        }
        let is_finite = |data: &TensorData| data.iter::<f32>().all(f32::is_finite);
        match self.tensors.iter().find(|(_, data)| !is_finite(data)) {
            Some((path, _)) => Err(format!("its parameter {path} holds values that are no numbers")),
            None => Ok(()),
        }
    }

    /// How the card's parameters differ from a module's.
    fn compare<B: Backend>(&self, module: &impl Module<B>) -> KeyMismatch {
        let mut unexpected = self.shapes();
        let mut mismatch = KeyMismatch::default();
        for tensor in parameters(module) {
            let (path, needed) = (tensor.full_path(), tensor.shape.to_vec());
            match unexpected.remove(&path) {
                None => mismatch.missing.push((path, needed, None)),
                Some(found) if found != needed => mismatch.reshaped.push((path, needed, found)),
                Some(_) => {}
            }
        }
        mismatch.unexpected = unexpected.into_iter().collect();
        mismatch
    }
}

/// A module's float parameters.
fn parameters<B: Backend>(module: &impl Module<B>) -> Vec<TensorSnapshot> {
    module.collect(None, None, false).into_iter().filter(|tensor| tensor.dtype.is_float()).collect()
}
