//! Opens a desk from the command line: the mask or session, the model, and the storage of decisions.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use burn::tensor::backend::Backend;
use sam_annotate::{Annotator, CheckedOutput, KeptMasks, Session, SliceTrust, Weights, cards, structure_name};
use sam_assist::PromptCard;
use sam_data::{LabelVolume, Scan, Segment, SliceAxis, SlicePlane, Window};
use sam_review::{
    DecisionStore, MaskState, MemoryStore, RankedSlice, Ranking, ReviewCase, RoundChanges, ScanDesk, ScanModel,
    SessionStore, SliceReview, SliceState,
};
use serde_json::json;

use super::Options;
use crate::{backend::Job, commands::kept, console::Console, exit::Failure, options::ScanOptions, record};

/// Reads the scan and its mask or session, and loads the model.
///
/// # Errors
/// If an input cannot be read or does not fit the others, or if the mask could not be written.
pub(super) fn open(options: &Options, console: &Console) -> Result<ScanDesk> {
    let plan = options.plan(console);
    kept::check(&plan, &options.scan.out, options.session.is_some())?;
    let scan = Arc::new(options.scan.read(console)?);
    options.output().check(&scan)?;
    let model = &options.compute.model;
    let (output, weights, reviewed) = match (&options.session, &options.mask) {
        (Some(folder), _) => {
            let (weights, precision) = (model.locate(console)?, model.precision);
            let open = || -> Result<_> { Ok(Session::resume(folder, scan.identity()?, weights.sha256(), precision)?) };
            let output = options.hold(kept::accept(plan, &scan, &options.scan.out, open)?)?;
            let session = open()?;
            session.check_record(output.record())?;
            let is_current = kept::has_mask(&session, &scan, &options.scan.out);
            let mask = if is_current { MaskState::Current } else { MaskState::Outdated };
            (output, weights, Reviewed::of_session(session, mask)?)
        }
        (None, Some(mask)) => {
            // Before the mask is read, so that no change to it is missed.
            let output = options.hold(plan)?;
            let weights = model.locate(console)?;
            let reviewed = Reviewed::of_mask(options, mask, &scan, &weights, console)?;
            (output, weights, reviewed)
        }
        (None, None) => return Err(Failure::usage("there is nothing to review: give --mask FILE or --session DIR")),
    };
    model.backend.run(DeskJob { options, scan, output, weights: &weights, reviewed })
}

/// The mask to review, with its structures, cards and ranking.
struct Reviewed {
    axis: SliceAxis,
    window: Window,
    structures: Vec<Segment>,
    /// The card of each structure, if there is one.
    cards: Vec<Option<PromptCard>>,
    ranking: Ranking,
    /// What the session's last round changed; `None` if it was not compared with one before.
    changes: Option<RoundChanges>,
    slices: Vec<SliceReview>,
    store: Box<dyn DecisionStore>,
    mask: MaskState,
}

impl Reviewed {
    /// The current mask of a session, with the session's structures, cards and ranking.
    fn of_session(session: Session, mask: MaskState) -> Result<Self> {
        let header = session.header().clone();
        let (mut learned, ranked) = match &session.state().round {
            Some(round) => (session.cards_of(round)?, session.ranking_of(round)?),
            None => Default::default(),
        };
        let count = session.plane().count();
        let trust = |slice: SliceTrust| {
            let reason = (!slice.reason.is_empty()).then_some(slice.reason);
            RankedSlice::new(slice.index, Some(slice.trust.into())).with_reason(reason)
        };
        let ranking = match ranked {
            Some(ranked) => Ranking::new(ranked.into_iter().map(trust).collect(), count)
                .with_context(|| format!("the ranking in {}", session.folder().display()))?,
            None => Ranking::in_order(count),
        };
        let structures = session.structures();
        let round = session.state().round.as_ref();
        let changes = round.and_then(|round| changes(round.number, &round.kept, &structures, session.plane()));
        let cards = structures.keys().map(|value| learned.remove(value)).collect();
        let structures = structures.into_iter().map(|(value, name)| Segment::new(value, name)).collect();
        let store = SessionStore::new(session)?;
        let slices = store.slices()?;
        let window = header.window.name.parse()?;
        let store = Box::new(store);
        Ok(Self { axis: header.axis, window, structures, cards, ranking, changes, slices, store, mask })
    }

    /// A mask without a session, from the options of the command line.
    fn of_mask(options: &Options, path: &Path, scan: &Scan, weights: &Weights, console: &Console) -> Result<Self> {
        let mask = ScanOptions::read_labels(scan, path, console)?;
        let structures = structures(options, path, &mask)?;
        let cards = options.structures.cards(weights.sha256())?;
        let names: Vec<_> = structures.iter().map(|structure| structure.name.clone()).collect();
        let window = cards::window(options.structures.window, &cards)?;
        let cards = if cards.is_empty() {
            vec![None; structures.len()]
        } else {
            cards::check_count(&cards, &names)?;
            cards.into_iter().map(Some).collect()
        };
        let plane = SlicePlane::new(scan.grid(), options.structures.axis);
        let ranking = match &options.ranking {
            Some(path) => Ranking::read(path, plane.count())?,
            None => Ranking::in_order(plane.count()),
        };
        let review = |slice| SliceReview::new(plane.extract(mask.labels.view(), slice), SliceState::Predicted);
        let slices = (0..plane.count()).map(review).collect();
        let axis = [SliceAxis::I, SliceAxis::J, SliceAxis::K][plane.axis()];
        Ok(Self {
            axis,
            window,
            structures,
            cards,
            ranking,
            changes: None,
            slices,
            store: Box::new(MemoryStore::new()),
            mask: MaskState::Open,
        })
    }
}

/// What a round changed in the mask of the round before, from what it kept of each structure; `None` if it was not compared with one.
fn changes(
    number: usize,
    kept: &BTreeMap<u16, KeptMasks>,
    names: &BTreeMap<u16, String>,
    plane: &SlicePlane,
) -> Option<RoundChanges> {
    let text = |(value, structure): (&u16, &KeptMasks)| match names.get(value) {
        Some(name) if kept.len() > 1 => format!("{name}: {}", structure.text(plane)),
        _ => structure.text(plane),
    };
    let renewed: BTreeSet<usize> = kept.values().flat_map(|structure| structure.renewed.iter()).collect();
    let text = kept.iter().map(text).collect::<Vec<_>>().join("\n");
    (!text.is_empty()).then(|| RoundChanges::new(format!("Round {number}: {text}"), renewed.into_iter().collect()))
}

/// The structures of the mask, and those named in the file of names.
fn structures(options: &Options, path: &Path, mask: &LabelVolume) -> Result<Vec<Segment>> {
    let names = options.structures.names()?;
    let mut values = mask.values();
    values.extend(names.keys().copied());
    ensure!(
        !values.is_empty(),
        "{} shows no structure: name the structures to draw with --labels FILE",
        path.display()
    );
    Ok(values.into_iter().map(|value| Segment::new(value, structure_name(&names, value))).collect())
}

/// A desk, to be opened on a backend.
struct DeskJob<'a> {
    options: &'a Options,
    scan: Arc<Scan>,
    output: CheckedOutput,
    weights: &'a Weights,
    reviewed: Reviewed,
}

impl Job for DeskJob<'_> {
    type Output = ScanDesk;

    fn run<B: Backend>(self, device: &B::Device) -> Result<ScanDesk> {
        let Self { options, scan, output, weights, reviewed } = self;
        let Reviewed { axis, window, structures, cards, ranking, changes, slices, store, mask } = reviewed;
        let predictor = options.compute.model.predictor::<B>(weights, device)?;
        let environment = record::environment(options.compute.model.backend, &predictor);
        let mut builder = Annotator::builder(predictor, Arc::clone(&scan)).axis(axis).window(window);
        if let Some(cache) = options.compute.open_cache()? {
            builder = builder.cache(cache);
        }
        let annotator = builder.build()?;
        let embedded = annotator.slices(axis)?;

        let metadata: Vec<_> = cards.iter().map(|card| card.as_ref().map(PromptCard::metadata)).collect();
        let resolved = window.resolve(scan.volume().voxels.view())?;
        let mut case = ReviewCase::new(scan, annotator.plane(axis), structures, output);
        case.ranking = ranking;
        case.changes = changes;
        case.mask = mask;
        case.record = record::saved_options("review", options)?;
        // Without a session, the decisions are nowhere but in the mask.
        case.record.insert(sam_files::ONLY_COPY.to_owned(), options.session.is_none().into());
        case.record.extend([
            ("window".to_owned(), json!(resolved)),
            ("cards".to_owned(), json!(metadata)),
            ("environment".to_owned(), json!(environment)),
        ]);
        let model = ScanModel::new(Arc::clone(&embedded), cards.iter().map(Option::as_ref))?;
        Ok(ScanDesk::new(case, Arc::clone(embedded.images()), slices, store, Arc::new(model))?)
    }
}

#[cfg(test)]
mod tests {
    use sam_data::Grid;

    use super::*;

    #[test]
    fn changes_name_structures_if_there_are_several() {
        let mut affine = [[0.0; 4]; 4];
        (0..4).for_each(|at| affine[at][at] = 1.0);
        let plane = SlicePlane::new(&Grid::new([4, 4, 10], affine), SliceAxis::K);
        let renewed = |slices: &[usize]| {
            let mut kept = KeptMasks::default();
            kept.renewed = slices.iter().copied().collect();
            kept
        };
        let names = [(1, "liver".to_owned()), (2, "spleen".to_owned())].into();
        let of = |kept: &[(u16, KeptMasks)]| changes(3, &kept.iter().cloned().collect(), &names, &plane);
        assert_eq!(of(&[]), None, "the first round");
        let one = of(&[(1, renewed(&[5, 6]))]).expect("a round before");
        assert!(one.text.starts_with("Round 3: segmented again: slices 6-7"), "{}", one.text);
        let both = of(&[(1, renewed(&[5, 6])), (2, renewed(&[]))]).expect("a round before");
        assert!(
            both.text.contains("liver: segmented again") && both.text.contains("\nspleen: no slice"),
            "{}",
            both.text
        );
        assert_eq!((one.renewed, both.renewed), (vec![5, 6], vec![5, 6]));
    }
}
