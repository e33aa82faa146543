//! Corrections that a person returns after a round, and why they are refused.

use std::collections::BTreeMap;

use sam_data::{GridMismatch, LabelVolume};
use sam_prompt::SliceNumber;
use thiserror::Error;

use crate::{EmptySlices, MinOutline, SliceList, session::SessionError};

/// Corrections that a person returns after a round: usually a corrected copy of the mask, and lists of slices.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Corrections {
    /// Before the first round, a label map with a few outlined slices; later, the last mask with a few corrected slices.
    pub labels: Option<LabelVolume>,
    /// Slices of the last mask that are correct.
    pub accept: SliceList,
    /// Slices of the last mask that are wrong.
    pub reject: SliceList,
    /// Slices that show none of the structures, or not one of them.
    pub empty: EmptySlices,
    /// Whether every structure is outlined on each outlined slice. After a round, a corrected slice is complete in any case.
    pub complete: bool,
    /// Smaller outlines do not count.
    pub min_outline: MinOutline,
    /// Names of structures, by label value: a new value is added to the session, a known one is renamed.
    pub names: BTreeMap<u16, String>,
}

impl Corrections {
    /// No corrections.
    pub fn none() -> Self {
        Self::default()
    }

    /// Sets the label map: a few outlined slices before the first round, a corrected copy of the last mask afterwards.
    #[must_use]
    pub fn with_labels(self, labels: LabelVolume) -> Self {
        Self { labels: Some(labels), ..self }
    }

    /// Sets the slices of the last mask that are correct, counted from 0.
    #[must_use]
    pub fn with_accepted(self, slices: impl IntoIterator<Item = usize>) -> Self {
        Self { accept: slices.into_iter().collect(), ..self }
    }

    /// Sets the slices of the last mask that are wrong, counted from 0.
    #[must_use]
    pub fn with_rejected(self, slices: impl IntoIterator<Item = usize>) -> Self {
        Self { reject: slices.into_iter().collect(), ..self }
    }

    /// Sets the slices that show none of the structures, counted from 0.
    #[must_use]
    pub fn with_empty(mut self, slices: impl IntoIterator<Item = usize>) -> Self {
        self.empty.all = slices.into_iter().collect();
        self
    }

    /// Sets the slices that show none of the structures, or not one of them.
    #[must_use]
    pub fn with_empty_slices(self, empty: EmptySlices) -> Self {
        Self { empty, ..self }
    }

    /// Sets whether every structure is outlined on each outlined slice.
    #[must_use]
    pub fn with_complete(self, complete: bool) -> Self {
        Self { complete, ..self }
    }

    /// Sets how small an outline may be.
    #[must_use]
    pub fn with_min_outline(self, min_outline: MinOutline) -> Self {
        Self { min_outline, ..self }
    }

    /// Sets names of structures, by label value: a new value is added to the session, a known one is renamed.
    #[must_use]
    pub fn with_names(self, names: impl IntoIterator<Item = (u16, String)>) -> Self {
        Self { names: names.into_iter().filter(|&(label, _)| label != 0).collect(), ..self }
    }
}

/// Why corrections are refused: they contradict themselves or the session.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DecisionError {
    /// The label map is not on the scan's grid.
    #[error("the label map does not lie on the grid of {scan}; resample it onto the scan's grid")]
    OtherGrid {
        /// The scan's name.
        scan: String,
        /// What differs.
        #[source]
        source: GridMismatch,
    },
    /// A slice is listed as empty, and the label map has an outline there.
    #[error(
        "slice {} is listed as empty for all structures, but the label map has an outline there; do one of both, or list it as empty for \
         one structure", SliceNumber::of_index(*slice)
    )]
    OutlinedAndEmpty {
        /// The slice, counted from 0.
        slice: usize,
    },
    /// A slice is listed as empty for a structure that is outlined there.
    #[error(
        "slice {} is listed as empty for {structure}, but has an outline of it; do one of both", SliceNumber::of_index(*slice)
    )]
    OutlinedAndAbsent {
        /// The slice, counted from 0.
        slice: usize,
        /// The structure's name.
        structure: String,
    },
    /// Slices are listed as empty for a structure that the session does not have.
    #[error(
        "slices are listed as empty for the label value {value}, but the session has {structures}; use one of its values"
    )]
    NoSuchStructure {
        /// The label value.
        value: u16,
        /// The session's structures.
        structures: String,
    },
    /// A slice is accepted and rejected.
    #[error("slice {} is accepted and rejected at the same time; do one of both", SliceNumber::of_index(*slice))]
    AcceptedAndRejected {
        /// The slice, counted from 0.
        slice: usize,
    },
    /// A slice is corrected and rejected.
    #[error("slice {} is corrected and rejected at the same time; do one of both", SliceNumber::of_index(*slice))]
    CorrectedAndRejected {
        /// The slice, counted from 0.
        slice: usize,
    },
    /// Two structures would have the same name, so results could not tell them apart.
    #[error(
        "the label values {} and {} would both be called {name:?}; give each structure a name of its own in the file of names",
        labels[0], labels[1]
    )]
    SameName {
        /// The name.
        name: String,
        /// The label values.
        labels: [u16; 2],
    },
    /// The label map has only a few outlines, so all other slices would count as emptied.
    #[error(
        "the label map keeps no slice of the last mask, and has nothing on slices {emptied}; correct a copy of the last mask instead of a \
         map of outlines alone, or list these slices as empty if nothing is on them"
    )]
    NotACorrectedMask {
        /// The slices that would be emptied.
        emptied: SliceList,
    },
    /// The session cannot be read or written.
    #[error(transparent)]
    Session(#[from] SessionError),
}
