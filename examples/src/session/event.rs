//! What happens in a session, and how it is written down.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use sam_assist::AssistConfig;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{ObjectId, from_json};
use crate::{prompting::Prompting, trust::TrustConfig};

/// How a line begins; 64 hexadecimal digits follow.
const SEAL: &str = "{\"sha256\":\"";

/// What a person or the program did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// The person outlined a slice, or corrected it; where no structure is, they said so.
    Drawn {
        /// The slice, counted from 0.
        slice: usize,
        /// Its labels.
        labels: ObjectId,
    },
    /// The person took over what the program had found on a slice.
    Accepted {
        /// The slice, counted from 0.
        slice: usize,
        /// Its labels.
        labels: ObjectId,
    },
    /// The person found a slice to be wrong, without correcting it.
    Rejected {
        /// The slice, counted from 0.
        slice: usize,
    },
    /// The program learned from the person's slices and segmented the others.
    Round(Round),
    /// An earlier event was taken back.
    Undone {
        /// Its number.
        event: u64,
    },
}

impl Event {
    /// The slice that was decided on; `None` where none was.
    pub fn slice(&self) -> Option<usize> {
        match self {
            Self::Drawn { slice, .. } | Self::Accepted { slice, .. } | Self::Rejected { slice } => Some(*slice),
            Self::Round(_) | Self::Undone { .. } => None,
        }
    }
}

/// A round of learning and segmenting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Round {
    /// Its number, counted from 1; rounds that were undone keep theirs.
    pub number: usize,
    /// Seed of all its drawing.
    pub seed: u64,
    /// Every number of it.
    pub config: RoundConfig,
    /// The backend that computed it: another one rounds differently.
    pub backend: String,
    /// The round from whose cards its learning went on; `None` where all was learned anew.
    pub warm_start: Option<usize>,
    /// What was learned, by label value.
    pub cards: BTreeMap<u16, ObjectId>,
    /// The label map that was found, the person's slices in it.
    pub mask: ObjectId,
    /// How much each slice is to be trusted, if that was computed: pairs of slice and score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranking: Option<ObjectId>,
}

/// Every number of a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundConfig {
    /// The learning.
    pub learning: AssistConfig,
    /// Where prompts come from on the slices that are not the person's.
    pub prompting: Prompting,
    /// How far what is found there is trusted.
    pub trust: TrustConfig,
}

/// A line of the log.
///
/// Each begins with the SHA-256 of what follows in it, and holds that of the line before: what was altered, dropped or moved is found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its number, counted from 1. It alone says what came first.
    pub number: u64,
    /// When it was written, by a clock that may be wrong.
    pub time: String,
    /// The SHA-256 of the line before; in the first line, of the header.
    pub before: ObjectId,
    /// What happened.
    pub event: Event,
}

impl Entry {
    /// What happens now.
    pub fn now(number: u64, before: ObjectId, event: Event) -> Self {
        let now = OffsetDateTime::now_utc();
        let (hour, minute, second) = now.to_hms();
        Self { number, time: format!("{}T{hour:02}:{minute:02}:{second:02}Z", now.date()), before, event }
    }

    /// The line, and its SHA-256.
    ///
    /// # Errors
    /// If it could not be read back: a number that is not finite has no place in JSON.
    pub fn to_line(&self) -> Result<(String, ObjectId)> {
        let text = serde_json::to_string(self)?;
        let id = ObjectId::of(text.as_bytes());
        let line = format!("{SEAL}{id}\",{}", &text[1..]);
        let (read, _) = Self::from_line(line.as_bytes()).context("this event cannot be written down")?;
        ensure!(read == *self, "this event cannot be written down: it would be read back as {:?}", read.event);
        Ok((line, id))
    }

    /// Reads a line, and gives its SHA-256.
    ///
    /// # Errors
    /// If it was altered, or is none.
    pub fn from_line(line: &[u8]) -> Result<(Self, ObjectId)> {
        let line = str::from_utf8(line).context("it is no text")?;
        let parts = line.strip_prefix(SEAL).and_then(|rest| rest.split_at_checked(64));
        let (seal, rest) = parts.context("it does not begin with its SHA-256")?;
        let rest = rest.strip_prefix("\",").context("it does not begin with its SHA-256")?;
        let text = format!("{{{rest}");
        let id = ObjectId::of(text.as_bytes());
        let seal: ObjectId = seal.parse()?;
        ensure!(id == seal, "it was altered, its SHA-256 is another one");
        Ok((from_json(text.as_bytes()).context("it is of another format")?, id))
    }
}

#[cfg(test)]
mod tests {
    use sam_auto::{CleanUp, MaskPropagationConfig};

    use super::*;
    use crate::{
        auto::{AutoConfig, AutoKind, HandOverKind},
        prompting::AutoPrompting,
    };

    fn entry(prompting: Prompting) -> Entry {
        let learning = AssistConfig { largest_gradient: Some(0.1), ..prompting.learning(7, 3) };
        let round = Round {
            number: 2,
            seed: u64::MAX,
            config: RoundConfig { learning, prompting, trust: TrustConfig::new(7) },
            backend: "flex".to_owned(),
            warm_start: Some(1),
            cards: [(1, ObjectId::of(b"card")), (65535, ObjectId::of(b"other"))].into(),
            mask: ObjectId::of(b"mask"),
            ranking: None,
        };
        Entry::now(3, ObjectId::of(b"before"), Event::Round(round))
    }

    fn auto(threshold: f32) -> Prompting {
        let mut numbers = AutoConfig::default();
        numbers.gate.threshold = threshold;
        let (kind, hand_over, clean_up) = (AutoKind::Ensemble, HandOverKind::Box, CleanUp::Volume(1));
        Prompting::Auto(AutoPrompting { kind, hand_over, points: 5, numbers, clean_up })
    }

    #[test]
    fn every_number_of_a_round_is_read_back_to_the_bit() -> Result<()> {
        for prompting in [Prompting::Walk(MaskPropagationConfig::default().with_seed(3)), auto(0.1)] {
            let written = entry(prompting);
            let (line, id) = written.to_line()?;
            assert_eq!(Entry::from_line(line.as_bytes())?, (written, id));
        }
        let refused = entry(auto(f32::NEG_INFINITY)).to_line().expect_err("JSON knows no infinity");
        assert!(format!("{refused:#}").contains("cannot be written down"), "{refused:#}");
        Ok(())
    }

    #[test]
    fn no_byte_of_a_line_can_be_altered() -> Result<()> {
        let (line, _) = entry(Prompting::Walk(MaskPropagationConfig::default())).to_line()?;
        for place in 0..line.len() {
            let mut altered = line.clone().into_bytes();
            altered[place] ^= 1;
            assert!(Entry::from_line(&altered).is_err(), "byte {place}");
        }
        Ok(())
    }

    #[test]
    fn the_time_is_written_as_rfc_3339_has_it() {
        let entry = Entry::now(1, ObjectId::of(b""), Event::Rejected { slice: 3 });
        let shape: String = entry.time.chars().map(|sign| if sign.is_ascii_digit() { '0' } else { sign }).collect();
        assert_eq!(shape, "0000-00-00T00:00:00Z");
    }
}
