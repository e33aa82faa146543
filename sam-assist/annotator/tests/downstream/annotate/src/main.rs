//! Example of the whole workflow: learns outlined structures, segments and ranks the other slices of a scan, keeps a session, resumes it
//! after a correction, and cancels a run.
//!
//! ```text
//! downstream-annotate SCAN PARTIAL FOLDER [WEIGHTS]
//! ```

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use sam_annotate::{
    Annotations, Annotator, Corrections, Decisions, Event, Flex, KnownModel, Output, Precision, RoundStart, Scan,
    SliceNumber, SliceTrust, Start, Weights, ignore_events,
    progress::{Stage, ignore_progress},
};

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [scan, partial, folder, given @ ..] = &arguments[..] else {
        anyhow::bail!("usage: downstream-annotate SCAN PARTIAL FOLDER [WEIGHTS]");
    };
    let annotator = annotator(scan, given.first().map(PathBuf::as_path))?;
    let annotations = Annotations::new(annotator.scan().read_labels(partial)?.0);

    cancel(&annotator, &annotations)?;
    once(&annotator, &annotations, folder)?;
    begin_session(&annotator, &annotations, folder)?;
    resume_session(&annotator, folder)
}

/// A scan, and a model: the checkpoint that was given, or LiteMedSAM's.
fn annotator(scan: &Path, given: Option<&Path>) -> Result<Annotator<Flex>> {
    let weights = match given {
        Some(path) => Weights::open(path)?,
        None => KnownModel::LiteMedSam.weights(&mut ignore_progress())?,
    };
    let predictor = weights.predictor(&Default::default(), Precision::F32)?;
    let scan = Scan::open(scan, None)?;
    Ok(Annotator::builder(predictor, Arc::new(scan)).build()?)
}

/// Cancels a run in the middle of learning. Nothing of that structure is left, and the annotator still works.
fn cancel(annotator: &Annotator<Flex>, annotations: &Annotations) -> Result<()> {
    let mut stop = |event: &Event| match event {
        Event::Progress { progress, .. } if progress.stage == Stage::Learn && progress.done == 3 => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    };
    let partial = annotator.annotate(annotations, Start::Model, &mut stop)?;
    ensure!(partial.stopped && partial.structures.is_empty(), "a stopped run says so");
    println!("cancelled while learning");
    Ok(())
}

/// Learns, segments, ranks, and writes the mask.
fn once(annotator: &Annotator<Flex>, annotations: &Annotations, folder: &Path) -> Result<()> {
    let mut print = |event: &Event| {
        match event {
            Event::Learned { structure, seconds, .. } => println!("{structure}: learned in {seconds:.1} s"),
            Event::Segmented { structure, found, slices, .. } => println!("{structure}: on {found} of {slices} slices"),
            _ => {}
        }
        ControlFlow::Continue(())
    };
    // Checked before the work: it tells what must not be replaced, and locks the files.
    let output = Output::new(folder.join("once.nii.gz")).open(annotator.scan(), [] as [&Path; 0])?;
    let annotated = annotator.annotate(annotations, Start::Model, &mut print)?;
    for SliceTrust { index, trust, reason, .. } in annotated.to_check().into_iter().take(3) {
        println!("look at slice {} first (trust {trust:.2}: {reason})", SliceNumber::of_index(index));
    }
    for path in annotated.save(annotator.scan(), &output)? {
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// Begins a session, and runs its first round.
fn begin_session(annotator: &Annotator<Flex>, annotations: &Annotations, folder: &Path) -> Result<()> {
    let mut session = annotator.create_session(folder.join("session"), annotations)?;
    let outlined = Corrections::none().with_labels(annotations.labels.clone());
    Decisions::new(&session, &outlined)?.record(&mut session)?;
    let outcome = annotator.round(&mut session, RoundStart::Model, &mut ignore_events())?;
    println!("round {:?}", outcome.number);
    Ok(())
}

/// Resumes the session: accepts the least trusted slice, learns again, and writes the mask.
fn resume_session(annotator: &Annotator<Flex>, folder: &Path) -> Result<()> {
    let output = Output::new(folder.join("session.nii.gz")).open(annotator.scan(), [folder.join("session")])?;
    let mut session = annotator.open_session(folder.join("session"))?;
    let round = session.state().round.as_ref().context("the first round was run")?;
    let ranking = session.ranking_of(round)?.context("it was ranked")?;
    let first = ranking.first().context("some slices are not annotated")?;
    Decisions::new(&session, &Corrections::none().with_accepted([first.index]))?.record(&mut session)?;
    let outcome = annotator.round(&mut session, RoundStart::LastRound, &mut ignore_events())?;
    println!("round {:?}, from round {:?}", outcome.number, outcome.warm_start);
    for path in session.save(annotator.scan(), &output)?.unwrap_or_default() {
        println!("wrote {}", path.display());
    }
    Ok(())
}
