//! Cards as bytes: safetensors with one entry of JSON in the header, checked by a checksum.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use burn::tensor::{DType, TensorData};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{CardMetadata, PromptCard};
use crate::AssistError;

/// Raise it when what is written changes its meaning.
const FORMAT_VERSION: u64 = 1;
/// The only entry of the safetensors header's `__metadata__`: several would come in any order, and equal cards are equal files.
const ENTRY: &str = "prompt_card";
/// A tuned mask decoder takes 16 MiB, a prompt encoder 30 KB.
const MAX_BYTES: u64 = 64 << 20;
/// Paths, shapes and metadata; a prompt encoder's take 3 KB.
const MAX_HEADER_BYTES: u64 = 1 << 20;
/// How the entry begins; 64 hexadecimal digits follow.
const CHECKSUM: &str = "{\"checksum\":\"";

/// The entry, but for its checksum.
#[derive(Serialize, Deserialize)]
struct Entry {
    format_version: u64,
    written_by: String,
    metadata: CardMetadata,
}

/// What every version of the entry has.
#[derive(Deserialize)]
struct Version {
    format_version: u64,
}

/// What is wrong with a file.
pub(super) enum Flaw {
    Version(u64),
    Content(String),
}

impl Flaw {
    /// The error for a file of this name.
    pub(super) fn at(self, path: &Path) -> AssistError {
        let path = path.to_path_buf();
        match self {
            Self::Version(found) => AssistError::CardVersion { path, found, expected: FORMAT_VERSION },
            Self::Content(reason) => AssistError::NotACard { path, reason: printable(&reason) },
        }
    }
}

impl From<String> for Flaw {
    fn from(reason: String) -> Self {
        Self::Content(reason)
    }
}

/// A card's file.
pub(super) fn to_bytes(card: &PromptCard) -> Result<Vec<u8>, String> {
    let PromptCard { metadata, written_by, tensors } = card;
    let entry = Entry { format_version: FORMAT_VERSION, written_by: written_by.clone(), metadata: metadata.clone() };
    let entry = serde_json::to_string(&entry).map_err(|error| error.to_string())?;
    let entry = format!("{CHECKSUM}{}\",{}", checksum(&entry, tensors), &entry[1..]);
    let views = tensors
        .iter()
        .map(|(path, data)| Ok((path, TensorView::new(Dtype::F32, data.shape.to_vec(), data.as_bytes())?)));
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
    views
        .and_then(|views| safetensors::serialize(views, Some(HashMap::from([(ENTRY.to_owned(), entry)]))))
        .map_err(|error| error.to_string())
}

/// A file's bytes, if there are not too many of them.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, AssistError> {
    let unreadable = |source| AssistError::CardUnreadable { path: path.to_path_buf(), source };
    // Asked before opening: to open a pipe is to wait for its writer.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::other("it is no file")));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Flaw::Content(format!("it is larger than {} MiB, which no card is", MAX_BYTES >> 20)).at(path));
    }
    Ok(bytes)
}

/// The card in a file.
pub(super) fn from_bytes(bytes: &[u8]) -> Result<PromptCard, Flaw> {
    if bytes.first_chunk().is_some_and(|&length| u64::from_le_bytes(length) > MAX_HEADER_BYTES) {
        return Err("it is no safetensors file, or one with a larger header than a card's".to_owned().into());
    }
    let cut = |error| format!("it is no safetensors file, or damaged or cut off ({error})");
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(cut)?;
    let entry = header.metadata().as_ref().and_then(|entries| entries.get(ENTRY));
    let entry = entry.ok_or_else(|| format!("its safetensors header has no entry \"{ENTRY}\"; is it a checkpoint?"))?;

    let nonsense =
        |error: serde_json::Error| format!("its entry \"{ENTRY}\" does not say what a card has to ({error})");
    let Version { format_version } = serde_json::from_str(entry).map_err(nonsense)?;
    if format_version != FORMAT_VERSION {
        return Err(Flaw::Version(format_version));
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(cut)?;
    let tensors = tensors.iter().map(|(path, view)| parameter(path, &view)).collect::<Result<_, _>>()?;
    let (sum, entry) = without_checksum(entry).ok_or_else(|| format!("its entry \"{ENTRY}\" has no checksum"))?;
    if sum != checksum(&entry, &tensors) {
        return Err("it is damaged: its checksum is another one".to_owned().into());
    }
    let Entry { written_by, metadata, .. } = serde_json::from_str(&entry).map_err(nonsense)?;
    let card = PromptCard { metadata, written_by: printable(&written_by), tensors };
    card.check()?;
    Ok(card)
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
fn checksum(entry: &str, tensors: &BTreeMap<String, TensorData>) -> String {
    let mut hasher = Sha256::new();
    // Each part is preceded by its length, so that no two cards look alike.
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
    hasher.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// A file's own words without what would steer a terminal.
fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}
