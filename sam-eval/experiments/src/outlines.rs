//! Which slices are outlined.

use std::{fmt, str::FromStr};

use sam_eval::protocol::Survey;
use sam_prompt::ConfigError;
use serde::{Deserialize, Serialize};

use crate::{TrialConfig, error::Result};

/// Place of the first and the last outline among the slices that show the structure, as shares.
const ENDS: (f64, f64) = (0.05, 0.95);

/// Which slices are outlined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutlineSelection {
    /// Evenly, as a person would choose them: see [`spread`].
    #[default]
    Spread,
    /// At random, as in the paper: the middle of the structure is more likely than its ends.
    Random,
}

impl OutlineSelection {
    /// Where the outlined slices are, as text for a page.
    pub(crate) const fn place(self) -> &'static str {
        match self {
            Self::Spread => "spread evenly from 5 % to 95 % of the slices that show the structure",
            Self::Random => "drawn at random, as in the paper",
        }
    }
}

impl fmt::Display for OutlineSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spread => "spread",
            Self::Random => "random",
        })
    }
}

impl FromStr for OutlineSelection {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "spread" => Ok(Self::Spread),
            "random" => Ok(Self::Random),
            _ => Err(ConfigError::new("outlines", format!("\"{text}\""), "spread or random")),
        }
    }
}

/// `count` of the slices that show a structure, evenly from 5 % to 95 % of them; fewer if places coincide. In ascending order.
pub fn spread(shown: &[usize], count: usize) -> Vec<usize> {
    let (Some(last), (low, high)) = (shown.len().checked_sub(1), ENDS) else { return Vec::new() };
    let step = (high - low) / count.saturating_sub(1).max(1) as f64;
    let part = |at: usize| if at > 0 && at + 1 == count { high } else { at as f64 * step + low };
    // A half is rounded to the even number, as in Python.
    let place = |at: usize| (part(at) * last as f64).round_ties_even() as usize;
    let mut chosen: Vec<usize> = (0..count).map(|at| shown[place(at)]).collect();
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

/// Checks numbers of outlines: there is one, each is named once, and none is below `least`.
pub(crate) fn check_outlines(counts: &[usize], least: usize) -> Result<()> {
    ConfigError::check(!counts.is_empty(), "slices", || "none".to_owned(), "at least one number of outlines")?;
    for (place, count) in counts.iter().enumerate() {
        ConfigError::check(!counts[..place].contains(count), "slices", || count.to_string(), "each number once")?;
        let expected = if least == 1 { "at least 1 outline" } else { "at least 2 outlines" };
        ConfigError::check(*count >= least, "slices", || count.to_string(), expected)?;
    }
    Ok(())
}

/// The outlined slices of one repeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct OutlinedSlices {
    /// Seed of the repeat.
    pub(crate) seed: u64,
    /// Number of outlines asked for.
    pub(crate) outlines: usize,
    /// The slices, by index, in ascending order.
    pub(crate) outlined: Vec<usize>,
}

/// The outlined slices of each repeat and number of outlines.
pub(crate) fn outlined_slices(
    TrialConfig { slices, seeds, .. }: &TrialConfig,
    survey: &Survey,
    selection: OutlineSelection,
) -> Result<Vec<OutlinedSlices>> {
    let mut all = Vec::new();
    for &seed in seeds {
        // Also for spread slices: it checks that there are enough of them.
        let drawn = slices.trials(survey, seed)?;
        for (&outlines, trial) in slices.annotated.iter().zip(drawn) {
            let mut outlined = match selection {
                OutlineSelection::Spread => spread(&survey.shown, outlines),
                OutlineSelection::Random => trial.annotated,
            };
            outlined.sort_unstable();
            all.push(OutlinedSlices { seed, outlines, outlined });
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outlines_are_spread_as_in_numpy() {
        // numpy 2: sorted({shown[round(part * (len(shown) - 1))] for part in np.linspace(0.05, 0.95, count)}) of np.arange(n)
        let expected: [(usize, usize, &[usize]); 8] = [
            (9, 8, &[0, 1, 2, 3, 5, 6, 7, 8]),
            (11, 2, &[0, 10]),
            (21, 3, &[1, 10, 19]),
            (21, 5, &[1, 5, 10, 14, 19]),
            (36, 5, &[2, 10, 17, 25, 33]),
            (31, 8, &[2, 5, 9, 13, 17, 21, 25, 28]),
            (50, 2, &[2, 47]),
            (12, 11, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ];
        for (slices, count, chosen) in expected {
            let shown: Vec<usize> = (7..7 + slices).collect();
            let chosen: Vec<usize> = chosen.iter().map(|place| 7 + place).collect();
            assert_eq!(spread(&shown, count), chosen, "{count} of {slices}");
        }
        assert!(spread(&[], 3).is_empty());
    }
}
