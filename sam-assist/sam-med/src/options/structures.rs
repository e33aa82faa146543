//! Options of a scan's structures, for `annotate` and `review`: names, window, axis, cards.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use sam_annotate::cards;
use sam_assist::PromptCard;
use sam_data::{LabelTable, SliceAxis, Window};
use sam_files::{LossyPath, OutputPlan};
use serde::Serialize;

/// Names, window, axis and cards of a scan's structures.
#[derive(Debug, Clone, Args, Serialize)]
#[command(next_help_heading = "Structures, and what is learned of them")]
pub struct StructureOptions {
    /// Names of the label values: JSON such as {"1": "liver"}
    #[arg(long, value_name = "FILE")]
    pub labels: Option<LossyPath>,
    /// Prompt cards, one for each label value in rising order
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub card: Vec<LossyPath>,
    /// auto, abdomen, lung, brain, bone, percentile or LO:HI
    #[arg(long, default_value = "auto", allow_hyphen_values = true, hide_default_value = true)]
    pub window: Window,
    /// Axis of the slices: auto, axial, coronal, sagittal, i, j or k
    #[arg(long, default_value = "auto", hide_default_value = true)]
    pub axis: SliceAxis,
}

impl StructureOptions {
    /// Adds names and cards to the inputs of a plan.
    pub fn plan(&self, plan: OutputPlan) -> OutputPlan {
        plan.inputs("--labels", &self.labels).inputs("--card", &self.card)
    }

    /// Names of the structures, by label value; empty if no file is given.
    ///
    /// # Errors
    /// If the file cannot be read or is not a table of names.
    pub fn names(&self) -> Result<BTreeMap<u16, String>> {
        let Some(path) = &self.labels else { return Ok(BTreeMap::new()) };
        let table = LabelTable::read(path)?;
        let structures = table.structures().into_iter();
        let named = structures.flat_map(|structure| structure.values);
        Ok(named.filter_map(|value| Some((value, table.name(value)?.to_owned()))).collect())
    }

    /// The cards, for a model with these weights.
    ///
    /// # Errors
    /// If a card cannot be read, or was made for other weights.
    pub fn cards(&self, weights_sha256: &str) -> Result<Vec<PromptCard>> {
        Ok(cards::load(&self.card, weights_sha256)?)
    }
}
