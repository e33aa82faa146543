//! Texts of a file as they are stored, and their decoding.
//!
//! dicom-rs decodes texts by the first character set alone. Names in Japanese, Korean or Chinese usually change the character set within a
//! text, by escape sequences. So the bytes are kept and decoded here, one part after the other. Source: DICOM PS3.5, 6.1.2.5, and PS3.3,
//! C.12.1.1.2.

use std::collections::BTreeMap;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_encoding::text::{SpecificCharacterSet, TextCodec};

use super::patient::SHARED;

const ESCAPE: u8 = 0x1b;
/// What separates texts, the parts of a name and lines.
const DELIMITERS: &[u8] = b"\\^=\r\n\t\x0c";

/// The texts of a file's data set that a mask or a message needs, as bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct StoredTexts(BTreeMap<Tag, Vec<u8>>);

impl StoredTexts {
    /// Whether the text of this element is kept.
    pub(super) fn keeps(tag: Tag) -> bool {
        let own = [tags::SPECIFIC_CHARACTER_SET, tags::SERIES_INSTANCE_UID, tags::SERIES_DESCRIPTION];
        own.contains(&tag) || SHARED.iter().any(|(shared, _)| *shared == tag)
    }

    pub(super) fn insert(&mut self, tag: Tag, text: Vec<u8>) {
        self.0.insert(tag, text);
    }

    /// The bytes of a text without padding; empty if it is absent.
    pub(super) fn bytes(&self, tag: Tag) -> &[u8] {
        let text = self.0.get(&tag).map_or(&[][..], Vec::as_slice);
        let end = text.iter().rposition(|&byte| byte != 0 && byte != b' ').map_or(0, |last| last + 1);
        &text[..end]
    }

    /// A text; `None` if its bytes are not text of the file's character sets, or one of these is unknown.
    pub(super) fn decoded(&self, tag: Tag) -> Option<String> {
        let sets = String::from_utf8_lossy(self.bytes(tags::SPECIFIC_CHARACTER_SET)).into_owned();
        let sets: Vec<_> = sets.split('\\').map(str::trim).collect();
        decode(self.bytes(tag), &sets)
    }

    /// A text for messages: bytes that cannot be decoded become the replacement character.
    pub(super) fn shown(&self, tag: Tag) -> String {
        let text = self.decoded(tag).unwrap_or_else(|| String::from_utf8_lossy(self.bytes(tag)).into_owned());
        text.trim().to_owned()
    }
}

/// Decodes a text by the values of Specific Character Set.
fn decode(text: &[u8], sets: &[&str]) -> Option<String> {
    if text.is_ascii() && !text.contains(&ESCAPE) {
        return String::from_utf8(text.to_vec()).ok();
    }
    let first = sets.first().copied().unwrap_or("");
    // Without code extensions, one character set holds for the whole text; its characters may contain the bytes of delimiters.
    if sets.len() < 2 && !text.contains(&ESCAPE) {
        return decode_part(first, text);
    }
    let mut parts = text.split(|&byte| byte == ESCAPE);
    let mut decoded = decode_part(first, parts.next()?)?;
    let mut high = first;
    for part in parts {
        let (selected, begin) = designated(part)?;
        let set = match selected {
            // The decoder knows these escape sequences itself, and their characters hold no backslash of their own.
            Designated::TwoBytes => {
                let kanji = decode_part("ISO_IR 87", &[&[ESCAPE][..], part].concat())?;
                decoded += &Some(kanji).filter(|kanji| !kanji.contains('\\'))?;
                continue;
            }
            Designated::Ascii => high,
            Designated::High(set) => set,
        };
        // After a delimiter, the first character set holds again.
        let part = &part[begin..];
        let end = part.iter().position(|byte| DELIMITERS.contains(byte)).unwrap_or(part.len());
        decoded += &decode_part(set, &part[..end])?;
        decoded += &decode_part(first, &part[end..])?;
        high = if end < part.len() { first } else { set };
    }
    Some(decoded)
}

/// What an escape sequence selects.
#[derive(Debug, Clone, Copy)]
enum Designated {
    /// ASCII or JIS X 0201 Romaji for bytes below 128.
    Ascii,
    /// A Japanese character set of two bytes below 128 for each character.
    TwoBytes,
    /// A character set for bytes from 128 on.
    High(&'static str),
}

/// The character set that an escape sequence selects, and the length of the sequence without its first byte.
///
/// Source: DICOM PS3.3, tables C.12-3 and C.12-4.
fn designated(part: &[u8]) -> Option<(Designated, usize)> {
    let high = |set, length| Some((Designated::High(set), length));
    match part {
        [b'(', b'B' | b'J', ..] => Some((Designated::Ascii, 2)),
        [b'$', b'B' | b'@', ..] => Some((Designated::TwoBytes, 2)),
        [b'$', b'(', b'D', ..] => Some((Designated::TwoBytes, 3)),
        [b')', b'I', ..] => high("ISO_IR 13", 2),
        [b'$', b')', b'C', ..] => high("ISO_IR 149", 3),
        [b'$', b')', b'A', ..] => high("GBK", 3),
        [b'-', b'A', ..] => high("ISO_IR 100", 2),
        [b'-', b'B', ..] => high("ISO_IR 101", 2),
        [b'-', b'C', ..] => high("ISO_IR 109", 2),
        [b'-', b'D', ..] => high("ISO_IR 110", 2),
        [b'-', b'F', ..] => high("ISO_IR 126", 2),
        [b'-', b'G', ..] => high("ISO_IR 127", 2),
        [b'-', b'H', ..] => high("ISO_IR 138", 2),
        [b'-', b'L', ..] => high("ISO_IR 144", 2),
        [b'-', b'T', ..] => high("ISO_IR 166", 2),
        _ => None,
    }
}

/// Decodes bytes without escape sequences, or those of ISO-2022-JP with them; `None` if they are no text of this character set.
fn decode_part(set: &str, part: &[u8]) -> Option<String> {
    if part.is_ascii() && !part.contains(&ESCAPE) {
        return String::from_utf8(part.to_vec()).ok();
    }
    if set == "ISO_IR 192" {
        return String::from_utf8(part.to_vec()).ok();
    }
    // An absent set is ASCII. Bytes from 128 on have no meaning in it.
    let codec = SpecificCharacterSet::from_code(set).filter(|codec| *codec != SpecificCharacterSet::ISO_IR_6)?;
    let decoded = codec.decode(part).ok()?;
    // The decoder replaces a byte that it does not know by a backslash and three digits.
    let backslashes = |count: usize, is: bool| count + usize::from(is);
    let stored = part.iter().map(|&byte| byte == b'\\').fold(0, backslashes);
    let found = decoded.chars().map(|letter| letter == '\\').fold(0, backslashes);
    (found <= stored).then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_decodes(sets: &str, stored: &[u8], text: &str) {
        let mut texts = StoredTexts::default();
        texts.insert(tags::SPECIFIC_CHARACTER_SET, sets.as_bytes().to_vec());
        texts.insert(tags::PATIENT_NAME, stored.to_vec());
        assert_eq!(texts.decoded(tags::PATIENT_NAME).as_deref(), Some(text), "{sets}");
    }

    /// The examples of DICOM PS3.5, annexes H to K.
    #[test]
    fn the_names_of_the_standard_are_decoded() {
        let romaji = "Yamada^Tarou=\u{5c71}\u{7530}^\u{592a}\u{90ce}=\u{3084}\u{307e}\u{3060}^\u{305f}\u{308d}\u{3046}";
        assert_decodes(
            "\\ISO 2022 IR 87",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            romaji,
        );
        let katakana = "\u{ff94}\u{ff8f}\u{ff80}\u{ff9e}^\u{ff80}\u{ff9b}\u{ff73}=\u{5c71}\u{7530}^\u{592a}\u{90ce}";
        assert_decodes(
            "ISO 2022 IR 13\\ISO 2022 IR 87",
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
            katakana,
        );
        assert_decodes(
            "\\ISO 2022 IR 149",
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
            "Hong^Gildong=\u{6d2a}^\u{5409}\u{6d1e}=\u{d64d}^\u{ae38}\u{b3d9}",
        );
        assert_decodes(
            "\\ISO 2022 IR 58",
            b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
            "Zhang^XiaoDong=\u{5f20}^\u{5c0f}\u{4e1c}=",
        );
        assert_decodes(
            "GB18030",
            b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=",
            "Wang^XiaoDong=\u{738b}^\u{5c0f}\u{4e1c}=",
        );
        assert_decodes(
            "ISO_IR 192",
            "Wang^XiaoDong=\u{738b}^\u{5c0f}\u{6771}=".as_bytes(),
            "Wang^XiaoDong=\u{738b}^\u{5c0f}\u{6771}=",
        );
        assert_decodes("ISO_IR 100", b"Buc^J\xe9r\xf4me ", "Buc^J\u{e9}r\u{f4}me");
        assert_decodes("ISO 2022 IR 100\\ISO 2022 IR 144", b"J\xe9\x1b-L\xbb^J\xe9", "J\u{e9}\u{41b}^J\u{e9}");
    }

    #[test]
    fn what_is_no_text_is_kept_as_bytes() {
        for (sets, stored) in [
            ("", &b"M\xfcller"[..]),
            ("ISO_IR 192", b"M\xfcller"),
            ("ISO_IR 999", b"M\xfcller"),
            ("\\ISO 2022 IR 87", b"\x1b$Z;3ED"),
            ("\\ISO 2022 IR 87", b"\x1b$B;3\xff\xff"),
        ] {
            let mut texts = StoredTexts::default();
            texts.insert(tags::SPECIFIC_CHARACTER_SET, sets.as_bytes().to_vec());
            texts.insert(tags::PATIENT_NAME, stored.to_vec());
            assert_eq!(texts.decoded(tags::PATIENT_NAME), None, "{sets}");
            assert_eq!(texts.bytes(tags::PATIENT_NAME), stored);
        }
    }
}
