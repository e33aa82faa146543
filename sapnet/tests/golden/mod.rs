//! Golden tensors by name.

use std::error::Error;

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use safetensors::{Dtype, SafeTensors};

pub(crate) type B = burn_flex::Flex;
pub(crate) type TestResult = Result<(), Box<dyn Error>>;

/// Absolute and, for values above 1, relative: the reference sums in another order, in single precision (seen: 2e-6).
const TOLERANCE: f32 = 1e-5;

pub(crate) struct Golden(SafeTensors<'static>);

impl Golden {
    pub(crate) fn load() -> Result<Self, Box<dyn Error>> {
        Ok(Self(SafeTensors::deserialize(include_bytes!("../goldens/fewshot.safetensors"))?))
    }

    /// A tensor of floats, or of bytes as floats.
    pub(crate) fn float<T: Backend, const D: usize>(&self, name: &str) -> Result<Tensor<T, D>, Box<dyn Error>> {
        let view = self.0.tensor(name)?;
        let values: Vec<f32> = match view.dtype() {
            Dtype::U8 => view.data().iter().copied().map(f32::from).collect(),
            Dtype::F32 => view.data().as_chunks().0.iter().copied().map(f32::from_le_bytes).collect(),
            other => return Err(format!("{name} is {other:?}").into()),
        };
        let shape: [usize; D] = view.shape().try_into()?;
        Ok(Tensor::from_data(TensorData::new(values, shape), &T::Device::default()))
    }
}

/// Fails if shapes differ or an element is further away than the tolerance; prints how close they are.
pub(crate) fn close<const D: usize>(got: Tensor<B, D>, expected: &Tensor<B, D>) -> TestResult {
    if got.dims() != expected.dims() {
        return Err(format!("shape {:?} instead of {:?}", got.dims(), expected.dims()).into());
    }
    let distance = (got - expected.clone()).abs() / expected.clone().abs().clamp_min(1.0);
    let furthest: f32 = distance.max().into_scalar();
    println!("{:?}: {furthest:.1e}", expected.dims());
    if furthest < TOLERANCE { Ok(()) } else { Err(format!("{furthest} away").into()) }
}
