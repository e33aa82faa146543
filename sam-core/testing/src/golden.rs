//! Reference tensors in safetensors files. The files of [`Golden::read`] are in `sam-core/tests/goldens`, with the scripts that made them.

#[cfg(feature = "model")]
mod model;
#[cfg(feature = "model")]
mod prompts;

#[cfg(feature = "model")]
pub use model::{config, open, parameters, predictor, sam, serialised, weights, write};

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use burn::tensor::{Tensor, TensorData, backend::Backend};
use safetensors::{Dtype, SafeTensors};

use crate::TestResult;

/// A state dict that a test may change before it is written: type, shape and bytes by name.
pub type StateDict = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

/// Tolerance of a comparison: a value must be within one of the two limits.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// Largest absolute difference.
    pub absolute: f32,
    /// Largest difference relative to the reference.
    pub relative: f32,
}

/// One file of reference tensors.
#[derive(Debug)]
pub struct Golden {
    bytes: Vec<u8>,
    tolerance: Tolerance,
}

/// The path of one of sam-core's reference files.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens").join(name)
}

impl Golden {
    /// Reads one of sam-core's files, named without `.safetensors`.
    pub fn read(name: &str) -> TestResult<Self> {
        Self::open(path(&format!("{name}.safetensors")), Tolerance { absolute: 1e-4, relative: 1e-3 })
    }

    /// Reads a reference file from any path.
    pub fn open(path: impl AsRef<Path>, tolerance: Tolerance) -> TestResult<Self> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { bytes, tolerance })
    }

    /// The content of the file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All tensors whose names begin with a prefix; the prefix is removed from their names.
    pub fn state_dict(&self, prefix: &str) -> TestResult<StateDict> {
        let tensors = SafeTensors::deserialize(&self.bytes)?.tensors().into_iter();
        let wanted = tensors.filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor)));
        Ok(wanted
            .map(|(name, tensor)| (name, (tensor.dtype(), tensor.shape().to_vec(), tensor.data().to_vec())))
            .collect())
    }

    /// Shape and values of a tensor of floats or bytes.
    pub fn values(&self, name: &str) -> TestResult<(Vec<usize>, Vec<f32>)> {
        let file = SafeTensors::deserialize(&self.bytes)?;
        let tensor = file.tensor(name).map_err(|error| format!("{name}: {error}"))?;
        let values = match tensor.dtype() {
            Dtype::F32 => tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Dtype::U8 => tensor.data().iter().map(|&byte| f32::from(byte)).collect(),
            other => return Err(format!("{name} is {other:?}").into()),
        };
        Ok((tensor.shape().to_vec(), values))
    }

    /// A tensor of floats or bytes.
    pub fn tensor<B: Backend, const D: usize>(&self, name: &str) -> TestResult<Tensor<B, D>> {
        let (shape, values) = self.values(name)?;
        Ok(Tensor::from_data(TensorData::new(values, shape), &B::Device::default()))
    }

    /// Compares the shape and all values of a tensor with the reference of that name.
    pub fn close<B: Backend, const D: usize>(&self, name: &str, found: Tensor<B, D>) -> TestResult {
        let (shape, _) = self.values(name)?;
        assert_eq!(found.dims().as_slice(), shape, "shape of {name}");
        self.close_values(name, found.into_data().iter::<f32>())
    }

    /// Compares values with the reference of that name.
    pub fn close_values(&self, name: &str, found: impl IntoIterator<Item = f32>) -> TestResult {
        let (_, expected) = self.values(name)?;
        let found: Vec<f32> = found.into_iter().collect();
        assert_eq!(found.len(), expected.len(), "values of {name}");
        let Tolerance { absolute, relative } = self.tolerance;
        let mut largest = 0.0_f32;
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let difference = (found - expected).abs();
            // A NaN fails every tolerance.
            let agrees = difference < absolute || difference < relative * expected.abs();
            assert!(agrees, "{name}, element {index}: expected {expected}, found {found}");
            largest = largest.max(difference);
        }
        println!("{name}: {largest:.1e} off at most");
        Ok(())
    }
}
