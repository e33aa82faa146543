//! A checksummed file of learned parameters: safetensors with one JSON entry in its header.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::Path,
};

use burn::tensor::{DType, TensorData};
use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};
use sam_core::NotWeights;
use sam_files::{Sha256Hasher, Sha256Id, WriteError, read_bounded, sanitize, seal_with, unseal, write_atomic};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{AssistError, ContentError};

/// Maximum file size. A tuned mask decoder takes 16 MiB, a prompt encoder 25 KB. A learner's moments triple that, for each member.
const MAX_BYTES: u64 = 256 << 20;
/// Maximum header size: paths, shapes and the entry. The header of a prompt encoder takes 3 KB.
const MAX_HEADER_BYTES: u64 = 1 << 20;
/// Field of the entry that holds its checksum.
const CHECKSUM: &str = "checksum";

/// Tensors by their names, in f32.
pub(crate) type Tensors = BTreeMap<String, TensorData>;

/// A file format of learned parameters: of cards or of learner states.
#[derive(Debug)]
pub(crate) struct Format {
    /// Name in messages.
    pub(crate) name: &'static str,
    /// The only entry of the safetensors header's `__metadata__`. Several entries would be written in any order, but equal contents must
    /// give equal files.
    pub(crate) entry: &'static str,
    /// Format version. Raise it when the meaning of the content changes.
    pub(crate) version: u64,
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Content<T> {
    /// Metadata.
    pub(crate) about: T,
    /// Name and version of the crate that wrote the file.
    pub(crate) written_by: String,
    pub(crate) tensors: Tensors,
}

/// The entry without its checksum.
#[derive(Serialize, Deserialize)]
struct Entry<T> {
    format_version: u64,
    written_by: String,
    about: T,
}

/// The part of the entry that every format version has.
#[derive(Deserialize)]
struct Version {
    format_version: u64,
}

/// Why a file is refused.
enum Defect {
    Version(u64),
    Content(ContentError),
}

impl From<ContentError> for Defect {
    fn from(error: ContentError) -> Self {
        Self::Content(error)
    }
}

impl<T> Content<T> {
    /// Content written by this version of the crate.
    pub(crate) fn new(about: T, tensors: Tensors) -> Self {
        let written_by = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned();
        Self { about, written_by, tensors }
    }
}

impl Format {
    /// Writes a file atomically.
    pub(crate) fn save<T: Serialize + Clone>(&self, content: &Content<T>, path: &Path) -> Result<(), AssistError> {
        let unwritable = |source| AssistError::Unwritable { kind: self.name, path: path.to_path_buf(), source };
        let bytes = self.to_bytes(content).map_err(unwritable)?;
        let unwritable = |WriteError { path, source }| AssistError::Unwritable { kind: self.name, path, source };
        write_atomic(path, |file| file.write_all(&bytes)).map_err(unwritable)
    }

    /// Reads a file. `check` validates its content.
    pub(crate) fn load<T: DeserializeOwned>(
        &self,
        path: &Path,
        check: impl FnOnce(&Content<T>) -> Result<(), ContentError>,
    ) -> Result<Content<T>, AssistError> {
        let bytes = self.read(path)?;
        let content = self.parse(&bytes).and_then(|content| {
            check(&content)?;
            Ok(content)
        });
        content.map_err(|flaw| self.refuse(flaw, path))
    }

    /// The error for an unreadable file or folder.
    pub(crate) fn unreadable(&self, path: &Path, source: io::Error) -> AssistError {
        AssistError::Unreadable { kind: self.name, path: path.to_path_buf(), source }
    }

    fn refuse(&self, flaw: Defect, path: &Path) -> AssistError {
        let (kind, path) = (self.name, path.to_path_buf());
        match flaw {
            Defect::Version(found) => AssistError::FormatVersion { kind, path, found, expected: self.version },
            Defect::Content(source) => AssistError::Corrupt { kind, path, source },
        }
    }

    /// Reads a file, up to the size limit.
    fn read(&self, path: &Path) -> Result<Vec<u8>, AssistError> {
        let bytes = read_bounded(path, MAX_BYTES).map_err(|source| self.unreadable(path, source))?;
        let too_large = || ContentError::TooLarge { most: MAX_BYTES >> 20, kind: self.name };
        bytes.ok_or_else(|| self.refuse(too_large().into(), path))
    }

    fn to_bytes<T: Serialize + Clone>(&self, content: &Content<T>) -> io::Result<Vec<u8>> {
        let Content { about, written_by, tensors } = content;
        let entry = Entry { format_version: self.version, written_by: written_by.clone(), about: about.clone() };
        let entry = serde_json::to_string(&entry)?;
        let entry = seal_with(CHECKSUM, &entry, checksum(&entry, tensors)).map_err(io::Error::other)?;
        let views = tensors
            .iter()
            .map(|(path, data)| Ok((path, TensorView::new(Dtype::F32, data.shape.to_vec(), data.as_bytes())?)));
        let views = views.collect::<Result<Vec<_>, SafeTensorError>>();
        views
            .and_then(|views| safetensors::serialize(views, Some(HashMap::from([(self.entry.to_owned(), entry)]))))
            .map_err(io::Error::other)
    }

    fn parse<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<Content<T>, Defect> {
        let &Self { name: kind, entry: key, version } = self;
        if let Some(found) = NotWeights::recognise(bytes) {
            return Err(ContentError::NotWeights(found).into());
        }
        if bytes.first_chunk().is_some_and(|&length| u64::from_le_bytes(length) > MAX_HEADER_BYTES) {
            return Err(ContentError::Header { kind }.into());
        }
        let cut = |error: SafeTensorError| ContentError::Safetensors { reason: sanitize(&error.to_string()) };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(cut)?;
        let entry = header.metadata().as_ref().and_then(|entries| entries.get(key));
        let entry = entry.ok_or(ContentError::NoEntry { entry: key })?;

        let nonsense = |error: serde_json::Error| {
            let reason = sanitize(&error.to_string());
            ContentError::Entry { entry: key, kind, reason }
        };
        let Version { format_version } = serde_json::from_str(entry).map_err(nonsense)?;
        if format_version != version {
            return Err(Defect::Version(format_version));
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(cut)?;
        let tensors = tensors.iter().map(|(path, view)| parameter(path, &view)).collect::<Result<_, _>>()?;
        let (entry, sum) = unseal(CHECKSUM, entry).map_err(|source| ContentError::Seal { entry: key, source })?;
        if sum != checksum(&entry, &tensors) {
            return Err(ContentError::Checksum.into());
        }
        let Entry { written_by, about, .. } = serde_json::from_str(&entry).map_err(nonsense)?;
        Ok(Content { about, written_by: sanitize(&written_by), tensors })
    }
}

/// Refuses tensors that hold NaN or infinity.
pub(crate) fn check_finite(tensors: &Tensors) -> Result<(), ContentError> {
    let is_finite = |data: &TensorData| data.iter::<f32>().all(f32::is_finite);
    match tensors.iter().find(|(_, data)| !is_finite(data)) {
        Some((path, _)) => Err(ContentError::NotFinite { path: sanitize(path) }),
        None => Ok(()),
    }
}

/// One parameter of a file.
fn parameter(path: &str, view: &TensorView<'_>) -> Result<(String, TensorData), ContentError> {
    if path.contains(char::is_control) {
        return Err(ContentError::ParameterName { path: path.to_owned() });
    }
    if view.dtype() != Dtype::F32 {
        return Err(ContentError::ParameterType { path: path.to_owned(), found: format!("{:?}", view.dtype()) });
    }
    Ok((path.to_owned(), TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), DType::F32)))
}

/// SHA-256 of an entry and all parameters.
fn checksum(entry: &str, tensors: &Tensors) -> Sha256Id {
    let mut hasher = Sha256Hasher::new();
    hasher.update_part(entry);
    for (path, data) in tensors {
        hasher.update_part(path);
        hasher.update_part(format!("{:?}", data.shape.to_vec()));
        hasher.update_part(data.as_bytes());
    }
    hasher.finish()
}
