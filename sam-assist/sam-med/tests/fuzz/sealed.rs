//! Safetensors with an entry that is sealed by a checksum, sealed anew after it was damaged: whoever means harm can do that too.

use rand::{Rng, RngExt};
use safetensors::SafeTensors;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{damage::damage, text::damage_text};

/// How the entry begins; 64 hexadecimal digits follow.
const CHECKSUM: &str = "{\"checksum\":\"";

/// A file in its parts.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    /// The entry's name.
    name: String,
    /// The entry, without its checksum.
    entry: Vec<u8>,
    /// The table of tensors.
    table: Vec<u8>,
    values: Vec<u8>,
}

impl Sealed {
    /// Takes a valid file apart.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (header, values) = rest.split_at_checked(u64::from_le_bytes(*length) as usize)?;
        let mut table: Map<String, Value> = serde_json::from_slice(header).ok()?;
        let about = table.remove("__metadata__")?;
        let (name, entry) = about.as_object()?.iter().next()?;
        let rest = entry.as_str()?.strip_prefix(CHECKSUM)?.get(64..)?.strip_prefix("\",")?;
        Some(Self {
            name: name.clone(),
            entry: format!("{{{rest}").into_bytes(),
            table: serde_json::to_vec(&table).ok()?,
            values: values.to_vec(),
        })
    }

    /// Damages some of its parts, and puts them together again.
    pub(crate) fn damaged(mut self, random: &mut dyn Rng) -> Vec<u8> {
        if random.random_bool(0.6) {
            damage_text(&mut self.entry, random);
        }
        if random.random_bool(0.3) {
            damage_text(&mut self.table, random);
        }
        if random.random_bool(0.2) {
            damage(&mut self.values, usize::MAX, random);
        }
        let is_sealed = random.random_bool(0.9);
        let mut bytes = self.file(&"0".repeat(64));
        if is_sealed && let Some(checksum) = self.checksum(&bytes) {
            bytes = self.file(&checksum);
        }
        if random.random_bool(0.1) {
            damage(&mut bytes, 4096, random);
        }
        bytes
    }

    fn file(&self, checksum: &str) -> Vec<u8> {
        let entry = String::from_utf8_lossy(self.entry.get(1..).unwrap_or_default());
        let about = serde_json::json!({ &self.name: format!("{CHECKSUM}{checksum}\",{entry}") });
        let mut header = format!("{{\"__metadata__\":{about},").into_bytes();
        header.extend(self.table.get(1..).unwrap_or_default());
        [(header.len() as u64).to_le_bytes().as_slice(), &header, &self.values].concat()
    }

    /// SHA-256 of the entry and all tensors, each part preceded by its length; where the tensors can be read.
    fn checksum(&self, bytes: &[u8]) -> Option<String> {
        let mut tensors = SafeTensors::deserialize(bytes).ok()?.tensors();
        tensors.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut hasher = Sha256::new();
        let mut add = |part: &[u8]| {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        };
        let rest = String::from_utf8_lossy(self.entry.get(1..)?);
        add(format!("{{{rest}").as_bytes());
        for (name, tensor) in &tensors {
            add(name.as_bytes());
            add(format!("{:?}", tensor.shape()).as_bytes());
            add(tensor.data());
        }
        Some(sam_files::hexadecimal(&hasher.finalize()))
    }
}
