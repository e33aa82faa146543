//! Names for files that must not be lost: backups of old files, and results that could not get their own name.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

/// `NAME.bak`, `NAME.bak2`, `NAME.bak3` and so on.
pub(super) fn backups(path: &Path) -> impl Iterator<Item = PathBuf> {
    numbered(path, |name, number| format!("{name}.bak{number}"))
}

/// `new-NAME`, `new2-NAME`, `new3-NAME` and so on.
pub(super) fn aside(path: &Path) -> impl Iterator<Item = PathBuf> {
    numbered(path, |name, number| format!("new{number}-{name}"))
}

/// The output that a file is kept for by its name: `NAME` of `NAME.bak`, `NAME.bak2`, `new-NAME` or `new2-NAME`.
///
/// ```
/// use std::path::Path;
///
/// assert_eq!(sam_files::kept_for("a/mask.nii.bak2").as_deref(), Some(Path::new("a/mask.nii")));
/// assert_eq!(sam_files::kept_for("a/mask.nii"), None);
/// ```
pub fn kept_for(path: impl AsRef<Path>) -> Option<PathBuf> {
    let is_number = |text: &str| text.chars().all(|digit| digit.is_ascii_digit());
    let name = path.as_ref().file_name()?.to_str()?;
    let backup = name.rsplit_once(".bak").filter(|(_, number)| is_number(number)).map(|(own, _)| own);
    let aside = name.strip_prefix("new").and_then(|name| name.split_once('-'));
    let aside = aside.filter(|(number, _)| is_number(number)).map(|(_, own)| own);
    let own = backup.or(aside).filter(|own| !own.is_empty())?;
    Some(path.as_ref().with_file_name(own))
}

/// Names beside a path; the first has no number.
fn numbered(path: &Path, name: impl Fn(&str, &str) -> String) -> impl Iterator<Item = PathBuf> {
    let own = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let numbers = [String::new()].into_iter().chain((2..u32::MAX).map(|number: u32| number.to_string()));
    numbers.map(move |number| path.with_file_name(name(&own, &number)))
}

/// Gives a file one more name: the first that is free. Without hard links on the file system, the file is copied.
pub(super) fn keep_as(file: &Path, names: impl Iterator<Item = PathBuf>) -> io::Result<PathBuf> {
    for name in names {
        let kept = match fs::hard_link(file, &name) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => copy(file, &name),
            kept => kept,
        };
        match kept {
            Ok(()) => return Ok(name),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("no name is free"))
}

/// Gives a file a name that no other file has. Its old name may stay.
///
/// # Errors
/// `AlreadyExists` if there is a file of this name.
pub(super) fn name_new(file: &Path, name: &Path) -> io::Result<()> {
    match fs::hard_link(file, name) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            // Without hard links on the file system, another program has a moment between the two calls.
            if name.symlink_metadata().is_ok() { Err(ErrorKind::AlreadyExists.into()) } else { fs::rename(file, name) }
        }
        linked => linked,
    }
}

/// Copies a file to a name that no file has.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut new = OpenOptions::new().write(true).create_new(true).open(to)?;
    let copied = File::open(from).and_then(|mut old| io::copy(&mut old, &mut new)).and_then(|_| new.sync_all());
    if copied.is_err() {
        let _ = fs::remove_file(to);
    }
    copied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_kept_leads_back_to_its_output() {
        let output = Path::new("a/new.bak-mask.nii");
        for kept in backups(output).take(12).chain(aside(output).take(12)) {
            assert_eq!(kept_for(&kept).as_deref(), Some(output), "{}", kept.display());
        }
        for other in ["mask.nii", "mask.bakery", "newer-mask.nii", ".bak", "new-", "mask.bak.nii", ".."] {
            assert_eq!(kept_for(other), None, "{other}");
        }
    }
}
