//! The paper's Table 5 on a folder of scans: coarse masks of PANet and SAP-Net from 5 annotated slices, without any prompt.
//!
//! ```text
//! cargo run --release --example coarse -- --data DIR --structures liver
//! ```
//!
//! Prints Dice of test slices with the structure, Dice of all test slices pooled, and on how many empty slices something was found;
//! over all `--seeds`. A structure takes a few minutes on 2 cores, most of it the image encoder.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use examples::{
    backend::BackendChoice,
    coarse::{CoarseJob, CoarseProtocol, Variant},
    data_options::DataOptions,
    disk_cache::CacheOptions,
    mask_score::table,
    report,
    subjects::Subjects,
    weights::ModelOptions,
};
use sam_data::SliceAxis;
use sam_eval::protocol::FewSlices;
use sam_prompt::SliceSelection;

/// Compare coarse masks of PANet and of SAP-Net, step by step as in the paper's Table 5.
#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    data: DataOptions,
    /// Axis along which slices are cut: auto, axial, coronal, sagittal, i, j or k.
    #[arg(long, default_value = "auto")]
    axis: SliceAxis,
    /// What is compared: all rows of the table if not given.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Variant::value_variants().to_vec())]
    variant: Vec<Variant>,
    /// Slices with the structure that are annotated.
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    slices: usize,
    /// Slices without the structure that are annotated as empty.
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    empty_slices: usize,
    /// At most this many slices with the structure are tested, at equal distances.
    #[arg(long, value_name = "COUNT", default_value_t = 12)]
    test_slices: usize,
    /// At most this many slices without the structure are tested.
    #[arg(long, value_name = "COUNT", default_value_t = 6)]
    test_empty: usize,
    /// Seeds, one repeat each.
    #[arg(long, value_delimiter = ',', default_value = "0,1,2")]
    seeds: Vec<u64>,
    /// How many components top-K keeps.
    #[arg(long, value_name = "K", default_value_t = 1)]
    components: usize,
    /// Numbers of SAP-Net other than the defaults, as JSON: {"iterations": 160, "dice": {"beta": 3}}.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    sapnet: String,
    #[command(flatten)]
    model: ModelOptions,
    #[command(flatten)]
    cache: CacheOptions,
    /// File for the configuration and every score, as JSON.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendChoice,
}

fn run(options: Options) -> Result<()> {
    let sapnet = serde_json::from_str(&options.sapnet).context("cannot read the numbers given with --sapnet")?;
    let weights = options.model.locate()?;
    let disk = options.cache.open(&weights)?;
    let protocol = CoarseProtocol {
        subjects: Subjects::new(options.data, options.axis),
        variants: options.variant,
        slices: FewSlices {
            annotated: vec![options.slices],
            annotated_empty: options.empty_slices,
            tested: options.test_slices,
            tested_empty: options.test_empty,
            selection: SliceSelection::Normal,
        },
        seeds: options.seeds,
        components: options.components,
        sapnet,
    };
    let scores = options.backend.run(CoarseJob { protocol: &protocol, weights: &weights, disk: disk.as_ref() })?;
    print!("{}", table(&scores));
    if let Some(path) = options.out {
        let text = serde_json::to_string_pretty(&serde_json::json!({ "config": protocol, "scores": scores }))?;
        sam_data::write_atomically(&path, |file| file.write_all(text.as_bytes()))?;
    }
    Ok(())
}

fn main() -> ExitCode {
    report::exit(run(Options::parse()))
}
