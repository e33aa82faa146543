//! A folder of reference tensors.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::{Tensor, TensorData, backend::Backend};
use safetensors::{Dtype, SafeTensors};

/// A folder of safetensors files with reference tensors.
#[derive(Debug)]
pub struct Goldens {
    folder: PathBuf,
}

/// One file of reference tensors.
pub(super) struct GoldenFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Goldens {
    /// Opens a folder.
    ///
    /// # Errors
    /// If it does not exist.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        ensure!(folder.is_dir(), "there is no folder of reference tensors at {}", folder.display());
        Ok(Self { folder })
    }

    /// The path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Whether the folder has a file.
    pub(super) fn has(&self, name: &str) -> bool {
        self.path(name).is_file()
    }

    /// Reads one file, named without `.safetensors`.
    pub(super) fn file(&self, name: &str) -> Result<GoldenFile> {
        let path = self.path(&format!("{name}.safetensors"));
        let bytes =
            std::fs::read(&path).with_context(|| format!("cannot read the reference tensors {}", path.display()))?;
        Ok(GoldenFile { path, bytes })
    }
}

impl GoldenFile {
    /// The names of all tensors with a prefix, in order; an error if there is none.
    pub(super) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let file = SafeTensors::deserialize(&self.bytes).with_context(|| format!("in {}", self.path.display()))?;
        let mut names: Vec<_> =
            file.names().into_iter().filter(|name| name.starts_with(prefix)).map(str::to_owned).collect();
        names.sort();
        ensure!(!names.is_empty(), "no tensor {prefix}* in {}", self.path.display());
        Ok(names)
    }

    /// Shape and values of a tensor.
    pub(super) fn values(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let file = SafeTensors::deserialize(&self.bytes).with_context(|| format!("in {}", self.path.display()))?;
        let tensor = file.tensor(name).with_context(|| format!("no tensor {name} in {}", self.path.display()))?;
        let values = match tensor.dtype() {
            Dtype::F32 => tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Dtype::U8 => tensor.data().iter().map(|&byte| f32::from(byte)).collect(),
            other => bail!("tensor {name} in {} is {other:?}, expected F32 or U8", self.path.display()),
        };
        Ok((tensor.shape().to_vec(), values))
    }

    /// Shape and values of a tensor of 8-bit levels.
    pub(super) fn levels(&self, name: &str) -> Result<(Vec<usize>, Vec<u8>)> {
        let (shape, values) = self.values(name)?;
        let level = |value: f32| {
            let level = value as u8;
            ensure!(
                (f32::from(level) - value).abs() < f32::EPSILON,
                "tensor {name} in {} has the value {value}, expected levels from 0 to 255",
                self.path.display()
            );
            Ok(level)
        };
        Ok((shape, values.into_iter().map(level).collect::<Result<_>>()?))
    }

    /// A tensor of rank `D`.
    pub(super) fn tensor<B: Backend, const D: usize>(&self, name: &str, device: &B::Device) -> Result<Tensor<B, D>> {
        let (shape, values) = self.values(name)?;
        ensure!(
            shape.len() == D,
            "tensor {name} in {} has the shape {shape:?}, expected {D} dimensions",
            self.path.display()
        );
        Ok(Tensor::from_data(TensorData::new(values, shape), device))
    }

    /// The file's name without its extension.
    pub(super) fn stem(&self) -> String {
        self.path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// A file without tensors.
    #[cfg(test)]
    pub(super) fn empty(name: &str) -> Self {
        Self { path: name.into(), bytes: Vec::new() }
    }
}
