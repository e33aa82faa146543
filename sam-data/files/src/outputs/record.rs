//! Records: JSON files beside outputs, which tell the files that this program wrote from those of others.
//!
//! A record lists each output with its SHA-256 (`outputs`), and has a checksum of its own text (`record_sha256`).

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{ReadError, Sha256Id, identity::folder_of, read_bounded};

/// The field with the outputs.
const OUTPUTS: &str = "outputs";
/// The field with the checksum of the record's own text, in which this value is replaced by zeros.
const CHECKSUM: &str = "record_sha256";
/// Number of hexadecimal digits of a checksum.
const DIGITS: usize = 64;
/// The field of a record that is `true` if its outputs hold work of a person that is nowhere else. Then only a program that edits such an
/// output replaces it.
pub const ONLY_COPY: &str = "only_copy";
/// Larger JSON files are no records.
const MAX_BYTES: u64 = 64 << 20;

/// An output as a record lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    /// The SHA-256 of the output.
    pub(super) sha256: Sha256Id,
    /// The SHA-256 of the file that it replaces. The record is written first: if the program is killed in between, this file is still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) replaced: Option<Sha256Id>,
}

/// Who wrote a file.
pub(super) enum Author {
    /// This program; the file has this content.
    Us(Sha256Id),
    /// A person, with this program; the file has this content, and it is the only copy.
    Person(Sha256Id),
    /// This program, but the file has been changed since.
    ChangedByOthers,
    /// Nobody that a record knows of.
    Unknown,
}

/// The part of a record that lists the outputs.
#[derive(Deserialize)]
struct Head {
    outputs: BTreeMap<String, Listed>,
    /// The field [`ONLY_COPY`].
    #[serde(default)]
    only_copy: bool,
}

/// Who wrote a file, by the records in its folder and by `records`.
pub(super) fn author_of(path: &Path, records: &[PathBuf]) -> Result<Author, ReadError> {
    if path.extension().is_some_and(|ending| ending == "json")
        && let Some(author) = author_of_record(path)?
    {
        return Ok(author);
    }
    let Some(name) = path.file_name().map(|name| name.to_string_lossy()) else { return Ok(Author::Unknown) };
    let listed: Vec<_> = candidates(path, records).iter().flat_map(|record| listed_in(record, &name)).collect();
    if listed.is_empty() {
        return Ok(Author::Unknown);
    }
    let found = Sha256Id::of_file(path)?;
    let is_found = |(listed, _): &&(Listed, bool)| listed.sha256 == found || listed.replaced == Some(found);
    let only_copy: Vec<_> = listed.iter().filter(is_found).map(|&(_, only_copy)| only_copy).collect();
    Ok(if only_copy.is_empty() {
        Author::ChangedByOthers
    } else if only_copy.contains(&true) {
        // A person may have accepted every slice of a computed mask: then both records list the same content.
        Author::Person(found)
    } else {
        Author::Us(found)
    })
}

/// The JSON files that may be records of a file.
fn candidates(path: &Path, records: &[PathBuf]) -> Vec<PathBuf> {
    let beside = fs::read_dir(folder_of(path)).into_iter().flatten().flatten().map(|entry| entry.path());
    beside
        .filter(|place| place.extension().is_some_and(|ending| ending == "json"))
        .chain(records.iter().cloned())
        .collect()
}

/// The entries of a record for outputs of this name, and whether they are the only copy. A file that is not a record has none.
fn listed_in(record: &Path, name: &str) -> Vec<(Listed, bool)> {
    let Some(head) = head(record) else { return Vec::new() };
    let named = head.outputs.into_iter().filter(|(listed, _)| listed.rsplit('/').next() == Some(name));
    named.map(|(_, listed)| (listed, head.only_copy)).collect()
}

/// The outputs that a JSON file lists; `None` if it is not a record.
fn head(record: &Path) -> Option<Head> {
    serde_json::from_slice(&read_bounded(record, MAX_BYTES).ok().flatten()?).ok()
}

/// The outputs that a record lists; `None` if it is not whole.
fn whole_head(record: &Path) -> Option<Head> {
    let bytes = read_bounded(record, MAX_BYTES).ok().flatten()?;
    let is_whole = matches!(author_of_text(&bytes), Some(Author::Us(_)));
    is_whole.then(|| serde_json::from_slice(&bytes).ok())?
}

/// The files that a JSON file lists; none if it is not a whole record.
pub(super) fn listed_files(record: &Path) -> Vec<PathBuf> {
    let is_json = record.extension().is_some_and(|ending| ending == "json");
    let head = if is_json { whole_head(record) } else { None };
    let listed = head.into_iter().flat_map(|head| head.outputs.into_keys());
    listed.map(|name| folder_of(record).join(name)).collect()
}

/// The outputs that a record lists beside those of `listed`, and that are still there unchanged: they stay known as this program's own when
/// the record is replaced. None if the record is not whole, or says otherwise whether its outputs are the only copy.
pub(super) fn other_outputs(
    record: &Path,
    listed: &BTreeMap<String, Listed>,
    only_copy: bool,
) -> BTreeMap<String, Listed> {
    let Some(head) = whole_head(record).filter(|head| head.only_copy == only_copy) else { return BTreeMap::new() };
    let is_there = |name: &str, other: &Listed| {
        Sha256Id::of_file(folder_of(record).join(name)).is_ok_and(|found| found == other.sha256)
    };
    let others = head.outputs.into_iter().filter(|(name, other)| !listed.contains_key(name) && is_there(name, other));
    others.collect()
}

/// This program's own files in a folder and below it, as the records in the folder tell: the records, and the files that they list. A file
/// that was changed since, or is gone, is still named.
///
/// # Errors
/// The operating system's error: the folder cannot be read. A record that cannot be read tells nothing.
pub fn own_files(folder: impl AsRef<Path>) -> io::Result<BTreeSet<PathBuf>> {
    let folder = folder.as_ref();
    let mut own = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let Some(bytes) = read_bounded(&path, MAX_BYTES).ok().flatten() else { continue };
        // Also a record that was changed since.
        let is_record = author_of_text(&bytes).is_some();
        if let Some(head) = serde_json::from_slice::<Head>(&bytes).ok().filter(|_| is_record) {
            own.extend(head.outputs.into_keys().map(|listed| folder.join(listed)));
            own.insert(path);
        }
    }
    Ok(own)
}

/// Who wrote a record, by its own checksum; `None` if it has none.
fn author_of_record(path: &Path) -> Result<Option<Author>, ReadError> {
    let unreadable = |source| ReadError { path: path.to_path_buf(), source };
    Ok(read_bounded(path, MAX_BYTES).map_err(unreadable)?.as_deref().and_then(author_of_text))
}

/// Who wrote a record with this text, by its checksum; `None` if it has none.
fn author_of_text(bytes: &[u8]) -> Option<Author> {
    let (before, checksum, after) = split(std::str::from_utf8(bytes).ok()?)?;
    let is_whole = zeroed(before, after) == checksum;
    Some(if is_whole { Author::Us(Sha256Id::of(bytes)) } else { Author::ChangedByOthers })
}

/// A record's text around its checksum.
fn split(text: &str) -> Option<(&str, Sha256Id, &str)> {
    let key = format!("\"{CHECKSUM}\": \"");
    let (before, after) = text.split_at(text.find(&key)? + key.len());
    let (checksum, after) = after.split_at_checked(DIGITS)?;
    Some((before, checksum.parse().ok()?, after))
}

/// The SHA-256 of a record's text with zeros in place of its checksum.
fn zeroed(before: &str, after: &str) -> Sha256Id {
    Sha256Id::of(format!("{before}{}{after}", "0".repeat(DIGITS)))
}

/// The text of a record with these outputs, and with its checksum.
pub(super) fn text(mut fields: Map<String, Value>, outputs: &BTreeMap<String, Listed>) -> serde_json::Result<String> {
    fields.insert(OUTPUTS.to_owned(), serde_json::to_value(outputs)?);
    fields.insert(CHECKSUM.to_owned(), "0".repeat(DIGITS).into());
    let text = serde_json::to_string_pretty(&fields)? + "\n";
    Ok(match split(&text) {
        Some((before, _, after)) => format!("{before}{}{after}", zeroed(before, after)),
        None => text,
    })
}

/// An output as a record lists it: relative to the record's folder; on another drive, the name alone.
pub(super) fn listed_name(output: &Path, record: &Path) -> String {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let (place, folder) = (absolute(output), absolute(folder_of(record)));
    let shared = place.components().zip(folder.components()).take_while(|(first, second)| first == second).count();
    if shared == 0 {
        return name_in_record(output, record);
    }
    let up = folder.components().skip(shared).map(|_| "..".to_owned());
    let down = place.components().skip(shared).map(|part| part.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/")
}

/// A path as a record lists it: relative to the record's folder if it is below it, else the name alone.
pub(super) fn name_in_record(path: &Path, record: &Path) -> String {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let (place, folder) = (absolute(path), absolute(folder_of(record)));
    let below = place.strip_prefix(folder).ok().or(path.file_name().map(Path::new)).unwrap_or(path);
    let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

/// Replaces every absolute path in the fields of a record by a path relative to the record's folder if it is below it, else by its last
/// part.
pub(super) fn shorten_paths(fields: &mut Map<String, Value>, record: impl AsRef<Path>) {
    fields.values_mut().for_each(|value| without_absolute_paths(value, record.as_ref()));
}

/// Replaces the absolute paths in a running text, such as a message, as a record does in its fields. A path with spaces is only found as a
/// whole if it is one of `known`.
///
/// ```
/// # if cfg!(unix) {
/// let text = "cannot read /data/a/scan.nii: no file";
/// assert_eq!(sam_files::shorten_text(text, &[], "/data/a.json"), "cannot read a/scan.nii: no file");
/// # }
/// ```
pub fn shorten_text(text: &str, known: &[&Path], record: impl AsRef<Path>) -> String {
    let record = record.as_ref();
    let known = known.iter().filter(|path| path.is_absolute());
    let mut known: Vec<_> = known.map(|path| (path.display().to_string(), name_in_record(path, record))).collect();
    // The longest first, because one path may begin with another.
    known.sort_by_key(|(path, _)| Reverse(path.len()));
    let text = known.iter().fold(text.to_owned(), |text, (path, name)| text.replace(path, name));
    let is_edge = |sign: char| sign.is_whitespace() || "\"'`()[]{}<>=,;|".contains(sign);
    let shortened = |part: &str| {
        let path = part.trim_end_matches(is_edge).trim_end_matches(['.', ':', '!', '?']);
        let is_path = Path::new(path).is_absolute();
        if is_path { name_in_record(Path::new(path), record) + &part[path.len()..] } else { part.to_owned() }
    };
    text.split_inclusive(is_edge).map(shortened).collect()
}

/// Like [`shorten_paths`], for any value.
pub(super) fn without_absolute_paths(value: &mut Value, record: &Path) {
    match value {
        Value::String(text) if Path::new(text).is_absolute() => *text = name_in_record(Path::new(text), record),
        Value::Array(values) => values.iter_mut().for_each(|value| without_absolute_paths(value, record)),
        Value::Object(fields) => fields.values_mut().for_each(|value| without_absolute_paths(value, record)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_has_a_checksum_that_tells_any_change() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("mask.json");
        let outputs = BTreeMap::from([("mask.nii".to_owned(), Listed { sha256: Sha256Id::of("a"), replaced: None })]);
        let fields = json!({ "axis": "k", "zone": 0.1 }).as_object().cloned().unwrap_or_default();
        let text = text(fields, &outputs)?;
        fs::write(&path, &text)?;
        assert!(matches!(author_of_record(&path)?, Some(Author::Us(_))));
        for altered in [text.replace("0.1", "0.2"), text.replace("mask.nii", "scan.nii"), text.clone() + " "] {
            fs::write(&path, altered)?;
            assert!(matches!(author_of_record(&path)?, Some(Author::ChangedByOthers)));
        }
        fs::write(&path, r#"{"1": "liver"}"#)?;
        assert!(author_of_record(&path)?.is_none());
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn absolute_paths_become_relative_or_names() {
        let mut value = json!({
            "image": "/data/case/scan.nii", "card": ["/home/a/liver.safetensors"], "series": "/data/case/dicom/ct", "axis": "k",
            "out": "mask.nii", "own": "/data/case",
        });
        without_absolute_paths(&mut value, Path::new("/data/case/mask.json"));
        let expected = json!({
            "image": "scan.nii", "card": ["liver.safetensors"], "series": "dicom/ct", "axis": "k", "out": "mask.nii", "own": ".",
        });
        assert_eq!(value, expected);
        assert_eq!(name_in_record(Path::new("sub/mask.nii"), Path::new("mask.json")), "sub/mask.nii");
    }

    #[cfg(unix)]
    #[test]
    fn absolute_paths_in_a_text_become_relative_or_names() {
        let known = ["/data/Patient A", "/data/Patient A/scan 1.nii", "scan.nii"].map(Path::new);
        for (text, expected) in [
            ("cannot read /data/case/scan.nii.", "cannot read scan.nii."),
            (
                "--out=/data/case/a/mask.nii, --seg /tmp/mask.dcm: 1/2 of \"/x/y\"",
                "--out=a/mask.nii, --seg mask.dcm: 1/2 of \"y\"",
            ),
            ("/data/Patient A/scan 1.nii and (/data/Patient A)", "scan 1.nii and (Patient A)"),
            ("2/4 mm/s, a/b.nii, https://example.org/a", "2/4 mm/s, a/b.nii, https://example.org/a"),
        ] {
            assert_eq!(shorten_text(text, &known, "/data/case/mask.json"), expected);
        }
    }
}
