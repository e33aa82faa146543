//! Tensors that lie in their file until somebody asks for them.

use std::{
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

/// Where the values of some tensors lie in a file, and of what type they are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storage {
    pub(super) dtype: DType,
    pub(super) start: u64,
    pub(super) bytes: u64,
}

/// A tensor that lies in its file.
#[derive(Debug, Clone)]
pub(super) struct StoredTensor {
    pub(super) file: Arc<Path>,
    pub(super) storage: Storage,
    /// Elements before its first one.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

impl StoredTensor {
    /// A tensor whose elements lie in the file one after the other; `None` if its shape is no tensor's.
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

    /// In bytes.
    pub(super) fn length(&self) -> usize {
        self.elements() * self.storage.dtype.size()
    }

    /// How many elements lie between its first and its last one, both counted.
    pub(super) fn extent(shape: &[usize], strides: &[usize]) -> Option<usize> {
        if shape.contains(&0) {
            return Some(0);
        }
        let mut steps = shape.iter().zip(strides).map(|(size, stride)| (size - 1).checked_mul(*stride));
        steps.try_fold(1_usize, |sum, step| sum.checked_add(step?))
    }

    /// The element's place among those that lie in the file, counted in the order of the shape.
    fn place(&self, mut element: usize) -> usize {
        let dims = self.shape.iter().zip(&self.strides).rev();
        dims.map(|(size, stride)| {
            let index = element % size;
            element /= size;
            index * stride
        })
        .sum()
    }

    /// Whether its elements lie in the file one after the other, as nearly all tensors' do.
    fn is_in_order(&self) -> bool {
        let mut step = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
            let fits = size == 1 || stride == step;
            step *= size;
            fits
        })
    }

    /// Reads its values.
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

    /// The same for burn, under the path of a module and in f32; read when it is asked for.
    pub(super) fn snapshot(&self, path: &str) -> TensorSnapshot {
        let tensor = self.clone();
        let read = move || {
            let data = tensor.read().map_err(|error| TensorSnapshotError::IoError(error.to_string()))?;
            Ok(data.convert_dtype(DType::F32))
        };
        let names = path.split('.').map(str::to_owned).collect();
        let shape = self.shape.clone().into();
        TensorSnapshot::from_closure(Rc::new(read), DType::F32, shape, names, Vec::new(), ParamId::new())
    }
}
