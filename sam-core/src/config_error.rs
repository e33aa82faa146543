//! The error of a configuration.

use thiserror::Error;

/// A value of a configuration that is out of range.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{name} is {found}, but has to be {expected}")]
#[non_exhaustive]
pub struct ConfigError {
    /// Name of the field.
    pub name: &'static str,
    /// Its value.
    pub found: String,
    /// The values that are allowed.
    pub expected: &'static str,
}

impl ConfigError {
    /// An error of one field.
    pub fn new(name: &'static str, found: impl Into<String>, expected: &'static str) -> Self {
        Self { name, found: found.into(), expected }
    }

    /// Ok if `holds`, else an error that names the field.
    ///
    /// # Errors
    /// If the condition does not hold.
    pub fn check(
        holds: bool,
        name: &'static str,
        found: impl FnOnce() -> String,
        expected: &'static str,
    ) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self { name, found: found(), expected }) }
    }
}
