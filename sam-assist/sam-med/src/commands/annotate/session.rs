//! `annotate --session`: stores the user's decisions, then runs a round that learns from all of them.

use std::{ops::ControlFlow, path::Path};

use anyhow::{Result, bail};
use burn::tensor::backend::Backend;
use sam_annotate::{
    Annotations, Annotator, CheckedOutput, Corrections, Decisions, Event, Pace, RoundOutcome, RoundStart, Session,
    SliceNumber,
    batch::CaseTrust,
    session::{Origin, SessionEvent},
};

use super::{
    AnnotateJob,
    report::{AnnotateReport, Named, SessionReport},
};
use crate::{exit::Failure, progress::ProgressBars};

impl AnnotateJob<'_> {
    /// Begins or continues a session.
    pub(super) fn in_session<B: Backend>(
        &self,
        annotator: &Annotator<B>,
        folder: &Path,
        output: &CheckedOutput,
    ) -> Result<AnnotateReport> {
        let options = &self.options.session;
        let mut session = self.open(annotator, folder)?;
        if options.replay {
            return self.replay(annotator, &session);
        }
        let mut report = SessionReport::new(folder);
        let mut round = None;
        if options.undo {
            report.undone = Some(describe(&session.undo()?));
        } else {
            self.decide(&mut session, &mut report)?;
            if !session.is_up_to_date() || options.anew {
                round = Some(self.round(annotator, &mut session)?);
            }
        }
        report.read(&session);
        let structures = round.as_ref().map_or(&[][..], |round| &round.annotated.structures);
        let written = session.save(&self.scan, output)?.unwrap_or_default();
        let trust = match &round {
            Some(round) => CaseTrust::of(&round.annotated.to_check()),
            None => self.known_trust(&session),
        };
        let understood = session.summary()?;
        let report =
            AnnotateReport::new(structures, session.plane(), written, output).in_session(report, round.as_ref());
        // The mask is written, and does not need it.
        let warn = |error| self.console.warn(format_args!("note: {:#}", anyhow::Error::from(error)));
        let first = session.next_action().map_err(warn).ok().flatten();
        let report = report.with_first(first, Pace::of(&session), session.plane());
        Ok(report.understood(understood).with_trust(trust).with_next(self.options))
    }

    /// The trust in the mask of the last round, which an earlier run found.
    fn known_trust(&self, session: &Session) -> Option<CaseTrust> {
        let ranking = session.ranking_of(session.state().round.as_ref()?);
        // The mask is written, and does not need the ranking.
        let warn = |error| self.console.warn(format_args!("note: {:#}", anyhow::Error::from(error)));
        CaseTrust::of(&ranking.map_err(warn).ok()??)
    }

    /// Opens the session, or begins it with the given outlines.
    fn open<B: Backend>(&self, annotator: &Annotator<B>, folder: &Path) -> Result<Session> {
        if Session::exists(folder) {
            let session = annotator.open_session(folder)?;
            session.check_record(self.output.record())?;
            return Ok(session);
        }
        let Some(labels) = self.labels.clone() else {
            bail!(
                "there is no session in {} yet: begin it with --annotations FILE, a label map with a few outlined slices",
                folder.display()
            );
        };
        let annotations = Annotations::new(labels).with_names(self.options.structures.names()?);
        Ok(annotator.create_session(folder, &annotations)?)
    }

    /// Records the user's decisions since the last round.
    fn decide(&self, session: &mut Session, report: &mut SessionReport) -> Result<()> {
        let options = &self.options.session;
        let corrections = Corrections::none()
            .with_accepted(options.accept.iter())
            .with_rejected(options.reject.iter())
            .with_empty_slices(self.options.outlines.empty())
            .with_complete(self.options.outlines.complete)
            .with_min_outline(self.options.outlines.min_outline)
            .with_names(self.options.structures.names()?);
        let corrections = match &self.labels {
            Some(labels) => corrections.with_labels(labels.clone()),
            None => corrections,
        };
        let decisions = Decisions::new(session, &corrections)?;
        for questioned in decisions.questioned() {
            self.console.warn(format_args!("warning: {questioned}; --min-outline 0 lets them count"));
        }
        decisions.record(session)?;
        report.decided(&decisions);
        Ok(())
    }

    fn round<B: Backend>(&self, annotator: &Annotator<B>, session: &mut Session) -> Result<RoundOutcome> {
        let start = if self.options.session.warm { RoundStart::LastRound } else { RoundStart::Model };
        let mut bars = ProgressBars::new(self.console);
        let round = annotator.round(session, start, &mut |event| bars.event(event))?;
        if round.number.is_none() {
            drop(bars);
            return Err(Failure::Stopped("your decisions are saved in the session; the unfinished round is not").into());
        }
        Ok(round)
    }

    /// Replays every round, and compares its mask with the recorded one.
    fn replay<B: Backend>(&self, annotator: &Annotator<B>, session: &Session) -> Result<AnnotateReport> {
        let mut bars = ProgressBars::new(self.console);
        let replay = annotator.replay(session, &mut |event| match event {
            // The same at each round as it was then.
            Event::Understood { .. } => ControlFlow::Continue(()),
            event => bars.event(event),
        })?;
        drop(bars);
        if replay.stopped {
            return Err(Failure::Stopped("the session has not changed").into());
        }
        let backend = self.options.compute.model.backend.to_string();
        for round in &replay.rounds {
            let (number, different, voxels) = (round.number, round.different, round.voxels);
            if different > 0 {
                self.console.warn(format_args!("Round {number}: {different} of {voxels} voxels differ"));
            }
            if round.backend != backend {
                self.console.note(format_args!(
                    "Round {number} was computed by the backend {}, whose rounding differs",
                    round.backend
                ));
            }
        }
        let differing = replay.rounds.iter().filter(|round| round.different > 0);
        let differing: Vec<_> = differing.map(|round| round.number.to_string()).collect();
        if !differing.is_empty() {
            let rounds = if differing.len() == 1 { "round" } else { "rounds" };
            let differing = differing.join(", ");
            bail!("the masks of {rounds} {differing} differ from the recorded ones: they could not be repeated");
        }
        Ok(AnnotateReport::replayed(session.folder(), replay.rounds.len()))
    }
}

impl SessionReport {
    /// Fills in the drawn, accepted and rejected slices of the session.
    fn read(&mut self, session: &Session) {
        let state = session.state();
        self.drawn = state.slices_of(Origin::Drawn).into_iter().collect();
        self.accepted = state.slices_of(Origin::Accepted).into_iter().collect();
        self.rejected = state.rejected.iter().copied().collect();
        self.round = state.round.as_ref().map(|round| round.number);
        self.plane = Some(session.plane().clone());
    }

    /// Fills in the decisions of this run.
    fn decided(&mut self, decisions: &Decisions) {
        self.named = decisions.named().iter().map(Named::new).collect();
        let lists =
            [("drawn", decisions.drawn()), ("accepted", decisions.accepted()), ("rejected", decisions.rejected())];
        let named = lists.into_iter().filter(|(_, slices)| !slices.is_empty());
        self.decided = named.map(|(what, slices)| (what.to_owned(), slices)).collect();
    }
}

/// A description of an event for the user.
fn describe(event: &SessionEvent) -> String {
    let number = |slice: &usize| SliceNumber::of_index(*slice);
    match event {
        SessionEvent::Drawn { slice, .. } => format!("slice {} was drawn", number(slice)),
        SessionEvent::Accepted { slice, .. } => format!("slice {} was accepted", number(slice)),
        SessionEvent::Rejected { slice } => format!("slice {} was rejected", number(slice)),
        SessionEvent::Round(round) => format!("round {}", round.number),
        SessionEvent::Named { label, name } => format!("the name {name:?} of label value {label}"),
        SessionEvent::Undone { event } => format!("undoing event {event}"),
        _ => "the last event".to_owned(),
    }
}
