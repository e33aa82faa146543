//! An append-only log of lines.

use std::{
    error::Error,
    fs::OpenOptions,
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use crate::{FileLock, OpenLinesError, WriteError};

/// An append-only log of lines. Each line is flushed to the disk before [`AppendLines::push`] returns.
///
/// The file is locked until this value is dropped. If a crash left an incomplete last line, the next [`AppendLines::push`] removes it.
#[derive(Debug)]
pub struct AppendLines {
    path: PathBuf,
    file: FileLock,
    /// Total length of all complete lines, in bytes.
    complete: u64,
}

impl AppendLines {
    /// Maximum length of a line, in bytes without its end. It bounds the memory that [`AppendLines::open`] takes, whatever the file holds.
    pub const MAX_LINE: usize = 16 << 20;

    /// Opens a file, or creates it. `read` is called for each complete line with the line's number, counted from 1, and its bytes without
    /// the line end.
    ///
    /// Every line of this log begins with `begin`. By it, a file that holds one incomplete line alone is known: it is a log whose first line
    /// was cut off by a crash, or a file of others, which is refused.
    ///
    /// # Errors
    /// [`OpenLinesError`] if the file cannot be opened or read, another process has locked it, a line is longer than
    /// [`AppendLines::MAX_LINE`], `read` refuses a line, or the only line has no end and does not begin with `begin`. The file is then
    /// unchanged.
    pub fn open<E: Error + 'static>(
        path: impl AsRef<Path>,
        begin: &str,
        mut read: impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<Self, OpenLinesError<E>> {
        let path = path.as_ref().to_path_buf();
        let failed = |source| OpenLinesError::Open { path: path.clone(), source };
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(failed)?;
        // Reading from a pipe would wait for its writer, reading from a device might never end.
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(failed(io::Error::other("it is not a regular file")));
        }
        let lock = FileLock::try_new(file).map_err(failed)?;
        let file = lock.ok_or_else(|| OpenLinesError::InUse { path: path.clone() })?;
        let (mut complete, mut number, mut reader, mut line) = (0, 0, BufReader::new(&*file), Vec::new());
        // A line that is too long is read up to its first byte too many.
        let most = Self::MAX_LINE as u64 + 1;
        while reader.by_ref().take(most).read_until(b'\n', &mut line).map_err(failed)? > 0 {
            number += 1;
            let Some(content) = line.strip_suffix(b"\n") else {
                if line.len() > Self::MAX_LINE {
                    return Err(OpenLinesError::TooLong { path, number, most: Self::MAX_LINE });
                }
                // A line without an end was cut off by a crash. Complete lines before it, which `read` knows, tell that the file is this log.
                if number == 1 && !line.iter().zip(begin.as_bytes()).all(|(found, expected)| found == expected) {
                    return Err(OpenLinesError::Foreign { path });
                }
                break;
            };
            read(number, content).map_err(|source| OpenLinesError::Line { path: path.clone(), number, source })?;
            complete += line.len() as u64;
            line.clear();
        }
        Ok(Self { path, file, complete })
    }

    /// Appends a line. `content` must not contain a line end.
    ///
    /// # Errors
    /// [`WriteError`], also if the line is longer than [`AppendLines::MAX_LINE`]: the file is then unchanged.
    pub fn push(&mut self, content: &[u8]) -> Result<(), WriteError> {
        if content.len() > Self::MAX_LINE {
            let reason = format!("the line has {} bytes, expected at most {}", content.len(), Self::MAX_LINE);
            return Err(WriteError::of(&self.path)(io::Error::new(ErrorKind::InvalidInput, reason)));
        }
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
    use std::string::FromUtf8Error;

    use super::*;

    fn read(path: &Path) -> Result<(AppendLines, Vec<String>), OpenLinesError<FromUtf8Error>> {
        let mut found = Vec::new();
        let lines = AppendLines::open(path, "", |number, line| {
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
        let refused =
            AppendLines::open(&path, "", |_, _| Err(io::Error::other("no line of ours"))).expect_err("refused");
        assert!(refused.to_string().starts_with("line 1 of "), "{refused}");
        assert_eq!(refused.source().expect("a cause").to_string(), "no line of ours");
        assert_eq!(std::fs::read_to_string(&path)?, "dear diary\nunfinished");
        Ok(())
    }

    #[test]
    fn a_file_with_one_line_without_an_end_is_emptied_only_if_it_begins_as_the_log() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("notes.txt");
        let open = || AppendLines::open(&path, "{\"key\":", |_, _| Ok::<_, io::Error>(()));
        for text in ["dear diary", "d", "{\"name\":\"liver\"}", " {\"key\":"] {
            std::fs::write(&path, text)?;
            let refused = open().expect_err("it may be a file of others");
            assert!(matches!(refused, OpenLinesError::Foreign { .. }), "{refused}");
            assert!(
                refused.to_string().contains("notes.txt") && refused.to_string().contains("move it away"),
                "{refused}"
            );
            assert_eq!(std::fs::read_to_string(&path)?, text);
        }
        for text in ["", "{", "{\"key\":", "{\"key\":\"li"] {
            std::fs::write(&path, text)?;
            open()?.push(b"{\"key\":1}")?;
            assert_eq!(std::fs::read_to_string(&path)?, "{\"key\":1}\n");
        }
        Ok(())
    }

    #[test]
    fn the_longest_line_is_read_back_and_a_longer_one_is_refused() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("lines");
        let longest = vec![b'a'; AppendLines::MAX_LINE];
        let (mut lines, _) = read(&path)?;
        lines.push(&longest)?;
        let longer = [longest.as_slice(), b"a"].concat();
        let refused = lines.push(&longer).expect_err("it is too long");
        assert!(refused.source.to_string().contains("expected at most"), "{}", refused.source);
        lines.push(b"last")?;
        drop(lines);
        let (_, found) = read(&path)?;
        assert_eq!((found.len(), found[0].len(), &*found[1]), (2, longest.len(), "last"));

        for text in [[b"one\n".as_slice(), &longer].concat(), [b"one\n".as_slice(), &longer, b"\ntwo\n"].concat()] {
            std::fs::write(&path, &text)?;
            let refused = read(&path).expect_err("line 2 is too long");
            assert!(matches!(refused, OpenLinesError::TooLong { number: 2, .. }), "{refused}");
            assert!(refused.to_string().contains("restore the file from a copy"), "{refused}");
            assert!(std::fs::read(&path)? == text, "it is left as it was");
        }
        Ok(())
    }

    #[test]
    fn a_huge_file_without_a_line_end_is_refused_without_being_read() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("log.jsonl");
        // Sparse: it takes no room on the disk.
        std::fs::File::create(&path)?.set_len(3 << 30)?;
        let begun = std::time::Instant::now();
        let refused = read(&path).expect_err("it has no lines");
        assert!(matches!(refused, OpenLinesError::TooLong { number: 1, .. }), "{refused}");
        assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
        assert_eq!(std::fs::metadata(&path)?.len(), 3 << 30);
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_refused() {
        let refused = read(Path::new("/dev/zero")).expect_err("it never ends");
        assert_eq!(refused.source().expect("a cause").to_string(), "it is not a regular file");
    }
}
