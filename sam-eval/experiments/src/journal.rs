//! A journal of results: each is on the disk before the next task begins, so an interrupted experiment continues where it stopped.

use std::{collections::HashMap, path::Path};

use sam_files::{AppendLines, sha256_hex};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    ExperimentError,
    error::{Context, Result},
};

/// Results by a key of everything that they depend on, optionally stored in a file with one JSON object per line.
///
/// A line that was cut off by a crash is dropped when the file is opened again; its task is then repeated.
#[derive(Debug, Default)]
pub struct Journal {
    done: HashMap<String, Value>,
    file: Option<AppendLines>,
}

/// How a line of the file begins.
const BEGIN: &str = "{\"key\":\"";

/// One line of the file.
#[derive(Serialize, Deserialize)]
struct Entry<T> {
    key: String,
    result: T,
}

impl Journal {
    /// A journal in memory, which is lost when the program ends.
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// Opens a journal file, or creates it.
    ///
    /// # Errors
    /// [`ExperimentError::Journal`] if the file cannot be read or written, is not a journal, or is used by another process.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut done = HashMap::new();
        let file = AppendLines::open(path, BEGIN, |_, line| {
            let entry: Entry<Value> = serde_json::from_slice(line)?;
            done.insert(entry.key, entry.result);
            Ok(())
        });
        let failed = |source| ExperimentError::Journal { path: path.to_path_buf(), source: Box::new(source) };
        Ok(Self { file: Some(file.map_err(failed)?), done })
    }

    /// Number of results.
    pub fn len(&self) -> usize {
        self.done.len()
    }

    /// Whether there is no result.
    pub fn is_empty(&self) -> bool {
        self.done.is_empty()
    }

    /// The key of a task, from everything that its result depends on.
    ///
    /// # Errors
    /// If `depends_on` cannot be written as JSON.
    pub fn key(depends_on: &impl Serialize) -> Result<String> {
        Ok(sha256_hex(serde_json::to_vec(depends_on)?))
    }

    /// Whether there is a result for a key.
    pub fn has(&self, key: &str) -> bool {
        self.done.contains_key(key)
    }

    /// The result of a task, if there is one.
    ///
    /// # Errors
    /// If the result is of another type.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let read = |result: &Value| T::deserialize(result).step(|| "reading a result of the journal".to_owned());
        self.done.get(key).map(read).transpose()
    }

    /// Adds a result.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&mut self, key: String, result: &impl Serialize) -> Result<()> {
        let result = serde_json::to_value(result)?;
        if let Some(file) = &mut self.file {
            file.push(&serde_json::to_vec(&Entry { key: key.clone(), result: &result })?)?;
        }
        self.done.insert(key, result);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn results_survive_a_crash_and_a_torn_line_is_dropped() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("journal.jsonl");
        let [one, two] = [Journal::key(&("liver", 1))?, Journal::key(&("liver", 2))?];
        assert_ne!(one, two);
        {
            let mut journal = Journal::open(&path)?;
            assert!(journal.is_empty());
            journal.add(one.clone(), &vec![0.5])?;
            journal.add(two.clone(), &vec![0.25, 1.0])?;
            let error = Journal::open(&path).expect_err("the file is locked");
            let error = format!("{:#}", anyhow::Error::from(error));
            assert!(error.contains("in use"), "{error}");
        }
        // The process may be killed at any byte of the last line.
        let text = std::fs::read(&path)?;
        let first = text.iter().position(|&byte| byte == b'\n').context("a line")? + 1;
        for end in first..text.len() {
            std::fs::write(&path, &text[..end])?;
            let mut journal = Journal::open(&path)?;
            assert_eq!((journal.len(), journal.get::<Vec<f64>>(&two)?), (1, None));
            journal.add(two.clone(), &vec![0.25, 1.0])?;
            drop(journal);
            assert_eq!(std::fs::read(&path)?, text);
        }
        assert_eq!(Journal::open(&path)?.get(&two)?, Some(vec![0.25, 1.0]));
        Ok(())
    }

    #[test]
    fn a_file_that_is_no_journal_is_refused_and_left_alone() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "dear diary\n")?;
        let error = Journal::open(&path).expect_err("no journal");
        let error = format!("{:#}", anyhow::Error::from(error));
        assert!(error.contains("line 1"), "{error}");
        assert_eq!(std::fs::read_to_string(&path)?, "dear diary\n");
        std::fs::write(&path, "dear diary")?;
        let error = format!("{:#}", anyhow::Error::from(Journal::open(&path).expect_err("no journal")));
        assert!(error.contains("a file of others"), "{error}");
        assert_eq!(std::fs::read_to_string(&path)?, "dear diary");
        Ok(())
    }
}
