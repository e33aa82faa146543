//! What can be wrong with an episode or a configuration.

/// Why sapnet refused its input.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SapnetError {
    /// A tensor does not fit the others. The caller's tensors are at fault.
    #[error("{tensor} should have shape {expected:?} but has {found:?}")]
    ShapeMismatch {
        /// Which tensor.
        tensor: &'static str,
        /// The shape that would fit.
        expected: Vec<usize>,
        /// The shape it has.
        found: Vec<usize>,
    },

    /// A tensor has no elements: no class, no annotated slice, no channel or no pixel.
    #[error("{tensor} is empty: its shape is {shape:?}")]
    Empty {
        /// Which tensor.
        tensor: &'static str,
        /// Its shape.
        shape: Vec<usize>,
    },

    /// A configured number lies outside its range. The configuration is at fault.
    #[error("{parameter} must be {requirement}, not {value}")]
    Parameter {
        /// Which field of the configuration.
        parameter: &'static str,
        /// What it has to satisfy.
        requirement: &'static str,
        /// What it is.
        value: f64,
    },
}

impl SapnetError {
    /// Ok if a tensor has the shape that fits and is not empty.
    pub(crate) fn check_shape(tensor: &'static str, expected: &[usize], found: &[usize]) -> Result<(), Self> {
        if expected != found {
            return Err(Self::ShapeMismatch { tensor, expected: expected.to_vec(), found: found.to_vec() });
        }
        Self::check_filled(tensor, found)
    }

    /// Ok if a tensor of this shape has elements.
    pub(crate) fn check_filled(tensor: &'static str, shape: &[usize]) -> Result<(), Self> {
        if shape.contains(&0) {
            return Err(Self::Empty { tensor, shape: shape.to_vec() });
        }
        Ok(())
    }

    /// Ok if a configured number is finite and greater than zero.
    pub(crate) fn check_positive(parameter: &'static str, value: f64) -> Result<(), Self> {
        if value.is_finite() && value > 0.0 {
            return Ok(());
        }
        Err(Self::Parameter { parameter, requirement: "finite and greater than 0", value })
    }
}
