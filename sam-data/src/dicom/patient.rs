//! What a mask takes over from the images of its series: patient, study, and the UIDs by which it refers to them.

use std::{collections::BTreeMap, fmt};

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::mem::InMemElement;
use sam_files::Sha256Hasher;

use super::{DicomSeries, element::words, frame::Frame, texts::StoredTexts, value::name};
use crate::SegmentationError;

/// Attributes of patient, study and frame of reference that the mask copies from the series. A missing text stays empty.
pub(super) const SHARED: [(Tag, VR); 12] = [
    (tags::PATIENT_NAME, VR::PN),
    (tags::PATIENT_ID, VR::LO),
    (tags::PATIENT_BIRTH_DATE, VR::DA),
    (tags::PATIENT_SEX, VR::CS),
    (tags::STUDY_INSTANCE_UID, VR::UI),
    (tags::STUDY_DATE, VR::DA),
    (tags::STUDY_TIME, VR::TM),
    (tags::REFERRING_PHYSICIAN_NAME, VR::PN),
    (tags::STUDY_ID, VR::SH),
    (tags::ACCESSION_NUMBER, VR::SH),
    (tags::FRAME_OF_REFERENCE_UID, VR::UI),
    (tags::POSITION_REFERENCE_INDICATOR, VR::LO),
];

/// What the person must know about a DICOM SEG.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SegmentationNote {
    /// The images lack a UID, or have several of it, so the mask has one that was made.
    MadeUid {
        /// Name and tag of the UID.
        uid: String,
        /// Number of different UIDs that the images have.
        found: usize,
    },
    /// The images belong to several studies. The mask belongs to that of the first slice.
    SeveralStudies {
        /// Number of studies.
        found: usize,
    },
    /// Texts of patient and study cannot be decoded, so the mask has their bytes and their character set.
    KeptBytes {
        /// Specific Character Set of the images; empty if they state none.
        character_set: String,
    },
}

impl fmt::Display for SegmentationNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MadeUid { uid, found: 0 } => {
                write!(f, "the images have no {uid}: the DICOM SEG has one that was made for this series")
            }
            Self::MadeUid { uid, found } => {
                write!(
                    f,
                    "the images have {found} different {uid}: the DICOM SEG has one that was made for this series"
                )
            }
            Self::SeveralStudies { found } => {
                write!(f, "the images are of {found} studies: the DICOM SEG belongs to that of the first slice")
            }
            Self::KeptBytes { character_set } => write!(
                f,
                "texts of patient and study are not text of the character set \"{character_set}\": the DICOM SEG has their bytes unchanged"
            ),
        }
    }
}

impl DicomSeries {
    /// What the person must know about a DICOM SEG of this series, before it is written.
    ///
    /// # Errors
    /// [`SegmentationError`] if no DICOM SEG can refer to the images: they state no position, or lack a SOP Instance UID, or share one.
    pub fn segmentation_notes(&self) -> Result<Vec<SegmentationNote>, SegmentationError> {
        let references = References::of(&self.slices)?;
        let kept = Texts::of(&self.texts).note();
        Ok(references.notes.into_iter().chain(kept).collect())
    }
}

/// The UIDs by which a mask refers to its images.
pub(super) struct References {
    pub(super) study: String,
    pub(super) frame_of_reference: String,
    /// Stands for the Series Instance UID of images without one.
    made_series: String,
    notes: Vec<SegmentationNote>,
}

impl References {
    pub(super) fn of(slices: &[Frame]) -> Result<Self, SegmentationError> {
        let mut images: BTreeMap<&str, &Frame> = BTreeMap::new();
        for frame in slices {
            if !frame.is_placed {
                return Err(SegmentationError::NoPosition);
            }
            if frame.uids.class.is_empty() || frame.uids.instance.is_empty() {
                return Err(SegmentationError::NoInstance { image: frame.name() });
            }
            let other = images.insert(&frame.uids.instance, frame);
            if let Some(other) = other.filter(|other| other.path != frame.path) {
                let (first, second, uid) = (other.name(), frame.name(), frame.uids.instance.clone());
                return Err(SegmentationError::SameInstance { first, second, uid });
            }
        }
        let made = |what: &str| {
            let mut content = Sha256Hasher::new();
            content.update(what);
            for instance in images.keys() {
                content.update(format!("\n{instance}"));
            }
            made_uid(&content)
        };
        let mut notes = Vec::new();
        let mut note = |tag: Tag, found: usize| notes.push(SegmentationNote::MadeUid { uid: name(tag), found });
        let found = different(slices, |frame| &frame.uids.frame_of_reference);
        let frame_of_reference = if let [one] = *found {
            one.to_owned()
        } else {
            note(tags::FRAME_OF_REFERENCE_UID, found.len());
            made("frame of reference")
        };
        let studies = different(slices, |frame| &frame.uids.study);
        let study = studies.first().map_or_else(
            || {
                note(tags::STUDY_INSTANCE_UID, 0);
                made("study")
            },
            |&first| first.to_owned(),
        );
        if slices.iter().any(|frame| frame.uids.series.is_empty()) {
            note(tags::SERIES_INSTANCE_UID, 0);
        }
        if studies.len() > 1 {
            notes.push(SegmentationNote::SeveralStudies { found: studies.len() });
        }
        Ok(Self { study, frame_of_reference, made_series: made("series"), notes })
    }

    /// The Series Instance UID of a frame.
    pub(super) fn series<'a>(&'a self, frame: &'a Frame) -> &'a str {
        if frame.uids.series.is_empty() { &self.made_series } else { &frame.uids.series }
    }
}

/// The different UIDs of the slices in slice order, without empty ones.
fn different<'a>(slices: &'a [Frame], uid: impl Fn(&'a Frame) -> &'a String) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for uid in slices.iter().map(|frame| uid(frame).as_str()) {
        if !uid.is_empty() && !found.contains(&uid) {
            found.push(uid);
        }
    }
    found
}

/// A UID derived from content. Source: DICOM PS3.5, B.2, UIDs derived from 128 bits.
pub(super) fn made_uid(content: &Sha256Hasher) -> String {
    let digest = content.clone().finish();
    let half = std::array::from_fn(|place| digest.as_bytes()[place]);
    format!("2.25.{}", u128::from_be_bytes(half))
}

/// The texts of patient and study: as Unicode if all can be decoded, else as bytes with their character set.
pub(super) struct Texts<'a> {
    stored: &'a StoredTexts,
    pub(super) is_unicode: bool,
}

impl<'a> Texts<'a> {
    pub(super) fn of(stored: &'a StoredTexts) -> Self {
        let is_unicode = SHARED.iter().all(|(tag, _)| stored.decoded(*tag).is_some());
        Self { stored, is_unicode }
    }

    fn note(&self) -> Option<SegmentationNote> {
        let character_set = || self.stored.bytes(tags::SPECIFIC_CHARACTER_SET);
        let character_set = || String::from_utf8_lossy(character_set()).into_owned();
        (!self.is_unicode).then(|| SegmentationNote::KeptBytes { character_set: character_set() })
    }

    /// Specific Character Set of the mask; `None` if its bytes are those of images that state none.
    pub(super) fn character_set(&self) -> Option<InMemElement> {
        let stored = self.stored.bytes(tags::SPECIFIC_CHARACTER_SET);
        if self.is_unicode {
            return Some(unicode());
        }
        (!stored.is_empty()).then(|| bytes(tags::SPECIFIC_CHARACTER_SET, VR::CS, stored))
    }

    /// The attributes that the mask copies, with the UIDs of `references`.
    pub(super) fn elements(&self, references: &References) -> Vec<InMemElement> {
        let element = |&(tag, vr): &(Tag, VR)| match tag {
            tags::STUDY_INSTANCE_UID => words(tag, vr, &references.study),
            tags::FRAME_OF_REFERENCE_UID => words(tag, vr, &references.frame_of_reference),
            _ => match self.stored.decoded(tag) {
                // Only these types depend on the character set.
                Some(text) if self.is_unicode && matches!(vr, VR::PN | VR::LO | VR::SH) => words(tag, vr, &text),
                _ => bytes(tag, vr, self.stored.bytes(tag)),
            },
        };
        SHARED.iter().map(element).collect()
    }

    /// A text of our own, which need not be a text of the images' character set.
    pub(super) fn own(&self, text: &str) -> String {
        if self.is_unicode {
            return text.to_owned();
        }
        text.chars().map(|letter| if letter.is_ascii() { letter } else { '?' }).collect()
    }
}

/// Specific Character Set of Unicode in UTF-8.
pub(super) fn unicode() -> InMemElement {
    words(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192")
}

/// A text as its bytes, padded to an even length.
fn bytes(tag: Tag, vr: VR, text: &[u8]) -> InMemElement {
    let mut text = text.to_vec();
    text.resize(text.len().next_multiple_of(2), b' ');
    DataElement::new(tag, vr, PrimitiveValue::from(text))
}
