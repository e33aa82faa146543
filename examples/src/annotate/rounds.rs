//! Annotate in a session: what the person decided is kept, then a round learns from all of it.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, bail, ensure};
use sam_assist::{AssistConfig, PromptCard};
use sam_data::{LabelVolume, Segment, SliceAxis, Window};
use sam_prompt::ndarray::Zip;
use serde_json::json;

use super::{
    Annotated, Options, SliceList, Start,
    decisions::Decisions,
    name_of, record,
    work::{View, Work},
};
use crate::{
    outline::outlined_axis,
    session::{Annotations, Event, Header, Origin, Round, RoundConfig, RoundResult, Session},
};

/// Goes on with a session, or begins it.
pub(super) fn run(options: &Options, folder: &Path) -> Result<()> {
    let work = Work::open(options)?;
    let given = options.read_annotations(&work.scan)?;
    let mut session = open(&work, folder, given.as_ref())?;
    if options.session.replay {
        return replay(&work, &session);
    }
    if options.session.undo {
        println!("Undone: {}", describe(&session.undo()?));
    } else {
        Decisions::of(&session, given.as_ref(), options)?.keep(&mut session)?;
        if session.is_up_to_date() && !options.session.anew {
            println!("Nothing has changed since the last round");
        } else {
            learn(&work, &mut session)?;
        }
    }
    write(&work, &session)
}

/// Opens the session; the axis, the window and the names that were given when it was begun need not be given again.
fn open(work: &Work<'_>, folder: &Path, given: Option<&LabelVolume>) -> Result<Session> {
    let (options, known) = (work.options, Header::read(folder)?);
    let axis = match (&known, given) {
        (Some(known), _) if options.axis == SliceAxis::Auto => known.axis,
        (_, Some(given)) => outlined_axis(given, options.axis),
        (_, None) => options.axis,
    };
    let axis = [SliceAxis::I, SliceAxis::J, SliceAxis::K][work.plane(axis).axis()];
    let window = match &known {
        Some(known) if options.window == Window::Auto => known.window.name.parse()?,
        _ => options.window,
    };
    let structures = match (known, given) {
        (Some(known), _) => known.structures,
        (None, Some(given)) => structures(options, given)?,
        (None, None) => bail!(
            "there is no session in {} yet: begin it with --annotations FILE, a label map with a few slices outlined",
            folder.display()
        ),
    };
    let scan = work.scan.identity(&options.scan)?;
    let window = window.resolve(work.scan.volume.voxels.view())?;
    let config = work.config(options.seed)?;
    let header = Header::new(scan, axis, window, structures, work.weights.sha256.clone(), config);
    Session::start(folder, Header { precision: work.weights.precision, ..header })
}

/// Every structure that was outlined or named.
fn structures(options: &Options, given: &LabelVolume) -> Result<BTreeMap<u16, String>> {
    ensure!(
        !given.values().is_empty(),
        "{} has no annotated slice: outline the structure on 2 to 5 slices of {}",
        options.annotations_name(),
        options.scan.image.display()
    );
    let table = options.names()?;
    let named = table.structures().into_iter().flat_map(|structure| structure.values);
    let values = given.values().into_iter().chain(named);
    Ok(values.map(|value| (value, name_of(&table, value))).collect())
}

/// A round: learns from all that the person said, segments the rest, and keeps both.
fn learn(work: &Work<'_>, session: &mut Session) -> Result<()> {
    let number = session.rounds().count() + 1;
    // Each round draws anew: what one did not meet, the next may.
    let seed = work.options.seed.wrapping_add(number as u64 - 1);
    let config = work.config(seed)?;
    let before = session.state().round.clone().filter(|_| work.options.session.warm);
    let warm = match &before {
        Some(round) => warm_start(session, round, &config)?,
        None => None,
    };
    let warm_start = before.filter(|_| warm.is_some()).map(|round| round.number);
    let how = warm_start.map_or("from the model".to_owned(), |before| format!("on from round {before}"));
    println!("Round {number}, learning {how}");
    let found = segment(work, session, &session.annotations()?, &config, warm.as_ref())?;
    let (backend, ranking) = (work.options.backend.to_string(), found.to_check());
    let result = RoundResult {
        seed,
        config,
        backend,
        warm_start,
        cards: &found.cards,
        labels: found.labels.view(),
        ranking: Some(&ranking),
    };
    session.record_round(result, &work.scan.volume)?;
    Ok(())
}

/// The cards of a round, if this learning can go on from them.
fn warm_start(session: &Session, round: &Round, config: &RoundConfig) -> Result<Option<BTreeMap<u16, PromptCard>>> {
    let cards = session.cards_of(round)?;
    let learns = |learning: &AssistConfig| (learning.trained, learning.members);
    let can_go_on = cards.values().all(|card| learns(&card.metadata().learning) == learns(&config.learning));
    Ok(can_go_on.then_some(cards))
}

/// Learns from what a person said, and segments the rest.
fn segment(
    work: &Work<'_>,
    session: &Session,
    annotations: &Annotations,
    config: &RoundConfig,
    warm: Option<&BTreeMap<u16, PromptCard>>,
) -> Result<Annotated> {
    let header = session.header();
    ensure!(
        !annotations.labels.values().is_empty(),
        "no slice of yours shows a structure: outline it on 2 to 5 slices of {}",
        header.scan.name
    );
    let names = header.structures.clone().into_iter().collect();
    let view = View { axis: header.axis, window: header.window.name.parse()?, names };
    let stack = work.stack(annotations, &view)?;
    let start = warm.map_or(Start::Model, Start::Warm);
    work.segment(&stack, annotations, &view.names, session.plane(), config, start)
}

/// Does every round again, and compares its mask with what was kept.
fn replay(work: &Work<'_>, session: &Session) -> Result<()> {
    let mut others = Vec::new();
    for (before, round) in session.rounds() {
        let Round { number, config, .. } = round;
        let begun = round.warm_start.map(|wanted| {
            let mut rounds = session.rounds().map(|(_, round)| round);
            rounds
                .find(|round| round.number == wanted)
                .with_context(|| format!("there is no round {wanted} to go on from"))
        });
        let warm = begun.transpose()?.map(|begun| session.cards_of(begun)).transpose()?;
        let found = segment(work, session, &session.annotations_of(&before)?, config, warm.as_ref())?;
        let kept = session.mask_of(round)?;
        let differ =
            Zip::from(&found.labels).and(&kept.labels).fold(0_u64, |sum, now, then| sum + u64::from(now != then));
        if differ == 0 {
            println!("Round {number}: the same mask to the bit");
        } else {
            println!("Round {number}: {differ} of {} voxels differ", kept.labels.len());
            others.push(*number);
        }
        if round.backend != work.options.backend.to_string() {
            println!("Round {number} was computed by {}, which rounds differently", round.backend);
        }
    }
    ensure!(others.is_empty(), "the masks of the rounds {others:?} came out otherwise");
    Ok(())
}

/// Writes the current mask with all that the person said upon it, and where it comes from.
fn write(work: &Work<'_>, session: &Session) -> Result<()> {
    let (header, state) = (session.header(), session.state());
    let list = |origin| state.slices_of(origin).into_iter().collect::<SliceList>();
    println!("Yours are the slices drawn: {}; accepted: {}", list(Origin::Drawn), list(Origin::Accepted));
    if !state.rejected.is_empty() {
        let rejected: SliceList = state.rejected.iter().copied().collect();
        println!("Still rejected, to be corrected or accepted: {rejected}");
    }
    let Some(mask) = session.current()? else {
        println!("There is no mask: no round is left");
        return Ok(());
    };
    let values = mask.values();
    let segment = |(&value, name): (&u16, &String)| Segment { value, name: name.clone() };
    let of_mask = |structure: &(&u16, &String)| values.is_empty() || values.contains(structure.0);
    let segments: Vec<_> = header.structures.iter().filter(of_mask).map(segment).collect();
    work.options.scan.write(mask.labels.view(), &work.scan, &segments, &session.describe())?;
    record::write(work, json!({ "session": session.provenance() }))
}

/// An event as people speak of it.
fn describe(event: &Event) -> String {
    match event {
        Event::Drawn { slice, .. } => format!("slice {slice} was drawn"),
        Event::Accepted { slice, .. } => format!("slice {slice} was accepted"),
        Event::Rejected { slice } => format!("slice {slice} was rejected"),
        Event::Round(round) => format!("round {}", round.number),
        Event::Undone { event } => format!("the undoing of event {event}"),
    }
}
