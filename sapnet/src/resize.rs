//! Bilinear interpolation as two matrix products.

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use sam_prompt::interpolation_matrix;

/// Bilinear interpolation from one size to another, and its adjoint.
///
/// A separable resize is `rows · map · columns` with two sparse matrices of weights, each an [`interpolation_matrix`]. In this form it is
/// exact and differentiable on every backend; burn 0.21 has no bilinear kernel for CUDA and no gradient of one for burn-ndarray.
///
/// Pixel centres are aligned, borders are replicated, and there is no antialiasing: `torch.nn.functional.interpolate`
/// with `mode="bilinear", align_corners=False`.
#[derive(Module, Debug)]
pub struct BilinearResize<B: Backend> {
    rows: Tensor<B, 2>,
    columns: Tensor<B, 2>,
}

impl<B: Backend> BilinearResize<B> {
    /// Prepares the weights for a resize between two sizes, each `[height, width]` in pixels.
    pub fn new(from: [usize; 2], to: [usize; 2], device: &B::Device) -> Self {
        Self { rows: weights(from[0], to[0], device), columns: weights(from[1], to[1], device).transpose() }
    }

    /// Resizes every channel of every map.
    ///
    /// # Shapes
    /// - maps: `[n, channels, from_height, from_width]`
    /// - output: `[n, channels, to_height, to_width]`
    ///
    /// # Panics
    /// If the maps do not have the size that this was made for.
    pub fn forward(&self, maps: Tensor<B, 4>) -> Tensor<B, 4> {
        between(self.rows.clone(), maps, self.columns.clone())
    }

    /// The adjoint (transpose) of the resize: `sum(forward(x) * y) == sum(x * adjoint(y))` for all x and y.
    ///
    /// It carries weights from the target size back to the source size, so that a weighted sum over resized maps costs no more than one
    /// over the maps themselves.
    ///
    /// # Shapes
    /// - maps: `[n, channels, to_height, to_width]`
    /// - output: `[n, channels, from_height, from_width]`
    ///
    /// # Panics
    /// If the maps do not have the size that this was made for.
    pub fn adjoint(&self, maps: Tensor<B, 4>) -> Tensor<B, 4> {
        between(self.rows.clone().transpose(), maps, self.columns.clone().transpose())
    }
}

/// `left · map · right` for every map.
fn between<B: Backend>(left: Tensor<B, 2>, maps: Tensor<B, 4>, right: Tensor<B, 2>) -> Tensor<B, 4> {
    left.unsqueeze::<4>().matmul(maps.matmul(right.unsqueeze::<4>()))
}

/// Weights of the old pixels (columns) for every new pixel (rows), along one axis.
///
/// # Shapes
/// - output: `[to, from]`
fn weights<B: Backend>(from: usize, to: usize, device: &B::Device) -> Tensor<B, 2> {
    Tensor::from_data(TensorData::new(interpolation_matrix(from, to), [to, from]), device)
}
