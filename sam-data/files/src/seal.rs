//! JSON objects with a checksum as their first field: `{"sha256":"…","number":1}`.
//!
//! The checksum is that of the text without this field. So it can be verified byte by byte before the text is parsed.

use thiserror::Error;

use crate::{ParseSha256Error, Sha256Id};

/// Number of hexadecimal digits of a checksum.
const DIGITS: usize = 64;

/// The error for a text without a checksum, or with a wrong one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// The text is not an object with at least one field.
    #[error("only a JSON object with at least one field can carry a checksum")]
    NotAnObject,
    /// The first field is not the checksum.
    #[error("it does not begin with its checksum, the field \"{field}\"")]
    Missing {
        /// The field that was expected.
        field: String,
    },
    /// The field's value is not a checksum.
    #[error("its field \"{field}\" holds no checksum")]
    Malformed {
        /// The field.
        field: String,
        /// What is wrong with the value.
        #[source]
        source: ParseSha256Error,
    },
    /// The text was changed after the checksum was computed.
    #[error("it was altered or damaged: its checksum says {expected}, its content has {found}")]
    Altered {
        /// The checksum in the text.
        expected: Sha256Id,
        /// The checksum of the content.
        found: Sha256Id,
    },
}

/// Inserts the SHA-256 of a JSON object as its first field. Returns the new text and the checksum.
///
/// ```
/// let (sealed, checksum) = sam_files::seal("sha256", r#"{"number":1}"#)?;
/// assert_eq!(sealed, format!(r#"{{"sha256":"{checksum}","number":1}}"#));
/// assert_eq!(sam_files::unseal_checked("sha256", &sealed)?.0, r#"{"number":1}"#);
/// # Ok::<(), sam_files::SealError>(())
/// ```
///
/// # Errors
/// [`SealError::NotAnObject`].
pub fn seal(field: &str, json: &str) -> Result<(String, Sha256Id), SealError> {
    let checksum = Sha256Id::of(json);
    Ok((seal_with(field, json, checksum)?, checksum))
}

/// Inserts a given checksum as the first field of a JSON object, for checksums that cover more than the JSON text.
///
/// # Errors
/// [`SealError::NotAnObject`].
pub fn seal_with(field: &str, json: &str, checksum: Sha256Id) -> Result<String, SealError> {
    let rest = json.strip_prefix('{').filter(|rest| rest.starts_with('"')).ok_or(SealError::NotAnObject)?;
    Ok(format!("{}{checksum}\",{rest}", prefix(field)))
}

/// Splits a sealed text into the original JSON object and the checksum. The caller verifies the checksum.
///
/// # Errors
/// [`SealError::Missing`] or [`SealError::Malformed`].
pub fn unseal(field: &str, sealed: &str) -> Result<(String, Sha256Id), SealError> {
    let missing = || SealError::Missing { field: field.to_owned() };
    let parts = sealed.strip_prefix(&prefix(field)).and_then(|rest| rest.split_at_checked(DIGITS));
    let (checksum, rest) = parts.ok_or_else(missing)?;
    let rest = rest.strip_prefix("\",").ok_or_else(missing)?;
    let malformed = |source| SealError::Malformed { field: field.to_owned(), source };
    Ok((format!("{{{rest}"), checksum.parse().map_err(malformed)?))
}

/// Splits a text that [`seal`] made and verifies its checksum.
///
/// # Errors
/// As [`unseal`], and [`SealError::Altered`].
pub fn unseal_checked(field: &str, sealed: &str) -> Result<(String, Sha256Id), SealError> {
    let (json, expected) = unseal(field, sealed)?;
    let found = Sha256Id::of(&json);
    if found == expected { Ok((json, found)) } else { Err(SealError::Altered { expected, found }) }
}

fn prefix(field: &str) -> String {
    format!("{{\"{field}\":\"")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A line of a session log as commit 890622d wrote it. Its SHA-256 is that of the text without the first field.
    const LINE: &str = "{\"sha256\":\"e995e2eaa7815e8ccb19fe6e6e4ec0a20b0a999fbc034a29944e156bedfb1f07\",\"number\":1,\"time\":\"2026-01-01T00:00:00Z\"}";

    #[test]
    fn texts_of_earlier_versions_are_read_and_written_to_the_byte() {
        let (json, checksum) = unseal_checked("sha256", LINE).expect("as it was written");
        assert_eq!(json, r#"{"number":1,"time":"2026-01-01T00:00:00Z"}"#);
        assert_eq!(seal("sha256", &json), Ok((LINE.to_owned(), checksum)));
        // The checksum of a prompt card also covers its tensors.
        let card = seal_with("checksum", r#"{"format_version":3}"#, checksum).expect("an object");
        assert_eq!(card, format!(r#"{{"checksum":"{checksum}","format_version":3}}"#));
        assert_eq!(unseal("checksum", &card), Ok((r#"{"format_version":3}"#.to_owned(), checksum)));
    }

    #[test]
    fn what_is_not_sealed_is_refused() {
        for json in ["", "{}", "[]", "1", "{ }"] {
            assert_eq!(seal("sha256", json), Err(SealError::NotAnObject), "{json}");
        }
        for text in ["", "{}", "{\"sha256\":\"\"}", "{\"checksum\":\"", &LINE[..80], &LINE.replace("\",\"n", "\"n")] {
            assert!(unseal_checked("sha256", text).is_err(), "{text}");
        }
        let upper = LINE.replace("e995", "E995");
        assert!(matches!(unseal("sha256", &upper), Err(SealError::Malformed { .. })));
    }

    proptest! {
        #[test]
        fn no_byte_can_be_altered(place in 0..LINE.len(), bit in 0..7_u8) {
            let mut altered = LINE.as_bytes().to_vec();
            altered[place] ^= 1 << bit;
            if let Ok(text) = String::from_utf8(altered) {
                prop_assert!(unseal_checked("sha256", &text).is_err());
            }
        }
    }
}
