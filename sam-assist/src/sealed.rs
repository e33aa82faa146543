//! What was learned as bytes: safetensors with one entry of JSON in the header, sealed by a checksum.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use burn::tensor::{DType, TensorData};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use sam_core::{hexadecimal, printable, write_whole};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::AssistError;

/// A tuned mask decoder takes 16 MiB, a prompt encoder 25 KB; with a learner's moments three times as much, and so for each member.
const MAX_BYTES: u64 = 256 << 20;
/// Paths, shapes and the entry; a prompt encoder's take 3 KB.
const MAX_HEADER_BYTES: u64 = 1 << 20;
/// How the entry begins; 64 hexadecimal digits follow.
const CHECKSUM: &str = "{\"checksum\":\"";

/// Tensors by their names, in f32.
pub(crate) type Tensors = BTreeMap<String, TensorData>;

/// A kind of file.
#[derive(Debug)]
pub(crate) struct Kind {
    /// As people call it.
    pub(crate) name: &'static str,
    /// The only entry of the safetensors header's `__metadata__`: several would come in any order, and equal contents are equal files.
    pub(crate) entry: &'static str,
    /// To be raised when what is written changes its meaning.
    pub(crate) version: u64,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Content<T> {
    /// What it says of itself.
    pub(crate) about: T,
    /// Name and version of the crate that wrote it.
    pub(crate) written_by: String,
    pub(crate) tensors: Tensors,
}

/// The entry, but for its checksum.
#[derive(Serialize, Deserialize)]
struct Entry<T> {
    format_version: u64,
    written_by: String,
    about: T,
}

/// What every version of the entry has.
#[derive(Deserialize)]
struct Version {
    format_version: u64,
}

/// What is wrong with a file.
enum Flaw {
    Version(u64),
    Content(String),
}

impl From<String> for Flaw {
    fn from(reason: String) -> Self {
        Self::Content(reason)
    }
}

impl<T> Content<T> {
    /// To be written by this crate.
    pub(crate) fn new(about: T, tensors: Tensors) -> Self {
        let written_by = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned();
        Self { about, written_by, tensors }
    }
}

impl Kind {
    /// Writes a file, whole or not at all.
    pub(crate) fn save<T: Serialize + Clone>(&self, content: &Content<T>, path: &Path) -> Result<(), AssistError> {
        let write = || write_whole(path, &self.to_bytes(content).map_err(io::Error::other)?);
        write().map_err(|source| AssistError::Unwritable { kind: self.name, path: path.to_path_buf(), source })
    }

    /// Reads a file; `check` says what is wrong with its content, if anything is.
    pub(crate) fn load<T: DeserializeOwned>(
        &self,
        path: &Path,
        check: impl FnOnce(&Content<T>) -> Result<(), String>,
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

    fn refuse(&self, flaw: Flaw, path: &Path) -> AssistError {
        let (kind, path) = (self.name, path.to_path_buf());
        match flaw {
            Flaw::Version(found) => AssistError::FormatVersion { kind, path, found, expected: self.version },
            Flaw::Content(reason) => AssistError::NotWhole { kind, path, reason: printable(&reason) },
        }
    }

    /// A file's bytes, if there are not too many of them.
    fn read(&self, path: &Path) -> Result<Vec<u8>, AssistError> {
        let unreadable = |source| self.unreadable(path, source);
        // Asked before opening: to open a pipe is to wait for its writer.
        if !fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(unreadable(io::Error::other("it is no file")));
        }
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_BYTES {
            let reason = format!("it is larger than {} MiB, which no {} is", MAX_BYTES >> 20, self.name);
            return Err(self.refuse(Flaw::Content(reason), path));
        }
        Ok(bytes)
    }

    fn to_bytes<T: Serialize + Clone>(&self, content: &Content<T>) -> Result<Vec<u8>, String> {
        let Content { about, written_by, tensors } = content;
        let entry = Entry { format_version: self.version, written_by: written_by.clone(), about: about.clone() };
        let entry = serde_json::to_string(&entry).map_err(|error| error.to_string())?;
        let entry = format!("{CHECKSUM}{}\",{}", checksum(&entry, tensors), &entry[1..]);
        let views = tensors
            .iter()
            .map(|(path, data)| Ok((path, TensorView::new(Dtype::F32, data.shape.to_vec(), data.as_bytes())?)));
        let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
        views
            .and_then(|views| safetensors::serialize(views, Some(HashMap::from([(self.entry.to_owned(), entry)]))))
            .map_err(|error| error.to_string())
    }

    fn parse<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<Content<T>, Flaw> {
        let Self { name, entry: key, version } = self;
        if bytes.first_chunk().is_some_and(|&length| u64::from_le_bytes(length) > MAX_HEADER_BYTES) {
            return Err(format!("it is no safetensors file, or one with a larger header than a {name}'s").into());
        }
        let cut = |error| format!("it is no safetensors file, or damaged or cut off ({error})");
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(cut)?;
        let entry = header.metadata().as_ref().and_then(|entries| entries.get(*key));
        let entry =
            entry.ok_or_else(|| format!("its safetensors header has no entry \"{key}\"; is it a checkpoint?"))?;

        let nonsense =
            |error: serde_json::Error| format!("its entry \"{key}\" does not say what a {name} has to ({error})");
        let Version { format_version } = serde_json::from_str(entry).map_err(nonsense)?;
        if format_version != *version {
            return Err(Flaw::Version(format_version));
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(cut)?;
        let tensors = tensors.iter().map(|(path, view)| parameter(path, &view)).collect::<Result<_, _>>()?;
        let (sum, entry) = without_checksum(entry).ok_or_else(|| format!("its entry \"{key}\" has no checksum"))?;
        if sum != checksum(&entry, &tensors) {
            return Err("it is damaged: its checksum is another one".to_owned().into());
        }
        let Entry { written_by, about, .. } = serde_json::from_str(&entry).map_err(nonsense)?;
        Ok(Content { about, written_by: printable(&written_by), tensors })
    }
}

/// Refuses tensors that hold anything but numbers.
pub(crate) fn check_finite(tensors: &Tensors) -> Result<(), String> {
    let is_finite = |data: &TensorData| data.iter::<f32>().all(f32::is_finite);
    match tensors.iter().find(|(_, data)| !is_finite(data)) {
        Some((path, _)) => Err(format!("its parameter {path} holds values that are no numbers")),
        None => Ok(()),
    }
}

/// One parameter of a file.
fn parameter(path: &str, view: &TensorView<'_>) -> Result<(String, TensorData), String> {
    if path.contains(char::is_control) {
        return Err(format!("the parameter {path:?} has control characters in its name"));
    }
    if view.dtype() != Dtype::F32 {
        return Err(format!("its parameter {path} is of type {:?}, expected F32", view.dtype()));
    }
    Ok((path.to_owned(), TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), DType::F32)))
}

/// An entry's checksum, and the entry as it was before that was put in.
fn without_checksum(entry: &str) -> Option<(&str, String)> {
    let (sum, rest) = entry.strip_prefix(CHECKSUM)?.split_at_checked(64)?;
    Some((sum, format!("{{{}", rest.strip_prefix("\",")?)))
}

/// SHA-256 of an entry and all parameters, in hexadecimal.
fn checksum(entry: &str, tensors: &Tensors) -> String {
    let mut hasher = Sha256::new();
    // Each part is preceded by its length, so that no two contents look alike.
    let mut add = |part: &[u8]| {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    };
    add(entry.as_bytes());
    for (path, data) in tensors {
        add(path.as_bytes());
        add(format!("{:?}", data.shape.to_vec()).as_bytes());
        add(data.as_bytes());
    }
    hexadecimal(&hasher.finalize())
}
