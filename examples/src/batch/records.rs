//! Who does which case, and what became of it.

use std::{
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::Case;
use crate::{lock::Locked, session::ObjectId};

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its line in the table.
    pub line: u64,
    /// The scan.
    pub image: String,
    /// The mask.
    pub out: String,
    /// How long it took.
    pub seconds: f64,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The mask is written.
    Done {
        /// SHA-256 of its file.
        mask_sha256: ObjectId,
    },
    /// It is not.
    Failed {
        /// Why.
        error: String,
    },
}

/// A folder with a record of each case that was done.
#[derive(Debug)]
pub struct Records {
    folder: PathBuf,
}

/// A case is this program's until this is dropped, or the program ends in whatever way.
#[derive(Debug)]
#[must_use]
pub struct Claim {
    _locked: Locked,
}

impl Records {
    /// Opens a folder, or makes it.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        Ok(Self { folder: folder.to_path_buf() })
    }

    /// Takes a case; `None` if it is done, or another program has it.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn claim(&self, case: &Case) -> Result<Option<Claim>> {
        let path = self.path(case, "claim");
        let cannot = || format!("cannot lock {}", path.display());
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).with_context(cannot)?;
        let Some(locked) = Locked::take(file).with_context(cannot)? else { return Ok(None) };
        // Asked when it is ours: another program may have done it just now.
        let is_done = self.read(case)?.is_some_and(|record| matches!(record.outcome, Outcome::Done { .. }));
        Ok((!is_done).then_some(Claim { _locked: locked }))
    }

    /// Keeps what became of a case.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep(&self, case: &Case, record: &Record) -> Result<()> {
        let text = serde_json::to_string_pretty(record)?;
        Ok(sam_data::write_atomically(&self.path(case, "json"), |file| file.write_all(text.as_bytes()))?)
    }

    /// What became of a case, if it was tried.
    ///
    /// # Errors
    /// If its record cannot be read.
    pub fn read(&self, case: &Case) -> Result<Option<Record>> {
        let path = self.path(case, "json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let damaged = || format!("{} is damaged: delete it, and the case is done again", path.display());
        serde_json::from_slice(&text).map(Some).with_context(damaged)
    }

    /// Joins the records of all cases, in the table's order, to one table, .csv or .json; and tells what is missing.
    ///
    /// # Errors
    /// If a record cannot be read, the table cannot be written, or cases failed or are missing: it is written all the same.
    pub fn merge(&self, cases: &[Case], path: &Path) -> Result<()> {
        let records = cases.iter().map(|case| self.read(case)).collect::<Result<Vec<_>>>()?;
        let bytes = match path.extension().and_then(|ending| ending.to_str()) {
            Some("json") => serde_json::to_vec_pretty(&records.iter().flatten().collect::<Vec<_>>())?,
            Some("csv") => table(cases, &records)?,
            _ => anyhow::bail!("{} must end in .csv or .json", path.display()),
        };
        sam_data::write_atomically(path, |file| file.write_all(&bytes))?;
        let done = records.iter().flatten().filter(|record| matches!(record.outcome, Outcome::Done { .. })).count();
        println!("Wrote {}: {done} of {} cases are done", path.display(), cases.len());
        ensure!(done == cases.len(), "{} case(s) failed or were not done yet", cases.len() - done);
        Ok(())
    }

    fn path(&self, case: &Case, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", case.id))
    }
}

/// A line for each case: what became of it, or that it is missing.
fn table(cases: &[Case], records: &[Option<Record>]) -> Result<Vec<u8>> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["line", "image", "out", "outcome", "seconds", "mask_sha256", "error"])?;
    for (case, record) in cases.iter().zip(records) {
        let seconds = record.as_ref().map_or_else(String::new, |record| format!("{:.1}", record.seconds));
        let (outcome, mask, error) = match record.as_ref().map(|record| &record.outcome) {
            Some(Outcome::Done { mask_sha256 }) => ("done", mask_sha256.to_string(), ""),
            Some(Outcome::Failed { error }) => ("failed", String::new(), error.as_str()),
            None => ("missing", String::new(), ""),
        };
        let (line, image, out) = (case.line.to_string(), case.image(), case.name());
        table.write_record([&line, &image, &out, outcome, &seconds, &mask, error])?;
    }
    Ok(table.into_inner()?)
}
