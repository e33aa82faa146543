//! What a slice is prompted with in a test, by name.

use std::{fmt, str::FromStr};

use sam_prompt::PromptKind;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::EvalError;

/// Prompts of a test, all simulated from the ground truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestPrompt {
    /// All at once.
    Once(PromptKind),
    /// The paper's active sampling: a box for each component, then up to this many clicks that correct what was found.
    Active(usize),
    /// Up to this many correcting clicks and no box; nothing is found before the first, so it lies on the object.
    Clicks(usize),
}

impl TestPrompt {
    /// What can be asked for, for help and messages.
    pub const SYNTAX: &str = "points:N, box, box+points:N, active:N or clicks:N";

    /// Most interactions of a series, the first prompt among them; `None` where there is one prompt only.
    pub const fn interactions(self) -> Option<usize> {
        match self {
            Self::Once(_) => None,
            Self::Active(clicks) => Some(1 + clicks),
            Self::Clicks(clicks) => Some(clicks),
        }
    }
}

/// As in records: `points-5`, `active-5`.
impl fmt::Display for TestPrompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Once(kind) => kind.fmt(f),
            Self::Active(clicks) => write!(f, "active-{clicks}"),
            Self::Clicks(clicks) => write!(f, "clicks-{clicks}"),
        }
    }
}

/// As on the command line, `points:5`, `active:5`, or as in records.
impl FromStr for TestPrompt {
    type Err = EvalError;

    fn from_str(text: &str) -> Result<Self, EvalError> {
        let refuse = |expected| EvalError::TestPrompt { expected, found: text.to_owned() };
        let (name, number) = text.split_once([':', '-']).map_or((text, None), |(name, number)| (name, Some(number)));
        let count = || match number.unwrap_or_default().parse::<usize>() {
            Ok(count @ 1..) => Ok(count),
            _ => Err(refuse(format!("{name}:N with a number of at least 1"))),
        };
        match name {
            "box" if number.is_none() => Ok(Self::Once(PromptKind::Box)),
            "points" => Ok(Self::Once(PromptKind::Points(count()?))),
            "box+points" => Ok(Self::Once(PromptKind::BoxAndPoints(count()?))),
            "active" => Ok(Self::Active(count()?)),
            "clicks" => Ok(Self::Clicks(count()?)),
            _ => Err(refuse(Self::SYNTAX.to_owned())),
        }
    }
}

impl Serialize for TestPrompt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TestPrompt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_with_a_dash_and_read_again() {
        for text in ["points:3", "box", "box+points:10", "active:5", "clicks:20"] {
            let prompt: TestPrompt = text.parse().expect("a prompt");
            assert_eq!(prompt.to_string(), text.replace(':', "-"));
            let written = serde_json::to_string(&prompt).expect("a string");
            assert_eq!(serde_json::from_str::<TestPrompt>(&written).expect("what was written"), prompt);
        }
    }

    #[test]
    fn what_is_not_understood_is_told_what_is_expected() {
        for text in ["", "boxes", "box:2"] {
            let message = text.parse::<TestPrompt>().expect_err(text).to_string();
            assert!(message.contains(TestPrompt::SYNTAX), "{message}");
        }
        for text in ["points", "points:", "active:0", "clicks:-1", "clicks:many", "points:1:2"] {
            let message = text.parse::<TestPrompt>().expect_err(text).to_string();
            assert!(message.contains("at least 1") && message.contains(text), "{message}");
        }
    }

    #[test]
    fn the_first_prompt_is_an_interaction() {
        assert_eq!(TestPrompt::Active(5).interactions(), Some(6));
        assert_eq!(TestPrompt::Clicks(20).interactions(), Some(20));
        assert_eq!(TestPrompt::Once(PromptKind::Box).interactions(), None);
    }
}
