//! The plan of a program's outputs: what it reads and what it will write, checked before the work.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    OutputError, Outputs,
    record::{Author, author_of, listed_files},
};
use crate::{FileId, OutputLock, Sha256Id, WriteError, check_writable, identity::folder_of, is_unfinished};

/// What a program reads and what it will write. Only a plan that was checked gives [`Outputs`], through which files are written.
///
/// The rules: an output is never an input, and never another output, whatever the spelling of its path. A file that exists is replaced only
/// if a record says that this program wrote it and it is unchanged, or with [`OutputPlan::with_overwrite`], which keeps the old file.
///
/// ```
/// use sam_files::{OutputError, OutputPlan};
///
/// let folder = tempfile::tempdir()?;
/// let [scan, mask] = ["scan.nii", "mask.nii"].map(|name| folder.path().join(name));
/// std::fs::write(&scan, "a scan")?;
/// let refused = OutputPlan::new().input("--image", &scan).output("--out", folder.path().join("./scan.nii")).check();
/// assert!(matches!(refused, Err(OutputError::IsInput { .. })));
///
/// let outputs = OutputPlan::new().input("--image", &scan).output("--out", &mask).open()?;
/// outputs.write(&mask, |file| file.write_all(b"a mask"))?;
/// outputs.publish()?;
/// assert_eq!(std::fs::read(&mask)?, b"a mask");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct OutputPlan {
    inputs: Vec<Input>,
    outputs: Vec<Planned>,
    /// A folder that is created if it does not exist.
    folder: Option<PathBuf>,
    overwrite: bool,
    absolute_paths: bool,
}

/// A file or folder that is read.
#[derive(Debug, Clone)]
struct Input {
    /// Its name in messages, such as `--image`.
    name: String,
    path: PathBuf,
    /// Whether an output may be this file, if this program wrote it and it is unchanged.
    is_editable: bool,
}

/// A file that will be written.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    /// Its name in messages, such as `--out`.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) is_record: bool,
    /// Whether it belongs to a result that is edited in place.
    is_edited: bool,
    /// The content that the caller knows to be this program's own.
    accepted: Option<Sha256Id>,
}

impl Planned {
    fn new(name: &str, path: &Path, is_record: bool) -> Self {
        // Without a separator at the end, with which the system would take the path for a folder.
        Self { name: name.to_owned(), path: path.components().collect(), is_record, is_edited: false, accepted: None }
    }
}

/// What may be at an output's path when it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// No file.
    Nothing,
    /// The file that this program wrote, with this content.
    Ours(Sha256Id),
    /// Any file, which is then kept under another name.
    Anything,
}

impl Expected {
    /// The content of a file that this program wrote.
    pub(super) fn ours(self) -> Option<Sha256Id> {
        match self {
            Self::Ours(sha256) => Some(sha256),
            Self::Nothing | Self::Anything => None,
        }
    }
}

impl OutputPlan {
    /// A plan without inputs and outputs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file that is read, or a folder: then every file in it. `name` is its name in messages, such as `--image`.
    ///
    /// A file of a folder may be replaced if this program wrote it and it is unchanged: masks are often beside the slices of their scan.
    pub fn input(mut self, name: &str, path: impl AsRef<Path>) -> Self {
        self.inputs.push(Input { name: name.to_owned(), path: path.as_ref().to_path_buf(), is_editable: false });
        self
    }

    /// Adds several files that are read.
    pub fn inputs(self, name: &str, paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Self {
        paths.into_iter().fold(self, |plan, path| plan.input(name, path))
    }

    /// Adds a file that is read and may be edited in place, if this program wrote it and it is unchanged.
    pub fn editable_input(mut self, name: &str, path: impl AsRef<Path>) -> Self {
        self.inputs.push(Input { name: name.to_owned(), path: path.as_ref().to_path_buf(), is_editable: true });
        self
    }

    /// Adds a file that will be written. `name` is its name in messages, such as `--out`.
    pub fn output(mut self, name: &str, path: impl AsRef<Path>) -> Self {
        self.outputs.push(Planned::new(name, path.as_ref(), false));
        self
    }

    /// Adds the record: a JSON file that lists the other outputs with their SHA-256.
    pub fn record(mut self, name: &str, path: impl AsRef<Path>) -> Self {
        self.outputs.push(Planned::new(name, path.as_ref(), true));
        self
    }

    /// Sets a folder for outputs, which [`OutputPlan::open`] creates if it does not exist.
    pub fn folder(self, path: impl AsRef<Path>) -> Self {
        Self { folder: Some(path.as_ref().to_path_buf()), ..self }
    }

    /// Sets whether files of others are replaced. The old file is kept as `NAME.bak`, or `NAME.bak2` and so on if there is one already.
    pub fn with_overwrite(self, overwrite: bool) -> Self {
        Self { overwrite, ..self }
    }

    /// Sets whether absolute paths are written to JSON files. By default they become relative to the file's folder, or names.
    pub fn with_absolute_paths(self, absolute_paths: bool) -> Self {
        Self { absolute_paths, ..self }
    }

    /// Accepts a file with this content at an output's path: the caller knows in another way that it is this program's own.
    pub fn accept(mut self, path: impl AsRef<Path>, content: Sha256Id) -> Self {
        for output in self.outputs.iter_mut().filter(|output| output.path == path.as_ref()) {
            output.accepted = Some(content);
        }
        self
    }

    /// Declares that an output belongs to a result that is edited in place: it may be replaced although it is the only copy of a person's
    /// work. The edited input itself needs this not; see [`OutputPlan::editable_input`].
    pub fn edit(mut self, path: impl AsRef<Path>) -> Self {
        for output in self.outputs.iter_mut().filter(|output| output.path == path.as_ref()) {
            output.is_edited = true;
        }
        self
    }

    /// Joins the inputs and outputs of another plan to this one.
    pub fn join(mut self, other: Self) -> Self {
        self.inputs.extend(other.inputs);
        self.outputs.extend(other.outputs);
        self
    }

    /// Checks all rules, and that every output can be written. Call it before anything long. It changes nothing.
    ///
    /// # Errors
    /// [`OutputError`], which names the output and says what to do.
    pub fn check(&self) -> Result<(), OutputError> {
        self.check_conflicts()?;
        for output in &self.outputs {
            self.check_place(&output.path)?;
            self.expected(output)?;
        }
        Ok(())
    }

    /// Checks only that no output is an input or another output: not whether it can be written, nor what is there already.
    ///
    /// # Errors
    /// [`OutputError::IsInput`]; [`OutputError::SameFile`]; [`OutputError::Write`] if a path leads nowhere, such as through a circle of links.
    pub fn check_conflicts(&self) -> Result<(), OutputError> {
        let mut ids: HashMap<FileId, &Planned> = HashMap::new();
        for output in &self.outputs {
            let id = FileId::of(&output.path).map_err(WriteError::of(&output.path))?;
            if let Some(first) = ids.insert(id, output) {
                let (first, second, path) = (first.name.clone(), output.name.clone(), output.path.clone());
                return Err(OutputError::SameFile { first, second, path });
            }
        }
        self.inputs.iter().try_for_each(|input| self.check_input(input, &ids))
    }

    /// Checks again, locks every output, and creates the folder. The locks are held until the last clone of the result is dropped.
    ///
    /// # Errors
    /// As [`OutputPlan::check`]; [`OutputError::Locked`] with the process that writes an output now.
    pub fn open(self) -> Result<Outputs, OutputError> {
        self.check_conflicts()?;
        self.outputs.iter().try_for_each(|output| self.check_place(&output.path))?;
        if let Some(folder) = &self.folder {
            fs::create_dir_all(folder).map_err(WriteError::of(folder))?;
        }
        let locks = self.outputs.iter().map(|output| OutputLock::acquire(&output.path)).collect::<Result<_, _>>()?;
        // Only now, because the last holder of a lock may have written the file just before.
        let expected = self.outputs.iter().map(|output| self.expected(output)).collect::<Result<Vec<_>, _>>()?;
        Outputs::new(self.outputs.into_iter().zip(expected), self.overwrite, self.absolute_paths, locks)
    }

    /// Checks that a file can be written here, also if the plan's folder does not exist yet.
    fn check_place(&self, path: &Path) -> Result<(), WriteError> {
        let folder = folder_of(path);
        let is_created = self.folder.as_ref().is_some_and(|created| folder.starts_with(created));
        if folder.exists() || !is_created {
            // A link leads to another folder.
            return match crate::identity::resolved(path) {
                Ok(place) if !place.is_dir() => {
                    check_writable(place).map_err(|error| WriteError::of(path)(error.source))
                }
                _ => check_writable(path),
            };
        }
        let existing = folder.ancestors().find(|place| place.is_dir()).unwrap_or(Path::new("."));
        check_writable(existing.join(path.file_name().unwrap_or_default()))
            .map_err(|error| WriteError::of(path)(error.source))
    }

    /// Refuses outputs that are this input, or a file in it.
    fn check_input(&self, input: &Input, outputs: &HashMap<FileId, &Planned>) -> Result<(), OutputError> {
        let refuse = |output: &Planned| OutputError::IsInput {
            output: output.name.clone(),
            input: input.name.clone(),
            path: output.path.clone(),
        };
        if !input.path.is_dir() {
            // An input that cannot be found is no output either; its reader says what is wrong.
            let same = FileId::of(&input.path).ok().and_then(|id| outputs.get(&id).copied());
            return match same {
                Some(output) if !(input.is_editable && self.is_ours(output)?) => Err(refuse(output)),
                _ => Ok(()),
            };
        }
        if outputs.values().all(|output| !output.path.exists()) {
            return Ok(());
        }
        for id in files_below(&input.path) {
            if let Some(output) = outputs.get(&id).copied()
                && !self.is_ours(output)?
            {
                return Err(refuse(output));
            }
        }
        Ok(())
    }

    fn is_ours(&self, output: &Planned) -> Result<bool, OutputError> {
        Ok(output.path.exists() && matches!(self.author(output)?, Author::Us(_) | Author::Person(_)))
    }

    /// Whether the program edits this output in place.
    fn is_edited(&self, output: &Planned) -> bool {
        let id = FileId::of(&output.path).ok();
        let is_it = |input: &Input| input.is_editable && id.is_some() && FileId::of(&input.path).ok() == id;
        output.is_edited || self.inputs.iter().any(is_it)
    }

    fn author(&self, output: &Planned) -> Result<Author, OutputError> {
        if let Some(accepted) = output.accepted
            && Sha256Id::of_file(&output.path)? == accepted
        {
            return Ok(Author::Us(accepted));
        }
        let records: Vec<_> =
            self.outputs.iter().filter(|output| output.is_record).map(|record| record.path.clone()).collect();
        Ok(author_of(&output.path, &records)?)
    }

    /// A file that a record at this path lists, if it lists none that this plan writes: the record would be lost to its own files.
    fn other_result(&self, record: &Path) -> Option<PathBuf> {
        let listed: Vec<_> = listed_files(record).into_iter().filter(|file| file.exists()).collect();
        let is_written = |file: &PathBuf| {
            let id = FileId::of(file).ok();
            id.is_some() && self.outputs.iter().any(|output| FileId::of(&output.path).ok() == id)
        };
        if listed.iter().any(is_written) { None } else { listed.into_iter().next() }
    }

    /// What may be at an output's path, by what is there now.
    fn expected(&self, output: &Planned) -> Result<Expected, OutputError> {
        let Planned { name, path, .. } = output;
        let (name, path) = (name.clone(), path.clone());
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Expected::Nothing),
            Err(error) => return Err(WriteError::of(&path)(error).into()),
            Ok(found) if !found.is_file() => return Err(OutputError::NotAFile { output: name, path }),
            Ok(_) if self.overwrite => return Ok(Expected::Anything),
            Ok(_) => {}
        }
        if let Some(of) = self.other_result(&path) {
            return Err(OutputError::OtherRecord { output: name, path, of });
        }
        match self.author(output)? {
            Author::Us(sha256) => Ok(Expected::Ours(sha256)),
            Author::Person(sha256) if self.is_edited(output) => Ok(Expected::Ours(sha256)),
            Author::Person(_) => Err(OutputError::OnlyCopy { output: name, path }),
            Author::ChangedByOthers => Err(OutputError::Changed { output: name, path }),
            Author::Unknown => Err(OutputError::NotOurs { output: name, path }),
        }
    }
}

/// The identity of every file in a folder and the folders in it. What cannot be read is left out: then it is not read as an input either.
fn files_below(folder: &Path) -> Vec<FileId> {
    let (mut files, mut folders, mut seen) = (Vec::new(), vec![folder.to_path_buf()], Vec::new());
    while let Some(folder) = folders.pop() {
        // Links may lead in a circle.
        match FileId::of(&folder) {
            Ok(id) if !seen.contains(&id) => seen.push(id),
            _ => continue,
        }
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if !is_unfinished(&path) {
                files.extend(FileId::of(&path));
            }
        }
    }
    files
}
