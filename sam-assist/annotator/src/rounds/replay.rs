//! Replay: repeats all rounds of a session and compares the masks.

use burn::tensor::backend::Backend;
use sam_prompt::ndarray::Zip;

use super::{last_round, masks_of};
use crate::{AnnotateError, Annotator, Events, KeptMasks, annotator::KeepRule, session::Session};

/// Result of a replay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replay {
    /// The repeated rounds, in order.
    pub rounds: Vec<ReplayedRound>,
    /// Whether the event receiver stopped it before all rounds were repeated.
    pub stopped: bool,
}

/// A repeated round.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayedRound {
    /// Its number.
    pub number: usize,
    /// Number of voxels whose label differs from the recorded mask.
    pub different: u64,
    /// Number of voxels.
    pub voxels: u64,
    /// The backend of the recorded round. Another backend rounds differently.
    pub backend: String,
}

impl Replay {
    /// Whether all rounds were repeated and every mask is identical.
    pub fn is_same(&self) -> bool {
        !self.stopped && self.rounds.iter().all(|round| round.different == 0)
    }
}

impl<B: Backend> Annotator<B> {
    /// Repeats every round of a session, undone or not, and compares its mask with the recorded one. Writes nothing.
    ///
    /// # Errors
    /// Those of [`Annotator::round`]; [`AnnotateError::NoSuchRound`] if the log names a round that does not exist.
    pub fn replay(&self, session: &Session, events: &mut Events<'_>) -> Result<Replay, AnnotateError> {
        let mut replay = Replay::default();
        for (before, round) in session.rounds() {
            let number = round.number;
            let warm = match round.warm_start {
                Some(wanted) => {
                    let started = session.rounds().map(|(_, round)| round).find(|round| round.number == wanted);
                    Some(session.cards_of(started.ok_or(AnnotateError::NoSuchRound { round: number, wanted })?)?)
                }
                None => None,
            };
            let annotations = session.annotations_of(&before)?;
            let last = last_round(session, &before)?.filter(|(last, _)| round.kept_from == Some(last.number));
            let recorded = |(&value, kept): (&u16, &KeptMasks)| (value, kept.kept.iter().collect());
            let rule = || KeepRule::Recorded(round.kept.iter().map(recorded).collect());
            let masks = last.map(|last| masks_of(session, &before, &last, rule())).transpose()?;
            // Masks are compared, and nothing else.
            let config = round.config.clone().with_expected_dice(false);
            let found = self.annotate_in(session, &annotations, &config, (warm, masks.as_ref()), events)?;
            if found.stopped {
                replay.stopped = true;
                break;
            }
            let recorded = session.mask_of(round)?;
            let different = Zip::from(&found.labels.labels)
                .and(&recorded.labels)
                .fold(0, |sum, now, then| sum + u64::from(now != then));
            let (voxels, backend) = (recorded.labels.len() as u64, round.backend.clone());
            replay.rounds.push(ReplayedRound { number, different, voxels, backend });
        }
        Ok(replay)
    }
}
