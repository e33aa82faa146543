//! Opens a mask for review in a browser: look through the slices, correct them by clicks and boxes, accept or reject them.
//!
//! ```text
//! cargo run --release --example review -- --image scan.nii.gz --mask mask.nii.gz --out reviewed.nii.gz
//! ```
//!
//! The mask is a label map on the scan's grid, such as `annotate` writes. The program prints an address; the page under it is served to
//! this machine alone, and only to who has the address. With `--card` clicks are understood as was learned for each structure; without,
//! by the model as it came. `--ranking` lists the slices that need a look most.
//!
//! Ctrl-C ends the review and saves it, so does closing the terminal; if the mask cannot be written, the page stays open. Beside the mask
//! stands MASK.review.json with what was decided on which slice. Of slices that were rejected nothing is written.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use examples::{
    annotate::name_of,
    backend::BackendChoice,
    cards,
    disk_cache::CacheOptions,
    report,
    results::Environment,
    review::{Desk, ModelJob, Ranking, ReviewCase, ScanDesk, Server, told_to_end},
    scan::ScanOptions,
    weights,
};
use sam_assist::PromptCard;
use sam_data::{LabelTable, LabelVolume, Segment, SliceAxis, SlicePlane, Window};
use serde::Serialize;
use serde_json::json;

/// Review a mask in a browser.
#[derive(Debug, Parser, Serialize)]
struct Options {
    #[command(flatten)]
    #[serde(flatten)]
    scan: ScanOptions,
    /// The mask to review: a label map on the scan's grid.
    #[arg(long, value_name = "FILE")]
    mask: PathBuf,
    /// Names of the label values: a JSON file such as {"1": "liver"}. Structures that the mask does not show yet can be drawn, too.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Prompt cards that say what a click means: one for each structure, in rising order of the label values.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    card: Vec<PathBuf>,
    /// Slices to look at first: a JSON file such as [{"slice": 3, "trust": 0.2}].
    #[arg(long, value_name = "FILE")]
    ranking: Option<PathBuf>,
    /// Intensity window: auto (with cards: theirs), abdomen, lung, brain, bone, percentile, or LO:HI.
    #[arg(long, default_value = "auto", allow_hyphen_values = true)]
    window: Window,
    /// Axis along which the scan is cut: auto, axial, coronal, sagittal, i, j or k.
    #[arg(long, default_value = "auto")]
    axis: SliceAxis,
    /// Port of this machine under which the page is served; 0 takes any that is free.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Checkpoint of any SAM; LiteMedSAM's is fetched if none is given.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    cache: CacheOptions,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendChoice,
}

/// An earlier review is not to be written over, but may be gone on with.
fn check_out(options: &Options) -> Result<()> {
    let (mask, out) = (&options.mask, &options.scan.out);
    let goes_on = || Ok::<_, std::io::Error>(out.canonicalize()? == mask.canonicalize()?);
    ensure!(
        !out.exists() || goes_on().with_context(|| format!("cannot read {}", mask.display()))?,
        "{} exists already: give it as --mask to go on with it, or choose another name",
        out.display()
    );
    Ok(())
}

/// The structures of the mask, and those that have a name.
fn structures(options: &Options, mask: &LabelVolume) -> Result<Vec<Segment>> {
    let names = options.labels.as_deref().map_or_else(|| Ok(LabelTable::default()), LabelTable::read)?;
    let mut values = mask.values();
    values.extend(names.structures().into_iter().flat_map(|structure| structure.values));
    ensure!(
        !values.is_empty(),
        "{} shows no structure: name those that are to be drawn with --labels",
        options.mask.display()
    );
    Ok(values.into_iter().map(|value| Segment { value, name: name_of(&names, value) }).collect())
}

fn desk(options: &Options) -> Result<ScanDesk> {
    check_out(options)?;
    let scan = options.scan.read()?;
    let mask = options.scan.read_labels(&options.mask, &scan)?;
    let structures = structures(options, &mask)?;
    let weights = weights::locate(options.weights.as_deref())?;
    let cards = cards::load(&options.card, &weights.sha256)?;
    ensure!(
        cards.is_empty() || cards.len() == structures.len(),
        "there are {} cards for {} structures ({}): give one for each, in this order",
        cards.len(),
        structures.len(),
        structures.iter().map(|structure| structure.name.as_str()).collect::<Vec<_>>().join(", ")
    );
    let window = cards::window(options.window, &cards)?.resolve(scan.volume.voxels.view())?;
    let plane = SlicePlane::new(&scan.volume.grid, options.axis);
    let ranking = options.ranking.as_deref();
    let ranking =
        ranking.map_or_else(|| Ok(Ranking::in_order(plane.count())), |path| Ranking::read(path, plane.count()))?;
    let record = json!({
        "options": options, "window": window, "cards": cards.iter().map(PromptCard::metadata).collect::<Vec<_>>(),
        "environment": Environment::new(options.backend, &weights),
    });
    let record = record.as_object().cloned().unwrap_or_default();
    let case = ReviewCase { options: options.scan.clone(), scan, plane, structures, ranking, record };
    let images = Arc::new(case.images(&window));
    let model = options.backend.run(ModelJob {
        images: Arc::clone(&images),
        weights: &weights,
        cards: &cards,
        structures: case.structures.len(),
        disk: options.cache.open(&weights)?,
    })?;
    ScanDesk::new(case, &mask, images, model)
}

/// Saves what is not saved yet.
fn save(desk: &Mutex<ScanDesk>) -> Result<()> {
    let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
    if desk.overview().unsaved > 0 {
        desk.save()?;
    }
    Ok(())
}

/// Waits until the program is told to end and everything is saved. What cannot be saved stays open.
async fn end(desk: Arc<Mutex<ScanDesk>>) {
    loop {
        told_to_end().await;
        let desk = Arc::clone(&desk);
        let saved = tokio::task::spawn_blocking(move || save(&desk)).await;
        let Err(error) = saved.map_err(Into::into).flatten() else { return };
        // The terminal may be closed by now.
        let _ =
            writeln!(io::stderr(), "error: {error:#}\nThe review stays open. Put that right and press Ctrl-C again.");
    }
}

fn run(options: &Options) -> Result<()> {
    let desk = Arc::new(Mutex::new(desk(options)?));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().build().context("cannot start the server")?;
    runtime.block_on(async {
        let server = Server::open(options.port).await?;
        println!("Review {} at {}\nCtrl-C saves and ends.", options.scan.name(), server.address());
        server.serve(desk.clone(), end(desk.clone())).await
    })?;
    // What was decided while the server came to its end.
    save(&desk)
}

fn main() -> ExitCode {
    report::exit(run(&Options::parse()))
}
