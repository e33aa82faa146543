//! Events of a session, and their lines in the log.

use std::collections::{BTreeMap, BTreeSet};

use sam_files::Sha256Id;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::error::{JsonError, LineError, from_json};
use crate::{AnnotateConfig, KeptMasks, LeftOutDice};

/// The first field of each line.
const SEAL: &str = "sha256";

/// Event of a session: what a person or the program did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum SessionEvent {
    /// The person outlined or corrected a slice, or marked it as showing no structure.
    Drawn {
        /// The slice, counted from 0.
        slice: usize,
        /// Its labels, by the SHA-256 of their file.
        labels: Sha256Id,
        /// The structures that the person decided on, by label value; the others are looked for on this slice. `None`: all structures of the
        /// header. Since format version 2.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        decided: Option<BTreeSet<u16>>,
    },
    /// The person accepted the mask of the current round on a slice.
    Accepted {
        /// The slice, counted from 0.
        slice: usize,
        /// Its labels, by the SHA-256 of their file.
        labels: Sha256Id,
        /// As in [`SessionEvent::Drawn`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        decided: Option<BTreeSet<u16>>,
    },
    /// The person rejected a slice without correcting it.
    Rejected {
        /// The slice, counted from 0.
        slice: usize,
    },
    /// The program learned from the person's slices and segmented the others.
    Round(Round),
    /// The person named a label value: a new value became a structure of the session, a known one was renamed. Since format version 2.
    Named {
        /// The label value, from 1.
        label: u16,
        /// Its name, without control characters.
        name: String,
    },
    /// An earlier event was undone.
    Undone {
        /// Number of the undone event.
        event: u64,
    },
}

impl SessionEvent {
    /// The slice that was decided on; `None` for rounds, names and undo events.
    pub fn slice(&self) -> Option<usize> {
        match self {
            Self::Drawn { slice, .. } | Self::Accepted { slice, .. } | Self::Rejected { slice } => Some(*slice),
            Self::Round(_) | Self::Named { .. } | Self::Undone { .. } => None,
        }
    }
}

/// One round: the program learned from the person's slices and segmented the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Round {
    /// Round number, counted from 1. Undone rounds keep their numbers.
    pub number: usize,
    /// Seed of everything random in the round.
    pub seed: u64,
    /// Its configuration.
    pub config: AnnotateConfig,
    /// The backend that computed it. Other backends round differently.
    pub backend: String,
    /// The round whose cards learning started from; `None` if it started from the model.
    pub warm_start: Option<usize>,
    /// The learned prompt cards, by label value: the SHA-256 of their files.
    pub cards: BTreeMap<u16, Sha256Id>,
    /// The label map of the round, including the person's slices: the SHA-256 of its file.
    pub mask: Sha256Id,
    /// The ranking, if trust was estimated: the SHA-256 of a file with a list of
    /// [`SliceTrust`](crate::SliceTrust).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranking: Option<Sha256Id>,
    /// The round of whose masks some were kept. `None` if there was none. Since format version 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_from: Option<usize>,
    /// What was kept of that round, by label value. Since format version 3.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<u16, KeptMasks>,
    /// The Dice of outlines that were left out, by label value: of the round whose masks were kept, or of this round if it has replaced
    /// them. The next round is compared with it. Since format version 3.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<u16, LeftOutDice>,
}

/// A line of the log.
///
/// Each line begins with the SHA-256 of the rest of the line and contains the SHA-256 of the line before. This detects altered, deleted and
/// moved lines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LogEntry {
    /// Event number, counted from 1. It alone defines the order.
    pub number: u64,
    /// Time of writing in UTC (RFC 3339). The clock may be wrong.
    pub time: String,
    /// SHA-256 of the line before. In the first line, SHA-256 of the header's file.
    pub before: Sha256Id,
    /// What happened.
    pub event: SessionEvent,
}

/// How a line of the log begins.
pub(super) fn begin_of_line() -> String {
    format!("{{\"{SEAL}\":\"")
}

impl LogEntry {
    /// An entry with the current time.
    pub(super) fn now(number: u64, before: Sha256Id, event: SessionEvent) -> Self {
        let now = OffsetDateTime::now_utc();
        let (hour, minute, second) = now.to_hms();
        Self { number, time: format!("{}T{hour:02}:{minute:02}:{second:02}Z", now.date()), before, event }
    }

    /// The line and its SHA-256.
    ///
    /// # Errors
    /// [`LineError::NotReadable`] if the line could not be read back: JSON has no numbers that are not finite.
    pub(super) fn to_line(&self) -> Result<(String, Sha256Id), LineError> {
        let text = serde_json::to_string(self).map_err(|error| LineError::Format(JsonError::new(&error)))?;
        let (line, id) = sam_files::seal(SEAL, &text).map_err(LineError::Checksum)?;
        match Self::from_line(line.as_bytes()) {
            Ok((read, _)) if read == *self => Ok((line, id)),
            _ => Err(LineError::NotReadable),
        }
    }

    /// Reads a line and returns its SHA-256 as well.
    ///
    /// # Errors
    /// [`LineError`] if it was altered, or is not an event.
    pub(super) fn from_line(line: &[u8]) -> Result<(Self, Sha256Id), LineError> {
        let line = str::from_utf8(line).map_err(LineError::NotText)?;
        let (text, id) = sam_files::unseal_checked(SEAL, line).map_err(LineError::Checksum)?;
        Ok((from_json(text.as_bytes()).map_err(LineError::Format)?, id))
    }
}

#[cfg(test)]
mod tests {
    use sam_auto::Strategy;

    use super::*;
    use crate::testing::{config, strategies};

    fn entry(strategy: Strategy) -> LogEntry {
        let mut config = config().with_strategy(strategy).with_seed(7);
        config.learning.members = 3;
        let round = Round {
            number: 2,
            seed: u64::MAX,
            config,
            backend: "flex".to_owned(),
            warm_start: Some(1),
            cards: [(1, Sha256Id::of(b"card")), (65535, Sha256Id::of(b"other"))].into(),
            mask: Sha256Id::of(b"mask"),
            ranking: None,
            kept_from: Some(1),
            kept: [(1, KeptMasks::default())].into(),
            left_out: [(1, [(7, 0.1)].into())].into(),
        };
        LogEntry::now(3, Sha256Id::of(b"before"), SessionEvent::Round(round))
    }

    #[test]
    fn the_config_of_a_round_is_read_back_to_the_bit() -> Result<(), LineError> {
        for strategy in strategies(0.1) {
            let written = entry(strategy);
            let (line, id) = written.to_line()?;
            assert_eq!(LogEntry::from_line(line.as_bytes())?, (written, id));
        }
        let [.., generators] = strategies(f32::NEG_INFINITY);
        let refused = entry(generators).to_line().expect_err("JSON has no infinity");
        assert!(matches!(refused, LineError::NotReadable), "{refused}");
        Ok(())
    }

    #[test]
    fn no_byte_of_a_line_can_be_altered() -> Result<(), LineError> {
        let [strategy, ..] = strategies(0.1);
        let (line, _) = entry(strategy).to_line()?;
        for place in 0..line.len() {
            let mut altered = line.clone().into_bytes();
            altered[place] ^= 1;
            assert!(LogEntry::from_line(&altered).is_err(), "byte {place}");
        }
        Ok(())
    }

    #[test]
    fn the_time_is_written_as_rfc_3339_says() {
        let entry = LogEntry::now(1, Sha256Id::of(b""), SessionEvent::Rejected { slice: 3 });
        let shape: String = entry.time.chars().map(|sign| if sign.is_ascii_digit() { '0' } else { sign }).collect();
        assert_eq!(shape, "0000-00-00T00:00:00Z");
    }
}
