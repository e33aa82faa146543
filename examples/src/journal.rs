//! What is done stays done: results of pieces of work, kept as they come, so that an interrupted run goes on where it was.

use std::{collections::HashMap, path::Path};

use anyhow::{Context, Result};
use sam_core::hexadecimal;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::lines::Lines;

/// Results by what they depend on; in a file of [`Lines`], one JSON object each, if there is one.
///
/// A result is on the disk before the next piece of work begins. One that was cut off by a crash is dropped when the file is opened
/// again, and its work done again.
#[derive(Debug, Default)]
pub struct Journal {
    done: HashMap<String, Value>,
    file: Option<Lines>,
}

/// One line.
#[derive(Serialize, Deserialize)]
struct Entry<T> {
    key: String,
    result: T,
}

impl Journal {
    /// A journal that ends with the program.
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// Opens a journal file, or begins one.
    ///
    /// # Errors
    /// If the file cannot be read or written, is no journal, or another program works with it.
    pub fn open(path: &Path) -> Result<Self> {
        let mut done = HashMap::new();
        let file = Lines::open(path, |number, line| {
            let entry: Entry<Value> = serde_json::from_slice(line).with_context(|| {
                format!("{} is no journal of results: line {number} cannot be read", path.display())
            })?;
            done.insert(entry.key, entry.result);
            Ok(())
        })?;
        Ok(Self { done, file: Some(file) })
    }

    /// How many results there are.
    pub fn len(&self) -> usize {
        self.done.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.done.is_empty()
    }

    /// Names a piece of work by all that its result depends on.
    ///
    /// # Errors
    /// If that cannot be written as JSON.
    pub fn key(depends_on: &impl Serialize) -> Result<String> {
        let text = serde_json::to_vec(depends_on)?;
        Ok(hexadecimal(&Sha256::digest(text)))
    }

    /// Whether a piece of work was done.
    pub fn has(&self, key: &str) -> bool {
        self.done.contains_key(key)
    }

    /// The result of a piece of work, if it was done.
    ///
    /// # Errors
    /// If the result is of another kind.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let read = |result: &Value| T::deserialize(result).context("a result in the journal cannot be read");
        self.done.get(key).map(read).transpose()
    }

    /// Keeps a result.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep(&mut self, key: String, result: &impl Serialize) -> Result<()> {
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
    use super::*;

    #[test]
    fn what_was_kept_is_there_again_and_what_was_cut_off_is_not() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("journal.jsonl");
        let [one, two] = [Journal::key(&("liver", 1))?, Journal::key(&("liver", 2))?];
        assert_ne!(one, two);
        {
            let mut journal = Journal::open(&path)?;
            assert!(journal.is_empty());
            journal.keep(one.clone(), &vec![0.5])?;
            journal.keep(two.clone(), &vec![0.25, 1.0])?;
            let error = Journal::open(&path).expect_err("the file is locked");
            assert!(error.to_string().contains("in use"), "{error}");
        }
        // Killed at any byte of the last line.
        let text = std::fs::read(&path)?;
        let first = text.iter().position(|&byte| byte == b'\n').context("a line")? + 1;
        for end in first..text.len() {
            std::fs::write(&path, &text[..end])?;
            let mut journal = Journal::open(&path)?;
            assert_eq!((journal.len(), journal.get::<Vec<f64>>(&two)?), (1, None));
            journal.keep(two.clone(), &vec![0.25, 1.0])?;
            drop(journal);
            assert_eq!(std::fs::read(&path)?, text);
        }
        assert_eq!(Journal::open(&path)?.get(&two)?, Some(vec![0.25, 1.0]));
        Ok(())
    }

    #[test]
    fn another_file_is_refused_and_left_alone() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "dear diary\n")?;
        let error = Journal::open(&path).expect_err("no journal");
        assert!(error.to_string().contains("line 1"), "{error}");
        assert_eq!(std::fs::read_to_string(&path)?, "dear diary\n");
        Ok(())
    }
}
