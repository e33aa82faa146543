//! Records of a batch: which process has which case, and how each case ended.

use std::{
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use sam_files::{FileLock, Sha256Id, read_text, write_atomic};
use serde::{Deserialize, Serialize};

use super::{BatchError, Case};
use crate::session::BoxError;

/// Record of one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// Line of the case in the table.
    pub line: u64,
    /// The scan.
    pub image: String,
    /// The mask.
    pub out: String,
    /// Duration in seconds.
    pub seconds: f64,
    /// How the case ended.
    pub outcome: Outcome,
}

/// Outcome of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The mask is written.
    Done {
        /// SHA-256 of its file.
        mask_sha256: Sha256Id,
    },
    /// The mask is not written.
    Failed {
        /// Why, with all causes.
        error: String,
    },
}

/// A folder with one record for each case that was run.
#[derive(Debug)]
pub struct Records {
    folder: PathBuf,
}

/// Claim on a case: an exclusive file lock. It is released when this is dropped or the process ends, even by a crash.
#[derive(Debug)]
#[must_use]
pub struct Claim {
    _lock: FileLock,
}

/// Number of cases by outcome, after merging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Merged {
    /// Cases whose mask is written.
    pub done: usize,
    /// Cases that failed.
    pub failed: usize,
    /// Cases without a record.
    pub missing: usize,
}

impl Record {
    /// Whether the mask is written.
    pub fn is_done(&self) -> bool {
        matches!(self.outcome, Outcome::Done { .. })
    }
}

impl Records {
    /// Opens a folder of records, or creates it.
    ///
    /// # Errors
    /// [`BatchError::Folder`].
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, BatchError> {
        let path = folder.as_ref().to_path_buf();
        fs::create_dir_all(&path).map_err(|source| BatchError::Folder { path: path.clone(), source })?;
        Ok(Self { folder: path })
    }

    /// Claims a case for this process. Returns `None` if the case is done, or another process has it.
    ///
    /// # Errors
    /// [`BatchError::Lock`]; [`BatchError::Record`].
    pub fn claim<W>(&self, case: &Case<W>) -> Result<Option<Claim>, BatchError> {
        let path = self.path(case.id, "claim");
        let failed = |source| BatchError::Lock { path: path.clone(), source };
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        let Some(lock) = FileLock::try_new(file).map_err(failed)? else { return Ok(None) };
        // Read under the lock, because another process may have finished the case just now.
        let is_done = self.read(case)?.is_some_and(|record| record.is_done());
        Ok((!is_done).then_some(Claim { _lock: lock }))
    }

    /// Writes the record of a case.
    ///
    /// # Errors
    /// [`BatchError::Write`].
    pub fn write<W>(&self, case: &Case<W>, record: &Record) -> Result<(), BatchError> {
        let write = || -> Result<(), BoxError> {
            let text = serde_json::to_string_pretty(record)?;
            Ok(write_atomic(self.path(case.id, "json"), |file| file.write_all(text.as_bytes()))?)
        };
        write().map_err(BatchError::Write)
    }

    /// Reads the record of a case. Returns `None` if the case was never tried.
    ///
    /// # Errors
    /// [`BatchError::Record`].
    pub fn read<W>(&self, case: &Case<W>) -> Result<Option<Record>, BatchError> {
        let path = self.path(case.id, "json");
        let text = match read_text(&path).map_err(|error| error.source) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BatchError::Record { path, source: error.into() }),
        };
        serde_json::from_str(&text).map(Some).map_err(|error| BatchError::Record { path, source: error.into() })
    }

    /// Merges the records of all cases, in the table's order, into one file: `.csv` or `.json`.
    ///
    /// # Errors
    /// [`BatchError::Record`]; [`BatchError::Ending`]; [`BatchError::Write`].
    pub fn merge<W>(&self, cases: &[Case<W>], path: impl AsRef<Path>) -> Result<Merged, BatchError> {
        let path = path.as_ref();
        let records = cases.iter().map(|case| self.read(case)).collect::<Result<Vec<_>, _>>()?;
        let bytes = match path.extension().and_then(|ending| ending.to_str()) {
            Some("json") => {
                let tried: Vec<_> = records.iter().flatten().collect();
                serde_json::to_vec_pretty(&tried).map_err(|error| BatchError::Write(error.into()))?
            }
            Some("csv") => table(cases, &records).map_err(BatchError::Write)?,
            _ => return Err(BatchError::Ending { path: path.to_path_buf() }),
        };
        write_atomic(path, |file| file.write_all(&bytes)).map_err(|error| BatchError::Write(error.into()))?;
        let done = records.iter().flatten().filter(|record| record.is_done()).count();
        let tried = records.iter().flatten().count();
        Ok(Merged { done, failed: tried - done, missing: cases.len() - tried })
    }

    fn path(&self, case: Sha256Id, ending: &str) -> PathBuf {
        self.folder.join(format!("{case}.{ending}"))
    }
}

/// One line for each case: how it ended, or that its record is missing.
fn table<W>(cases: &[Case<W>], records: &[Option<Record>]) -> Result<Vec<u8>, BoxError> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["line", "image", "out", "outcome", "seconds", "mask_sha256", "error"])?;
    for (case, record) in cases.iter().zip(records) {
        let seconds = record.as_ref().map_or_else(String::new, |record| format!("{:.1}", record.seconds));
        let (outcome, mask, error) = match record.as_ref().map(|record| &record.outcome) {
            Some(Outcome::Done { mask_sha256 }) => ("done", mask_sha256.to_string(), ""),
            Some(Outcome::Failed { error }) => ("failed", String::new(), error.as_str()),
            None => ("missing", String::new(), ""),
        };
        let (line, image, out) = (case.line.to_string(), case.image.display().to_string(), case.name());
        table.write_record([&line, &image, &out, outcome, &seconds, &mask, error])?;
    }
    Ok(table.into_inner()?)
}
