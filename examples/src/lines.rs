//! A file of lines that only ever grows: what was written stays, whatever happens next.

use std::{
    fs::OpenOptions,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::lock::Locked;

/// A file of lines, each written whole and flushed to the disk before the next thing happens.
///
/// One program at a time has it: it stays locked until it is dropped. A line that was cut off by a crash is dropped when the file is
/// opened again.
#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
    file: Locked,
    /// Bytes of all whole lines.
    whole: u64,
}

impl Lines {
    /// Opens a file, or begins one. `read` is handed each whole line with its number, counted from 1, and without its end.
    ///
    /// # Errors
    /// If the file cannot be read or written, or another program works with it; or those of `read`. The file is then left as it was.
    pub fn open(path: &Path, mut read: impl FnMut(usize, &[u8]) -> Result<()>) -> Result<Self> {
        let cannot = || format!("cannot open {}", path.display());
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).with_context(cannot)?;
        let in_use =
            || format!("{} is in use: another program writes there; wait until it is done, or end it", path.display());
        let file = Locked::take(file).with_context(cannot)?.with_context(in_use)?;
        let (mut whole, mut number, mut reader, mut line) = (0, 0, BufReader::new(&*file), Vec::new());
        while reader.read_until(b'\n', &mut line).with_context(cannot)? > 0 {
            // What follows a line without an end is nothing: a crash cut it off.
            let Some(content) = line.strip_suffix(b"\n") else { break };
            number += 1;
            read(number, content)?;
            whole += line.len() as u64;
            line.clear();
        }
        Ok(Self { path: path.to_path_buf(), file, whole })
    }

    /// Adds a line, which must not hold an end of line itself.
    ///
    /// # Errors
    /// If it cannot be written: it is then as if it had never been tried.
    pub fn push(&mut self, content: &[u8]) -> Result<()> {
        let line = [content, b"\n"].concat();
        let drop_unfinished = || self.file.set_len(self.whole);
        // What a crash left behind the last whole line is dropped first.
        let written =
            drop_unfinished().and_then(|()| (&*self.file).write_all(&line)).and_then(|()| self.file.sync_data());
        if written.is_err() {
            // If this fails too, the next write or the next opening does it.
            let _ = drop_unfinished();
        }
        written.with_context(|| format!("cannot write to {}", self.path.display()))?;
        self.whole += line.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    fn read(path: &Path) -> Result<(Lines, Vec<String>)> {
        let mut found = Vec::new();
        let lines = Lines::open(path, |number, line| {
            found.push(String::from_utf8(line.to_vec())?);
            assert_eq!(number, found.len());
            Ok(())
        })?;
        Ok((lines, found))
    }

    #[test]
    fn what_was_written_is_there_again_and_what_was_cut_off_is_not() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("lines");
        {
            let (mut lines, found) = read(&path)?;
            assert!(found.is_empty());
            lines.push(b"one")?;
            lines.push("zwei \u{e4}".as_bytes())?;
            assert!(read(&path).expect_err("the file is locked").to_string().contains("in use"));
        }
        // Killed at any byte of the last line.
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
    fn a_file_that_holds_something_else_is_left_alone() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "dear diary\nunfinished")?;
        assert!(Lines::open(&path, |number, _| bail!("line {number} is no line of ours")).is_err());
        assert_eq!(std::fs::read_to_string(&path)?, "dear diary\nunfinished");
        Ok(())
    }
}
