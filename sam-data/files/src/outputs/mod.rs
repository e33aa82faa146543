//! Outputs that were checked before the work: the only way from a result to a file.

mod error;
mod names;
mod output;
mod plan;
mod record;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use serde_json::{Map, Value};

pub use self::{
    error::OutputError,
    names::kept_for,
    plan::OutputPlan,
    record::{ONLY_COPY, own_files, shorten_text},
};
use self::{
    output::{Output, Staged},
    plan::{Expected, Planned},
    record::{shorten_paths, without_absolute_paths},
};
use crate::{OutputLock, Sha256Id, UNFINISHED, WriteError, identity, write_atomic};

/// The outputs of a plan that was checked. Clones share them.
///
/// A file is first staged: written completely to a hidden folder beside its place. [`Outputs::publish`] then gives all staged files their
/// names. So a full disk or an error leaves every old file as it was. The record is published first and lists the old files, too: if the
/// program is killed in between, the files are still known as its own.
#[derive(Debug, Clone)]
pub struct Outputs(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    files: Mutex<Vec<Output>>,
    keeps_old: bool,
    absolute_paths: bool,
    _locks: Vec<OutputLock>,
}

impl Outputs {
    fn new(
        planned: impl Iterator<Item = (Planned, Expected)>,
        keeps_old: bool,
        absolute_paths: bool,
        locks: Vec<OutputLock>,
    ) -> Result<Self, OutputError> {
        let files = planned.map(|(planned, expected)| Output::new(planned, expected)).collect::<Result<_, _>>()?;
        let files = Mutex::new(files);
        Ok(Self(Arc::new(Shared { files, keeps_old, absolute_paths, _locks: locks })))
    }

    /// Stages a file: `write` writes it completely to the path that it gets, which ends in the same name.
    ///
    /// # Errors
    /// Those of `write`; [`OutputError::NotPlanned`]; [`OutputError::Write`] if its folder cannot be written to.
    pub fn stage<E: From<OutputError>>(
        &self,
        path: impl AsRef<Path>,
        write: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        let path = path.as_ref();
        let target = self.find(path)?;
        // The ending of the given path decides about the format, not that of the file that a link leads to.
        let name = path.file_name().unwrap_or_default();
        let failed = |error: io::Error| OutputError::from(WriteError::of(path)(error));
        let folder = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(identity::folder_of(&target));
        let folder = folder.map_err(failed)?;
        let staged = folder.path().join(name);
        write(&staged)?;
        let sha256 = Sha256Id::of_file(&staged).map_err(|error| failed(error.source))?;
        let mut files = self.files();
        if let Some(output) = files.iter_mut().find(|output| output.path == path) {
            output.staged = Some(Staged { path: staged, sha256, folder });
        }
        Ok(())
    }

    /// Stages a file whose content `write` produces. The writer is buffered.
    ///
    /// # Errors
    /// [`OutputError::NotPlanned`]; [`OutputError::Write`], also if `write` itself fails.
    pub fn write(
        &self,
        path: impl AsRef<Path>,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), OutputError> {
        self.stage(path, |staged| Ok(write_atomic(staged, write)?))
    }

    /// Stages a value as JSON with line breaks. Absolute paths in it are shortened, unless the plan allows them.
    ///
    /// # Errors
    /// As [`Outputs::write`]; [`OutputError::Json`].
    pub fn write_json(&self, path: impl AsRef<Path>, value: &impl Serialize) -> Result<(), OutputError> {
        let path = path.as_ref();
        let json = |source| OutputError::Json { path: path.to_path_buf(), source };
        let mut value = serde_json::to_value(value).map_err(json)?;
        if !self.0.absolute_paths {
            without_absolute_paths(&mut value, path);
        }
        let text = serde_json::to_string_pretty(&value).map_err(json)? + "\n";
        self.write(path, |file| file.write_all(text.as_bytes()))
    }

    /// Stages the record, publishes it, and then every other staged file. Returns the paths of the other files, as they were given.
    ///
    /// The record gets the field `outputs`, with the SHA-256 of every file that was staged or published, and `record_sha256`, a checksum of
    /// its own text. Outputs that only the old record lists stay listed while they are there, such as a DICOM SEG that this run does not write.
    /// Absolute paths in it are shortened, unless the plan allows them.
    ///
    /// # Errors
    /// As [`Outputs::write_json`] and [`Outputs::publish`].
    pub fn publish_with_record(
        &self,
        path: impl AsRef<Path>,
        mut record: Map<String, Value>,
    ) -> Result<Vec<PathBuf>, OutputError> {
        let path = path.as_ref();
        let json = |source| OutputError::Json { path: path.to_path_buf(), source };
        if !self.0.absolute_paths {
            shorten_paths(&mut record, path);
        }
        let mut listed: BTreeMap<_, _> = self.files().iter().filter_map(|output| output.listed(path)).collect();
        let only_copy = record.get(ONLY_COPY).is_some_and(|only_copy| only_copy == true);
        listed.extend(record::other_outputs(path, &listed, only_copy));
        let text = record::text(record, &listed).map_err(json)?;
        match self.write(path, |file| file.write_all(text.as_bytes())) {
            Ok(()) => self.publish(),
            Err(error) => Err(self.without_record(error)),
        }
    }

    /// Keeps the staged files beside their places, because their record cannot be written. Returns the error that names one of them.
    fn without_record(&self, error: OutputError) -> OutputError {
        let mut files = self.files();
        let staged = files.iter_mut().filter(|output| output.staged.is_some());
        let kept: Vec<_> = staged.map(Output::set_aside).collect();
        match (error, kept.into_iter().next()) {
            (OutputError::Write(WriteError { path, source }), Some(kept)) => {
                OutputError::NotPublished { path, kept, source }
            }
            (error, _) => error,
        }
    }

    /// Gives every staged file its name, the record first. Returns the paths of the other files, as they were given.
    ///
    /// # Errors
    /// If another program created or changed an output since the plan was opened, or an old file cannot be kept, or a file cannot get its
    /// name: [`OutputError::ChangedMeanwhile`], [`OutputError::Backup`] or [`OutputError::NotPublished`]. Nothing is lost: each names where
    /// the result is, which is `new-NAME` beside the output.
    pub fn publish(&self) -> Result<Vec<PathBuf>, OutputError> {
        let mut files = self.files();
        let mut staged: Vec<_> = files.iter_mut().filter(|output| output.staged.is_some()).collect();
        staged.sort_by_key(|output| !output.is_record);
        let seen: Vec<_> = staged.iter().map(|output| output.look()).collect();
        // From the first error on, all files are set aside: a mask and a DICOM SEG of different results would be wrong.
        let mut is_refused = seen.contains(&None);
        let (mut errors, mut written) = (Vec::new(), Vec::new());
        for (output, seen) in staged.into_iter().zip(seen) {
            let published = match seen {
                Some(seen) if !is_refused => output.publish(&seen, self.0.keeps_old),
                seen => {
                    let (path, kept) = (output.path.clone(), output.set_aside());
                    if seen.is_none() { Err(OutputError::ChangedMeanwhile { path, kept }) } else { continue }
                }
            };
            match published {
                Ok(()) if output.is_record => {}
                Ok(()) => written.push(output.path.clone()),
                Err(error) => {
                    is_refused = true;
                    errors.push(error);
                }
            }
        }
        errors.into_iter().next().map_or(Ok(written), Err)
    }

    /// Stages and publishes one file, without the record, which lists it when it is published.
    ///
    /// # Errors
    /// As [`Outputs::stage`] and [`Outputs::publish`].
    pub fn write_now<E: From<OutputError>>(
        &self,
        path: impl AsRef<Path>,
        write: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        self.stage(path, write)?;
        Ok(self.publish().map(drop)?)
    }

    /// The first output that another program has created or changed since the plan was opened, or since it was published.
    pub fn changed(&self) -> Option<PathBuf> {
        self.files().iter().find(|output| output.look().is_none()).map(|output| output.path.clone())
    }

    /// Whether absolute paths are written to JSON files; see [`OutputPlan::with_absolute_paths`].
    pub fn has_absolute_paths(&self) -> bool {
        self.0.absolute_paths
    }

    /// Checks that a file is in the plan.
    ///
    /// # Errors
    /// [`OutputError::NotPlanned`].
    pub fn check_planned(&self, path: impl AsRef<Path>) -> Result<(), OutputError> {
        self.find(path.as_ref()).map(drop)
    }

    fn find(&self, path: &Path) -> Result<PathBuf, OutputError> {
        let files = self.files();
        let found = files.iter().find(|output| output.path == path).map(|output| output.target.clone());
        found.ok_or_else(|| OutputError::NotPlanned { path: path.to_path_buf() })
    }

    fn files(&self) -> MutexGuard<'_, Vec<Output>> {
        self.0.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
