//! Segmentation metrics on plain arrays, statistics, the paper's test protocols, and reports.
//!
//! The crate does not depend on a model: it scores boolean masks of any dimension, summarises the scores of a case, and makes tables of
//! the records of many runs.
//!
//! - [`Confusion`], [`dice()`], [`iou()`]: overlap, precision, recall and volumes, with an explicit policy for empty masks
//!   ([`EmptyPolicy`]).
//! - [`SurfaceDistances`]: Hausdorff distance (HD, HD95), ASSD and normalised surface Dice (NSD), in millimetres.
//! - [`InstanceOverlaps`]: metrics of labelled instances: aggregated Jaccard index (AJI), [`Detection`] with F1 and panoptic quality
//!   (PQ).
//! - [`MaskScore`]: masks predicted without prompts, on slices with and without the structure.
//! - [`Summary`]: mean, standard deviation and median; [`failures()`]: the slices below a threshold.
//! - [`Calibration`]: a model's estimate of its intersection over union against the true one.
//! - [`bootstrap()`] intervals, [`Wilcoxon`]'s signed-rank test, [`holm`]'s correction.
//! - [`number_of_clicks`] (NoC), [`best_score`], [`InteractionSummary`]: series of clicks.
//! - [`protocol`]: the paper's protocols: which slices are annotated, which are tested, and with which prompts.
//! - [`Record`]: one run on one structure of one case; [`ResultsTable`] and [`InteractionTable`]: records aggregated over repeats.
//! - `report` (feature `report`, on by default): tables, plots and pictures as one HTML page, Markdown and CSV.
//!
//! # Use
//! ```toml
//! [dependencies]
//! sam-eval = "0.1"
//! # Metrics, statistics and protocols only:
//! # sam-eval = { version = "0.1", default-features = false }
//! ```
//! The crates in the signatures are re-exported: [`ndarray`] and [`sam_prompt`].
//!
//! Undefined scores never enter a mean: a metric returns NaN, a summary counts it in [`Summary::undefined`], and JSON has `null`.
//!
//! # Example
//!
//! ```
//! use sam_eval::ndarray::array;
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
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::unwrap_used))]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod calibration;
mod distance;
mod error;
mod failures;
mod instances;
mod interaction;
mod lines;
mod mask_score;
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
pub use error::{Cause, EvalError};
pub use failures::{Failures, failures};
pub use instances::{Detection, InstanceOverlaps};
pub use interaction::{InteractionSummary, Noc, best_score, number_of_clicks};
pub use mask_score::MaskScore;
pub use ndarray;
pub use overlap::{Confusion, EmptyPolicy, dice, iou};
pub use record::{Record, SliceScore};
pub use sam_prompt::{self, ConfigError};
pub use statistics::{BootstrapConfig, ConfidenceInterval, Wilcoxon, WilcoxonMethod, bootstrap, bootstrap_mean, holm};
pub use summary::Summary;
pub use surface::{PercentileOf, SurfaceDistances};
pub use table::{Cell, Column, InteractionTable, ResultsTable, Row, Spread};

/// The program of the README, compiled and run with the documentation's tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExample;
