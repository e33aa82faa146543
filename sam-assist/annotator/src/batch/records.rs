//! Records of a batch: which process has which case, and how each case ended.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use sam_files::{FileLock, Sha256Id, read_text, shorten_text, write_atomic};
use serde::{Deserialize, Serialize};

use super::{BatchError, Case, CaseTrust, Runner};
use crate::session::BoxError;

/// How often a claim is tried. A process that asks for the state of a case holds its lock for a moment, and does not work on it.
const TRIES: u32 = 3;
/// The time between two of them.
const PAUSE: Duration = Duration::from_millis(20);

/// Record of one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// Line of the case in the table.
    pub line: u64,
    /// Name of the case. Records of the first version lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// The scan.
    pub image: String,
    /// The mask.
    pub out: String,
    /// Duration in seconds.
    pub seconds: f64,
    /// SHA-256 of the options: [`Case::options`]. Records of the first version lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Sha256Id>,
    /// SHA-256 of the inputs when the case began, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, Sha256Id>,
    /// Trust in the mask, if it was estimated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<CaseTrust>,
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

/// State of a case.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum CaseState {
    /// It was never tried to its end.
    Open,
    /// Another process works on it; `None` if it is not known which.
    Running(Option<Runner>),
    /// Its mask is written, of the same inputs and options.
    Done(Record),
    /// It failed, and is tried again.
    Failed(Record),
    /// It was done, and these changes since are why it is done again. There is at least one.
    Outdated(Record, Vec<Change>),
}

/// Why a case that was done is done again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Its options are others.
    Options,
    /// The content of an input is another one: the input's name.
    Input(String),
    /// Its mask does not exist any more.
    MaskGone,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options => f.write_str("the options have changed"),
            Self::Input(name) => write!(f, "the content of \"{name}\" has changed"),
            Self::MaskGone => f.write_str("the mask is gone"),
        }
    }
}

/// A folder with one record for each case that was run.
#[derive(Debug)]
pub struct Records {
    folder: PathBuf,
    absolute_paths: bool,
}

/// Claim on a case: an exclusive file lock. It is released when this is dropped or the process ends, even by a crash.
#[derive(Debug)]
#[must_use]
pub struct Claim {
    _lock: FileLock,
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
        Ok(Self { folder: path, absolute_paths: false })
    }

    /// Sets whether absolute paths are written to records and to the table of all. By default they become relative to the file's folder, or
    /// names.
    #[must_use]
    pub fn with_absolute_paths(self, absolute_paths: bool) -> Self {
        Self { absolute_paths, ..self }
    }

    /// A text about a case as `file` may have it: without absolute paths, unless they are allowed.
    pub(super) fn shown<W>(&self, text: String, case: &Case<W>, file: &Path) -> String {
        if self.absolute_paths {
            return text;
        }
        let inputs = case.inputs.iter().map(|input| &input.path);
        let known: Vec<_> = inputs.chain(&*case.outputs).chain([&case.image, &case.mask]).map(|path| &**path).collect();
        shorten_text(&text, &known, file)
    }

    /// Claims a case for this process, unless it is done or another process works on it. The state says why the case is to be done, or why
    /// there is no claim.
    ///
    /// # Errors
    /// [`BatchError::Lock`]; [`BatchError::Record`].
    pub fn claim<W>(&self, case: &Case<W>) -> Result<(CaseState, Option<Claim>), BatchError> {
        let path = self.path(case.id, "claim");
        for _ in 0..TRIES {
            let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
            let Some(lock) = lock(&path, opened)? else {
                thread::sleep(PAUSE);
                continue;
            };
            // Read under the lock, because another process may have finished the case just now.
            let state = self.recorded(case)?;
            if matches!(state, CaseState::Done(_)) {
                return Ok((state, None));
            }
            // For people only, so an error does not matter: the lock decides.
            let _ = serde_json::to_vec(&Runner::this())
                .map(|text| lock.set_len(0).and_then(|()| (&*lock).write_all(&text)));
            return Ok((state, Some(Claim { _lock: lock })));
        }
        Ok((CaseState::Running(runner(&path)), None))
    }

    /// State of a case.
    ///
    /// # Errors
    /// [`BatchError::Lock`]; [`BatchError::Record`].
    pub fn state<W>(&self, case: &Case<W>) -> Result<CaseState, BatchError> {
        let path = self.path(case.id, "claim");
        let opened = OpenOptions::new().write(true).open(&path);
        let is_claimed = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            opened => lock(&path, opened)?.is_none(),
        };
        if is_claimed { Ok(CaseState::Running(runner(&path))) } else { self.recorded(case) }
    }

    /// Writes the record of a case; see [`Records::with_absolute_paths`].
    ///
    /// # Errors
    /// [`BatchError::Write`].
    pub fn write<W>(&self, case: &Case<W>, record: &Record) -> Result<(), BatchError> {
        let path = self.path(case.id, "json");
        let shown = |text: &String| self.shown(text.clone(), case, &path);
        let outcome = match &record.outcome {
            Outcome::Failed { error } => Outcome::Failed { error: shown(error) },
            done @ Outcome::Done { .. } => done.clone(),
        };
        let (image, out, name) = (shown(&record.image), shown(&record.out), record.case.as_ref().map(shown));
        let record = Record { image, out, case: name, outcome, ..record.clone() };
        let write = || -> Result<(), BoxError> {
            let text = serde_json::to_string_pretty(&record)?;
            Ok(write_atomic(&path, |file| file.write_all(text.as_bytes()))?)
        };
        write().map_err(BatchError::Write)
    }

    /// Reads the record of a case. Returns `None` if the case was never tried to its end.
    ///
    /// # Errors
    /// [`BatchError::Record`].
    pub fn read<W>(&self, case: &Case<W>) -> Result<Option<Record>, BatchError> {
        // The first version named records by the options.
        for id in [Some(case.id), Some(case.options), case.with_neutral].into_iter().flatten() {
            let path = self.path(id, "json");
            match read_text(&path).map_err(|error| error.source) {
                Ok(text) => {
                    let unreadable = |error: serde_json::Error| BatchError::Record { path, source: error.into() };
                    return serde_json::from_str(&text).map(Some).map_err(unreadable);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(BatchError::Record { path, source: error.into() }),
            }
        }
        Ok(None)
    }

    /// The state of a case that no process works on.
    fn recorded<W>(&self, case: &Case<W>) -> Result<CaseState, BatchError> {
        let Some(record) = self.read(case)? else { return Ok(CaseState::Open) };
        if !record.is_done() {
            return Ok(CaseState::Failed(record));
        }
        let changes = changes(case, &record);
        Ok(if changes.is_empty() { CaseState::Done(record) } else { CaseState::Outdated(record, changes) })
    }

    fn path(&self, case: Sha256Id, ending: &str) -> PathBuf {
        self.folder.join(format!("{case}.{ending}"))
    }
}

/// Locks the file of a claim, unless another process has it.
fn lock(path: &Path, opened: io::Result<File>) -> Result<Option<FileLock>, BatchError> {
    let failed = |source| BatchError::Lock { path: path.to_path_buf(), source };
    FileLock::try_new(opened.map_err(failed)?).map_err(failed)
}

/// The process that holds a claim, if the claim says so.
fn runner(claim: &Path) -> Option<Runner> {
    serde_json::from_slice(&fs::read(claim).ok()?).ok()
}

/// What has changed since a case was done. An input that cannot be read now is not a change: the case could not be done again.
fn changes<W>(case: &Case<W>, record: &Record) -> Vec<Change> {
    let mut changes = Vec::new();
    if record.options.is_some_and(|options| options != case.options && Some(options) != case.with_neutral) {
        changes.push(Change::Options);
    }
    for input in &case.inputs {
        let before = record.inputs.get(&input.name);
        if before.is_some_and(|&before| input.has_changed(before, &case.outputs)) {
            changes.push(Change::Input(input.name.clone()));
        }
    }
    if !case.mask.exists() {
        changes.push(Change::MaskGone);
    }
    changes
}
