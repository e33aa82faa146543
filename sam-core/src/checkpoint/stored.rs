//! Tensors that are read from their file on demand.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
    rc::Rc,
    sync::Arc,
};

use burn::{
    module::ParamId,
    tensor::{DType, TensorData},
};
use burn_store::{TensorSnapshot, TensorSnapshotError};
use thiserror::Error;

use crate::finite::is_data_finite;

/// Names of tensors with values that are NaN or infinite, collected while tensors are read.
pub(super) type NotFinite = Rc<RefCell<BTreeSet<String>>>;

/// Why the values of a tensor cannot be used.
#[derive(Debug, Error)]
pub(super) enum ValueError {
    #[error("it cannot be read")]
    Io(#[from] std::io::Error),
    #[error("it holds values that are NaN or infinite")]
    NotFinite,
    #[error("it holds values that are too large for {0:?}")]
    TooLarge(DType),
}

/// Position and element type of a tensor storage in a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storage {
    pub(super) dtype: DType,
    pub(super) start: u64,
    pub(super) bytes: u64,
}

/// A tensor in a file, not read yet.
#[derive(Debug, Clone)]
pub(super) struct StoredTensor {
    pub(super) file: Arc<Path>,
    pub(super) storage: Storage,
    /// Number of elements of the storage before the tensor's first one.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

impl StoredTensor {
    /// A tensor whose elements are contiguous in the file; `None` if the shape is invalid.
    pub(super) fn in_order(file: Arc<Path>, storage: Storage, shape: Vec<usize>) -> Option<Self> {
        let mut strides = vec![1_usize; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis].checked_mul(shape[axis].max(1))?;
        }
        let elements = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size))?;
        let fits = elements.checked_mul(storage.dtype.size()).is_some_and(|bytes| bytes as u64 == storage.bytes);
        fits.then_some(Self { file, storage, offset: 0, shape, strides })
    }

    pub(super) fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Length in bytes.
    pub(super) fn length(&self) -> usize {
        self.elements() * self.storage.dtype.size()
    }

    /// Number of elements from the first to the last one, both included; strided tensors span gaps.
    pub(super) fn extent(shape: &[usize], strides: &[usize]) -> Option<usize> {
        if shape.contains(&0) {
            return Some(0);
        }
        let mut steps = shape.iter().zip(strides).map(|(size, stride)| (size - 1).checked_mul(*stride));
        steps.try_fold(1_usize, |sum, step| sum.checked_add(step?))
    }

    /// Position in the file of an element that is counted in row-major order, in elements.
    fn place(&self, mut element: usize) -> usize {
        let dims = self.shape.iter().zip(&self.strides).rev();
        dims.map(|(size, stride)| {
            let index = element % size;
            element /= size;
            index * stride
        })
        .sum()
    }

    /// Whether the elements are contiguous in the file, as in nearly all tensors.
    fn is_in_order(&self) -> bool {
        let mut step = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
            let fits = size == 1 || stride == step;
            step *= size;
            fits
        })
    }

    /// Reads the values.
    pub(super) fn read(&self) -> std::io::Result<TensorData> {
        let Storage { dtype, start, .. } = self.storage;
        let extent = Self::extent(&self.shape, &self.strides).unwrap_or_default();
        let mut bytes = vec![0; extent * dtype.size()];
        let mut file = File::open(&self.file)?;
        file.seek(SeekFrom::Start(start + (self.offset * dtype.size()) as u64))?;
        file.read_exact(&mut bytes)?;
        if !self.is_in_order() {
            let elements = self.elements();
            let element = |place: usize| &bytes[place * dtype.size()..(place + 1) * dtype.size()];
            bytes = (0..elements).flat_map(|number| element(self.place(number)).iter().copied()).collect();
        }
        Ok(TensorData::from_bytes_vec(bytes, self.shape.clone(), dtype))
    }

    /// Reads the values and converts them. Values that are not finite are refused, before or after the conversion.
    pub(super) fn read_as(&self, dtype: DType) -> Result<TensorData, ValueError> {
        let stored = self.read()?;
        if !is_data_finite(&stored) {
            return Err(ValueError::NotFinite);
        }
        if stored.dtype == dtype {
            return Ok(stored);
        }
        let converted = stored.convert_dtype(dtype);
        if is_data_finite(&converted) { Ok(converted) } else { Err(ValueError::TooLarge(dtype)) }
    }

    /// The tensor as a burn snapshot under a module path, converted to f32; read on demand. If its values are not finite, its `name` is
    /// added to `not_finite`.
    pub(super) fn snapshot(&self, path: &str, name: &str, not_finite: &NotFinite) -> TensorSnapshot {
        let (tensor, name, not_finite) = (self.clone(), name.to_owned(), Rc::clone(not_finite));
        let read = move || {
            tensor.read_as(DType::F32).map_err(|error| match error {
                ValueError::Io(error) => TensorSnapshotError::IoError(error.to_string()),
                ValueError::NotFinite | ValueError::TooLarge(_) => {
                    not_finite.borrow_mut().insert(name.clone());
                    TensorSnapshotError::DataError(error.to_string())
                }
            })
        };
        let names = path.split('.').map(str::to_owned).collect();
        let shape = self.shape.clone().into();
        TensorSnapshot::from_closure(Rc::new(read), DType::F32, shape, names, Vec::new(), ParamId::new())
    }
}
