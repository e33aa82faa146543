//! An append-only log of lines.

use std::{
    error::Error,
    fs::OpenOptions,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

use crate::{FileLock, OpenLinesError, WriteError};

/// An append-only log of lines. Each line is flushed to the disk before [`AppendLines::push`] returns.
///
/// The file is locked until this value is dropped. If a crash left an incomplete last line, the next open removes it.
#[derive(Debug)]
pub struct AppendLines {
    path: PathBuf,
    file: FileLock,
    /// Total length of all complete lines, in bytes.
    complete: u64,
}

impl AppendLines {
    /// Opens a file, or creates it. `read` is called for each complete line with the line's number, counted from 1, and its bytes without
    /// the line end.
    ///
    /// # Errors
    /// [`OpenLinesError`] if the file cannot be opened or read, another process has locked it, or `read` refuses a line. The file is then
    /// unchanged.
    pub fn open<E: Error + 'static>(
        path: impl AsRef<Path>,
        mut read: impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<Self, OpenLinesError<E>> {
        let path = path.as_ref().to_path_buf();
        let failed = |source| OpenLinesError::Open { path: path.clone(), source };
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(failed)?;
        let lock = FileLock::try_new(file).map_err(failed)?;
        let file = lock.ok_or_else(|| OpenLinesError::InUse { path: path.clone() })?;
        let (mut complete, mut number, mut reader, mut line) = (0, 0, BufReader::new(&*file), Vec::new());
        while reader.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            // A line without an end was cut off by a crash.
            let Some(content) = line.strip_suffix(b"\n") else { break };
            number += 1;
            read(number, content).map_err(|source| OpenLinesError::Line { path: path.clone(), number, source })?;
            complete += line.len() as u64;
            line.clear();
        }
        Ok(Self { path, file, complete })
    }

    /// Appends a line. `content` must not contain a line end.
    ///
    /// # Errors
    /// [`WriteError`]: the file is then unchanged.
    pub fn push(&mut self, content: &[u8]) -> Result<(), WriteError> {
        let line = [content, b"\n"].concat();
        let drop_incomplete = || self.file.set_len(self.complete);
        // Removes an incomplete line that a crash left at the end.
        let written =
            drop_incomplete().and_then(|()| (&*self.file).write_all(&line)).and_then(|()| self.file.sync_data());
        if written.is_err() {
            // If this fails too, the next `push` or `open` removes the incomplete line.
            let _ = drop_incomplete();
        }
        written.map_err(WriteError::of(&self.path))?;
        self.complete += line.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{io, string::FromUtf8Error};

    use super::*;

    fn read(path: &Path) -> Result<(AppendLines, Vec<String>), OpenLinesError<FromUtf8Error>> {
        let mut found = Vec::new();
        let lines = AppendLines::open(path, |number, line| {
            found.push(String::from_utf8(line.to_vec())?);
            assert_eq!(number, found.len());
            Ok(())
        })?;
        Ok((lines, found))
    }

    #[test]
    fn complete_lines_are_read_back_and_cut_off_ones_are_dropped() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("lines");
        {
            let (mut lines, found) = read(&path)?;
            assert!(found.is_empty());
            lines.push(b"one")?;
            lines.push("zwei \u{e4}".as_bytes())?;
            assert!(matches!(read(&path), Err(OpenLinesError::InUse { .. })), "the file is locked");
        }
        // Simulates a crash at every byte of the last line.
        let text = std::fs::read(&path)?;
        for end in 4..text.len() {
            std::fs::write(&path, &text[..end])?;
            let (mut lines, found) = read(&path)?;
            assert_eq!(found, ["one"]);
            lines.push(b"two")?;
            drop(lines);
            assert_eq!(std::fs::read(&path)?, b"one\ntwo\n");
        }
        Ok(())
    }

    #[test]
    fn a_file_that_holds_something_else_is_left_as_it_was() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "dear diary\nunfinished")?;
        let refused = AppendLines::open(&path, |_, _| Err(io::Error::other("no line of ours"))).expect_err("refused");
        assert!(refused.to_string().starts_with("line 1 of "), "{refused}");
        assert_eq!(refused.source().expect("a cause").to_string(), "no line of ours");
        assert_eq!(std::fs::read_to_string(&path)?, "dear diary\nunfinished");
        Ok(())
    }
}
