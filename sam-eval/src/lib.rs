//! Segmentation metrics on plain arrays, and tables of results.
//!
//! The crate knows masks and numbers, no models: it scores boolean masks of any dimension, sums the scores of a case up,
//! and turns the records of many runs into a table.
//!
//! | Module | Holds |
//! |---|---|
//! | `overlap` | [`Confusion`] counts, [`dice()`], [`iou()`], precision, recall, volumes, and what they are when both masks are empty ([`EmptyPolicy`]) |
//! | `surface` | [`SurfaceDistances`]: Hausdorff distance (HD, HD95), ASSD and normalised surface Dice (NSD), in millimetres |
//! | `instances` | [`InstanceOverlaps`]: objects of labelled images, told apart: aggregated Jaccard index (AJI), [`Detection`] with F1 and panoptic quality (PQ) |
//! | `distance` | the exact distance transform under them |
//! | `summary` | [`Summary`]: mean, standard deviation and median of the slices of a case |
//! | `failures` | [`failures()`]: who scored below a threshold, by name |
//! | `calibration` | [`Calibration`]: a model's own estimate of its intersection over union against the true one |
//! | `statistics` | [`bootstrap()`] intervals, [`Wilcoxon`]'s signed-rank test, [`holm`]'s correction |
//! | `ranks` | the ranks, percentiles and correlations under them |
//! | `interaction` | series of clicks: [`number_of_clicks`] (NoC), [`best_score`], [`InteractionSummary`] |
//! | [`protocol`] | the paper's protocols: which slices are learned from, which are tested, and who prompts them |
//! | `record` | [`Record`]: one run on one structure of one case, as one line of JSON |
//! | `table` | [`ResultsTable`]: records aggregated over repeats; [`InteractionTable`]: what clicks reached, and how many were needed |
//! | `lines` | both as Markdown or aligned text |
//! | [`report`] | [`Report`](report::Report): tables, plots and pictures as one page (HTML), Markdown and CSV (feature `report`, on by default) |
//! | `error` | [`EvalError`] |
//!
//! An undefined score is never a number that could slip into a mean: a metric gives NaN, a summary counts it in
//! [`Summary::undefined`], JSON says `null`.
//!
//! # Example
//!
//! ```
//! use ndarray::array;
//! use sam_eval::{EmptyPolicy, Summary, dice};
//!
//! let truth = [array![[true, true], [false, false]], array![[false, false], [false, false]]];
//! let predicted = [array![[true, false], [false, false]], array![[false, false], [false, false]]];
//!
//! let mut scores = Vec::new();
//! for (predicted, truth) in predicted.iter().zip(&truth) {
//!     scores.push(dice(predicted, truth, EmptyPolicy::Nan)?);
//! }
//! let summary = Summary::of(scores);
//! assert_eq!(summary.mean, Some(2.0 / 3.0));
//! assert_eq!((summary.n, summary.undefined), (1, 1)); // nothing to find on the second slice
//! # Ok::<(), sam_eval::EvalError>(())
//! ```

#![forbid(unsafe_code)]

mod calibration;
mod distance;
mod error;
mod failures;
mod instances;
mod interaction;
mod lines;
mod overlap;
pub mod protocol;
mod ranks;
mod record;
#[cfg(feature = "report")]
pub mod report;
mod statistics;
mod summary;
mod surface;
mod table;

pub use calibration::{Calibration, CalibrationBin};
pub use error::EvalError;
pub use failures::{Failures, failures};
pub use instances::{Detection, InstanceOverlaps};
pub use interaction::{InteractionSummary, Noc, best_score, number_of_clicks};
pub use overlap::{Confusion, EmptyPolicy, dice, iou};
pub use record::{Record, SliceScore};
pub use statistics::{BootstrapConfig, ConfidenceInterval, Wilcoxon, WilcoxonMethod, bootstrap, bootstrap_mean, holm};
pub use summary::Summary;
pub use surface::{PercentileOf, SurfaceDistances};
pub use table::{Cell, Column, InteractionTable, ResultsTable, Row, Spread};
