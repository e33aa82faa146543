//! Segments a whole scan from a few outlined slices.
//!
//! ```text
//! cargo run --release --example annotate -- --image scan.nii.gz --annotations partial.nii.gz --out mask.nii.gz
//! ```
//!
//! The annotations are a label map on the scan's grid in which a few slices are outlined, as any NIfTI editor writes it; several
//! structures at once are several label values. The output holds all slices on the same grid, under the scan's own header; outlined
//! slices stay as they were drawn. Beside it stands MASK.json with every number that was used. Takes one to two minutes a structure
//! on 2 cores.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::backend::Backend;
use clap::Parser;
use examples::{
    backend::{BackendChoice, Job},
    disk_cache::{CacheOptions, DiskCache},
    embeddings::Embeddings,
    outline::{Outlines, learn_structure, outlined_axis, segment_structure},
    report,
    results::Environment,
    stack::Stack,
    weights::{self, Weights},
};
use sam_assist::AssistConfig;
use sam_auto::PropagationConfig;
use sam_core::{Checkpoint, SamPredictor};
use sam_data::{LabelVolume, SliceAxis, SlicePlane, Volume, Window, ndarray::Array3};
use serde::Serialize;

/// Segment a whole scan from a few outlined slices.
#[derive(Debug, Parser, Serialize)]
struct Options {
    /// The scan: .nii or .nii.gz.
    #[arg(long, value_name = "FILE")]
    image: PathBuf,
    /// A label map on the scan's grid with a few slices outlined.
    #[arg(long, value_name = "FILE")]
    annotations: PathBuf,
    /// Where the mask goes: .nii or .nii.gz.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Intensity window: auto, abdomen, lung, brain, bone, percentile, or LO:HI.
    #[arg(long, default_value = "auto", allow_hyphen_values = true)]
    window: Window,
    /// Axis along which slices are outlined: auto (told from the outlines), axial, coronal, sagittal, i, j or k.
    #[arg(long, default_value = "auto")]
    axis: SliceAxis,
    /// Seed of all drawing.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Checkpoint of any SAM; LiteMedSAM's is fetched if none is given.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    cache: CacheOptions,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendChoice,
}

/// Image and annotations may lie this far apart, in mm: editors round affines.
const GRID_TOLERANCE_MM: f64 = 0.01;

/// All structures of one scan.
struct AnnotateJob<'a> {
    stack: &'a Stack,
    plane: &'a SlicePlane,
    annotations: &'a LabelVolume,
    weights: &'a Weights,
    disk: Option<&'a DiskCache>,
    learning: &'a AssistConfig,
    propagation: &'a PropagationConfig,
}

impl Job for AnnotateJob<'_> {
    type Output = Array3<u16>;

    fn run<B: Backend>(self, device: &B::Device) -> Result<Array3<u16>> {
        let predictor: SamPredictor<B> = Checkpoint::open(&self.weights.path)?.predictor(device)?;
        let mut embeddings = Embeddings::new(&predictor, self.stack, self.disk);
        let mut found = self.annotations.labels.clone();
        for value in self.annotations.values() {
            let name = format!("label {value}");
            let outlines = self.outlines(value);
            let learned = learn_structure(&name, &outlines, &mut embeddings, self.learning)?;
            let slices = segment_structure(&name, &outlines, &learned, &mut embeddings, self.propagation)?;
            for (index, slice) in slices.iter().enumerate().filter(|(index, _)| !self.is_annotated(*index)) {
                let Some(mask) = slice.mask() else { continue };
                let mut labels = self.plane.extract(found.view(), index);
                // Where structures meet, the one of the lower value keeps its voxels.
                labels.zip_mut_with(mask, |label, &inside| {
                    if inside && *label == 0 {
                        *label = value;
                    }
                });
                self.plane.insert(&mut found, index, labels.view());
            }
            let drawn = slices.iter().filter(|slice| slice.mask().is_some()).count();
            println!("{name}: {} slices outlined, found on {drawn} of {}", outlines.len(), slices.len());
        }
        Ok(found)
    }
}

impl AnnotateJob<'_> {
    /// A slice on which anything is outlined is the person's, for all structures.
    fn is_annotated(&self, index: usize) -> bool {
        self.plane.extract(self.annotations.labels.view(), index).iter().any(|&label| label != 0)
    }

    fn outlines(&self, value: u16) -> Outlines {
        let annotated = (0..self.plane.count()).filter(|&index| self.is_annotated(index));
        annotated.map(|index| (index, self.stack.mask(index, &[value]))).collect()
    }
}

fn read(options: &Options) -> Result<(Volume, LabelVolume)> {
    let volume = sam_data::read_volume(&options.image)?;
    let annotations = sam_data::read_labels(&options.annotations)?;
    let (image, mask) = (options.image.display(), options.annotations.display());
    if let Err(mismatch) = volume.grid.compare(&annotations.grid, GRID_TOLERANCE_MM) {
        bail!("{mask} does not lie on the grid of {image}: {mismatch}");
    }
    ensure!(
        !annotations.values().is_empty(),
        "{mask} has no annotated slice: outline the structure on 2 to 5 slices of {image}"
    );
    Ok((volume, annotations))
}

fn run(options: &Options) -> Result<()> {
    let (volume, annotations) = read(options)?;
    // A name that cannot be written is told before the work, not after it.
    sam_data::check_output(&options.out)?;
    let weights = weights::locate(options.weights.as_deref())?;
    let disk = options.cache.open(&weights)?;
    let axis = outlined_axis(&annotations, options.axis);
    let plane = SlicePlane::new(&volume.grid, axis);
    let stack = Stack::of_volume("scan".to_owned(), volume.clone(), annotations.clone(), axis, &options.window)?;
    let learning = AssistConfig { seed: options.seed, ..AssistConfig::mixed() };
    let propagation = PropagationConfig { seed: options.seed, ..PropagationConfig::default() };
    let found = options.backend.run(AnnotateJob {
        stack: &stack,
        plane: &plane,
        annotations: &annotations,
        weights: &weights,
        disk: disk.as_ref(),
        learning: &learning,
        propagation: &propagation,
    })?;
    sam_data::write_labels(&options.out, found.view(), &volume)?;
    println!("Wrote {}", options.out.display());

    let environment = Environment::new(options.backend, &weights);
    let record = serde_json::json!({
        "options": options, "axis": axis, "window": stack.window(), "learning": learning, "propagation": propagation, "environment": environment,
    });
    let beside = options.out.with_extension("").with_extension("json");
    let text = serde_json::to_string_pretty(&record).context("the record cannot be written as JSON")?;
    sam_data::write_atomically(&beside, |file| file.write_all(text.as_bytes()))?;
    Ok(())
}

fn main() -> ExitCode {
    report::exit(run(&Options::parse()))
}
