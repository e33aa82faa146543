//! `sam-med coarse`: the paper's Table 5 on a folder of scans: coarse masks of PANet and SAP-Net from annotated slices, without prompts.

use std::fmt;

use anyhow::Result;
use clap::Args;
use sam_eval::{MaskScore, protocol::FewSlices};
use sam_experiments::{CoarseProtocol, TrialConfig, Variant, mask_table, scores};
use sam_files::LossyPath;
use sam_prompt::SliceSelection;
use serde::Serialize;

use super::evaluate::ProtocolJob;
use crate::{
    console::Console,
    options::{ComputeOptions, DataOptions, OutputOptions, read_config},
    record,
};

/// Compare coarse masks of PANet and of SAP-Net, step by step as in the paper's Table 5.
#[derive(Debug, Clone, Args, Serialize)]
#[command(after_help = "\
Prints Dice of test slices with the structure, Dice of all test slices pooled, and on how many empty
slices something was found, over all seeds.

Examples:
  sam-med coarse --data DIR --structures liver
  sam-med coarse --phantom spinal-cord --variant panet,topk --seeds 0 --out table5.json")]
pub struct Options {
    #[command(flatten)]
    #[serde(flatten)]
    data: DataOptions,
    /// Rows of the table: panet, sapnet, position, biased, topk
    #[arg(long, value_delimiter = ',', default_value = "panet,sapnet,position,biased,topk", value_name = "ROWS")]
    variant: Vec<Variant>,
    /// Annotated slices with the structure
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    slices: usize,
    /// Annotated slices without the structure
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    empty_slices: usize,
    /// At most this many test slices with the structure
    #[arg(long, value_name = "COUNT", default_value_t = 12)]
    test_slices: usize,
    /// At most this many test slices without the structure
    #[arg(long, value_name = "COUNT", default_value_t = 6)]
    test_empty: usize,
    /// Seeds, one repeat each
    #[arg(long, value_delimiter = ',', default_value = "0,1,2")]
    seeds: Vec<u64>,
    /// Components that top-K keeps
    #[arg(long, value_name = "K", default_value_t = 1)]
    components: usize,
    /// Config of SAP-Net as JSON, such as {"iterations": 160, "dice": {"beta": 3}}
    #[arg(long, value_name = "JSON", default_value = "{}", hide_default_value = true)]
    sapnet: String,
    /// File for options, config and every score: .json
    #[arg(long, value_name = "FILE")]
    out: Option<LossyPath>,
    #[command(flatten)]
    #[serde(flatten)]
    compute: ComputeOptions,
    #[command(flatten)]
    #[serde(skip_serializing)]
    outputs: OutputOptions,
}

/// Runs the comparison, and writes the scores.
///
/// # Errors
/// If the config is invalid, the data cannot be read, or the scores cannot be written. [`sam_experiments::ExperimentError::Stopped`].
pub fn run(options: &Options, console: &Console) -> Result<()> {
    let plan = options.compute.model.plan(options.data.plan(options.outputs.plan(console)));
    let plan = options.out.iter().fold(plan, |plan, path| plan.record("--out", path));
    plan.check()?;
    let slices = FewSlices {
        annotated: vec![options.slices],
        annotated_empty: options.empty_slices,
        tested: options.test_slices,
        tested_empty: options.test_empty,
        selection: SliceSelection::Normal,
    };
    let protocol = CoarseProtocol {
        trials: TrialConfig { cases: options.data.cases(), slices, seeds: options.seeds.clone() },
        variants: options.variant.clone(),
        components: options.components,
        sapnet: read_config("--sapnet", &options.sapnet)?,
    };
    let compute = &options.compute;
    let weights = compute.model.locate(console)?;
    let outputs = plan.open()?;
    let job = ProtocolJob { protocol: &protocol, compute, weights: &weights, console };
    let (runs, _) = compute.model.backend.run(job)?;
    let scores = scores(runs);
    if let Some(path) = &options.out {
        let mut results = record::saved_options("coarse", options)?;
        results.insert("config".to_owned(), record::to_json(&protocol)?);
        results.insert("scores".to_owned(), record::to_json(&scores)?);
        outputs.publish_with_record(path, results)?;
    }
    console.result(&CoarseReport { scores })
}

/// The result of `coarse`.
#[derive(Debug, Serialize)]
struct CoarseReport {
    scores: Vec<MaskScore>,
}

impl fmt::Display for CoarseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask_table(&self.scores))
    }
}
