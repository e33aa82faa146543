//! One output: its staged file, and the last look at its place before the staged file gets its name.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use tempfile::TempDir;

use super::{
    OutputError, names,
    plan::{Expected, Planned},
    record::{Listed, listed_name},
};
use crate::{FileId, Sha256Id, WriteError, identity};

/// One output.
#[derive(Debug)]
pub(super) struct Output {
    /// The path as it was given.
    pub(super) path: PathBuf,
    /// The path that it leads to: a link stays, and its target is replaced.
    pub(super) target: PathBuf,
    pub(super) is_record: bool,
    pub(super) staged: Option<Staged>,
    expected: Expected,
    written: Option<Listed>,
    /// A staged file that could not get its name earlier, and its place as it was left.
    aside: Option<(PathBuf, Seen)>,
}

/// A complete file that has not got its name yet.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) path: PathBuf,
    pub(super) sha256: Sha256Id,
    /// Removes its folder.
    pub(super) folder: TempDir,
}

/// What is at a place: nothing, or a file with this identity, size and time. Another program that writes the file changes it, unless it keeps
/// the size and is done within the resolution of the file system's times.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen(Option<(FileId, u64, Option<SystemTime>)>);

impl Seen {
    fn at(place: &Path) -> io::Result<Self> {
        match fs::metadata(place) {
            Ok(found) => Ok(Self(Some((FileId::of(place)?, found.len(), found.modified().ok())))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self(None)),
            Err(error) => Err(error),
        }
    }

    fn is_nothing(&self) -> bool {
        self.0.is_none()
    }
}

impl Output {
    pub(super) fn new(planned: Planned, expected: Expected) -> Result<Self, WriteError> {
        let Planned { path, is_record, .. } = planned;
        let target = identity::resolved(&path).map_err(WriteError::of(&path))?;
        Ok(Self { path, target, is_record, expected, staged: None, written: None, aside: None })
    }

    /// The entry of a record for this output; `None` for the record itself, and for what was not written.
    pub(super) fn listed(&self, record: &Path) -> Option<(String, Listed)> {
        let replaced = self.expected.ours();
        let staged = self.staged.as_ref().map(|staged| Listed { sha256: staged.sha256, replaced });
        let listed = staged.or_else(|| self.written.clone()).filter(|_| !self.is_record)?;
        Some((listed_name(&self.path, record), listed))
    }

    /// What is at the place, if it was expected there; a file of ours may be gone. `None` if another program has created or changed the
    /// file, and if it cannot be read.
    pub(super) fn look(&self) -> Option<Seen> {
        // Before the content is read: so a later look also finds a change during the reading.
        let seen = Seen::at(&self.target).ok()?;
        let is_expected = match self.expected {
            Expected::Anything => true,
            Expected::Nothing => seen.is_nothing(),
            Expected::Ours(sha256) => {
                seen.is_nothing() || Sha256Id::of_file(&self.target).is_ok_and(|found| found == sha256)
            }
        };
        is_expected.then_some(seen)
    }

    /// Gives the staged file its name, if the place is still as it was `seen`.
    pub(super) fn publish(&mut self, seen: &Seen, keeps_old: bool) -> Result<(), OutputError> {
        let Some(staged) = &self.staged else { return Ok(()) };
        let (path, target) = (self.path.clone(), &self.target);
        // A file of this run is not kept a second time.
        let keeps_old = keeps_old && self.written.is_none() && !seen.is_nothing();
        let backup = match keeps_old.then(|| names::keep_as(target, names::backups(target))).transpose() {
            Ok(backup) => backup,
            Err(source) => return Err(OutputError::Backup { path, kept: self.set_aside(), source }),
        };
        let named = match Seen::at(target) {
            Ok(found) if found != *seen => Err(io::ErrorKind::AlreadyExists.into()),
            Ok(_) if seen.is_nothing() => names::name_new(&staged.path, target),
            Ok(_) => fs::rename(&staged.path, target),
            Err(error) => Err(error),
        };
        if let Err(source) = named {
            // Only while the old file is still there, too.
            if Seen::at(target).is_ok_and(|found| found == *seen) {
                let _ = backup.map(fs::remove_file);
            }
            let kept = self.set_aside();
            return Err(match source.kind() {
                io::ErrorKind::AlreadyExists => OutputError::ChangedMeanwhile { path, kept },
                _ => OutputError::NotPublished { path, kept, source },
            });
        }
        let sha256 = staged.sha256;
        self.written = Some(Listed { sha256, replaced: self.expected.ours() });
        self.expected = Expected::Ours(sha256);
        self.staged = None;
        Ok(())
    }

    /// Keeps a staged file beside its place, as `new-NAME`, in place of an earlier one of this run. Returns its path.
    pub(super) fn set_aside(&mut self) -> PathBuf {
        let Some(Staged { path, folder, .. }) = self.staged.take() else { return self.path.clone() };
        let earlier = self.aside.take().filter(|(earlier, seen)| Seen::at(earlier).is_ok_and(|found| found == *seen));
        let kept = match earlier {
            Some((earlier, _)) => fs::rename(&path, &earlier).map(|()| earlier),
            None => names::keep_as(&path, names::aside(&self.path)),
        };
        let kept = kept.unwrap_or_else(|_| {
            // A full disk without hard links: the file stays where it is.
            let _ = folder.keep();
            path
        });
        self.aside = Seen::at(&kept).ok().map(|seen| (kept.clone(), seen));
        kept
    }
}
