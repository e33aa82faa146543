//! Label tables and structures.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use sam_files::{read_text, write_atomic};
use serde::{Deserialize, Serialize};

use crate::{DataError, LabelTableError};

/// A label table: the names of a label map's values. The value 0 is background.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelTable {
    names: BTreeMap<u16, String>,
    instances: bool,
}

/// A structure to segment: one or more label values that count as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Structure {
    /// Its name, used in results.
    pub name: String,
    /// Its label values in ascending order.
    pub values: Vec<u16>,
}

impl Structure {
    /// A structure with these label values.
    pub fn new(name: impl Into<String>, mut values: Vec<u16>) -> Self {
        values.sort_unstable();
        values.dedup();
        Self { name: name.into(), values }
    }
}

impl FromIterator<(u16, String)> for LabelTable {
    fn from_iter<I: IntoIterator<Item = (u16, String)>>(names: I) -> Self {
        Self { names: names.into_iter().filter(|&(value, _)| value != 0).collect(), instances: false }
    }
}

impl LabelTable {
    /// Reads a `labels.json`: `{"0": "background", "1": "liver"}`.
    ///
    /// An entry `"encoding": "instance"` says that pixels hold instance numbers of class 1.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::Labels`] if the file is not a label table.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let text = read_text(path)?;
        let refuse = |source| DataError::Labels { path: path.to_path_buf(), source };
        let mut entries: BTreeMap<String, String> =
            serde_json::from_str(&text).map_err(|error| refuse(LabelTableError::Json(error)))?;
        let instances = match entries.remove("encoding").as_deref() {
            None | Some("class-index") => false,
            Some("instance") => true,
            Some(other) => return Err(refuse(LabelTableError::Encoding { found: other.to_owned() })),
        };
        let parse = |(value, name): (String, String)| match value.parse() {
            Ok(value) => Ok((value, name)),
            Err(_) => Err(refuse(LabelTableError::Value { found: value })),
        };
        let table = entries.into_iter().map(parse).collect::<Result<Self, _>>()?;
        Ok(Self { instances, ..table })
    }

    /// This table, for masks whose pixels hold instance numbers of class 1.
    #[must_use]
    pub fn of_instances(self) -> Self {
        Self { instances: true, ..self }
    }

    /// Writes a `labels.json` that [`LabelTable::read`] reads back.
    ///
    /// # Errors
    /// [`DataError::Write`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), DataError> {
        let path = path.as_ref();
        let encoding = if self.instances { "instance" } else { "class-index" };
        let mut entries = serde_json::Map::from_iter([
            ("encoding".to_owned(), encoding.into()),
            ("0".to_owned(), "background".into()),
        ]);
        entries.extend(self.names.iter().map(|(value, name)| (value.to_string(), name.as_str().into())));
        Ok(write_atomic(path, |file| writeln!(file, "{:#}", serde_json::Value::Object(entries)))?)
    }

    /// Whether pixels hold instance numbers instead of label values.
    pub fn holds_instances(&self) -> bool {
        self.instances
    }

    /// The name of a label value.
    pub fn name(&self, value: u16) -> Option<&str> {
        self.names.get(&value).map(String::as_str)
    }

    /// All structures of the table, sorted by value.
    pub fn structures(&self) -> Vec<Structure> {
        self.names.iter().map(|(&value, name)| Structure { name: name.clone(), values: vec![value] }).collect()
    }

    /// Parses `all`, or a list like `liver,6,cord=1+2,liver+spleen`: names (in any case) or values, merged with `+`, renamed with `=`. If a
    /// name contains one of these signs, use its value instead.
    ///
    /// `all` means every structure of the table, even if a scan does not show it.
    ///
    /// # Errors
    /// [`DataError::NoSuchStructure`] with the available structures and the nearest name; [`DataError::SameName`] if two structures would
    /// have the same name.
    pub fn parse_structures(&self, text: &str) -> Result<Vec<Structure>, DataError> {
        if text.trim().eq_ignore_ascii_case("all") {
            return Ok(self.structures());
        }
        let structures =
            text.split(',').map(|part| self.parse_structure(part.trim())).collect::<Result<Vec<_>, _>>()?;
        let mut names = BTreeSet::new();
        match structures.iter().find(|structure| !names.insert(structure.name.as_str())) {
            Some(twice) => Err(DataError::SameName { name: twice.name.clone() }),
            None => Ok(structures),
        }
    }

    fn parse_structure(&self, text: &str) -> Result<Structure, DataError> {
        let (name, parts) = text.split_once('=').map_or((None, text), |(name, parts)| (Some(name.trim()), parts));
        let values = parts.split('+').map(|part| self.value(part.trim())).collect::<Result<Vec<_>, _>>()?;
        let names = || values.iter().map(|&value| self.name(value).map_or(value.to_string(), str::to_owned));
        let name =
            name.filter(|name| !name.is_empty()).map_or_else(|| names().collect::<Vec<_>>().join("+"), str::to_owned);
        Ok(Structure::new(name, values))
    }

    fn value(&self, word: &str) -> Result<u16, DataError> {
        if let Some((&value, _)) = self.names.iter().find(|(_, name)| name.eq_ignore_ascii_case(word)) {
            return Ok(value);
        }
        match word.parse() {
            // A value is accepted without a name, so that maps without a table can be used.
            Ok(value @ 1..) if self.names.is_empty() || self.names.contains_key(&value) => Ok(value),
            _ => Err(DataError::NoSuchStructure {
                name: word.to_owned(),
                nearest: self.nearest(word),
                available: self.available(),
            }),
        }
    }

    fn available(&self) -> String {
        if self.names.is_empty() {
            return "label values from 1, without names".to_owned();
        }
        self.names.iter().map(|(value, name)| format!("{name} ({value})")).collect::<Vec<_>>().join(", ")
    }

    /// The most similar name, if any is similar.
    fn nearest(&self, word: &str) -> Option<String> {
        let similarity = |name: &str| strsim::jaro_winkler(&name.to_lowercase(), &word.to_lowercase());
        let similar =
            self.names.values().map(|name| (similarity(name), name)).filter(|(similarity, _)| *similarity > 0.8);
        similar.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, name)| name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> LabelTable {
        [(0, "background"), (1, "grey matter"), (2, "white matter"), (6, "liver")]
            .map(|(value, name)| (value, name.to_owned()))
            .into_iter()
            .collect()
    }

    #[test]
    fn structures_by_name_value_and_sum() {
        let parsed = table().parse_structures("Liver, 2 ,cord=1+white matter,liver+1").expect("all known");
        let found: Vec<_> = parsed.iter().map(|one| (one.name.as_str(), one.values.as_slice())).collect();
        assert_eq!(
            found,
            [("liver", &[6][..]), ("white matter", &[2]), ("cord", &[1, 2]), ("liver+grey matter", &[1, 6])]
        );
        assert_eq!(table().parse_structures("all").expect("always understood").len(), 3);
    }

    #[test]
    fn an_unknown_structure_is_answered_with_what_there_is() {
        for unknown in ["livre", "3", "0", ""] {
            let message = table().parse_structures(unknown).expect_err("unknown").to_string();
            assert!(message.contains("grey matter (1)") && message.contains("liver (6)"), "{message}");
        }
        let message = table().parse_structures("livre").expect_err("unknown").to_string();
        assert!(message.contains("did you mean \"liver\""), "{message}");
        let nameless = LabelTable::default();
        assert_eq!(nameless.parse_structures("7").expect("a value")[0].name, "7");
        assert!(nameless.parse_structures("liver").expect_err("no names").to_string().contains("without names"));
    }

    #[test]
    fn results_need_names_of_their_own() {
        for text in ["liver,6", "a=1,a=2", "1+2,grey matter+white matter"] {
            assert!(matches!(table().parse_structures(text), Err(DataError::SameName { .. })), "{text}");
        }
        assert_eq!(table().parse_structures("1+1").expect("one value")[0].values, [1]);
    }

    #[test]
    fn tables_are_read_and_others_refused_in_words() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("labels.json");
        let read = |text: &str| {
            std::fs::write(&path, text).expect("a writable folder");
            LabelTable::read(&path)
        };
        let instances = read(r#"{"encoding": "instance", "0": "background", "1": "nucleus"}"#).expect("a table");
        for table in [&instances, &table()] {
            table.write(&path).expect("a writable folder");
            assert_eq!(&LabelTable::read(&path).expect("just written"), table);
        }
        let marked = read("\u{feff}{\"2\": \"liver\"}").expect("a table with a byte order mark");
        assert_eq!(marked.name(2), Some("liver"));
        assert!(instances.holds_instances());
        assert_eq!((instances.name(0), instances.name(1)), (None, Some("nucleus")));
        assert!(!read(r#"{"encoding": "class-index", "2": "liver"}"#).expect("a table").holds_instances());
        for (text, word) in [
            ("[]", "labels.json"),
            (r#"{"1": 2}"#, "string"),
            (r#"{"liver": "1"}"#, "\"liver\" is no whole number"),
            (r#"{"70000": "liver"}"#, "65535"),
            (r#"{"encoding": "one-hot"}"#, "one-hot"),
        ] {
            let message = sam_prompt::error_chain(&read(text).expect_err("no table"));
            assert!(message.contains(word), "{message}");
        }
    }
}
