//! What can be wrong with an episode or a configuration.

use burn::tensor::backend::Backend;
use burn::tensor::{ElementConversion, Tensor};

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

    /// A tensor holds what is no finite number. The caller's tensor is at fault.
    #[error("{tensor} holds infinite numbers or NaN: check the encoder that made it")]
    NotFinite {
        /// Which tensor.
        tensor: &'static str,
    },

    /// A class that no annotated slice shows.
    #[error(
        "no pixel of the annotated slices is {class}: annotate at least one slice that shows both object and background"
    )]
    Nowhere {
        /// `object` or `background`.
        class: &'static str,
    },

    /// The loss is not finite any more.
    #[error(
        "training diverged in iteration {iteration}: the loss became {loss}; lower the learning rate (now {learning_rate})"
    )]
    Diverged {
        /// Counted from 0.
        iteration: usize,
        /// The loss found.
        loss: f32,
        /// The learning rate.
        learning_rate: f64,
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

    /// Ok if all elements are finite.
    pub(crate) fn check_finite<B: Backend, const D: usize>(
        tensor: &'static str,
        values: &Tensor<B, D>,
    ) -> Result<(), Self> {
        // A sum of finite numbers may overflow, but NaN and infinity never vanish from one of products with zero.
        let spoiled = (values.clone() * 0.0).sum().into_scalar().elem::<f32>();
        if spoiled.is_nan() { Err(Self::NotFinite { tensor }) } else { Ok(()) }
    }

    /// Ok if a configured number is finite and greater than zero.
    pub(crate) fn check_positive(parameter: &'static str, value: f64) -> Result<(), Self> {
        Self::check(value.is_finite() && value > 0.0, parameter, "finite and greater than 0", value)
    }

    /// Ok if a configured number is finite and at least zero.
    pub(crate) fn check_not_negative(parameter: &'static str, value: f64) -> Result<(), Self> {
        Self::check(value.is_finite() && value >= 0.0, parameter, "finite and at least 0", value)
    }

    /// Ok if a configured number of things is not zero.
    pub(crate) fn check_count(parameter: &'static str, count: usize) -> Result<(), Self> {
        Self::check(count > 0, parameter, "at least 1", count as f64)
    }

    fn check(holds: bool, parameter: &'static str, requirement: &'static str, value: f64) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self::Parameter { parameter, requirement, value }) }
    }
}
