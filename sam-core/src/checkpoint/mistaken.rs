//! Files that are given as weights by mistake, recognised by their first bytes.

use std::{fs::File, io::Read, path::Path};

use thiserror::Error;

/// What a file really is that was given as weights or as a prompt card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotWeights {
    /// It has no content.
    #[error("it is empty: the download or the copy failed; get the file again")]
    Empty,
    /// The text that Git stores in place of a large file.
    #[error(
        "it is a Git LFS pointer, a short text in place of the file: run `git lfs pull` in its repository, or download the file itself"
    )]
    LfsPointer,
    /// A web page, or another text in HTML or XML.
    #[error(
        "it is a web page (HTML or XML): the address leads to a page about the file, or to an error; open it in a browser, and download \
         the file itself"
    )]
    WebPage,
    /// A text in JSON, such as the error message of a server.
    #[error("it is a text in JSON, perhaps the error message of a server: read it, and download the file itself again")]
    Json,
    /// A file compressed by gzip.
    #[error("it is compressed with gzip: unpack it first, for example with `gzip -d`")]
    Gzip,
}

impl NotWeights {
    /// Number of bytes from the start of a file that [`NotWeights::recognise`] needs.
    pub const BYTES: usize = 256;

    /// Recognises a file by its first bytes; `None` if it may hold weights. `start` has fewer than [`NotWeights::BYTES`] bytes only if the
    /// file has no more.
    pub fn recognise(start: &[u8]) -> Option<Self> {
        if start.is_empty() {
            return Some(Self::Empty);
        }
        if start.starts_with(&[0x1f, 0x8b]) {
            return Some(Self::Gzip);
        }
        let text = start.strip_prefix("\u{feff}".as_bytes()).unwrap_or(start).trim_ascii_start();
        // The length of a safetensors header has zeros in these bytes, and a pickle begins with a control character.
        if text.len() < 8 || text[..8].iter().any(|&byte| byte.is_ascii_control() && !byte.is_ascii_whitespace()) {
            return None;
        }
        match text {
            // The second one is the former name.
            _ if text.starts_with(b"version https://git-lfs.") || text.starts_with(b"version https://hawser.") => {
                Some(Self::LfsPointer)
            }
            [b'<', b'!' | b'?' | b'a'..=b'z' | b'A'..=b'Z', ..] => Some(Self::WebPage),
            [b'{' | b'[', ..] => Some(Self::Json),
            _ => None,
        }
    }

    /// Recognises a file.
    pub(super) fn of_file(path: &Path) -> std::io::Result<Option<Self>> {
        let mut start = Vec::new();
        File::open(path)?.take(Self::BYTES as u64).read_to_end(&mut start)?;
        Ok(Self::recognise(&start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_often_given_by_mistake_is_recognised() {
        let pointer =
            "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22e\nsize 39\n";
        for (start, expected) in [
            ("", NotWeights::Empty),
            (pointer, NotWeights::LfsPointer),
            ("<!DOCTYPE html>\n<html lang=\"en\">", NotWeights::WebPage),
            ("\u{feff}\r\n  <html><head><title>Sign in", NotWeights::WebPage),
            ("<HTML>404: not found</HTML>", NotWeights::WebPage),
            ("<?xml version=\"1.0\"?><Error><Code>AccessDenied", NotWeights::WebPage),
            ("{\"error\": \"Invalid username or password.\"}", NotWeights::Json),
        ] {
            assert_eq!(NotWeights::recognise(start.as_bytes()), Some(expected), "{start}");
        }
        assert_eq!(NotWeights::recognise(&[0x1f, 0x8b, 8, 0]), Some(NotWeights::Gzip));
    }

    #[test]
    fn no_sound_file_is_mistaken() {
        // A safetensors header of any length: its bytes may be those of a `<` and a letter, of a brace, or of spaces.
        for length in [0x3c_u64, 0x613c, 0x0061_613c, 0x7b, 0x2020, 0x007b_7b7b, 100_000_000] {
            let start = [length.to_le_bytes().as_slice(), b"{\"__metadata__\":{\"format\":\"pt\"},"].concat();
            assert_eq!(NotWeights::recognise(&start), None, "{length:#x}");
        }
        for start in [b"PK\x03\x04\0\0\x08\x08\0\0".as_slice(), b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."] {
            assert_eq!(NotWeights::recognise(start), None);
        }
    }
}
