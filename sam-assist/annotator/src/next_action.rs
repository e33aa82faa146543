//! What a person should do next, and how long it takes.

use std::{collections::BTreeSet, fmt};

use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    Annotated, SliceTrust,
    session::{LogEntry, Session, SessionError, SessionEvent},
};

/// From this expected Dice on, a slice needs no correction.
const GOOD: f32 = 0.95;
/// Decisions that are closer in time, in seconds, were read from one file.
const AT_ONCE: f64 = 2.0;
/// Longer gaps between decisions, in seconds, are breaks.
const BREAK: f64 = 300.0;
/// From so many decisions on, a session knows its person's pace.
const ENOUGH: usize = 3;

/// What a person can do on a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Correct the mask, by clicks or by drawing.
    Correct,
    /// Outline the structure, or list the slice as empty: there is no mask.
    Outline,
    /// Accept the mask: no correction is expected to gain much.
    Accept,
}

/// Seconds that actions take a person.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Pace {
    /// Seconds of a drawn or corrected slice.
    pub draw: f64,
    /// Seconds of an accepted slice.
    pub accept: f64,
    /// Whether they were measured on the person's own decisions.
    pub is_measured: bool,
}

/// What to do next: the action on the least trusted slice that is still open.
///
/// To divide the expected gain by the seconds of each action was tried, and gave less Dice in the same time, because trust orders slices
/// better than it tells how much each gains.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NextAction {
    /// What to do.
    pub action: Action,
    /// On which slice, and the Dice that is expected of it now.
    #[serde(flatten)]
    pub slice: SliceTrust,
    /// How long it takes, in seconds.
    pub seconds: f64,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Correct => "correct",
            Self::Outline => "outline, or list as empty,",
            Self::Accept => "accept",
        })
    }
}

impl Default for Pace {
    /// Assumed seconds: 12 for a drawn slice, 3 for an accepted one.
    fn default() -> Self {
        Self { draw: 12.0, accept: 3.0, is_measured: false }
    }
}

impl Pace {
    /// The pace of a session's person: the median time between decisions, without breaks and without decisions that were read from one
    /// file. The default if there are too few.
    pub fn of(session: &Session) -> Self {
        Self::of_log(session.entries())
    }

    fn of_log(entries: &[LogEntry]) -> Self {
        let time = |entry: &LogEntry| OffsetDateTime::parse(&entry.time, &Rfc3339).ok();
        let (mut drawn, mut accepted) = (Vec::new(), Vec::new());
        for pair in entries.windows(2) {
            let taken = match &pair[1].event {
                SessionEvent::Drawn { .. } => &mut drawn,
                SessionEvent::Accepted { .. } => &mut accepted,
                _ => continue,
            };
            let (Some(before), Some(after)) = (time(&pair[0]), time(&pair[1])) else { continue };
            let seconds = (after - before).as_seconds_f64();
            let follows_a_decision = pair[0].event.slice().is_some();
            if follows_a_decision && (AT_ONCE..=BREAK).contains(&seconds) {
                taken.push(seconds);
            }
        }
        let assumed = Self::default();
        let (draw, accept) = (median(drawn), median(accepted));
        let is_measured = draw.is_some();
        Self { draw: draw.unwrap_or(assumed.draw), accept: accept.unwrap_or(assumed.accept), is_measured }
    }
}

/// The median, if there are enough values.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let count = values.len();
    (count >= ENOUGH).then(|| f64::midpoint(values[(count - 1) / 2], values[count / 2]))
}

impl NextAction {
    /// The action on the first slice of a ranking, least trusted first; `None` if the ranking is empty. `has_mask` says whether a slice shows
    /// a structure.
    pub fn of(
        mut ranking: impl Iterator<Item = SliceTrust>,
        has_mask: impl Fn(usize) -> bool,
        pace: &Pace,
    ) -> Option<Self> {
        let slice = ranking.next()?;
        let action = Action::on(slice.trust, has_mask(slice.index));
        let seconds = if action == Action::Accept { pace.accept } else { pace.draw };
        Some(Self { action, slice, seconds })
    }
}

impl Annotated {
    /// What to do next. `None` if no slice is ranked.
    pub fn next_action(&self, pace: &Pace) -> Option<NextAction> {
        let has_mask = |slice: usize| self.structures.iter().any(|structure| structure.slices[slice].mask().is_some());
        NextAction::of(self.to_check().into_iter(), has_mask, pace)
    }
}

impl Session {
    /// What to do next on the mask of the last round, at the person's [`Pace`]. Slices on which every structure is decided are left out.
    /// `None` before the first round, and if no slice is left.
    ///
    /// # Errors
    /// If the mask or the ranking of the round cannot be read.
    pub fn next_action(&self) -> Result<Option<NextAction>, SessionError> {
        let Some(round) = self.state().round.as_ref() else { return Ok(None) };
        let (Some(ranking), Some(mask)) = (self.ranking_of(round)?, self.found()?) else { return Ok(None) };
        let structures: BTreeSet<_> = self.structures().into_keys().collect();
        let open = ranking.into_iter().filter(|slice| !structures.is_subset(&self.decided_on(slice.index)));
        let shows = |slice| self.plane().extract(mask.labels.view(), slice).iter().any(|&label| label != 0);
        Ok(NextAction::of(open, shows, &Pace::of(self)))
    }
}

impl Action {
    /// What to do on a slice with a mask, or without one.
    fn on(trust: f32, has_mask: bool) -> Self {
        match has_mask {
            _ if trust >= GOOD => Self::Accept,
            true => Self::Correct,
            false => Self::Outline,
        }
    }
}

#[cfg(test)]
mod tests {
    use sam_files::Sha256Id;

    use super::*;

    fn log(decisions: &[(u64, SessionEvent)]) -> Vec<LogEntry> {
        let entry = |(second, event): &(u64, SessionEvent)| {
            let time = format!("2024-05-06T10:{:02}:{:02}Z", second / 60, second % 60);
            LogEntry { number: 1, time, before: Sha256Id::of(""), event: event.clone() }
        };
        decisions.iter().map(entry).collect()
    }

    fn rejected() -> SessionEvent {
        SessionEvent::Rejected { slice: 3 }
    }

    fn drawn() -> SessionEvent {
        SessionEvent::Drawn { slice: 3, labels: Sha256Id::of(""), decided: None }
    }

    #[test]
    fn the_first_slice_of_a_ranking_decides() {
        let pace = Pace { draw: 20.0, accept: 2.0, is_measured: true };
        for (trust, has_mask, action, seconds) in [
            (0.5, true, Action::Correct, 20.0),
            (0.5, false, Action::Outline, 20.0),
            (0.96, true, Action::Accept, 2.0),
            (0.96, false, Action::Accept, 2.0),
        ] {
            let ranking = [SliceTrust::new(7, trust), SliceTrust::new(3, 1.0)];
            let next = NextAction::of(ranking.iter().cloned(), |slice| slice == 7 && has_mask, &pace);
            assert_eq!(next, Some(NextAction { action, slice: ranking[0].clone(), seconds }));
        }
        assert_eq!(NextAction::of(std::iter::empty(), |_| true, &pace), None);
    }

    #[test]
    fn a_pace_is_the_median_without_breaks_and_files() {
        let times = [0, 0, 0, 20, 24, 40, 1240, 1258];
        let decisions: Vec<_> = times.iter().map(|&time| (time, drawn())).collect();
        // 20, 4, 16 and 18 seconds remain.
        let pace = Pace::of_log(&log(&decisions));
        assert_eq!((pace.draw, pace.accept, pace.is_measured), (17.0, Pace::default().accept, true));
        assert_eq!(Pace::of_log(&log(&decisions[..4])), Pace::default(), "one decision is not enough");
        let rejections: Vec<_> = times.iter().map(|&time| (time, rejected())).collect();
        assert_eq!(Pace::of_log(&log(&rejections)), Pace::default());
        assert_eq!(Pace::of_log(&[]), Pace::default());
    }
}
