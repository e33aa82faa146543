//! The names of the sampling schemes.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Boundary, Center, PointSampler, Uniform};
use crate::PromptError;

/// The paper's three ways of choosing points, by name: for configurations and command lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SamplingScheme {
    /// [`Uniform`].
    #[default]
    Uniform,
    /// [`Center`].
    Center,
    /// [`Boundary`] of the default width.
    Boundary,
}

impl SamplingScheme {
    /// Every scheme.
    pub const ALL: [Self; 3] = [Self::Uniform, Self::Center, Self::Boundary];

    /// The scheme's sampler, which may draw a pixel twice if `replacement` is true.
    pub fn sampler(self, replacement: bool) -> Box<dyn PointSampler> {
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
        let named = Self::ALL.into_iter().find(|scheme| scheme.name() == name);
        named.ok_or_else(|| PromptError::UnknownScheme { found: name.to_owned() })
    }
}
