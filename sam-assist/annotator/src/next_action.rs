//! What a person should do next, and how long it takes.

use std::fmt;

use sam_auto::RankedSlice;
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    Annotated,
    session::{LogEntry, Session, SessionEvent},
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

/// The action that is expected to gain most Dice.
///
/// It is about the least trusted slice. To divide the expected gain by the seconds of each action was tried, and gave less Dice in the same
/// time, because trust orders slices better than it tells how much each gains.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NextAction {
    /// What to do.
    pub action: Action,
    /// On which slice, counted from 0.
    pub slice: usize,
    /// On which structure.
    pub structure: String,
    /// The Dice that is expected of the slice now.
    pub expected_dice: f32,
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
    values.get(values.len() / 2).filter(|_| values.len() >= ENOUGH).copied()
}

impl Annotated {
    /// What to do next. `None` if no slice is ranked.
    pub fn next_action(&self, pace: &Pace) -> Option<NextAction> {
        let ranked =
            self.structures.iter().flat_map(|structure| structure.ranking.iter().map(|slice| (slice, &structure.name)));
        let (least, structure) = ranked.min_by(|(one, _), (other, _)| one.trust.total_cmp(&other.trust))?;
        let action = Action::on(least);
        let seconds = if action == Action::Accept { pace.accept } else { pace.draw };
        Some(NextAction {
            action,
            slice: least.slice,
            structure: structure.clone(),
            expected_dice: least.trust,
            seconds,
        })
    }
}

impl Action {
    /// What to do on a slice.
    fn on(slice: &RankedSlice) -> Self {
        match slice {
            RankedSlice { trust, .. } if *trust >= GOOD => Self::Accept,
            RankedSlice { found: true, .. } => Self::Correct,
            RankedSlice { found: false, .. } => Self::Outline,
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
    fn a_pace_is_the_median_without_breaks_and_files() {
        let times = [0, 0, 0, 20, 24, 40, 1240, 1258];
        let decisions: Vec<_> = times.iter().map(|&time| (time, drawn())).collect();
        // 20, 4, 16 and 18 seconds remain.
        let pace = Pace::of_log(&log(&decisions));
        assert_eq!((pace.draw, pace.accept, pace.is_measured), (18.0, Pace::default().accept, true));
        assert_eq!(Pace::of_log(&log(&decisions[..4])), Pace::default(), "one decision is not enough");
        let rejections: Vec<_> = times.iter().map(|&time| (time, rejected())).collect();
        assert_eq!(Pace::of_log(&log(&rejections)), Pace::default());
        assert_eq!(Pace::of_log(&[]), Pace::default());
    }
}
