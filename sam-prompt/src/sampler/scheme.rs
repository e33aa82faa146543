//! The names of the sampling schemes.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Boundary, Center, PointSampler, Uniform};
use crate::PromptError;

/// The paper's three samplers by name, for configurations and command lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SamplingScheme {
    /// [`Uniform`].
    #[default]
    Uniform,
    /// [`Center`].
    Center,
    /// [`Boundary`] of the default width.
    Boundary,
}

/// Whether a sampler may draw the same pixel twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Replacement {
    /// A pixel may be drawn again, so that any region with a pixel has enough of them.
    With,
    /// Each pixel is drawn at most once; a region with fewer pixels than requested points is an error.
    #[default]
    Without,
}

impl SamplingScheme {
    /// Every scheme.
    pub const ALL: &'static [Self] = &[Self::Uniform, Self::Center, Self::Boundary];

    /// The scheme's sampler, which draws with or without replacement.
    pub fn sampler(self, replacement: Replacement) -> Box<dyn PointSampler> {
        let replacement = replacement == Replacement::With;
        match self {
            Self::Uniform => Box::new(Uniform { replacement }),
            Self::Center => Box::new(Center { replacement }),
            Self::Boundary => Box::new(Boundary { replacement, ..Boundary::default() }),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Center => "center",
            Self::Boundary => "boundary",
        }
    }
}

impl fmt::Display for SamplingScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for SamplingScheme {
    type Err = PromptError;

    fn from_str(name: &str) -> Result<Self, PromptError> {
        let named = Self::ALL.iter().copied().find(|scheme| scheme.name() == name);
        named.ok_or_else(|| PromptError::UnknownScheme { found: name.to_owned() })
    }
}
