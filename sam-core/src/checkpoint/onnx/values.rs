//! Tensors in memory: a shape and its values.

use super::{OnnxError, OnnxFile, proto::Tensor};

/// Values in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Values {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

impl Values {
    /// Reads a tensor of 32-bit numbers. The file must have as many values as the shape says, all of them finite.
    pub(super) fn of(tensor: &Tensor, file: OnnxFile) -> Result<Self, OnnxError> {
        let wrong = |expected: &str, found: String| OnnxError::tensor(file, &tensor.name, expected, found);
        if tensor.data_type != Tensor::FLOAT {
            return Err(wrong("32-bit floating point (ONNX type 1)", format!("ONNX type {}", tensor.data_type)));
        }
        let shape = tensor.dims.iter().map(|&size| usize::try_from(size).ok());
        let shape = shape.collect::<Option<Vec<_>>>().ok_or_else(|| wrong("sizes", format!("{:?}", tensor.dims)))?;
        let values = match tensor.raw.as_chunks() {
            ([], []) => tensor.floats.clone(),
            (whole, []) => whole.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            _ => return Err(wrong("4 bytes for each value", format!("{} bytes", tensor.raw.len()))),
        };
        if shape.contains(&0) {
            return Err(wrong("sizes of at least 1", format!("{shape:?}")));
        }
        if shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size)) != Some(values.len()) {
            // An export may keep the values in files of their own, which are not read.
            let found = format!("{} values for the shape {shape:?}", values.len());
            return Err(wrong("all values in the ONNX file itself", found));
        }
        if values.iter().any(|value| !value.is_finite()) {
            return Err(wrong("finite values", "NaN or infinity".to_owned()));
        }
        Ok(Self { shape, values })
    }

    /// One number for each channel.
    pub(super) fn filled(channels: usize, value: f32) -> Self {
        Self { shape: vec![channels], values: vec![value; channels] }
    }

    /// The transposed matrix; `None` if it is none.
    pub(super) fn transposed(&self) -> Option<Self> {
        let &[rows, columns] = self.shape.as_slice() else { return None };
        let values = (0..columns).flat_map(|column| (0..rows).map(move |row| row * columns + column));
        Some(Self { shape: vec![columns, rows], values: values.map(|place| self.values[place]).collect() })
    }

    /// The same values without so many sizes at the begin and at the end of the shape; `None` if these are not all 1.
    pub(super) fn without(&self, before: usize, after: usize) -> Option<Self> {
        let kept = before..self.shape.len().checked_sub(after)?;
        let shape = self.shape.get(kept.clone())?.to_vec();
        let mut dropped = self.shape.iter().enumerate().filter(|(axis, _)| !kept.contains(axis));
        dropped.all(|(_, &size)| size == 1).then(|| Self { shape, values: self.values.clone() })
    }

    /// The rows of a matrix before a row, and from it on; `None` if it is no matrix or has no such row.
    pub(super) fn split_rows(&self, row: usize) -> Option<[Self; 2]> {
        let &[rows, columns] = self.shape.as_slice() else { return None };
        let (before, rest) = self.values.split_at_checked(row * columns)?;
        let part = |rows: usize, values: &[f32]| Self { shape: vec![rows, columns], values: values.to_vec() };
        Some([part(row, before), part(rows.checked_sub(row)?, rest)])
    }
}
