//! Differences between the models and the reference tensors.

use std::fmt;

use anyhow::{Result, ensure};
use burn::tensor::{Tensor, backend::Backend};
use serde::Serialize;

use super::goldens::GoldenFile;

/// The difference between one tensor and its reference.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// File and tensor.
    pub name: String,
    /// Largest absolute difference of an element.
    pub absolute: f32,
    /// Largest absolute difference, divided by the reference's largest magnitude. It decides whether a tensor passes.
    pub relative: f32,
    /// Fraction of elements that are within [`Report::ABSOLUTE`] or [`Report::RELATIVE`] of their own reference; for tensors this is
    /// information only. For masks, the fraction of equal pixels, which decides whether the mask passes.
    pub agreeing: f64,
    /// Whether the tensor or mask passed.
    pub passed: bool,
}

/// All comparisons of a run.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// In the order they were made.
    pub comparisons: Vec<Comparison>,
    /// Checks that were skipped, with the reason.
    pub skipped: Vec<(String, String)>,
}

impl Report {
    /// A tensor passes if no element differs by more than this fraction of the reference's largest magnitude.
    pub const TOLERANCE: f32 = 2e-4;
    /// An element agrees with its reference within this absolute difference ...
    pub const ABSOLUTE: f32 = 1e-4;
    /// ... or within this difference relative to the reference's element.
    pub const RELATIVE: f32 = 1e-3;
    /// Masks agree if more than this fraction of their pixels are equal.
    pub const MASK_FRACTION: f64 = 0.999;

    /// Whether every comparison passed.
    pub fn passed(&self) -> bool {
        self.failed() == 0
    }

    /// Number of comparisons that did not pass.
    pub fn failed(&self) -> usize {
        self.comparisons.iter().filter(|comparison| !comparison.passed).count()
    }

    /// Records a check that was skipped.
    pub(super) fn skip(&mut self, name: &str, reason: &str) {
        self.skipped.push((name.to_owned(), reason.to_owned()));
    }

    /// Compares a tensor with its reference.
    pub(super) fn tensor<B: Backend, const D: usize>(
        &mut self,
        file: &GoldenFile,
        name: &str,
        found: Tensor<B, D>,
    ) -> Result<()> {
        let (shape, expected) = file.values(name)?;
        let dims = found.dims();
        ensure!(dims.as_slice() == shape.as_slice(), "{name}: expected shape {shape:?}, found {dims:?}");
        self.compare(file, name, &found.into_data().iter::<f32>().collect::<Vec<_>>(), &expected);
        Ok(())
    }

    /// Compares values with the reference tensor of this name, in any shape.
    pub(super) fn values(&mut self, file: &GoldenFile, name: &str, found: impl IntoIterator<Item = f32>) -> Result<()> {
        let (shape, expected) = file.values(name)?;
        let found: Vec<f32> = found.into_iter().collect();
        ensure!(expected.len() == found.len(), "{name}: expected shape {shape:?}, found {} values", found.len());
        self.compare(file, name, &found, &expected);
        Ok(())
    }

    fn compare(&mut self, file: &GoldenFile, name: &str, found: &[f32], expected: &[f32]) {
        let largest = expected.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
        let difference = |(found, expected): (&f32, &f32)| (found - expected).abs();
        // `f32::max` would drop a NaN difference.
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
            passed: absolute <= Self::TOLERANCE * largest,
        });
    }

    /// Compares a mask with the reference of this name, pixel by pixel.
    pub(super) fn mask(&mut self, file: &GoldenFile, name: &str, found: &[bool]) -> Result<()> {
        let (shape, expected) = file.values(name)?;
        ensure!(expected.len() == found.len(), "{name}: expected shape {shape:?}, found {} pixels", found.len());
        let equal = found.iter().zip(&expected).filter(|&(&found, &expected)| found == (expected > 0.0)).count();
        let agreeing = equal as f64 / found.len() as f64;
        let differs = if equal == found.len() { 0.0 } else { 1.0 };
        let passed = agreeing > Self::MASK_FRACTION;
        let name = format!("{}: {name}", file.stem());
        self.comparisons.push(Comparison { name, absolute: differs, relative: differs, agreeing, passed });
        Ok(())
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
        write!(
            f,
            "{} tensors compared, {} failed, {} skipped; tolerance {:.0e} of each tensor's largest magnitude, masks more than \
             {:.1} % equal. Agreeing are elements within {:.0e} absolute or {:.0e} relative to their own",
            self.comparisons.len(),
            self.failed(),
            self.skipped.len(),
            Self::TOLERANCE,
            100.0 * Self::MASK_FRACTION,
            Self::ABSOLUTE,
            Self::RELATIVE
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(found: &[f32], expected: &[f32]) -> Comparison {
        let mut report = Report::default();
        let file = GoldenFile::empty("part.safetensors");
        report.compare(&file, "tensor", found, expected);
        report.comparisons.remove(0)
    }

    #[test]
    fn a_tensor_is_judged_by_its_own_scale() {
        // Off by 1 in 10,000 at the first element, and by a tenth of itself at an element near zero.
        let near = judged(&[10_001.0, 1.1], &[10_000.0, 1.0]);
        assert!(near.passed && (near.agreeing - 0.5).abs() < 1e-9, "{near:?}");
        assert!(!judged(&[10_003.0, 1.0], &[10_000.0, 1.0]).passed);
        assert!(!judged(&[1e-3, 1.1e-3], &[1e-3, 1e-3]).passed, "small tensors are held to their own scale");
        assert!(!judged(&[f32::NAN, 1.0], &[1.0, 1.0]).passed);
        assert!(judged(&[0.0], &[0.0]).passed && !judged(&[1e-9], &[0.0]).passed);
    }
}
