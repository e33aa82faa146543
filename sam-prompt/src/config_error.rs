//! The error for config values.

use std::{borrow::Cow, fmt::Display};

use thiserror::Error;

/// The error for a config value that is out of range. It is the only error of this kind in the workspace.
///
/// ```
/// use sam_prompt::ConfigError;
///
/// let error = ConfigError::check_count("iterations", 0).expect_err("no iteration");
/// assert_eq!(error.to_string(), "iterations: expected at least 1, found 0");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{name}: expected {expected}, found {found}")]
#[non_exhaustive]
pub struct ConfigError {
    /// Name of the field.
    pub name: &'static str,
    /// The values that are allowed.
    pub expected: Cow<'static, str>,
    /// The value found.
    pub found: String,
}

impl ConfigError {
    /// Creates an error for one field.
    pub fn new(name: &'static str, found: impl Into<String>, expected: impl Into<Cow<'static, str>>) -> Self {
        Self { name, expected: expected.into(), found: found.into() }
    }

    /// Checks a condition. The error names the field.
    ///
    /// # Errors
    /// If the condition does not hold.
    pub fn check(
        holds: bool,
        name: &'static str,
        found: impl FnOnce() -> String,
        expected: &'static str,
    ) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self::new(name, found(), expected)) }
    }

    /// Checks that a count is at least 1.
    ///
    /// # Errors
    /// If it is 0.
    pub fn check_count(name: &'static str, count: usize) -> Result<(), Self> {
        Self::check(count > 0, name, || count.to_string(), "at least 1")
    }

    /// Checks that a number is finite and at least 0.
    ///
    /// # Errors
    /// If it is not.
    pub fn check_not_negative(name: &'static str, value: impl Into<f64> + Display + Copy) -> Result<(), Self> {
        let number = value.into();
        let holds = number.is_finite() && number >= 0.0;
        Self::check(holds, name, || value.to_string(), "a finite number of at least 0")
    }

    /// Checks that a number is finite and above 0.
    ///
    /// # Errors
    /// If it is not.
    pub fn check_positive(name: &'static str, value: impl Into<f64> + Display + Copy) -> Result<(), Self> {
        let number = value.into();
        let holds = number.is_finite() && number > 0.0;
        Self::check(holds, name, || value.to_string(), "a finite number above 0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_in_range_passes() {
        assert!(ConfigError::check_count("count", 1).is_ok());
        assert!(
            ConfigError::check_not_negative("rate", 0.0).is_ok()
                && ConfigError::check_positive("rate", 0.1_f32).is_ok()
        );
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(ConfigError::check_not_negative("rate", bad).is_err(), "{bad}");
            assert!(ConfigError::check_positive("rate", bad).is_err(), "{bad}");
        }
        let error = ConfigError::check_positive("rate", 0.0).expect_err("it is 0");
        assert_eq!(error, ConfigError::new("rate", "0", "a finite number above 0"));
        let single = ConfigError::check_not_negative("rate", -0.1_f32).expect_err("below 0");
        assert_eq!(single.found, "-0.1");
    }
}
