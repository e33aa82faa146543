//! The review's command line.

use std::path::PathBuf;

use clap::Parser;
use sam_data::{SliceAxis, Window};
use serde::Serialize;

use crate::{backend::BackendChoice, disk_cache::CacheOptions, scan::ScanOptions, weights::ModelOptions};

/// Review a mask in a browser.
#[derive(Debug, Parser, Serialize)]
pub struct Options {
    /// Which scan.
    #[command(flatten)]
    #[serde(flatten)]
    pub scan: ScanOptions,
    /// The mask to review: a label map on the scan's grid.
    #[arg(long, value_name = "FILE", required_unless_present = "session")]
    pub mask: Option<PathBuf>,
    /// Folder of a session that `annotate` began: its mask is reviewed, with its structures, cards and ranking, and each decision is kept
    /// there at once. The next `annotate --session` learns from them.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["mask", "labels", "card", "ranking", "window", "axis"])]
    pub session: Option<PathBuf>,
    /// Names of the label values: a JSON file such as {"1": "liver"}. Structures that the mask does not show yet can be drawn, too.
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Prompt cards that say what a click means: one for each structure, in rising order of the label values.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub card: Vec<PathBuf>,
    /// Slices to look at first: a JSON file such as [{"slice": 3, "trust": 0.2}].
    #[arg(long, value_name = "FILE")]
    pub ranking: Option<PathBuf>,
    /// Intensity window: auto (with cards: theirs), abdomen, lung, brain, bone, percentile, or LO:HI.
    #[arg(long, default_value = "auto", allow_hyphen_values = true)]
    pub window: Window,
    /// Axis along which the scan is cut: auto, axial, coronal, sagittal, i, j or k.
    #[arg(long, default_value = "auto")]
    pub axis: SliceAxis,
    /// Port of this machine under which the page is served; 0 takes any that is free.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Which model.
    #[command(flatten)]
    #[serde(flatten)]
    pub model: ModelOptions,
    /// Embeddings on disk.
    #[command(flatten)]
    pub cache: CacheOptions,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    pub backend: BackendChoice,
}
