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
use sam_data::{Scan, Segment, SliceAxis, Window};
use serde_json::{Map, json};

pub use self::{
    corrections::{Corrections, DecisionError},
    decisions::{Decisions, Questioned},
    names::NamedStructure,
    replay::{Replay, ReplayedRound},
};
use crate::{
    AnnotateConfig, AnnotateError, Annotated, Annotations, Annotator, CheckedOutput, Events, Start,
    annotator::View,
    session::{Header, Round, RoundResult, Session, SessionError},
};

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
    /// The configuration is this annotator's, with another seed in each round, so that each round draws other samples. If `events` stops
    /// the round, nothing is recorded.
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
        let config = config.with_seed(seed);
        let before = session.state().round.clone().filter(|_| start == RoundStart::LastRound);
        let warm = before.as_ref().map(|round| warm_start(session, round, &config)).transpose()?.flatten();
        let warm_start = before.filter(|_| warm.is_some()).map(|round| round.number);
        let annotations = session.annotations()?;
        let annotated = self.annotate_in(session, &annotations, &config, warm, events)?;
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
        warm: Option<BTreeMap<u16, PromptCard>>,
        events: &mut Events<'_>,
    ) -> Result<Annotated, AnnotateError> {
        let view = self.view(session.header().axis, &self.window_of(session.header())?)?;
        let start = warm.map_or(Start::Model, Start::Warm);
        self.annotate_as(&view, session.axis_reason(annotations), annotations, config, &start, events)
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
