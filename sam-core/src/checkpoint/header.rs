//! Safetensors files: reads the header, which says where each tensor is.

use std::{collections::BTreeMap, fs::File, io::Read, path::Path, sync::Arc};

use burn::tensor::DType;
use safetensors::{Dtype, tensor::Metadata};

use super::{
    names,
    stored::{Storage, StoredTensor},
};
use crate::ReadError;

/// The header is preceded by its length in this many bytes.
const LENGTH: u64 = 8;
/// Maximum header size. The format allows no larger header, and a header takes about a hundred bytes for each tensor.
const MAX_HEADER: u64 = 100_000_000;

/// Whether a file is a safetensors file: its header is JSON.
pub(super) fn is_safetensors(path: &Path) -> std::io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(LENGTH + 1).read_to_end(&mut start)?;
    Ok(start.len() as u64 > LENGTH && start.ends_with(b"{"))
}

/// Reads the header. Returns all tensors of the file by name; their data is read later.
pub(super) fn read_tensors(path: &Path) -> Result<BTreeMap<String, StoredTensor>, ReadError> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut length = [0; LENGTH as usize];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER || length > bytes - LENGTH {
        return Err("its header is longer than the file: it is cut off or damaged".into());
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header)?;
    let header: Metadata = serde_json::from_slice(&header).map_err(|error| ReadError::Header(Box::new(error)))?;
    let start = LENGTH + length;
    let end = header.data_len() as u64;
    if end != bytes - start {
        return Err(
            format!("its tensors need {end} bytes, and it has {}: it is cut off or damaged", bytes - start).into()
        );
    }
    let file: Arc<Path> = path.into();
    let mut tensors = BTreeMap::new();
    for (name, about) in header.tensors() {
        let (from, to) = (about.data_offsets.0 as u64, about.data_offsets.1 as u64);
        let Some(dtype) = element_type(about.dtype) else {
            // Tensors that SAM does not use may have any type.
            if names::is_needed(&name) {
                return Err(format!("its {name:?} is of the type {:?}, which no model computes in", about.dtype).into());
            }
            continue;
        };
        let storage = Storage { dtype, start: start + from, bytes: to - from };
        let tensor = StoredTensor::in_order(Arc::clone(&file), storage, about.shape.clone());
        let tensor = tensor.ok_or_else(|| format!("its {name:?} has a shape of another size than its values"))?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

fn element_type(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U8 => DType::U8,
        _ => return None,
    })
}
