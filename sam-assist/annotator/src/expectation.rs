//! What was fused of a structure, and what Dice is to be expected between its outlines.

use std::fmt;

use sam_auto::{ExpectedDice, FusionWeights};
use serde::Serialize;

/// What was fused of a structure, and what Dice is to be expected between its outlines. Its text is for people: one line.
///
/// As JSON it has `weights`, and `dice` or `unknown`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Expectation {
    /// How much each part counted.
    pub weights: FusionWeights,
    /// The Dice, or why it is not known.
    #[serde(flatten)]
    pub dice: DiceKnown,
}

/// The Dice to be expected between outlines, or why it is not known.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub enum DiceKnown {
    /// It is known from outlines that were left out.
    #[serde(rename = "dice")]
    LeftOut(ExpectedDice),
    /// It is not known.
    #[serde(rename = "unknown")]
    Unknown(DiceUnknown),
}

/// Why it is not known what Dice is to be expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DiceUnknown {
    /// Nothing was fused: masks were propagated from the only outline.
    OneOutline,
    /// Neither of two outlines can be left out.
    TwoOutlines,
    /// Every slice between outlines is annotated.
    NothingBetween,
    /// The model could not learn the outlines that remain, or a slice could not be segmented. The masks are not affected.
    Failed {
        /// Why not.
        reason: String,
    },
}

impl Expectation {
    /// The Dice and the outlines that were left out, if it is known.
    pub fn known(&self) -> Option<&ExpectedDice> {
        self.dice.known()
    }
}

impl DiceKnown {
    /// The Dice and the outlines that were left out, if it is known.
    pub fn known(&self) -> Option<&ExpectedDice> {
        match self {
            Self::LeftOut(expected) => Some(expected),
            Self::Unknown(_) => None,
        }
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fused = list(&self.weights.parts().collect::<Vec<_>>());
        match &self.dice {
            DiceKnown::LeftOut(ExpectedDice { expected, mean, left_out, .. }) => {
                let outlines = if left_out.len() == 1 { "outline" } else { "outlines" };
                let found = mean.fused;
                write!(
                    f,
                    "fused {fused}; Dice {expected:.2} expected between outlines (left-out {outlines}: {found:.2})"
                )
            }
            DiceKnown::Unknown(DiceUnknown::OneOutline) => write!(
                f,
                "propagated masks from its only outline; what Dice to expect is not known: outline two more slices"
            ),
            DiceKnown::Unknown(DiceUnknown::TwoOutlines) => write!(
                f,
                "fused {fused}; what Dice to expect between two outlines is not known: outline one slice between them"
            ),
            DiceKnown::Unknown(DiceUnknown::NothingBetween) => {
                write!(f, "fused {fused}; every slice between its outlines is outlined")
            }
            DiceKnown::Unknown(DiceUnknown::Failed { reason }) => {
                write!(f, "fused {fused}; what Dice to expect is not known: {reason}")
            }
        }
    }
}

/// `shape, image and model`.
fn list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expectation(weights: FusionWeights, unknown: DiceUnknown) -> Expectation {
        Expectation { weights, dice: DiceKnown::Unknown(unknown) }
    }

    #[test]
    fn the_text_names_the_parts_that_count() {
        let all = FusionWeights::default();
        let text = |weights| expectation(weights, DiceUnknown::TwoOutlines).to_string();
        assert!(text(all).starts_with("fused shape, image, classifier and model; "), "{}", text(all));
        assert!(text(all.with_image(0.0).with_model(0.0)).starts_with("fused shape and classifier; "));
        assert!(text(all.with_image(0.0).with_model(0.0).with_classifier(0.0)).starts_with("fused shape; "));
    }

    #[test]
    fn what_is_not_known_is_recorded_with_the_reason() -> serde_json::Result<()> {
        let json = |unknown| serde_json::to_value(expectation(FusionWeights::default(), unknown));
        let two = json(DiceUnknown::TwoOutlines)?;
        assert_eq!((&two["unknown"], &two["weights"]["classifier"]), (&"two_outlines".into(), &3.0.into()), "{two}");
        let failed = json(DiceUnknown::Failed { reason: "the loss is not finite".to_owned() })?;
        assert_eq!(failed["unknown"]["failed"]["reason"], "the loss is not finite", "{failed}");
        Ok(())
    }
}
