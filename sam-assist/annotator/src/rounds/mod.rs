//! Rounds: an [`Annotator`] works in a [`Session`], which records the person's decisions and the results.
//!
//! A round learns from all of the person's slices and segments the others. Then the person corrects, accepts or rejects slices of the
//! mask ([`Corrections`], [`Decisions`]), and the next round learns from more.

mod corrections;
mod decisions;
mod names;
mod replay;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use burn::tensor::backend::Backend;
use sam_assist::PromptCard;
use sam_auto::mean_gap;
use sam_data::{Scan, Segment, SliceAxis, Window};
use serde_json::{Map, json};

pub use self::{
    corrections::{Corrections, DecisionError},
    decisions::{Decisions, Questioned},
    names::NamedStructure,
    replay::{Replay, ReplayedRound},
};
use crate::{
    AnnotateConfig, AnnotateError, Annotated, AnnotatedStructure, Annotations, Annotator, CheckedOutput, Events,
    Expectation, LeftOutDice, Start, StructureSummary,
    annotator::{Before, KeepRule, View, left_out_dice},
    session::{Header, Round, RoundResult, Session, SessionError, SessionState},
};

/// Even if the first round had fewer outlines, later ones learn longer up to this many slices.
const LEAST_COUNTED: usize = 3;

/// Where the learning of a round starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoundStart {
    /// The model.
    #[default]
    Model,
    /// The cards of the last round, if this round learns the same parameters; otherwise, and in the first round, the model. It takes half
    /// the time, but so far the result is not as good.
    LastRound,
}

/// Result of a round.
#[derive(Debug)]
#[non_exhaustive]
pub struct RoundOutcome {
    /// The segmented scan.
    pub annotated: Annotated,
    /// The round's number, counted from 1; `None` if the round was stopped. A stopped round is not recorded and leaves the session
    /// unchanged.
    pub number: Option<usize>,
    /// The round whose cards learning started from, if any.
    pub warm_start: Option<usize>,
}

impl<B: Backend> Annotator<B> {
    /// Creates a session in a folder, with the structures that are outlined or named in `annotations`. The outlines are not recorded yet:
    /// use [`Decisions`] for that.
    ///
    /// # Errors
    /// [`AnnotateError::NothingOutlined`]; [`AnnotateError::OtherGrid`]; [`AnnotateError::Axis`]; [`SessionError::Exists`] and others.
    pub fn create_session(
        &self,
        folder: impl AsRef<Path>,
        annotations: &Annotations,
    ) -> Result<Session, AnnotateError> {
        self.check_labels(&annotations.labels)?;
        let view = self.view(annotations.labels.outlined_axis(self.axis())?.axis, self.window())?;
        Ok(Session::create(folder, self.header(view, annotations.structures())?)?)
    }

    /// Opens a session of this scan and model. `Auto` takes the axis or window of the session; any other axis or window must be the
    /// session's.
    ///
    /// # Errors
    /// [`SessionError::NotFound`]; [`SessionError::OtherSetting`] if it was created with another scan, axis, window or model; and others.
    pub fn open_session(&self, folder: impl AsRef<Path>) -> Result<Session, AnnotateError> {
        let folder = folder.as_ref();
        let missing = || SessionError::NotFound { folder: folder.to_path_buf() };
        let begun = Header::read(folder)?.ok_or_else(missing)?;
        let axis = if self.axis() == SliceAxis::Auto { begun.axis } else { self.axis() };
        let view = if *self.window() == Window::Auto {
            self.view(self.voxel_axis(axis), &self.window_of(&begun)?)?
        } else {
            self.view(self.voxel_axis(axis), self.window())?
        };
        Ok(Session::open(folder, &self.header(view, begun.structures)?)?)
    }

    /// Runs a round: learns from all of the person's slices, segments the others, ranks them, and records the result in the session.
    ///
    /// Slices that the person did not correct, and that are not near corrected ones, keep the masks of the round before, unless the new round
    /// is better on left-out outlines: see [`KeptMasks`](crate::KeptMasks). Nothing is kept if nothing was decided since that round, or if the
    /// strategy or the learning is another one: such a round is meant to replace the masks.
    ///
    /// The configuration is this annotator's, with another seed in each round, so that each round draws other samples. A later round takes
    /// about as many steps of learning as the first, however many slices were added. If `events` stops the round, nothing is recorded.
    ///
    /// # Errors
    /// [`AnnotateError::NothingOutlined`] if none of the person's slices shows a structure; those of [`Annotator::annotate`];
    /// [`SessionError`] if a file of the session is damaged or cannot be written.
    pub fn round(
        &self,
        session: &mut Session,
        start: RoundStart,
        events: &mut Events<'_>,
    ) -> Result<RoundOutcome, AnnotateError> {
        let number = session.next_round();
        let config = self.config().clone();
        let seed = config.seed().wrapping_add(number as u64 - 1);
        let mut config = config.with_seed(seed);
        let last = last_round(session, session.state())?;
        config.learning.max_counted_slices = self.counted_slices(last.as_ref(), session);
        let before = session.state().round.clone().filter(|_| start == RoundStart::LastRound);
        let warm = before.as_ref().map(|round| warm_start(session, round, &config)).transpose()?.flatten();
        let warm_start = before.filter(|_| warm.is_some()).map(|round| round.number);
        // A round that is run again without a new decision, or in another way, is meant to replace the masks.
        let kept = last.filter(|(round, _)| is_same_way(&round.config, &config) && !session.is_up_to_date());
        let rule = |round: &Round| KeepRule::Test(round.left_out.clone());
        let masks = kept.as_ref().map(|last| masks_of(session, session.state(), last, rule(&last.0))).transpose()?;
        let annotations = session.annotations()?;
        let annotated = self.annotate_in(session, &annotations, &config, (warm, masks.as_ref()), events)?;
        if annotated.stopped {
            return Ok(RoundOutcome { annotated, number: None, warm_start });
        }
        let result = RoundResult {
            seed,
            config,
            backend: self.backend(),
            warm_start,
            cards: &annotated.learned_cards(),
            labels: annotated.labels.labels.view(),
            ranking: Some(&annotated.to_check()),
            kept_from: kept.map(|(round, _)| round.number),
            kept: annotated.kept(),
            left_out: left_out(&annotated),
        };
        session.record_round(result, self.scan().volume())?;
        Ok(RoundOutcome { annotated, number: Some(number), warm_start })
    }

    /// Annotates with the axis and window of the session.
    fn annotate_in(
        &self,
        session: &Session,
        annotations: &Annotations,
        config: &AnnotateConfig,
        (warm, before): (Option<BTreeMap<u16, PromptCard>>, Option<&Before>),
        events: &mut Events<'_>,
    ) -> Result<Annotated, AnnotateError> {
        let view = self.view(session.header().axis, &self.window_of(session.header())?)?;
        let start = warm.map_or(Start::Model, Start::Warm);
        self.annotate_as(&view, session.axis_reason(annotations), annotations, (config, &start, before), events)
    }

    /// The number of slices up to which a round learns longer: that of the first round in effect, so that later ones take no longer. `None`
    /// in the first round, if the configuration has no other.
    fn counted_slices(&self, before: Option<&(Round, Annotations)>, session: &Session) -> Option<usize> {
        let configured = self.config().learning.max_counted_slices;
        let Some((round, annotations)) = before else { return configured };
        let outlined = || {
            let understood = annotations.summary(session.plane(), session.axis_reason(annotations)).ok()?;
            let counts = understood.structures.iter().map(|structure| structure.outlined.len());
            Some(counts.max()?.max(LEAST_COUNTED))
        };
        let counted = round.config.learning.max_counted_slices.or_else(outlined);
        configured.into_iter().chain(counted).min()
    }

    /// The window that a session was created with.
    fn window_of(&self, header: &Header) -> Result<Window, AnnotateError> {
        let refused = |source| AnnotateError::Window { scan: self.scan().name(), source };
        header.window.name.parse().map_err(refused)
    }

    /// The voxel index along which an axis runs.
    fn voxel_axis(&self, axis: SliceAxis) -> SliceAxis {
        [SliceAxis::I, SliceAxis::J, SliceAxis::K][self.plane(axis).axis()]
    }

    /// The header of a session on this scan and model.
    fn header(&self, view: View, structures: BTreeMap<u16, String>) -> Result<Header, AnnotateError> {
        let scan = self.scan().identity().map_err(AnnotateError::Scan)?;
        let weights = self.weights_sha256().to_owned();
        let header = Header::new(scan, view.axis, view.resolved, structures, weights, self.config().clone());
        Ok(header.with_precision(self.predictor().encoder_precision()))
    }
}

/// The current round of a state, and what it was learned from. `None` if there was none.
fn last_round(session: &Session, state: &SessionState) -> Result<Option<(Round, Annotations)>, SessionError> {
    state.round.as_ref().map_or(Ok(None), |round| round_of(session, round.number))
}

/// The round of a number, undone or not, and what it was learned from.
fn round_of(session: &Session, number: usize) -> Result<Option<(Round, Annotations)>, SessionError> {
    let Some((before, round)) = session.rounds().find(|(_, round)| round.number == number) else { return Ok(None) };
    Ok(Some((round.clone(), session.annotations_of(&before)?)))
}

/// The masks of a round, to keep some of them.
fn masks_of(
    session: &Session,
    state: &SessionState,
    last: &(Round, Annotations),
    rule: KeepRule,
) -> Result<Before, AnnotateError> {
    let understood = |(round, annotations): &(Round, Annotations)| -> Result<Vec<StructureSummary>, AnnotateError> {
        let mut structures = annotations.summary(session.plane(), session.axis_reason(annotations))?.structures;
        structures.retain(|structure| round.cards.contains_key(&structure.value));
        Ok(structures)
    };
    let (annotated, mut gaps) = (understood(last)?, BTreeMap::new());
    let mut widen = |structures: &[StructureSummary]| {
        for structure in structures {
            let gap = gaps.entry(structure.value).or_insert(0.0_f32);
            *gap = gap.max(mean_gap(structure.outlined.iter().map(|outline| outline.place.index)));
        }
    };
    widen(&annotated);
    let mut earlier = before_round(session, &last.0)?;
    while let Some(each) = earlier {
        widen(&understood(&each)?);
        earlier = before_round(session, &each.0)?;
    }
    let annotated = annotated.iter().map(|structure| (structure.value, structure.annotated())).collect();
    let rejected_then = session.rounds().find(|(_, round)| round.number == last.0.number);
    let rejected_then = rejected_then.map(|(then, _)| then.rejected.clone()).unwrap_or_default();
    let rejected = state.rejected.clone();
    let just_rejected = rejected.difference(&rejected_then).copied().collect();
    Ok(Before { labels: session.mask_of(&last.0)?.labels, annotated, rejected, just_rejected, gaps, rule })
}

/// The round of whose masks a round kept some. A damaged log must not lead in circles.
fn before_round(session: &Session, round: &Round) -> Result<Option<(Round, Annotations)>, SessionError> {
    let number = round.kept_from.filter(|&number| number < round.number);
    number.map_or(Ok(None), |number| round_of(session, number))
}

/// Whether two rounds find masks in the same way, apart from their seeds and from how long they learn.
fn is_same_way(one: &AnnotateConfig, other: &AnnotateConfig) -> bool {
    let way = |config: &AnnotateConfig| {
        let config = config.clone().with_seed(0);
        (config.learning.with_max_counted_slices(None), config.strategy)
    };
    way(one) == way(other)
}

/// The Dice of left-out outlines that the next round is compared with: those of the round whose masks were kept, or of this one if it has
/// replaced all of them.
fn left_out(annotated: &Annotated) -> BTreeMap<u16, LeftOutDice> {
    let of = |structure: &AnnotatedStructure| {
        let dice = match &structure.kept {
            Some(kept) if !kept.kept.is_empty() => structure.left_out_before.clone(),
            _ => structure.expected_dice.as_ref().and_then(Expectation::known).map(left_out_dice)?,
        };
        (!dice.is_empty()).then_some((structure.value, dice))
    };
    annotated.structures.iter().filter_map(of).collect()
}

/// The cards of a round. `None` if learning cannot continue from them.
fn warm_start(
    session: &Session,
    round: &Round,
    config: &AnnotateConfig,
) -> Result<Option<BTreeMap<u16, PromptCard>>, SessionError> {
    let cards = session.cards_of(round)?;
    let wanted = (config.learning.trained, config.learning.members);
    let fits = |card: &PromptCard| (card.metadata().learning.trained, card.metadata().learning.members) == wanted;
    Ok(cards.values().all(fits).then_some(cards))
}

impl Session {
    /// Writes the current mask with all of the person's slices in it, DICOM SEG if the output has it, and a record of the mask's
    /// provenance. Returns the mask's paths, or `None` if there is no mask: no round was run, or every round is undone.
    ///
    /// # Errors
    /// [`SessionError::Object`] if an object is missing or damaged; [`SessionError::LogCutOff`] if the record that would be replaced names
    /// lines that the log lacks; [`AnnotateError::Write`] and others if a file cannot be written.
    pub fn save(&self, scan: &Scan, output: &CheckedOutput) -> Result<Option<Vec<PathBuf>>, AnnotateError> {
        self.check_record(output.record())?;
        let Some(mask) = self.current()? else { return Ok(None) };
        let values = mask.values();
        let shown = |(value, _): &(&u16, &String)| values.is_empty() || values.contains(value);
        let segment = |(&value, name): (&u16, &String)| Segment::new(value, name);
        let structures = self.structures();
        let segments: Vec<_> = structures.iter().filter(shown).map(segment).collect();
        let (session, understood) = (self.provenance(), json!(self.summary()?));
        let record = Map::from_iter([("session".to_owned(), session), ("understood".to_owned(), understood)]);
        output.write(scan, &mask, &segments, &self.describe(), record).map(Some)
    }
}

#[cfg(test)]
mod tests;
