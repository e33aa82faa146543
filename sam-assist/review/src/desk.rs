//! The interface between the review page and the program behind it.

use sam_annotate::NextAction;
use sam_prompt::{
    Prompts,
    ndarray::{Array2, Array3},
};
use serde::{Deserialize, Serialize};

use crate::{DeskError, RankedSlice};

/// The actions of a person at the review page, as the program behind the page implements them.
///
/// The page's server checks every slice, structure and coordinate first: slices are below the length of [`Overview::slices`], structures
/// are among [`Overview::structures`], and prompts are inside the slice. It also refuses a decision about labels that the page shows as they
/// were, by [`SliceOverview::version`]; so a desk must give a slice a new version whenever its labels or its state change.
pub trait Desk: Send + Sync {
    /// Everything that the page shows except the slices themselves.
    fn overview(&self) -> Overview;

    /// A slice as the model sees it, in 8-bit levels: `[rows, columns, channels]`, one channel for grey and three for colour.
    ///
    /// # Errors
    /// If the slice cannot be read.
    fn image(&self, slice: usize) -> Result<Array3<u8>, DeskError>;

    /// The current label values of a slice: `[rows, columns]`.
    ///
    /// # Errors
    /// If the slice cannot be read.
    fn labels(&self, slice: usize) -> Result<Array2<u16>, DeskError>;

    /// Reports which slice the person views now, so that the next click can be prepared.
    fn viewing(&mut self, slice: usize);

    /// Proposes the outline of a structure on a slice. Nothing is kept until [`Decision::Keep`]; the next proposal replaces this one.
    ///
    /// # Errors
    /// If the model fails.
    fn propose(&mut self, slice: usize, structure: u16, prompts: &Prompts) -> Result<Proposal, DeskError>;

    /// Decides on a slice.
    ///
    /// # Errors
    /// [`DeskError::NotNow`] if there is no proposal to keep; [`DeskError::Store`] if the decision cannot be stored.
    fn decide(&mut self, slice: usize, decision: Decision) -> Result<(), DeskError>;

    /// Undoes the last decision and returns its slice; `None` if there is none.
    ///
    /// # Errors
    /// If the undo cannot be stored.
    fn undo(&mut self) -> Result<Option<usize>, DeskError>;

    /// Writes the mask on the scan's own grid, completely or not at all.
    ///
    /// # Errors
    /// If it cannot be written. Nothing is lost, and saving can be tried again.
    fn save(&mut self) -> Result<Saved, DeskError>;
}

/// A scan under review.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Overview {
    /// The scan's name.
    pub name: String,
    /// The path of the mask file.
    pub out: String,
    /// Rows of a slice.
    pub rows: usize,
    /// Columns of a slice.
    pub columns: usize,
    /// Distance between rows and between columns, in mm.
    pub spacing_mm: (f64, f64),
    /// The structures that can be segmented.
    pub structures: Vec<StructureOverview>,
    /// The state of each slice.
    pub slices: Vec<SliceOverview>,
    /// The slices in the order of review; those that need it most come first.
    pub ranking: Vec<RankedSlice>,
    /// What to do next; `None` if no slice with a trust is without a decision.
    pub next: Option<NextAction>,
    /// What the round that computed the mask changed; `None` if it was not compared with a round before.
    pub changes: Option<RoundChanges>,
    /// The highest [`SliceOverview::version`]. The page names it when it undoes or saves.
    pub revision: u64,
    /// Number of changes that would be lost if the program stopped without saving.
    pub unsaved: usize,
    /// Whether there is a decision to undo.
    pub can_undo: bool,
}

impl Overview {
    /// A scan whose mask is written to `out`, with slices of `rows` x `columns` pixels; no slice is ranked, and nothing is unsaved.
    pub fn new(
        name: impl Into<String>,
        out: impl Into<String>,
        (rows, columns): (usize, usize),
        spacing_mm: (f64, f64),
        structures: Vec<StructureOverview>,
        slices: Vec<SliceOverview>,
    ) -> Self {
        let (name, out) = (name.into(), out.into());
        let revision = slices.iter().map(|slice| slice.version).max().unwrap_or_default();
        Self {
            name,
            out,
            rows,
            columns,
            spacing_mm,
            structures,
            slices,
            ranking: Vec::new(),
            next: None,
            changes: None,
            revision,
            unsaved: 0,
            can_undo: false,
        }
    }

    /// This overview with a ranking; the slices that need review most come first.
    #[must_use]
    pub fn with_ranking(self, ranking: Vec<RankedSlice>) -> Self {
        Self { ranking, ..self }
    }

    /// This overview with the number of unsaved changes, and whether there is a decision to undo.
    #[must_use]
    pub fn with_changes(self, unsaved: usize, can_undo: bool) -> Self {
        Self { unsaved, can_undo, ..self }
    }
}

/// What a round of learning changed in the mask of the round before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RoundChanges {
    /// For people: what was segmented again, what was kept, and why.
    pub text: String,
    /// The slices that were segmented again, in ascending order.
    pub renewed: Vec<usize>,
}

impl RoundChanges {
    /// Slices that were segmented again, in ascending order, and what changed as text for people.
    pub fn new(text: impl Into<String>, renewed: Vec<usize>) -> Self {
        Self { text: text.into(), renewed }
    }
}

/// A structure of the scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StructureOverview {
    /// Its label value.
    pub value: u16,
    /// Its name.
    pub name: String,
    /// Its colour on the page, `#rrggbb`.
    pub colour: String,
}

impl StructureOverview {
    /// A structure with its colour on the page, `#rrggbb`.
    pub fn new(value: u16, name: impl Into<String>, colour: impl Into<String>) -> Self {
        Self { value, name: name.into(), colour: colour.into() }
    }
}

/// The state of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SliceOverview {
    /// The decision on the slice.
    pub state: SliceState,
    /// Whether the slice shows no structure.
    pub is_blank: bool,
    /// The number of the last decision or undo that changed this slice; 0 if there was none. All slices are counted together, from 1. A
    /// decision names the version that the page showed, and is refused if the slice has another one by then.
    pub version: u64,
}

impl SliceOverview {
    /// A slice in a state, `is_blank` if it shows no structure, and the number of the last change to it.
    pub fn new(state: SliceState, is_blank: bool, version: u64) -> Self {
        Self { state, is_blank, version }
    }
}

/// The decision on a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SliceState {
    /// No decision yet: its labels were computed.
    Predicted,
    /// A person drew it, by clicks and boxes.
    Drawn,
    /// A person found its labels right.
    Accepted,
    /// A person found its labels wrong. They are still shown, but not written.
    Rejected,
    /// A person found that it shows no structure.
    Empty,
}

/// What a person decides on a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Keep the proposal as the slice's labels.
    Keep,
    /// The present labels are right.
    Accept,
    /// The labels are wrong.
    Reject,
    /// No structure is here.
    Empty,
}

/// A proposed outline.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Proposal {
    /// The labels of the slice if the proposal is kept, of all structures: `[rows, columns]`.
    pub labels: Array2<u16>,
    /// The IoU that the model predicts for it.
    pub predicted_iou: f32,
}

impl Proposal {
    /// The labels of the slice if the proposal is kept, `[rows, columns]`, and the IoU that the model predicts.
    pub fn new(labels: Array2<u16>, predicted_iou: f32) -> Self {
        Self { labels, predicted_iou }
    }
}

/// A mask file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Saved {
    /// Its path.
    pub path: String,
    /// Rejected slices, which were left blank in the mask.
    pub left_out: Vec<usize>,
    /// Why the mask has another path than before, for the person to read.
    pub note: Option<String>,
}

impl Saved {
    /// A mask at a path, and the rejected slices that were left blank in it.
    pub fn new(path: impl Into<String>, left_out: Vec<usize>) -> Self {
        Self { path: path.into(), left_out, note: None }
    }

    /// This mask with the reason for its path, if that is not the path of before.
    #[must_use]
    pub fn with_note(self, note: Option<String>) -> Self {
        Self { note, ..self }
    }
}
