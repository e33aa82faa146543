//! Safetensors files with an entry that is protected by a checksum. After the damage the checksum is computed again, as an attacker can do.

use rand::{Rng, RngExt};
use safetensors::SafeTensors;
use sam_files::Sha256Hasher;
use serde_json::{Map, Value};

use crate::{damage::damage, text::damage_text};

/// The beginning of the entry; 64 hexadecimal digits follow.
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
    /// Splits a valid file into its parts.
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

    /// Damages some parts, and joins them again.
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

    /// SHA-256 of the entry and all tensors, each part preceded by its length; `None` if the tensors cannot be read.
    fn checksum(&self, bytes: &[u8]) -> Option<String> {
        let mut tensors = SafeTensors::deserialize(bytes).ok()?.tensors();
        tensors.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut hasher = Sha256Hasher::new();
        let rest = String::from_utf8_lossy(self.entry.get(1..)?);
        hasher.update_part(format!("{{{rest}"));
        for (name, tensor) in &tensors {
            hasher.update_part(name);
            hasher.update_part(format!("{:?}", tensor.shape()));
            hasher.update_part(tensor.data());
        }
        Some(hasher.finish().to_string())
    }
}
