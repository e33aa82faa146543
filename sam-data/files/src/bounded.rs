//! Reading of files that other people wrote: of limited size, because they may be anything.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

/// Reads a regular file of at most `most` bytes. Returns `None` if it has more.
///
/// # Errors
/// If it is not a regular file, or cannot be read.
pub fn read_bounded(path: impl AsRef<Path>, most: u64) -> io::Result<Option<Vec<u8>>> {
    let path = path.as_ref();
    // Checked before opening, because opening a pipe waits for its writer.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    read_at_most(path, most)
}

/// Like [`read_bounded`], for pipes too.
pub(crate) fn read_at_most(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("header.json");
        fs::write(&path, "12345")?;
        assert_eq!(read_bounded(&path, 5)?.as_deref(), Some(&b"12345"[..]));
        assert_eq!(read_bounded(&path, 4)?, None);
        let refused = read_bounded(folder.path(), 5).expect_err("a folder").to_string();
        assert_eq!(refused, "it is not a regular file");
        assert_eq!(
            read_bounded(folder.path().join("missing"), 5).expect_err("missing").kind(),
            io::ErrorKind::NotFound
        );
        Ok(())
    }
}
