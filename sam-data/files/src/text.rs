//! Reading of texts that people and other programs have written: JSON, CSV.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use crate::{ReadError, bounded::read_at_most};

/// Largest size of a text file in bytes. A table of names or a list of prompts is far smaller.
pub const MAX_TEXT: u64 = 64 << 20;

/// The byte order mark that editors of Windows put before UTF-8.
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
/// The byte order marks of UTF-16.
const UTF16_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// Reads a text file in UTF-8, with or without a byte order mark. The mark is not part of the text.
///
/// # Errors
/// [`ReadError`] with the file's name: it cannot be read, is larger than [`MAX_TEXT`], or is not UTF-8.
pub fn read_text(path: impl AsRef<Path>) -> Result<String, ReadError> {
    let path = path.as_ref();
    read(path, MAX_TEXT).map_err(|source| ReadError { path: path.to_path_buf(), source })
}

/// The bytes of a UTF-8 text without its byte order mark.
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(UTF8_MARK).unwrap_or(text)
}

fn read(path: &Path, most: u64) -> io::Result<String> {
    let refuse = |reason: String| io::Error::new(ErrorKind::InvalidData, reason);
    let too_long = || format!("it has more than {most} bytes, too many for a text; check that it is the right file");
    let mut bytes = read_at_most(path, most)?.ok_or_else(|| refuse(too_long()))?;
    if UTF16_MARKS.iter().any(|mark| bytes.starts_with(mark)) {
        return Err(refuse("it is text in UTF-16; save it as UTF-8".to_owned()));
    }
    if bytes.starts_with(UTF8_MARK) {
        bytes.drain(..UTF8_MARK.len());
    }
    String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        refuse(format!("byte {place} is not UTF-8 text; save it as UTF-8, or check that it is the right file"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_text() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("labels.json");
        for text in ["", "{}", "a,b\n\u{e4},\u{feff}c\n"] {
            std::fs::write(&path, text)?;
            assert_eq!(read_text(&path)?, text);
            std::fs::write(&path, format!("\u{feff}{text}"))?;
            assert_eq!(read_text(&path)?, text, "with a mark");
            assert_eq!(without_mark(&std::fs::read(&path)?), text.as_bytes());
        }
        Ok(())
    }

    #[test]
    fn what_is_no_text_is_refused_by_name() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("labels.json");
        for (bytes, word) in
            [(&b"{\"1\": \"f\xfcr\"}"[..], "byte 8"), (b"\xff\xfe{\0}\0", "UTF-16"), (b"\xfe\xff\0{", "UTF-16")]
        {
            std::fs::write(&path, bytes)?;
            let refused = read_text(&path).expect_err("no UTF-8");
            assert!(refused.to_string().contains("labels.json"), "{refused}");
            assert!(refused.source.to_string().contains(word), "{}", refused.source);
        }
        std::fs::write(&path, "12345")?;
        assert_eq!(read(&path, 5)?, "12345");
        assert!(read(&path, 4).expect_err("too long").to_string().contains("more than 4 bytes"));
        assert_eq!(read_text(folder.path().join("missing")).expect_err("missing").source.kind(), ErrorKind::NotFound);
        Ok(())
    }
}
