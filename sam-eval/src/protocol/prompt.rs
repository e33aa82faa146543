//! The prompts of a test, by name.

use std::{fmt, str::FromStr};

use sam_prompt::PromptKind;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::EvalError;

/// Prompts of a test, all simulated from the ground truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TestPrompt {
    /// All at once.
    Once(PromptKind),
    /// The paper's active sampling: a box for each component, then up to this many correcting clicks.
    Active(usize),
    /// Up to this many correcting clicks and no box; the first click is on the object.
    Clicks(usize),
}

impl TestPrompt {
    /// The known names, for help texts and error messages.
    pub const SYNTAX: &str = "points:N, box, box+points:N, active:N or clicks:N";

    /// The largest number of interactions in a series, with the first prompt; `None` if all prompts are given at once.
    pub const fn interactions(self) -> Option<usize> {
        match self {
            Self::Once(_) => None,
            Self::Active(clicks) => Some(1 + clicks),
            Self::Clicks(clicks) => Some(clicks),
        }
    }
}

/// The name in records: `points-5`, `active-5`.
impl fmt::Display for TestPrompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Once(kind) => kind.fmt(f),
            Self::Active(clicks) => write!(f, "active-{clicks}"),
            Self::Clicks(clicks) => write!(f, "clicks-{clicks}"),
        }
    }
}

/// Reads names of the command line, `points:5`, `active:5`, and of records, `points-5`.
impl FromStr for TestPrompt {
    type Err = EvalError;

    fn from_str(text: &str) -> Result<Self, EvalError> {
        let refuse = |expected| EvalError::TestPrompt { expected, found: text.to_owned() };
        let (name, number) = text.split_once([':', '-']).unwrap_or((text, ""));
        let count = number.parse().ok().filter(|&count: &usize| count > 0);
        match (name, count) {
            ("active", Some(count)) => Ok(Self::Active(count)),
            ("clicks", Some(count)) => Ok(Self::Clicks(count)),
            ("active" | "clicks" | "points" | "box+points", None) => {
                Err(refuse(format!("{name}:N with a number of at least 1")))
            }
            _ => text.parse().map(Self::Once).map_err(|_| refuse(Self::SYNTAX.to_owned())),
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
