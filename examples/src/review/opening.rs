//! From the command line to a desk: what is reviewed, with which model, and where decisions are kept.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result, ensure};
use sam_assist::PromptCard;
use sam_data::{LabelTable, LabelVolume, ResolvedWindow, Segment, SlicePlane};
use serde_json::json;

use super::{
    Ledger, Memory, ModelJob, Options, Ranked, Ranking, ReviewCase, ScanDesk, SessionLedger, Sheet, SliceState,
};
use crate::{annotate::name_of, cards, results::Environment, scan::Scan, session::Session, weights::Weights};

/// What is reviewed of a scan.
struct Subject {
    plane: SlicePlane,
    window: ResolvedWindow,
    structures: Vec<Segment>,
    /// What answers for each structure; where there is none, the original.
    cards: Vec<Option<PromptCard>>,
    ranking: Ranking,
    sheets: Vec<Sheet>,
    ledger: Box<dyn Ledger>,
}

/// Reads the scan, and a mask or session of it; loads the model.
///
/// # Errors
/// If something cannot be read or does not fit the rest, or the mask could not be written.
pub(super) fn open(options: &Options) -> Result<ScanDesk> {
    let scan = options.scan.read()?;
    let weights = options.model.locate()?;
    let subject = match (&options.session, &options.mask) {
        (Some(folder), _) => of_session(options, folder, &scan, &weights)?,
        (None, mask) => of_mask(options, mask.as_deref().context("there is no --mask to review")?, &scan, &weights)?,
    };
    let Subject { plane, window, structures, cards, ranking, sheets, ledger } = subject;
    let metadata: Vec<_> = cards.iter().map(|card| card.as_ref().map(PromptCard::metadata)).collect();
    let record = json!({
        "options": options, "window": window, "cards": metadata,
        "environment": Environment::new(options.backend, &weights),
    });
    let record = record.as_object().cloned().unwrap_or_default();
    let case = ReviewCase { options: options.scan.clone(), scan, plane, structures, ranking, record };
    let images = Arc::new(case.images(&window));
    let model = options.backend.run(ModelJob {
        images: Arc::clone(&images),
        weights: &weights,
        cards: &cards,
        disk: options.cache.open(&weights)?,
    })?;
    ScanDesk::new(case, sheets, ledger, images, model)
}

/// The current mask of a session; all else is as the session has it.
fn of_session(options: &Options, folder: &Path, scan: &Scan, weights: &Weights) -> Result<Subject> {
    let session = Session::resume(folder, scan.identity(&options.scan)?, weights.sha256.clone(), weights.precision)?;
    let (header, plane) = (session.header().clone(), session.plane().clone());
    let round = session.state().round.clone();
    let (mut learned, ranked) = match &round {
        Some(round) => (session.cards_of(round)?, session.ranking_of(round)?),
        None => Default::default(),
    };
    let trust = |(slice, trust): (usize, f32)| Ranked { slice, trust: Some(trust.into()) };
    let ranking = match ranked {
        Some(ranked) => Ranking::new(ranked.into_iter().map(trust).collect(), plane.count()),
        None => Ok(Ranking::in_order(plane.count())),
    };
    let ranking = ranking.with_context(|| format!("the ranking in {}", folder.display()))?;
    let cards = header.structures.keys().map(|value| learned.remove(value)).collect();
    let structures = header.structures.into_iter().map(|(value, name)| Segment { value, name }).collect();
    let ledger = SessionLedger::new(session)?;
    let sheets = ledger.sheets()?;
    Ok(Subject { plane, window: header.window, structures, cards, ranking, sheets, ledger: Box::new(ledger) })
}

/// A mask on its own, as the command line says.
fn of_mask(options: &Options, path: &Path, scan: &Scan, weights: &Weights) -> Result<Subject> {
    check_out(&options.scan.out, path)?;
    let mask = options.scan.read_labels(path, scan)?;
    let structures = structures(options, path, &mask)?;
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
    let cards = if cards.is_empty() { vec![None; structures.len()] } else { cards.into_iter().map(Some).collect() };
    let sheet = |slice| Sheet::new(plane.extract(mask.labels.view(), slice), SliceState::Predicted);
    let sheets = (0..plane.count()).map(sheet).collect();
    Ok(Subject { plane, window, structures, cards, ranking, sheets, ledger: Box::new(Memory::default()) })
}

/// An earlier review is not to be written over, but may be gone on with.
fn check_out(out: &Path, mask: &Path) -> Result<()> {
    let goes_on = || Ok::<_, std::io::Error>(out.canonicalize()? == mask.canonicalize()?);
    ensure!(
        !out.exists() || goes_on().with_context(|| format!("cannot read {}", mask.display()))?,
        "{} exists already: give it as --mask to go on with it, or choose another name",
        out.display()
    );
    Ok(())
}

/// The structures of the mask, and those that have a name.
fn structures(options: &Options, path: &Path, mask: &LabelVolume) -> Result<Vec<Segment>> {
    let names = options.labels.as_deref().map_or_else(|| Ok(LabelTable::default()), LabelTable::read)?;
    let mut values = mask.values();
    values.extend(names.structures().into_iter().flat_map(|structure| structure.values));
    ensure!(!values.is_empty(), "{} shows no structure: name those that are to be drawn with --labels", path.display());
    Ok(values.into_iter().map(|value| Segment { value, name: name_of(&names, value) }).collect())
}
