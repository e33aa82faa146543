//! SHA-256 of bytes, of files and of data in pieces, and its text form.

use std::{
    fmt::{self, Write as _},
    fs::File,
    io::{self, Read},
    path::Path,
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::ReadError;

/// Number of bytes that are read at a time.
const CHUNK: usize = 1 << 20;

/// A SHA-256 digest. As text, and in serde's formats, it is 64 hexadecimal digits in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256Id([u8; 32]);

/// The error for a text that is not a SHA-256 digest.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected a SHA-256 of 64 hexadecimal digits in lower case, found {found:?}")]
pub struct ParseSha256Error {
    /// The text.
    pub found: String,
}

impl Sha256Id {
    /// The digest of some bytes.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of a file's content. The file is read in pieces.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn of_file(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        let path = path.as_ref();
        digest_of(path).map_err(|source| ReadError { path: path.to_path_buf(), source })
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Sha256Id {
    fn from(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl fmt::Display for Sha256Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hexadecimal(self.0))
    }
}

impl From<Sha256Id> for String {
    fn from(id: Sha256Id) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for Sha256Id {
    type Error = ParseSha256Error;

    fn try_from(text: String) -> Result<Self, ParseSha256Error> {
        text.parse()
    }
}

impl FromStr for Sha256Id {
    type Err = ParseSha256Error;

    /// Accepts exactly 64 lower-case digits, so that a digest from a file cannot be used as a path to another place.
    fn from_str(text: &str) -> Result<Self, ParseSha256Error> {
        let digit = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let refuse = || ParseSha256Error { found: text.to_owned() };
        let mut digest = [0; 32];
        if text.len() != 2 * digest.len() {
            return Err(refuse());
        }
        for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0]).zip(digit(pair[1])).map(|(high, low)| high << 4 | low).ok_or_else(refuse)?;
        }
        Ok(Self(digest))
    }
}

/// A SHA-256 hasher for data that comes in pieces.
///
/// ```
/// use sam_files::{Sha256Hasher, Sha256Id};
///
/// let mut hasher = Sha256Hasher::new();
/// hasher.update("ab");
/// hasher.update("c");
/// assert_eq!(hasher.finish(), Sha256Id::of("abc"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Sha256Hasher(Sha256);

impl Sha256Hasher {
    /// A hasher that has seen no data.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes. Only the order of the bytes counts, not how they are divided into calls.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes);
    }

    /// Adds the length of a part (8 bytes, little-endian), then the part. So two different lists of parts never add the same bytes.
    pub fn update_part(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.update((part.len() as u64).to_le_bytes());
        self.update(part);
    }

    /// The digest of all bytes that were added.
    pub fn finish(self) -> Sha256Id {
        Sha256Id(self.0.finalize().into())
    }
}

/// SHA-256 of a file's content in hexadecimal.
///
/// # Errors
/// [`ReadError`].
pub fn sha256_of_file(path: impl AsRef<Path>) -> Result<String, ReadError> {
    Sha256Id::of_file(path).map(String::from)
}

/// SHA-256 of some bytes in hexadecimal.
pub fn sha256_hex(bytes: impl AsRef<[u8]>) -> String {
    Sha256Id::of(bytes).into()
}

/// Bytes as hexadecimal digits in lower case.
pub fn hexadecimal(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn digest_of(path: &Path) -> io::Result<Sha256Id> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256Hasher::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of FIPS 180-4.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn bytes_and_files_have_the_published_digest() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc")?;
        assert_eq!(sha256_hex("abc"), ABC);
        assert_eq!(sha256_of_file(&path)?, ABC);
        let missing = sha256_of_file(folder.path().join("missing")).expect_err("it is missing");
        assert!(missing.to_string().contains("missing"), "{missing}");
        Ok(())
    }

    #[test]
    fn parts_are_told_apart_and_pieces_are_not() {
        let digest = |parts: &[&str]| {
            let mut hasher = Sha256Hasher::new();
            for part in parts {
                hasher.update_part(part);
            }
            hasher.finish()
        };
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        assert_eq!(digest(&["abc"]), Sha256Id::of(b"\x03\0\0\0\0\0\0\0abc"));
    }

    #[test]
    fn an_id_is_64_digits_in_lower_case_and_nothing_else() -> Result<(), Box<dyn std::error::Error>> {
        let id = Sha256Id::of("abc");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(serde_json::to_string(&id)?, format!("\"{ABC}\""));
        assert_eq!(serde_json::from_str::<Sha256Id>(&format!("\"{ABC}\""))?, id);
        let wrong =
            ["", "../../etc/passwd", &ABC[1..], &ABC.to_uppercase(), &format!("+a{}", &ABC[2..]), &"\u{e4}".repeat(32)];
        for text in wrong {
            assert_eq!(text.parse::<Sha256Id>(), Err(ParseSha256Error { found: text.to_owned() }));
        }
        Ok(())
    }
}
