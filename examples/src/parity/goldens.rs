//! A folder of reference tensors, and the comparison with them.

use std::{fmt, path::PathBuf};

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
    /// If it is none.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        ensure!(folder.is_dir(), "{} is no folder of reference tensors", folder.display());
        Ok(Self { folder })
    }

    /// The path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
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

    /// A tensor of known rank.
    pub(super) fn tensor<B: Backend, const D: usize>(&self, name: &str, device: &B::Device) -> Result<Tensor<B, D>> {
        let (shape, values) = self.values(name)?;
        ensure!(
            shape.len() == D,
            "tensor {name} in {} has the shape {shape:?}, expected {D} dimensions",
            self.path.display()
        );
        Ok(Tensor::from_data(TensorData::new(values, shape), device))
    }
}

/// How far one tensor is from its reference.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// File and tensor.
    pub name: String,
    /// Largest absolute difference of an element.
    pub absolute: f32,
    /// Largest absolute difference, over the reference's largest magnitude.
    pub relative: f32,
    /// Share of elements that are within the tolerance (for masks: that are equal).
    pub agreeing: f64,
    /// Whether the agreeing share suffices.
    pub passed: bool,
}

/// All comparisons of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// In the order they were made.
    pub comparisons: Vec<Comparison>,
    /// What was not compared, and why.
    pub skipped: Vec<(String, String)>,
}

impl Report {
    /// An element agrees with its reference within this absolute difference ...
    pub const ABSOLUTE: f32 = 1e-4;
    /// ... or within this difference relative to the reference's element.
    pub const RELATIVE: f32 = 1e-3;
    /// Masks agree if more than this share of their pixels is equal.
    pub const MASK_SHARE: f64 = 0.999;

    /// Whether every comparison passed.
    pub fn passed(&self) -> bool {
        self.comparisons.iter().all(|comparison| comparison.passed)
    }

    /// Notes what could not be compared.
    pub(super) fn skip(&mut self, name: &str, reason: &str) {
        self.skipped.push((name.to_owned(), reason.to_owned()));
    }

    /// Compares a tensor with its reference, element by element.
    pub(super) fn tensor<B: Backend, const D: usize>(
        &mut self,
        file: &GoldenFile,
        name: &str,
        found: Tensor<B, D>,
    ) -> Result<()> {
        let (shape, expected) = file.values(name)?;
        let dims = found.dims();
        ensure!(dims.as_slice() == shape.as_slice(), "{name}: expected shape {shape:?}, found {dims:?}");
        self.values(file, name, &found.into_data().iter::<f32>().collect::<Vec<_>>(), &expected);
        Ok(())
    }

    /// Compares values with the reference tensor of the name, whatever its shape.
    pub(super) fn slice(&mut self, file: &GoldenFile, name: &str, found: &[f32]) -> Result<()> {
        let (shape, expected) = file.values(name)?;
        ensure!(expected.len() == found.len(), "{name}: expected shape {shape:?}, found {} values", found.len());
        self.values(file, name, found, &expected);
        Ok(())
    }

    fn values(&mut self, file: &GoldenFile, name: &str, found: &[f32], expected: &[f32]) {
        let largest = expected.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
        let difference = |(found, expected): (&f32, &f32)| (found - expected).abs();
        // A NaN difference must not vanish in a maximum.
        let larger = |a: f32, b: f32| if a.is_nan() || a > b { a } else { b };
        let absolute = found.iter().zip(expected).map(difference).fold(0.0, larger);
        let agrees = |(found, expected): (&f32, &f32)| {
            let difference = (found - expected).abs();
            difference <= Self::ABSOLUTE || difference <= Self::RELATIVE * expected.abs()
        };
        let agreeing = found.iter().zip(expected).filter(|&pair| agrees(pair)).count();
        self.comparisons.push(Comparison {
            name: format!("{}: {name}", file.stem()),
            absolute,
            relative: absolute / largest,
            agreeing: agreeing as f64 / found.len() as f64,
            passed: agreeing == found.len(),
        });
    }

    /// Compares a mask with the reference of the name, pixel by pixel.
    pub(super) fn mask(&mut self, file: &GoldenFile, name: &str, found: &[bool]) -> Result<()> {
        let (shape, expected) = file.values(name)?;
        ensure!(expected.len() == found.len(), "{name}: expected shape {shape:?}, found {} pixels", found.len());
        let equal = found.iter().zip(&expected).filter(|&(&found, &expected)| found == (expected > 0.0)).count();
        let agreeing = equal as f64 / found.len() as f64;
        let differs = if equal == found.len() { 0.0 } else { 1.0 };
        let passed = agreeing > Self::MASK_SHARE;
        let name = format!("{}: {name}", file.stem());
        self.comparisons.push(Comparison { name, absolute: differs, relative: differs, agreeing, passed });
        Ok(())
    }
}

impl GoldenFile {
    fn stem(&self) -> String {
        self.path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<58} {:>10} {:>10} {:>9}", "tensor", "absolute", "relative", "agreeing")?;
        for Comparison { name, absolute, relative, agreeing, passed } in &self.comparisons {
            let verdict = if *passed { "" } else { "  FAILED" };
            writeln!(f, "{name:<58} {absolute:>10.1e} {relative:>10.1e} {:>8.3}%{verdict}", 100.0 * agreeing)?;
        }
        for (name, reason) in &self.skipped {
            writeln!(f, "{name:<58} SKIPPED: {reason}")?;
        }
        let failed = self.comparisons.iter().filter(|comparison| !comparison.passed).count();
        write!(
            f,
            "{} tensors compared, {failed} failed, {} skipped; tolerance {:.0e} absolute or {:.0e} relative by element, \
             masks more than {:.1} % equal",
            self.comparisons.len(),
            self.skipped.len(),
            Self::ABSOLUTE,
            Self::RELATIVE,
            100.0 * Self::MASK_SHARE
        )
    }
}
