//! The error of a configuration, and setters of configurations.

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

/// Implements `with_*` setters, one for each named field of a configuration.
#[doc(hidden)]
#[macro_export]
macro_rules! __setters {
    ($config:ident { $($setter:ident => $field:ident: $type:ty),+ $(,)? }) => {
        impl $config {
            $(
                #[doc = concat!("Sets `", stringify!($field), "`.")]
                #[must_use]
                pub fn $setter(mut self, $field: $type) -> Self {
                    self.$field = $field;
                    self
                }
            )+
        }
    };
}
