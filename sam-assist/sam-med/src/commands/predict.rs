//! `sam-med predict`: segments objects from prompts in a JSON file.
//!
//! The prompts are points, boxes, scribbles, lassos and drawn masks for any number of objects and slices, in pixels or in patient
//! millimetres; the schema is documented at [`sam_prompt::PromptDocument`].

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::backend::Backend;
use clap::Args;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use sam_annotate::{Annotator, Weights};
use sam_assist::resolve_overlap;
use sam_core::{ImageEmbedding, MaskOutput, SliceSource};
use sam_data::{
    LabelVolume, Scan, Segment, SliceAxis, SlicePlane, Window,
    ndarray::{Array2, Array3, Axis},
};
use sam_files::LossyPath;
use sam_prompt::counted;
use sam_prompt::{
    MASK_STRENGTH, ObjectPrompts, PromptDocument, Prompts, SliceNumber, SlicePrompts, mask_logits,
    progress::{Progress, Stage},
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    backend::Job,
    console::Console,
    exit::Failure,
    options::{ComputeOptions, ScanOptions},
    progress::ProgressBars,
    record,
};

/// Segment what points, boxes, scribbles, lassos or drawn masks in a file point at.
#[derive(Debug, Clone, Args, Serialize)]
#[command(after_help = "\
The mask has label 1 for the first object of the file, 2 for the second and so on; where objects
overlap, the larger logit decides. The documentation of sam_prompt::PromptDocument describes the file.

Examples:
  sam-med predict --image scan.nii.gz --prompts prompts.json --out mask.nii.gz
  sam-med predict --image dicom-folder --prompts prompts.json --out mask.nii.gz --seg mask.dcm")]
pub struct Options {
    #[command(flatten)]
    #[serde(flatten)]
    scan: ScanOptions,
    /// The prompts: .json
    #[arg(long, value_name = "FILE", help_heading = "Prompts")]
    prompts: LossyPath,
    /// auto, abdomen, lung, brain, bone, percentile or LO:HI
    #[arg(long, default_value = "auto", allow_hyphen_values = true, help_heading = "Prompts")]
    window: Window,
    /// Points that each scribble and each lasso becomes
    #[arg(long, default_value_t = 3, help_heading = "Prompts")]
    points: usize,
    /// Seed that decides between equally good points of a lasso
    #[arg(long, default_value_t = 0, help_heading = "Prompts")]
    seed: u64,
    #[command(flatten)]
    #[serde(flatten)]
    compute: ComputeOptions,
}

/// Segments, and writes the mask with its record.
///
/// # Errors
/// If an input cannot be read or does not fit the others, or an output cannot be written. [`Failure::Stopped`].
pub fn run(options: &Options, console: &Console) -> Result<()> {
    let plan = options.compute.model.plan(options.scan.plan(console)).input("--prompts", &options.prompts);
    plan.check()?;
    let scan = Arc::new(options.scan.read(console)?);
    let output = options.scan.output();
    output.check(&scan)?;
    let (plane, objects) = read_prompts(&options.prompts, &scan)?;
    let weights = options.compute.model.locate(console)?;
    let output = output.checked(plan.inputs("--image", scan.files()).open()?)?;
    let job = PredictJob { options, console, scan: &scan, plane: &plane, objects: &objects, weights: &weights };
    let Predicted { labels, record } = options.compute.model.backend.run(job)?;

    let segment = |(object, value): (&ObjectPrompts, u16)| Segment::new(value, &object.name);
    let segments: Vec<_> = objects.iter().zip(1..).map(segment).collect();
    let mask = LabelVolume { labels, grid: scan.volume().grid.clone() };
    let written = output.write(&scan, &mask, &segments, "", record)?;
    let written = written.into_iter().map(LossyPath::from).collect();
    let report = |(object, value): (&ObjectPrompts, u16)| ObjectReport {
        name: object.name.clone(),
        value,
        voxels: mask.labels.iter().filter(|&&label| label == value).count(),
        slices: object.slices.len(),
    };
    console.result(&PredictReport { objects: objects.iter().zip(1..).map(report).collect(), written })
}

/// Reads prompts, and converts them to pixels of slices.
fn read_prompts(path: &Path, scan: &Scan) -> Result<(SlicePlane, Vec<ObjectPrompts>)> {
    let shown = path.display();
    let grid = &scan.volume().grid;
    let text = sam_files::read_text(path)?;
    let document = PromptDocument::from_json(&text).with_context(|| format!("{shown}"))?;
    let axis = match &document {
        PromptDocument::Pixels { axis, .. } => SliceAxis::from_cut(*axis)
            .with_context(|| format!("the prompts of {shown} are for an image, but {} is a scan", scan.name()))?,
        PromptDocument::Millimetres { .. } => SliceAxis::Auto,
    };
    let plane = SlicePlane::new(grid, axis);
    let document = match document {
        pixels @ PromptDocument::Pixels { .. } => pixels,
        patient => patient.into_pixels(plane.cut_axis(), &plane).with_context(|| format!("{shown}"))?,
    };
    let PromptDocument::Pixels { objects, .. } = document else {
        bail!("the prompts of {shown} could not be converted to pixels")
    };
    ensure!(
        u16::try_from(objects.len()).is_ok(),
        "{shown} has {} objects, at most {} are possible",
        objects.len(),
        u16::MAX
    );
    let mut slices = objects.iter().flat_map(|object| &object.slices).map(|slice| slice.slice).peekable();
    ensure!(slices.peek().is_some(), "{shown} has no prompt");
    if let Some(slice) = slices.find(|&slice| slice >= plane.count()) {
        bail!(
            "{shown} has a prompt on slice {}, but {} has {}",
            SliceNumber::of_index(slice).with_index(),
            scan.name(),
            counted(plane.count(), "slice")
        );
    }
    Ok((plane, objects))
}

/// A prediction task, to be run on a backend.
struct PredictJob<'a> {
    options: &'a Options,
    console: &'a Console,
    scan: &'a Arc<Scan>,
    plane: &'a SlicePlane,
    objects: &'a [ObjectPrompts],
    weights: &'a Weights,
}

/// The predicted mask, and the environment in which it was computed.
struct Predicted {
    labels: Array3<u16>,
    record: Map<String, Value>,
}

impl Job for PredictJob<'_> {
    type Output = Predicted;

    fn run<B: Backend>(self, device: &B::Device) -> Result<Predicted> {
        let Options { compute, window, .. } = self.options;
        let model = &compute.model;
        let predictor = model.predictor::<B>(self.weights, device)?;
        let environment = record::environment(model.backend, &predictor);
        let axis = [SliceAxis::I, SliceAxis::J, SliceAxis::K][self.plane.axis()];
        let mut builder = Annotator::builder(predictor, Arc::clone(self.scan)).axis(axis).window(*window);
        if let Some(cache) = compute.open_cache()? {
            builder = builder.cache(cache);
        }
        let annotator = builder.build()?;
        let slices = annotator.slices(axis)?;
        let mut by_slice: BTreeMap<usize, Vec<(u16, &SlicePrompts)>> = BTreeMap::new();
        for (object, label) in self.objects.iter().zip(1..) {
            for slice in &object.slices {
                by_slice.entry(slice.slice).or_default().push((label, slice));
            }
        }
        let mut bars = ProgressBars::new(self.console);
        let mut labels = Array3::zeros(self.scan.volume().voxels.dim());
        let count = by_slice.len();
        for (done, (index, asked)) in by_slice.into_iter().enumerate() {
            let found = self
                .slice(&annotator, &*slices, index, &asked)
                .with_context(|| format!("slice {}", SliceNumber::of_index(index)))?;
            self.plane.insert(&mut labels, index, found.view());
            if bars.show("slices", &Progress::new(Stage::Segment, done + 1, count).at_slice(index)).is_break() {
                return Err(Failure::Stopped("nothing was written").into());
            }
        }
        let mut record = record::saved_options("predict", self.options)?;
        record.insert("environment".to_owned(), json!(environment));
        Ok(Predicted { labels, record })
    }
}

impl PredictJob<'_> {
    /// The labels of one slice: all its objects are decoded together, and the largest logit decides where they overlap.
    fn slice<B: Backend>(
        &self,
        annotator: &Annotator<B>,
        slices: &dyn SliceSource<B>,
        index: usize,
        asked: &[(u16, &SlicePrompts)],
    ) -> Result<Array2<u16>> {
        let embedding = slices.embedding(index)?;
        let prompts = asked.iter().map(|(_, drawn)| self.prompts(&embedding, drawn)).collect::<Result<Vec<_>>>()?;
        let requests: Vec<_> = prompts.iter().map(|prompts| (&embedding, prompts)).collect();
        let found = annotator.predictor().predict_batch(&requests, MaskOutput::Single)?;
        let logits: Vec<_> = found.iter().map(|found| Some(found.logits.index_axis(Axis(0), 0))).collect();
        let labels = resolve_overlap(self.plane.size(), &logits)?;
        // In `labels` the objects are numbered from 1; this maps a number to the object's label value.
        let label = |place: u16| place.checked_sub(1).map_or(0, |place| asked[usize::from(place)].0);
        Ok(labels.mapv(label))
    }

    /// Converts prompts to those of SAM.
    fn prompts<B: Backend>(&self, embedding: &ImageEmbedding<B>, drawn: &SlicePrompts) -> Result<Prompts> {
        let Options { points, seed, .. } = self.options;
        let frame = embedding.frame();
        let (height, width) = frame.original;
        let mut prompts = drawn.prompts(*points, height, width, &mut ChaCha8Rng::seed_from_u64(*seed))?;
        if let Some(mask) = &drawn.mask {
            let (found_height, found_width) = mask.0.dim();
            ensure!(
                (found_height, found_width) == (height, width),
                "the drawn mask has {found_height} x {found_width} pixels, the slice {height} x {width}"
            );
            // The mask prompt has four logits along each side of an embedding cell.
            let low_res = 4 * embedding.features().dims()[2];
            prompts.mask = Some(mask_logits(mask.0.view(), frame.resized, frame.padded, low_res, MASK_STRENGTH)?);
        }
        Ok(prompts)
    }
}

/// The result of `predict`.
#[derive(Debug, Serialize)]
struct PredictReport {
    objects: Vec<ObjectReport>,
    written: Vec<LossyPath>,
}

/// An object that was segmented.
#[derive(Debug, Serialize)]
struct ObjectReport {
    name: String,
    value: u16,
    voxels: usize,
    slices: usize,
}

impl fmt::Display for PredictReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ObjectReport { name, value, voxels, slices } in &self.objects {
            writeln!(f, "{name} ({value}): {} on {}", counted(*voxels, "voxel"), counted(*slices, "slice"))?;
        }
        self.written.iter().try_for_each(|path| writeln!(f, "Wrote {}", path.display()))
    }
}
