//! Metadata of a prompt card.

use sam_core::SamConfig;
use serde::{Deserialize, Serialize};

use super::is_sha256;
use crate::{AssistConfig, ContentError};

/// Metadata of a [`PromptCard`](super::PromptCard): where it may be used, and how it was made.
///
/// The caller provides every field, including the date. No clock is read here, so the same learning gives the same file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CardMetadata {
    /// The structure that was learned.
    pub structure: String,
    /// Name of the intensity window, such as `abdomen` or `-160:240`. Other scans must use the same window; `auto` means that each has its own.
    pub window: String,
    /// Shape and preprocessing of the model.
    pub model: SamConfig,
    /// SHA-256 of the model's weights: 64 hexadecimal digits.
    pub weights_sha256: String,
    /// Configuration of the learning.
    pub learning: AssistConfig,
    /// The slices that it was learned from.
    pub training: TrainingSlices,
    /// The slices of earlier scans, first to last, if the card was improved: see [`PromptCard::improved`](super::PromptCard::improved).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<TrainingSlices>,
    /// Mean Dice of [`self_check`](crate::self_check); `None` if it was not run.
    pub self_check_dice: Option<f64>,
    /// Date or time of the learning, preferably in RFC 3339.
    pub created: Option<String>,
}

/// The slices that a card was learned from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrainingSlices {
    /// Name of the scan.
    pub scan: String,
    /// The axis along which the scan was sliced: an anatomical plane such as `axial`, or `i`, `j`, `k` for a voxel axis.
    pub axis: String,
    /// The slices that show the structure, counted from 0.
    pub indices: Vec<usize>,
    /// Number of annotated slices, including those without the structure.
    pub annotated: usize,
}

crate::__setters!(CardMetadata {
    with_learning => learning: AssistConfig,
    with_self_check_dice => self_check_dice: Option<f64>,
    with_created => created: Option<String>,
});

impl TrainingSlices {
    /// The training slices of a scan. The slices in `indices` show the structure; `annotated` is the number of all annotated slices.
    pub fn new(scan: impl Into<String>, axis: impl Into<String>, indices: Vec<usize>, annotated: usize) -> Self {
        Self { scan: scan.into(), axis: axis.into(), indices, annotated }
    }
}

impl CardMetadata {
    /// Metadata without a self-check or a date.
    pub fn new(
        structure: impl Into<String>,
        window: impl Into<String>,
        model: SamConfig,
        weights_sha256: impl Into<String>,
        learning: AssistConfig,
        training: TrainingSlices,
    ) -> Self {
        Self {
            structure: structure.into(),
            window: window.into(),
            model,
            weights_sha256: weights_sha256.into(),
            learning,
            training,
            earlier: Vec::new(),
            self_check_dice: None,
            created: None,
        }
    }

    /// The slices of every scan that it was learned from, first to last.
    pub fn scans(&self) -> impl Iterator<Item = &TrainingSlices> {
        self.earlier.iter().chain([&self.training])
    }

    /// Checks the metadata.
    pub(super) fn check(&self) -> Result<(), ContentError> {
        let scans = self.scans().flat_map(|training| [("scan", &training.scan), ("axis", &training.axis)]);
        let texts = [("structure", &self.structure), ("window", &self.window)].into_iter().chain(scans);
        let mut texts = texts.chain(self.created.iter().map(|created| ("time of creation", created)));
        // Cards come from other people, and their texts are printed on terminals.
        if let Some((what, _)) = texts.find(|(_, text)| text.contains(char::is_control)) {
            return Err(ContentError::ControlCharacters { what });
        }
        if self.structure.trim().is_empty() {
            return Err(ContentError::NoName);
        }
        let hash = &self.weights_sha256;
        if !is_sha256(hash) {
            return Err(ContentError::NoSha256 { what: "its weights' SHA-256", found: hash.clone() });
        }
        self.learning.check_stored()?;
        match self.self_check_dice {
            Some(found) if !(0.0..=1.0).contains(&found) => Err(ContentError::Dice { found }),
            _ => Ok(()),
        }
    }
}
