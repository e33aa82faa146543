//! Options of the scans for evaluation and their preparation.

use clap::Args;
use sam_data::{KnownSet, PhantomKind, SliceAxis, Window};
use sam_experiments::{CaseSelection, DataSource};
use sam_files::{LossyPath, OutputPlan};
use serde::Serialize;

/// A folder of scans with masks, or synthetic ones, and how they are cut into slices.
#[derive(Debug, Clone, Default, Args, Serialize)]
#[command(next_help_heading = "Data")]
pub struct DataOptions {
    /// Folder of case folders, of one volume, or of images/ and masks/
    #[arg(long, value_name = "DIR", required_unless_present = "phantom")]
    pub data: Option<LossyPath>,
    /// Known data set in the folder, as README lists them
    #[arg(long, value_name = "NAME", requires = "data")]
    pub set: Option<KnownSet>,
    /// Synthetic data: abdomen, spinal-cord, kidney-ultrasound or nuclei
    #[arg(long, value_name = "KIND", conflicts_with_all = ["data", "set"])]
    pub phantom: Option<PhantomKind>,
    /// all, or by name or label value: "liver,spleen,cord=1+2"
    #[arg(long)]
    pub structures: Option<String>,
    /// auto, abdomen, lung, brain, bone, minmax, percentile or LO:HI
    #[arg(long, allow_hyphen_values = true)]
    pub window: Option<Window>,
    /// Axis of the slices: auto, axial, coronal, sagittal, i, j or k
    #[arg(long, default_value = "auto", hide_default_value = true)]
    pub axis: SliceAxis,
}

impl DataOptions {
    /// Adds the data to the inputs of a plan.
    pub fn plan(&self, plan: OutputPlan) -> OutputPlan {
        self.data.iter().fold(plan, |plan, folder| plan.input("--data", folder))
    }

    /// The cases, as protocols use them.
    pub fn cases(&self) -> CaseSelection {
        let source = match (&self.data, self.phantom) {
            (Some(folder), _) => DataSource::folder(&**folder, self.set),
            (None, Some(kind)) => DataSource::phantom(kind),
            (None, None) => DataSource::default(),
        };
        let source = source.with_structures(self.structures.clone()).with_window(self.window);
        CaseSelection::new(source, self.axis)
    }
}
