//! Segments a whole scan from a few outlined slices.
//!
//! ```text
//! cargo run --release --example annotate -- --image scan.nii.gz --annotations partial.nii.gz --out mask.nii.gz
//! ```
//!
//! The annotations are a label map on the scan's grid in which a few slices are outlined, as any NIfTI editor writes it; several
//! structures at once are several label values. The output holds all slices on the same grid, under the scan's own header; outlined
//! slices stay as they were drawn. Beside it stands MASK.json with every number that was used, and with the slices of each structure in
//! the order in which a person should look at them; the first are named. Takes one to two minutes a structure on 2 cores.
//!
//! Of a DICOM series, `--image` is its folder, and `--seg mask.dcm` writes the mask as DICOM SEG, too.
//!
//! Slices are prompted from the mask of the slice before, outwards from those that are outlined; with `--auto ensemble`, by generators
//! that see each slice on its own: use it where the walk runs astray, and name a slice or two without any structure with `--empty`.
//!
//! With `--save-card liver.safetensors` what was learned is kept as a prompt card. With `--card liver.safetensors` a later run, on
//! another scan, takes it from there and learns nothing; the annotations then only say where to start from.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use examples::{
    annotation::{AnnotationJob, name_of},
    auto::{AutoConfig, AutoKind, HandOverKind},
    backend::BackendChoice,
    cards,
    disk_cache::CacheOptions,
    outline::outlined_axis,
    prompting::{AutoPrompting, Prompting},
    report,
    results::Environment,
    scan::{Scan, ScanOptions},
    stack::Stack,
    trust::TrustConfig,
    weights,
};
use sam_assist::PromptCard;
use sam_auto::{CleanUp, MaskPropagationConfig};
use sam_data::{LabelTable, LabelVolume, Segment, SliceAxis, SlicePlane, Window};
use serde::Serialize;

/// Segment a whole scan from a few outlined slices.
#[derive(Debug, Parser, Serialize)]
struct Options {
    #[command(flatten)]
    #[serde(flatten)]
    scan: ScanOptions,
    /// A label map on the scan's grid with a few slices outlined.
    #[arg(long, value_name = "FILE")]
    annotations: PathBuf,
    /// Names of the label values: a JSON file such as {"1": "liver"}.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Prompt cards to use instead of learning: one for each label value, in rising order.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "save_card")]
    card: Vec<PathBuf>,
    /// Keeps what is learned as a prompt card, NAME.safetensors; of several structures, as NAME-VALUE.safetensors each.
    #[arg(long, value_name = "FILE")]
    save_card: Option<PathBuf>,
    /// Prompt by generators that see each slice on its own, instead of from the mask of the slice before.
    #[arg(long, value_enum)]
    auto: Option<AutoKind>,
    /// With --auto: what generators hand on to SAM; a box, if not given, but points with propagation, which has nothing else.
    #[arg(long, value_enum, requires = "auto")]
    hand_over: Option<HandOverKind>,
    /// With --auto: how much a slice must look like those with the structure, from -2 to 2. Higher: fewer false positives. -inf lets
    /// every slice pass.
    #[arg(long, value_name = "SCORE", requires = "auto", allow_hyphen_values = true)]
    gate: Option<f32>,
    /// With --auto: so many components of each structure are kept, the largest in the volume. All, if not given.
    #[arg(long, value_name = "COUNT", requires = "auto")]
    components: Option<usize>,
    /// With --auto: numbers of the generators other than the defaults, as JSON: {"sapnet": {"iterations": 160}}.
    #[arg(long, value_name = "JSON", default_value = "{}", requires = "auto")]
    generators: String,
    /// Slices that show none of the structures, counted from 0: two of them help generators to tell where a structure ends.
    #[arg(long, value_name = "SLICES", value_delimiter = ',')]
    empty: Vec<usize>,
    /// Intensity window: auto (with cards: theirs), abdomen, lung, brain, bone, percentile, or LO:HI.
    #[arg(long, default_value = "auto", allow_hyphen_values = true)]
    window: Window,
    /// Axis along which slices are outlined: auto (told from the outlines), axial, coronal, sagittal, i, j or k.
    #[arg(long, default_value = "auto")]
    axis: SliceAxis,
    /// How many are learned of each structure, to be asked together: three segment better than one, and take three times as long.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    members: u8,
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

fn read(options: &Options) -> Result<(Scan, LabelVolume)> {
    let scan = options.scan.read()?;
    let annotations = sam_data::read_labels(&options.annotations)?;
    let (image, mask) = (options.scan.image.display(), options.annotations.display());
    if let Err(mismatch) = scan.volume.grid.compare(&annotations.grid, GRID_TOLERANCE_MM) {
        bail!("{mask} does not lie on the grid of {image}: {mismatch}");
    }
    ensure!(
        !annotations.values().is_empty(),
        "{mask} has no annotated slice: outline the structure on 2 to 5 slices of {image}"
    );
    Ok((scan, annotations))
}

/// The cards to use, one for each structure, or none.
fn read_cards(options: &Options, annotations: &LabelVolume, weights_sha256: &str) -> Result<Vec<PromptCard>> {
    let cards = cards::load(&options.card, weights_sha256)?;
    let values = annotations.values();
    ensure!(
        cards.is_empty() || cards.len() == values.len(),
        "there are {} cards for the label values {values:?} of {}: give one for each, in this order",
        cards.len(),
        options.annotations.display()
    );
    Ok(cards)
}

fn prompting(options: &Options) -> Result<Prompting> {
    let Some(kind) = options.auto else {
        return Ok(Prompting::Walk(MaskPropagationConfig::default().with_seed(options.seed)));
    };
    let mut numbers: AutoConfig =
        serde_json::from_str(&options.generators).context("cannot read the numbers given with --generators")?;
    numbers.gate.threshold = options.gate.unwrap_or(numbers.gate.threshold);
    Ok(Prompting::Auto(AutoPrompting {
        kind,
        hand_over: options.hand_over.unwrap_or(kind.hand_over()),
        points: 5,
        numbers: numbers.with_seed(options.seed),
        clean_up: options.components.map_or(CleanUp::Nothing, CleanUp::Volume),
    }))
}

/// Slices named as empty must exist, and have nothing drawn on them.
fn check_empty(options: &Options, stack: &Stack, annotations: &LabelVolume) -> Result<()> {
    let values: Vec<u16> = annotations.values().into_iter().collect();
    for &index in &options.empty {
        let count = stack.len();
        ensure!(index < count, "--empty names slice {index}, but {} has {count}, from 0 to {}", stack.name, count - 1);
        let drawn = stack.mask(index, &values).iter().any(|&inside| inside);
        ensure!(!drawn, "--empty names slice {index}, but {} has an outline there", options.annotations.display());
    }
    Ok(())
}

fn run(options: &Options) -> Result<()> {
    let (scan, annotations) = read(options)?;
    options.save_card.as_deref().map_or(Ok(()), cards::check_output)?;
    let names = options.labels.as_deref().map_or_else(|| Ok(LabelTable::default()), LabelTable::read)?;
    let weights = weights::locate(options.weights.as_deref())?;
    let cards = read_cards(options, &annotations, &weights.sha256)?;
    let window = cards::window(options.window, &cards)?;
    let disk = options.cache.open(&weights)?;
    let axis = outlined_axis(&annotations, options.axis);
    let plane = SlicePlane::new(&scan.volume.grid, axis);
    let stack = Stack::of_volume(options.scan.name(), scan.volume.clone(), annotations.clone(), axis, &window)?;
    check_empty(options, &stack, &annotations)?;
    let prompting = prompting(options)?;
    let learning = prompting.learning(options.seed, usize::from(options.members));
    let trust = TrustConfig::new(options.seed);
    let found = options.backend.run(AnnotationJob {
        stack: &stack,
        plane: &plane,
        annotations: &annotations,
        empty: &options.empty,
        names: &names,
        weights: &weights,
        disk: disk.as_ref(),
        learning: &learning,
        prompting: &prompting,
        trust: &trust,
        cards: &cards,
        save_card: options.save_card.as_deref(),
    })?;
    let segment = |value| Segment { value, name: name_of(&names, value) };
    let segments: Vec<_> = annotations.values().into_iter().map(segment).collect();
    options.scan.write(found.labels.view(), &scan, &segments)?;
    if let Some(disk) = &disk {
        println!("{disk}");
    }

    let environment = Environment::new(options.backend, &weights);
    let learning = cards.is_empty().then_some(learning);
    let cards: Vec<_> = cards.iter().map(PromptCard::metadata).collect();
    let record = serde_json::json!({
        "options": options, "axis": axis, "window": stack.window(), "learning": learning, "cards": cards,
        "prompting": prompting, "agreement": found.agreement, "trust": trust, "ranking": found.ranking, "environment": environment,
    });
    let beside = options.scan.out.with_extension("").with_extension("json");
    let text = serde_json::to_string_pretty(&record).context("the record cannot be written as JSON")?;
    sam_data::write_atomically(&beside, |file| file.write_all(text.as_bytes()))?;
    Ok(())
}

fn main() -> ExitCode {
    report::exit(run(&Options::parse()))
}
