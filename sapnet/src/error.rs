//! Errors of episodes, trainings and configurations.

use burn::tensor::backend::Backend;
use burn::tensor::{ElementConversion, Tensor};
use sam_prompt::ConfigError;

/// Why sapnet refused its input.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SapnetError {
    /// A tensor does not fit the others.
    #[error("{tensor} must have shape {expected:?} but has {found:?}")]
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

    /// A tensor with NaN or infinite values.
    #[error(
        "{tensor} contain NaN or infinite values: check the encoder's weights, and the network that was fitted to its features"
    )]
    NotFinite {
        /// Which tensor.
        tensor: &'static str,
    },

    /// No pixel of the annotated slices belongs to a class.
    #[error(
        "no pixel of the annotated slices is {class}: annotate at least one slice that shows both object and background"
    )]
    ClassAbsent {
        /// `object` or `background`.
        class: &'static str,
    },

    /// The loss is no longer finite.
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

    /// A hyperparameter outside its valid range.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl SapnetError {
    /// Checks that a tensor has the expected shape and is not empty.
    pub(crate) fn check_shape(tensor: &'static str, expected: &[usize], found: &[usize]) -> Result<(), Self> {
        if expected != found {
            return Err(Self::ShapeMismatch { tensor, expected: expected.to_vec(), found: found.to_vec() });
        }
        Self::check_filled(tensor, found)
    }

    /// Checks that a tensor of this shape has elements.
    pub(crate) fn check_filled(tensor: &'static str, shape: &[usize]) -> Result<(), Self> {
        if shape.contains(&0) {
            return Err(Self::Empty { tensor, shape: shape.to_vec() });
        }
        Ok(())
    }

    /// Checks that all elements are finite.
    pub(crate) fn check_finite<B: Backend, const D: usize>(
        tensor: &'static str,
        values: &Tensor<B, D>,
    ) -> Result<(), Self> {
        // The plain sum of finite numbers may overflow. Multiplied by 0, finite numbers give 0, all others NaN.
        let spoiled = (values.clone() * 0.0).sum().into_scalar().elem::<f32>();
        if spoiled.is_nan() { Err(Self::NotFinite { tensor }) } else { Ok(()) }
    }
}
