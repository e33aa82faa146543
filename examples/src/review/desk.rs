//! What a person does at the review page, whoever keeps it.

use anyhow::Error;
use ndarray::{Array2, Array3};
use sam_prompt::{Prompts, ndarray};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Ranked;

/// What a person does at the review page.
///
/// The page's server checks every slice, structure and coordinate before it asks: slices are below [`Overview::slices`]' length,
/// structures are among [`Overview::structures`], and prompts lie on the slice.
pub trait Desk: Send {
    /// All that the page shows beside the slices themselves.
    fn overview(&self) -> Overview;

    /// A slice as the network sees it, 8-bit levels: `[rows, columns, channels]`, one channel for grey and three for colour.
    ///
    /// # Errors
    /// If the slice cannot be read.
    fn image(&self, slice: usize) -> Result<Array3<u8>, DeskError>;

    /// The label values of a slice as they stand: `[rows, columns]`.
    ///
    /// # Errors
    /// If the slice cannot be read.
    fn labels(&self, slice: usize) -> Result<Array2<u16>, DeskError>;

    /// Says which slice the person looks at, so that the next click can be prepared.
    fn look(&mut self, slice: usize);

    /// Proposes a structure's outline on a slice. Nothing is kept until it is decided on; a further answer takes the place of the last.
    ///
    /// # Errors
    /// If the model fails.
    fn answer(&mut self, slice: usize, structure: u16, prompts: &Prompts) -> Result<Answer, DeskError>;

    /// Decides on a slice.
    ///
    /// # Errors
    /// [`DeskError::NotNow`] if a proposal is to be kept and there is none; [`DeskError::Failed`] if the decision cannot be kept.
    fn decide(&mut self, slice: usize, decision: Decision) -> Result<(), DeskError>;

    /// Takes the last decision back, and gives its slice; `None` where there is none.
    ///
    /// # Errors
    /// If that cannot be kept.
    fn undo(&mut self) -> Result<Option<usize>, DeskError>;

    /// Writes the mask, whole or not at all, on the scan's own grid.
    ///
    /// # Errors
    /// If it cannot be written; then nothing is lost, and it may be tried again.
    fn save(&mut self) -> Result<Saved, DeskError>;
}

/// Why something was not done at a desk.
#[derive(Debug, Error)]
pub enum DeskError {
    /// As things stand it cannot be done; the message says why.
    #[error("{0}")]
    NotNow(String),
    /// It was tried, and failed.
    #[error("{0:#}")]
    Failed(#[from] Error),
}

/// A scan under review.
#[derive(Debug, Clone, Serialize)]
pub struct Overview {
    /// The scan's name.
    pub name: String,
    /// Where the mask goes.
    pub out: String,
    /// Rows of a slice.
    pub rows: usize,
    /// Columns of a slice.
    pub columns: usize,
    /// Distance between rows and between columns, in mm.
    pub spacing_mm: (f64, f64),
    /// What can be segmented.
    pub structures: Vec<StructureOverview>,
    /// How each slice stands.
    pub slices: Vec<SliceOverview>,
    /// Slices to look at, those that need it most first.
    pub ranking: Vec<Ranked>,
    /// How many changes would be lost if the program stopped without saving.
    pub unsaved: usize,
    /// Whether there is a decision to take back.
    pub can_undo: bool,
}

/// A structure of the scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StructureOverview {
    /// Its label value.
    pub value: u16,
    /// Its name.
    pub name: String,
    /// Its colour on the page, `#rrggbb`.
    pub colour: String,
}

/// How a slice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SliceOverview {
    /// What was decided.
    pub state: SliceState,
    /// Whether no structure is on it.
    pub is_blank: bool,
}

/// What was decided on a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SliceState {
    /// Nothing so far: its labels are a program's.
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
    /// Keep the proposal.
    Keep,
    /// The labels are right as they stand.
    Accept,
    /// The labels are wrong.
    Reject,
    /// No structure is here.
    Empty,
}

/// A proposed outline.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The label values that the slice would have, of all structures: `[rows, columns]`.
    pub labels: Array2<u16>,
    /// The model's own guess of its IoU.
    pub predicted_iou: f32,
}

/// A mask that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Saved {
    /// Where.
    pub path: String,
    /// Rejected slices, of which nothing was written.
    pub left_out: Vec<usize>,
}
