//! What happens in a session, and the line of the log that it becomes.

use std::collections::BTreeMap;

use sam_files::Sha256Id;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::error::{JsonError, LineError, from_json};
use crate::AnnotateConfig;

/// The field that each line begins with.
const SEAL: &str = "sha256";

/// What a person or the program did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum SessionEvent {
    /// The person outlined or corrected a slice, or said that it shows no structure.
    Drawn {
        /// The slice, counted from 0.
        slice: usize,
        /// Its labels, by the SHA-256 of their file.
        labels: Sha256Id,
    },
    /// The person accepted what the program had found on a slice.
    Accepted {
        /// The slice, counted from 0.
        slice: usize,
        /// Its labels, by the SHA-256 of their file.
        labels: Sha256Id,
    },
    /// The person found a slice to be wrong, without correcting it.
    Rejected {
        /// The slice, counted from 0.
        slice: usize,
    },
    /// The program learned from the person's slices and segmented the others.
    Round(Round),
    /// An earlier event was undone.
    Undone {
        /// Its number.
        event: u64,
    },
}

impl SessionEvent {
    /// The slice that was decided on; `None` for rounds and undoing.
    pub fn slice(&self) -> Option<usize> {
        match self {
            Self::Drawn { slice, .. } | Self::Accepted { slice, .. } | Self::Rejected { slice } => Some(*slice),
            Self::Round(_) | Self::Undone { .. } => None,
        }
    }
}

/// One round: the program learned from the person's slices and segmented the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Round {
    /// Its number, counted from 1; rounds that were undone keep theirs.
    pub number: usize,
    /// Seed of everything random in it.
    pub seed: u64,
    /// Its configuration.
    pub config: AnnotateConfig,
    /// The backend that computed it: others round differently.
    pub backend: String,
    /// The round whose cards its learning started from; `None` where it started from the model.
    pub warm_start: Option<usize>,
    /// What was learned, by label value: prompt cards, by the SHA-256 of their files.
    pub cards: BTreeMap<u16, Sha256Id>,
    /// The label map that was found, with the person's slices in it, by the SHA-256 of its file.
    pub mask: Sha256Id,
    /// How far each slice can be trusted, if that was estimated: pairs of slice and trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranking: Option<Sha256Id>,
}

/// A line of the log.
///
/// Each line begins with the SHA-256 of what follows in it, and contains that of the line before, so that altered, dropped and moved lines
/// are found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LogEntry {
    /// Its number, counted from 1. It alone defines the order.
    pub number: u64,
    /// When it was written, in UTC (RFC 3339), by a clock that may be wrong.
    pub time: String,
    /// The SHA-256 of the line before; in the first line, of the header's file.
    pub before: Sha256Id,
    /// What happened.
    pub event: SessionEvent,
}

impl LogEntry {
    /// An entry with the current time.
    pub(super) fn now(number: u64, before: Sha256Id, event: SessionEvent) -> Self {
        let now = OffsetDateTime::now_utc();
        let (hour, minute, second) = now.to_hms();
        Self { number, time: format!("{}T{hour:02}:{minute:02}:{second:02}Z", now.date()), before, event }
    }

    /// The line, and its SHA-256.
    ///
    /// # Errors
    /// [`LineError::NotReadable`] if it could not be read back: JSON has no numbers that are not finite.
    pub(super) fn to_line(&self) -> Result<(String, Sha256Id), LineError> {
        let text = serde_json::to_string(self).map_err(|error| LineError::Format(JsonError::new(&error)))?;
        let (line, id) = sam_files::seal(SEAL, &text).map_err(LineError::Checksum)?;
        match Self::from_line(line.as_bytes()) {
            Ok((read, _)) if read == *self => Ok((line, id)),
            _ => Err(LineError::NotReadable),
        }
    }

    /// Reads a line, and returns its SHA-256 as well.
    ///
    /// # Errors
    /// [`LineError`] if it was altered, or is something else.
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
        for strategy in &strategies(f32::NEG_INFINITY)[1..] {
            let refused = entry(strategy.clone()).to_line().expect_err("JSON has no infinity");
            assert!(matches!(refused, LineError::NotReadable), "{refused}");
        }
        Ok(())
    }

    #[test]
    fn no_byte_of_a_line_can_be_altered() -> Result<(), LineError> {
        let [strategy, _] = strategies(0.1);
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
