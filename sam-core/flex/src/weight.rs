//! Weights of matrix products, stored in the precision of the product.

use burn::tensor::{DType, Tensor, backend::Backend, bf16};

use super::{
    bf16::{self as rounded, Panels, Strips},
    matrix::{Matrix, MatrixMut},
    record::{Array, flex},
};

/// The right factor of products with `f32` rows.
#[derive(Debug)]
pub(super) enum Weight {
    Full(Array),
    /// bf16 weights: rows are rounded too, and products are summed in `f32`.
    Rounded(Panels),
}

impl Weight {
    /// From a tensor of `Flex` in `f32` or `bf16`; `None` for all others, and under autodiff.
    pub(super) fn of<B: Backend>(weight: &Tensor<B, 2>) -> Option<Self> {
        if weight.dtype() != DType::BF16 {
            return Array::of_f32(&flex(weight.clone())?).map(Self::Full);
        }
        if !rounded::is_available() {
            return Array::of_f32(&flex(weight.clone().cast(DType::F32))?).map(Self::Full);
        }
        let weight = flex(weight.clone())?;
        let layout = weight.layout();
        let ([rows, columns], [down, right]) = (&layout.shape()[..], layout.strides()) else { return None };
        let values = weight.storage::<bf16>().get(layout.start_offset()..)?;
        let strides = [usize::try_from(*down).ok()?, usize::try_from(*right).ok()?];
        Some(Self::Rounded(Panels::pack(values, [*rows, *columns], strides)))
    }

    pub(super) fn columns(&self) -> usize {
        match self {
            Self::Full(weight) => weight.width(),
            Self::Rounded(weight) => weight.columns(),
        }
    }

    /// `output += rows * self`.
    pub(super) fn add(&self, output: MatrixMut<'_>, rows: Matrix<'_>) {
        match self {
            Self::Full(weight) => output.add(1.0, rows, weight.matrix()),
            Self::Rounded(weight) => {
                let mut strips = Strips::default();
                strips.round(rows);
                rounded::multiply(output, &strips, weight);
            }
        }
    }
}
