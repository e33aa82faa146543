//! Reads the values of DICOM elements.
//!
//! A value has three outcomes: absent (`None`, and the caller has a documented default), read, or an error that names the element and its
//! text. [`Attributes`] is the only way to a value, so a value that is present but cannot be read never becomes a default. An element of
//! length 0 or of padding alone is absent: DICOM stores an unknown value so (PS3.5, 7.4.3).

use std::borrow::Cow;

use dicom_core::{
    DicomValue, PrimitiveValue, Tag, VR,
    dictionary::{DataDictionary, DataDictionaryEntry},
};
use dicom_dictionary_std::StandardDataDictionary;
use dicom_object::{InMemDicomObject, mem::InMemElement};

use crate::DicomError;

/// The most characters of a value that an error shows.
const SHOWN: usize = 64;
/// Whole numbers up to here are exact in `f64`.
const MOST_WHOLE: f64 = 9_007_199_254_740_992.0;

/// The attributes of a data set or of an item of a sequence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes<'a>(&'a InMemDicomObject);

/// A decimal number with the precision of its text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Decimal {
    pub(super) value: f64,
    /// The value of one in the last digit that is stored, such as 0.01 for "2.50"; 0 for a binary number.
    pub(super) unit: f64,
}

impl<'a> Attributes<'a> {
    pub(super) fn new(object: &'a InMemDicomObject) -> Self {
        Self(object)
    }

    /// Whether there is such an element, with or without a value.
    pub(super) fn has(self, tag: Tag) -> bool {
        self.0.get(tag).is_some()
    }

    /// A text without padding.
    pub(super) fn text(self, tag: Tag) -> Result<Option<String>, DicomError> {
        const EXPECTED: &str = "a text";
        let Some(element) = self.0.get(tag) else { return Ok(None) };
        let text = stored_text(element).ok_or_else(|| unreadable(element, EXPECTED))?;
        let text = trimmed(&text);
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    /// Decimal numbers. A text may have a decimal comma, as some writers have it: a backslash separates numbers, so a comma is no separator.
    pub(super) fn decimals(self, tag: Tag) -> Result<Option<Vec<Decimal>>, DicomError> {
        const EXPECTED: &str = "finite decimal numbers";
        let Some(element) = self.0.get(tag) else { return Ok(None) };
        let refuse = || unreadable(element, EXPECTED);
        let numbers: Option<Vec<_>> = if let Some(text) = stored_text(element) {
            let text = trimmed(&text);
            if text.is_empty() {
                return Ok(None);
            }
            text.split('\\').map(Decimal::parse).collect()
        } else {
            let numbers = element.value().to_multi_float64().map_err(|_| refuse())?;
            let binary = |value: f64| value.is_finite().then_some(Decimal { value, unit: 0.0 });
            numbers.into_iter().map(binary).collect()
        };
        numbers.map(Some).ok_or_else(refuse)
    }

    /// One decimal number.
    pub(super) fn decimal(self, tag: Tag) -> Result<Option<f64>, DicomError> {
        match self.decimals(tag)?.as_deref() {
            None => Ok(None),
            Some([one]) => Ok(Some(one.value)),
            Some(_) => Err(self.wrong(tag, "one number")),
        }
    }

    /// Exactly `N` decimal numbers.
    pub(super) fn exactly<const N: usize>(self, tag: Tag) -> Result<Option<[Decimal; N]>, DicomError> {
        const EXPECTED: [&str; 7] = ["", "1 number", "2 numbers", "3 numbers", "4 numbers", "5 numbers", "6 numbers"];
        let numbers = self.decimals(tag)?.map(TryInto::try_into);
        numbers.transpose().map_err(|_| self.wrong(tag, EXPECTED[N]))
    }

    /// One whole number.
    pub(super) fn whole(self, tag: Tag) -> Result<Option<i64>, DicomError> {
        match self.decimal(tag)? {
            None => Ok(None),
            Some(number) if number.fract() == 0.0 && number.abs() <= MOST_WHOLE => Ok(Some(number as i64)),
            Some(_) => Err(self.wrong(tag, "a whole number")),
        }
    }

    /// One whole number from 0 on.
    pub(super) fn count(self, tag: Tag) -> Result<Option<usize>, DicomError> {
        let number = self.whole(tag)?.map(usize::try_from);
        number.transpose().map_err(|_| self.wrong(tag, "a whole number from 0 on"))
    }

    /// The items of a sequence; empty if it is absent.
    pub(super) fn items(self, tag: Tag) -> Result<Vec<Self>, DicomError> {
        let Some(element) = self.0.get(tag) else { return Ok(Vec::new()) };
        match (element.items(), element.value()) {
            (Some(items), _) => Ok(items.iter().map(Self).collect()),
            (None, DicomValue::Primitive(PrimitiveValue::Empty)) => Ok(Vec::new()),
            (None, _) => Err(unreadable(element, "a sequence")),
        }
    }

    /// The error for a value that can be read but means nothing here.
    pub(super) fn wrong(self, tag: Tag, expected: &'static str) -> DicomError {
        match self.0.get(tag) {
            Some(element) => unreadable(element, expected),
            None => DicomError::Unreadable { element: name(tag), found: String::new(), expected },
        }
    }
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let text = trimmed(text);
        let text = match (text.matches(',').count(), text.contains('.')) {
            (1, false) => Cow::Owned(text.replace(',', ".")),
            _ => Cow::Borrowed(text),
        };
        let value = text.parse().ok().filter(|value: &f64| value.is_finite())?;
        let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().ok()?;
        let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        Some(Self { value, unit: 10_f64.powi(exponent.saturating_sub(decimals as i32)) })
    }
}

/// The error for an element whose value cannot be read.
fn unreadable(element: &InMemElement, expected: &'static str) -> DicomError {
    let text = match element.value() {
        DicomValue::Primitive(value) => value.to_str().into_owned(),
        DicomValue::Sequence(_) => "a sequence".to_owned(),
        DicomValue::PixelSequence(_) => "compressed pixels".to_owned(),
    };
    let found = trimmed(&text).chars().take(SHOWN).collect();
    DicomError::Unreadable { element: name(element.header().tag), found, expected }
}

/// The name and the tag of an element, such as `RescaleSlope (0028,1053)`.
pub(super) fn name(tag: Tag) -> String {
    StandardDataDictionary.by_tag(tag).map_or_else(|| tag.to_string(), |entry| format!("{} {tag}", entry.alias()))
}

/// The text of an element; `None` for numbers and sequences. Texts of an unknown type are read as ASCII.
fn stored_text(element: &InMemElement) -> Option<Cow<'_, str>> {
    let DicomValue::Primitive(value) = element.value() else { return None };
    match value {
        PrimitiveValue::Empty => Some(Cow::Borrowed("")),
        PrimitiveValue::Str(text) => Some(Cow::Borrowed(text)),
        PrimitiveValue::Strs(texts) => Some(Cow::Owned(texts.join("\\"))),
        PrimitiveValue::U8(bytes) if element.header().vr == VR::UN => Some(String::from_utf8_lossy(bytes)),
        _ => None,
    }
}

fn trimmed(text: &str) -> &str {
    text.trim_matches(|letter: char| letter.is_whitespace() || letter == '\0')
}

#[cfg(test)]
mod tests {
    use dicom_core::{DataElement, value::DataSetSequence};
    use dicom_dictionary_std::tags;
    use proptest::prelude::*;

    use super::*;

    fn of(value: impl Into<PrimitiveValue>, vr: VR) -> InMemDicomObject {
        InMemDicomObject::from_element_iter([DataElement::new(tags::RESCALE_INTERCEPT, vr, value.into())])
    }

    #[test]
    fn a_number_is_absent_read_or_an_error() {
        let read = |text: &str| Attributes::new(&of(text, VR::DS)).decimal(tags::RESCALE_INTERCEPT);
        for (text, number) in
            [("-1024", -1024.0), (" -1024,0\0", -1024.0), ("+0,5", 0.5), ("1e3", 1000.0), ("2.5E-1 ", 0.25)]
        {
            assert_eq!(read(text).expect("a number"), Some(number), "{text}");
        }
        for text in ["", "  ", "\0"] {
            assert_eq!(read(text).expect("absent"), None);
        }
        for text in ["abc", "1,024.0", "1,024,0", "1\\2", "nan", "inf", "1\\", "1e", "1..0"] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains("RescaleIntercept (0028,1052)") && error.contains(text), "{error}");
        }
        let nothing = InMemDicomObject::new_empty();
        assert_eq!(Attributes::new(&nothing).decimal(tags::RESCALE_INTERCEPT).expect("absent"), None);
    }

    #[test]
    fn other_types_are_read_or_refused_but_never_absent() {
        let tag = tags::RESCALE_INTERCEPT;
        assert_eq!(Attributes::new(&of(7_u16, VR::US)).whole(tag).expect("a number"), Some(7));
        let unknown = of(PrimitiveValue::U8(b"-3,5".as_slice().into()), VR::UN);
        assert_eq!(Attributes::new(&unknown).decimal(tag).expect("a number"), Some(-3.5));
        assert!(Attributes::new(&of("2.5", VR::DS)).whole(tag).is_err());
        assert!(Attributes::new(&of("-2", VR::IS)).count(tag).is_err());
        assert!(Attributes::new(&of(f64::NAN, VR::FD)).decimals(tag).is_err());
        assert!(Attributes::new(&of(7_u16, VR::US)).text(tag).is_err());
        assert!(Attributes::new(&of("1\\2", VR::DS)).exactly::<3>(tag).is_err());
        assert!(Attributes::new(&of("1", VR::DS)).items(tag).is_err());
        let sequence = DataElement::new(tag, VR::SQ, DataSetSequence::<InMemDicomObject>::empty());
        let sequence = InMemDicomObject::from_element_iter([sequence]);
        assert!(Attributes::new(&sequence).decimals(tag).is_err() && Attributes::new(&sequence).text(tag).is_err());
        assert!(Attributes::new(&sequence).items(tag).expect("a sequence").is_empty());
    }

    #[test]
    fn the_unit_is_that_of_the_last_digit() {
        for (text, unit) in [("-99.4", 0.1), ("100", 1.0), ("2.50", 0.01), ("1,25", 0.01), ("1.5e2", 10.0)] {
            let found = Decimal::parse(text).expect("a number").unit;
            assert!((found / unit - 1.0).abs() < 1e-9, "{text}: {found}");
        }
    }

    proptest! {
        #[test]
        fn no_text_that_is_present_becomes_a_default(text in "[ -~]{0,16}") {
            let object = of(text.as_str(), VR::DS);
            let outcome = Attributes::new(&object).decimal(tags::RESCALE_INTERCEPT);
            let is_absent = matches!(outcome, Ok(None));
            prop_assert_eq!(is_absent, text.trim().is_empty(), "{:?} of {:?}", outcome, text);
        }
    }
}
