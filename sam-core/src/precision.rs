//! Precision of weights. Half precision takes half the memory and is several times faster on GPUs.

use std::{fmt, str::FromStr};

use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{DType, FloatDType, Tensor, backend::Backend},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::kernels::multiply_in_bf16;

/// Storage precision of weights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits with a 10-bit fraction: precise enough for weights, but values above 65504 overflow.
    F16,
    /// 16 bits with the range of f32 and a 7-bit fraction: not precise enough where a backend also sums in it, as burn's CPU backends do.
    ///
    /// With the feature `flex`, `burn_flex::Flex` rounds only the factors of matrix products to bf16. Sums, and all operations between the
    /// products, stay in f32.
    Bf16,
}

impl Precision {
    /// The corresponding element type of burn.
    pub const fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::BF16,
        }
    }

    pub(crate) fn float(self) -> FloatDType {
        self.dtype().into()
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for Precision {
    type Err = PrecisionError;

    fn from_str(text: &str) -> Result<Self, PrecisionError> {
        [Self::F32, Self::F16, Self::Bf16]
            .into_iter()
            .find(|precision| precision.to_string() == text)
            .ok_or_else(|| PrecisionError { found: text.to_owned() })
    }
}

/// A text that is not the name of a [`Precision`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected f32, f16 or bf16, found {found:?}")]
pub struct PrecisionError {
    /// The text.
    pub found: String,
}

/// Casts a module's parameters to another precision: all of them, or only the matrices if the backend rounds nothing but products.
pub(crate) fn cast<B: Backend, M: Module<B>>(module: M, precision: Precision) -> M {
    module.map(&mut Cast { precision, matrices_only: between_products::<B>(precision) != precision })
}

/// The precision of the operations between a module's matrix products.
pub(crate) fn between_products<B: Backend>(precision: Precision) -> Precision {
    if precision == Precision::Bf16 && multiply_in_bf16::<B>() { Precision::F32 } else { precision }
}

struct Cast {
    precision: Precision,
    matrices_only: bool,
}

impl<B: Backend> ModuleMapper<B> for Cast {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        if self.matrices_only && D != 2 {
            return parameter;
        }
        parameter.map(|values| values.cast(self.precision.float()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precisions_are_read_by_their_names() {
        for precision in [Precision::F32, Precision::F16, Precision::Bf16] {
            assert_eq!(precision.to_string().parse::<Precision>().as_ref(), Ok(&precision));
            let json = serde_json::to_string(&precision).expect("a unit variant is a string");
            assert_eq!(json, format!("\"{precision}\""));
        }
        let error = "f64".parse::<Precision>().expect_err("it is too precise");
        assert_eq!(error.to_string(), "expected f32, f16 or bf16, found \"f64\"");
    }
}
