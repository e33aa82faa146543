//! The interface between kernels and burn: tensors in, a tensor out, and under autodiff a node in the graph.

use std::{any::Any, borrow::Cow, fmt::Debug};

use burn::tensor::{Bytes, DType, Shape, Tensor, TensorPrimitive, backend::Backend, ops::FloatTensor};
use burn_flex::{FlexTensor, Layout};

use super::matrix::Matrix;

#[cfg(feature = "autodiff")]
mod graph;

/// An operation on `N` arrays, with its gradient.
pub(super) trait Kernel<const N: usize>: Clone + Debug + Send + 'static {
    /// Data that the forward pass saves for the backward pass, in addition to the inputs.
    type Saved: Clone + Debug + Send + 'static;

    /// Forward pass: the output, and the saved data for the backward pass.
    fn forward(&self, inputs: &[Array; N]) -> (Array, Self::Saved);

    /// Backward pass: the gradients of the inputs that need one, from the output's gradient.
    #[cfg_attr(not(feature = "autodiff"), expect(dead_code, reason = "only training has gradients"))]
    fn backward(
        &self,
        inputs: &[Array; N],
        saved: &Self::Saved,
        gradient: &Array,
        wanted: [bool; N],
    ) -> [Option<Array>; N];
}

/// `f32` values in row-major order; a matrix may also be transposed.
#[derive(Debug, Clone)]
pub(super) struct Array(FlexTensor);

impl Array {
    pub(super) fn new(dims: &[usize], values: Vec<f32>) -> Self {
        Self(FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(Shape::from(dims.to_vec())), DType::F32))
    }

    /// `None` for another element type.
    pub(super) fn of_f32(tensor: &FlexTensor) -> Option<Self> {
        (tensor.dtype() == DType::F32).then(|| Self::of(tensor))
    }

    /// Copies only tensors that are not contiguous; matrices with positive strides are never copied.
    fn of(tensor: &FlexTensor) -> Self {
        if tensor.layout().num_dims() == 2 && tensor.layout().has_positive_strides() {
            Self(tensor.clone())
        } else {
            Self(tensor.to_contiguous())
        }
    }

    pub(super) fn dims(&self) -> &[usize] {
        self.0.layout().shape()
    }

    /// The length of the last dimension.
    pub(super) fn width(&self) -> usize {
        self.dims().last().copied().unwrap_or(1)
    }

    /// All values in row-major order; copied if they are not contiguous.
    pub(super) fn values(&self) -> Cow<'_, [f32]> {
        match self.0.as_slice() {
            Some(values) => Cow::Borrowed(values),
            None => Cow::Owned(self.0.to_contiguous().storage().to_vec()),
        }
    }

    /// A matrix with the last axis as columns, and all other axes as rows.
    pub(super) fn matrix(&self) -> Matrix<'_> {
        let (layout, columns) = (self.0.layout(), self.width());
        let values = &self.0.storage()[layout.start_offset()..];
        match (&layout.shape()[..], layout.strides()) {
            ([rows, columns], [down, right]) => {
                Matrix::strided(values, [*rows, *columns], [*down as usize, *right as usize])
            }
            _ => Matrix::new(values, layout.num_elements() / columns.max(1), columns),
        }
    }
}

/// Runs a kernel on `f32` tensors of `Flex` or, with the feature `autodiff`, of `Autodiff<Flex>`; `None` for all others.
pub(super) fn run<B: Backend, K: Kernel<N>, const N: usize, const D: usize>(
    kernel: K,
    inputs: [FloatTensor<B>; N],
) -> Option<Tensor<B, D>> {
    let output: FloatTensor<B> = match cast::<_, [FlexTensor; N]>(inputs) {
        Ok(inputs) => {
            let inputs = arrays(&inputs)?;
            cast(kernel.forward(&inputs).0.0).ok()?
        }
        #[cfg(feature = "autodiff")]
        Err(inputs) => cast(graph::record(kernel, cast(inputs).ok()?)?).ok()?,
        #[cfg(not(feature = "autodiff"))]
        Err(_) => return None,
    };
    Some(Tensor::from_primitive(TensorPrimitive::Float(output)))
}

/// Runs a function on `f32` tensors of `Flex`; `None` for all others, and under autodiff.
pub(super) fn run_untracked<B: Backend, const N: usize, const D: usize>(
    inputs: [FloatTensor<B>; N],
    work: impl FnOnce(&[Array; N]) -> Array,
) -> Option<Tensor<B, D>> {
    let inputs = arrays(&cast::<_, [FlexTensor; N]>(inputs).ok()?)?;
    let output = cast::<_, FloatTensor<B>>(work(&inputs).0).ok()?;
    Some(Tensor::from_primitive(TensorPrimitive::Float(output)))
}

/// The tensor's `Flex` representation; `None` for other backends, and under autodiff.
pub(super) fn flex<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Option<FlexTensor> {
    cast(tensor.into_primitive().tensor()).ok()
}

/// The tensor's backend representation.
pub(super) fn primitive<B: Backend, const D: usize>(tensor: &Tensor<B, D>) -> FloatTensor<B> {
    tensor.clone().into_primitive().tensor()
}

fn arrays<const N: usize>(tensors: &[FlexTensor; N]) -> Option<[Array; N]> {
    tensors.iter().all(|tensor| tensor.dtype() == DType::F32).then(|| tensors.each_ref().map(Array::of))
}

/// Casts a value to its actual type; returns the value as error if the types differ.
fn cast<T: 'static, U: 'static>(value: T) -> Result<U, T> {
    let mut slot = Some(value);
    match (&mut slot as &mut dyn Any).downcast_mut::<Option<U>>().and_then(Option::take) {
        Some(value) => Ok(value),
        // Nothing was taken, so the value is still in `slot`.
        None => slot.map_or_else(|| unreachable!("a value was taken as another type than it has"), Err),
    }
}
