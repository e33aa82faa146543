//! Constructors of DICOM elements, by type of value.

use dicom_core::{DataElement, PrimitiveValue, Tag, VR, value::DataSetSequence};
use dicom_dictionary_std::tags;
use dicom_object::{InMemDicomObject, mem::InMemElement};

/// A coded term: value, scheme, meaning.
pub(super) type Code = (&'static str, &'static str, &'static str);

/// The longest decimal string (DS) that DICOM allows.
const MAX_DECIMAL: usize = 16;
/// The longest text of one line that DICOM allows, such as a segment's label.
const MAX_WORDS: usize = 64;

pub(super) fn code(tag: Tag, (value, scheme, meaning): Code) -> InMemElement {
    items(
        tag,
        vec![item([
            words(tags::CODE_VALUE, VR::SH, value),
            words(tags::CODING_SCHEME_DESIGNATOR, VR::SH, scheme),
            words(tags::CODE_MEANING, VR::LO, meaning),
        ])],
    )
}

pub(super) fn item<const N: usize>(elements: [InMemElement; N]) -> InMemDicomObject {
    InMemDicomObject::from_element_iter(elements)
}

pub(super) fn items(tag: Tag, items: Vec<InMemDicomObject>) -> InMemElement {
    DataElement::new(tag, VR::SQ, DataSetSequence::from(items))
}

/// A text cut to the length of one line, without backslashes, because a backslash separates values.
pub(super) fn line(text: &str) -> String {
    text.chars().filter(|&letter| letter != '\\').take(MAX_WORDS).collect()
}

pub(super) fn words(tag: Tag, vr: VR, words: &str) -> InMemElement {
    DataElement::new(tag, vr, PrimitiveValue::from(words))
}

pub(super) fn number(tag: Tag, number: usize) -> InMemElement {
    DataElement::new(tag, VR::US, PrimitiveValue::from(number as u16))
}

pub(super) fn decimals(tag: Tag, numbers: &[f64]) -> InMemElement {
    let texts: Vec<String> = numbers.iter().map(|&number| decimal(number)).collect();
    words(tag, VR::DS, &texts.join("\\"))
}

/// A decimal string with as many digits as fit into 16 characters.
fn decimal(number: f64) -> String {
    let fits = |text: &String| text.len() <= MAX_DECIMAL;
    let plain = (0..=12).rev().map(|digits| format!("{number:.digits$}")).find(fits);
    plain.unwrap_or_else(|| format!("{number:.8e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_fit_into_sixteen_characters() {
        for (number, text) in
            [(0.5, "0.500000000000"), (-57.617_565_642_283, "-57.617565642283"), (-123_456.75, "-123456.75000000")]
        {
            assert_eq!(decimal(number), text);
        }
        assert!(decimal(-1.234_567_891_234e-20).len() <= MAX_DECIMAL && decimal(1e300).len() <= MAX_DECIMAL);
    }
}
