//! PyTorch files: locates each tensor of a state dict.
//!
//! There are two formats. Since version 1.6, a file is an uncompressed archive with a pickle and one file for each tensor's values. Before
//! that, a file was a series of pickles, followed by the values.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::Path,
    sync::Arc,
};

use burn::tensor::DType;
use thiserror::Error;
use zip::{CompressionMethod, ZipArchive};

use super::{
    names,
    pickle::{Node, Pickle, Value},
    stored::{Storage, StoredTensor},
};
use crate::ReadError;

/// The first bytes of a file in the older format: a pickle of one number.
const OLDER: [u8; 15] = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];
/// Maximum nesting depth of state dicts within other dicts.
const MAX_DEPTH: usize = 16;
/// Maximum length of a tensor name; real names have up to about a hundred characters.
const MAX_NAME: usize = 256;

/// Locates all tensors of a file by name; their data is read later. The error says what is wrong with the file.
pub(super) fn read_tensors(path: &Path) -> Result<BTreeMap<String, StoredTensor>, ReadError> {
    let mut file = BufReader::new(File::open(path)?);
    let length = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    let mut start = Vec::new();
    file.by_ref().take(OLDER.len() as u64).read_to_end(&mut start)?;
    let (pickle, storages) = if start == OLDER {
        read_older(&mut file, length)?
    } else if start.starts_with(b"PK") {
        read_archive(file, length)?
    } else {
        return Err("it is neither a file that PyTorch's torch.save writes nor safetensors".into());
    };
    let tensors = Tensors { file: path.into(), pickle: &pickle, storages: &storages }.all()?;
    // No two tensors of a SAM share elements. This check keeps a file from asking for more memory than it has bytes.
    let of_sam = tensors.iter().filter(|(name, _)| names::is_needed(name));
    let needed = of_sam.map(|(_, tensor)| tensor.length() as u64).fold(0, u64::saturating_add);
    if needed > length {
        return Err(format!(
            "its tensors need {needed} bytes, and it has {length}: it is cut off, or tensors share their values; save each by itself"
        )
        .into());
    }
    Ok(tensors)
}

/// Storages by key.
type Storages = HashMap<String, Storage>;

fn read_archive(file: BufReader<File>, length: u64) -> Result<(Pickle, Storages), ReadError> {
    let mut archive = ZipArchive::new(file).map_err(damaged)?;
    let mut places = HashMap::new();
    let (mut pickled, mut is_big_endian) = (None, false);
    for index in 0..archive.len() {
        let mut entry = archive.by_index_raw(index).map_err(damaged)?;
        let name = entry.name().map_err(damaged)?.into_owned();
        let is_plain = entry.compression() == CompressionMethod::Stored && !entry.encrypted();
        let place = entry.data_start().filter(|start| start.checked_add(entry.size()).is_some_and(|end| end <= length));
        let (true, Some(start)) = (is_plain, place) else {
            return Err(format!("{name:?} in it is packed, encrypted or cut off: save it with torch.save").into());
        };
        let bytes = entry.size();
        // All entries are in one folder, whose name is arbitrary.
        match name.split_once('/').map_or(&*name, |(_, rest)| rest) {
            "data.pkl" => pickled = Some(Pickle::read(&mut entry)?),
            "byteorder" => {
                let mut order = String::new();
                entry.take(8).read_to_string(&mut order)?;
                is_big_endian = order.trim() == "big";
            }
            rest => drop(rest.strip_prefix("data/").map(|key| places.insert(key.to_owned(), (start, bytes)))),
        }
    }
    if is_big_endian {
        return Err(big_endian().into());
    }
    let pickle = pickled.ok_or("its archive has no data.pkl: save it with torch.save, not torch.jit.save")?;
    let named = storage_types(&pickle);
    let storage = |(key, dtype): (&str, DType)| {
        let &(start, bytes) = places.get(key)?;
        Some((key.to_owned(), Storage { dtype, start, bytes }))
    };
    let storages = named.into_iter().filter_map(storage).collect();
    Ok((pickle, storages))
}

fn read_older(file: &mut BufReader<File>, length: u64) -> Result<(Pickle, Storages), ReadError> {
    // After the magic number come the protocol version and the properties of the machine.
    Pickle::read(file)?;
    let machine = Pickle::read(file)?;
    if let Some(Node::Dict(facts)) = machine.node(machine.root)
        && facts.iter().any(|&(key, value)| machine.text(key) == Some("little_endian") && value == Value::Bool(false))
    {
        return Err(big_endian().into());
    }
    let (pickle, keys) = (Pickle::read(file)?, Pickle::read(file)?);
    let Some(Node::List(order)) = keys.node(keys.root) else {
        return Err("the list of its storages is missing".into());
    };
    let named = storage_types(&pickle);
    let mut storages = Storages::new();
    let mut place = file.stream_position()?;
    for &key in order {
        let key = keys.text(key).ok_or("the list of its storages holds something else than names")?;
        let dtype =
            *named.get(key).ok_or_else(|| format!("no tensor uses its storage {key:?}, whose size is unknown"))?;
        let mut count = [0; 8];
        let read = file.seek(SeekFrom::Start(place)).and_then(|_| file.read_exact(&mut count));
        let bytes = u64::from_le_bytes(count).checked_mul(dtype.size() as u64);
        let start = place.saturating_add(count.len() as u64);
        let end = bytes.and_then(|bytes| start.checked_add(bytes)).filter(|&end| read.is_ok() && end <= length);
        place = end.ok_or("it is cut off: its tensors need more bytes than are there")?;
        storages.insert(key.to_owned(), Storage { dtype, start, bytes: place - start });
    }
    Ok((pickle, storages))
}

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> ReadError {
    ReadError::Archive(Box::new(error))
}

fn big_endian() -> String {
    "it was saved on a big-endian machine: save it again on another".to_owned()
}

/// The element types of all storages in a pickle, by key.
fn storage_types(pickle: &Pickle) -> HashMap<&str, DType> {
    let about = pickle.nodes().iter().filter_map(|node| match node {
        Node::Persistent(about) => pickle.tuple(*about),
        _ => None,
    });
    about
        .filter_map(|about| Some((pickle.text(*about.get(2)?)?, storage_type(pickle.global(*about.get(1)?)?)?)))
        .collect()
}

/// The element type of a storage class such as `torch.FloatStorage`.
fn storage_type(class: &str) -> Option<DType> {
    Some(match class.rsplit('.').next()?.strip_suffix("Storage")? {
        "Double" => DType::F64,
        "Float" => DType::F32,
        "Half" => DType::F16,
        "BFloat16" => DType::BF16,
        "Long" => DType::I64,
        "Int" => DType::I32,
        "Short" => DType::I16,
        "Char" => DType::I8,
        "Byte" => DType::U8,
        _ => return None,
    })
}

/// Collects the tensors of a pickle.
struct Tensors<'a> {
    file: Arc<Path>,
    pickle: &'a Pickle,
    storages: &'a Storages,
}

impl Tensors<'_> {
    /// All tensors by name; keys of nested dicts are joined by dots.
    fn all(&self) -> Result<BTreeMap<String, StoredTensor>, StateDictError> {
        let pickle = self.pickle;
        if let Some((name, _)) = pickle.call(pickle.root) {
            return Err(StateDictError::Calls(name.to_owned()));
        }
        if !matches!(pickle.node(pickle.root), Some(Node::Dict(_))) {
            return Err(StateDictError::NoDict);
        }
        let mut tensors = BTreeMap::new();
        let mut waiting = vec![(String::new(), 0, pickle.root)];
        // Each object may be reached under two names on average; a file with more is rejected as malicious.
        let mut steps = 2 * pickle.nodes().len() + 2;
        while let Some((name, depth, value)) = waiting.pop() {
            match pickle.node(value) {
                Some(Node::Dict(items)) if depth < MAX_DEPTH => {
                    // If a key occurs twice, the later value counts.
                    for &(key, value) in items.iter().rev() {
                        let Some(key) = pickle.text(key).filter(|key| name.len() + key.len() < MAX_NAME) else {
                            continue;
                        };
                        if matches!(pickle.node(value), Some(Node::Dict(_) | Node::Call { .. })) {
                            let name = if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
                            steps = steps.checked_sub(1).ok_or(StateDictError::Maze)?;
                            waiting.push((name, depth + 1, value));
                        }
                    }
                }
                Some(Node::Call { .. }) => match self.tensor(value) {
                    Ok(tensor) => drop(tensors.insert(name, tensor)),
                    // Tensors that SAM does not need may be invalid.
                    Err(reason) if names::is_needed(&name) => return Err(StateDictError::Tensor { name, reason }),
                    Err(_) => {}
                },
                _ => {}
            }
        }
        Ok(tensors)
    }

    /// The tensor that a call would build; the error says why there is none.
    fn tensor(&self, value: Value) -> Result<StoredTensor, TensorError> {
        let pickle = self.pickle;
        let mut call = pickle.call(value);
        for _ in 0..MAX_DEPTH {
            let (name, arguments) = call.ok_or(TensorError::NoTensor)?;
            call = match (name.strip_prefix("torch.").unwrap_or_default(), arguments) {
                ("_utils._rebuild_tensor" | "_utils._rebuild_tensor_v2", &[storage, offset, shape, strides, ..]) => {
                    return self.stored(storage, offset, shape, strides);
                }
                ("_utils._rebuild_parameter" | "_utils._rebuild_parameter_with_state", &[tensor, ..]) => {
                    pickle.call(tensor)
                }
                ("_tensor._rebuild_from_type_v2", &[function, _, arguments, ..]) => {
                    pickle.global(function).zip(pickle.tuple(arguments))
                }
                _ => return Err(TensorError::Calls(name.to_owned())),
            };
        }
        Err(TensorError::Wrapped)
    }

    fn stored(&self, storage: Value, offset: Value, shape: Value, strides: Value) -> Result<StoredTensor, TensorError> {
        let pickle = self.pickle;
        let key = match pickle.node(storage) {
            Some(Node::Persistent(about)) => pickle.tuple(*about).and_then(|about| pickle.text(*about.get(2)?)),
            _ => None,
        };
        let key = key.ok_or(TensorError::NoStorage)?;
        let storage = *self.storages.get(key).ok_or_else(|| TensorError::UnknownStorage(key.to_owned()))?;
        let numbers =
            |value: Value| -> Option<Vec<usize>> { pickle.tuple(value)?.iter().map(|&number| whole(number)).collect() };
        let (Some(offset), Some(shape), Some(strides)) = (whole(offset), numbers(shape), numbers(strides)) else {
            return Err(TensorError::NoShape);
        };
        let elements = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        let end = StoredTensor::extent(&shape, &strides)
            .and_then(|extent| extent.checked_add(offset)?.checked_mul(storage.dtype.size()));
        let is_inside = end.is_some_and(|end| end as u64 <= storage.bytes)
            && elements.is_some_and(|count| count.checked_mul(storage.dtype.size()).is_some());
        if !is_inside || shape.len() != strides.len() {
            return Err(TensorError::TooLarge { shape });
        }
        Ok(StoredTensor { file: Arc::clone(&self.file), storage, offset, shape, strides })
    }
}

/// Why a pickle is not a state dict.
#[derive(Debug, Error)]
enum StateDictError {
    #[error("it asks for Python's {0} to be called, and no code of a checkpoint is run; save the state_dict alone")]
    Calls(String),
    #[error("it holds no dict: save the state_dict alone")]
    NoDict,
    #[error("its dicts refer to each other again and again")]
    Maze,
    #[error("its {name:?} {reason}")]
    Tensor { name: String, reason: TensorError },
}

impl From<StateDictError> for ReadError {
    fn from(error: StateDictError) -> Self {
        error.to_string().into()
    }
}

/// Why an object is not a tensor; the text follows the object's name.
#[derive(Debug, Error)]
enum TensorError {
    #[error("asks for Python's {0} to be called, and no code of a checkpoint is run; save the state_dict alone")]
    Calls(String),
    #[error("is no tensor")]
    NoTensor,
    #[error("is wrapped too often")]
    Wrapped,
    #[error("has no storage")]
    NoStorage,
    #[error("lies in the storage {0:?}, which is missing or of an unknown type")]
    UnknownStorage(String),
    #[error("has a shape that is none")]
    NoShape,
    #[error("of shape {shape:?} is larger than what is stored of it; the file is damaged or cut off")]
    TooLarge { shape: Vec<usize> },
}

fn whole(value: Value) -> Option<usize> {
    match value {
        Value::Int(number) => number.try_into().ok(),
        _ => None,
    }
}
