//! Preprocessing of each data set, as far as the paper describes it.
//!
//! The paper refers to a supplement that is not available. So each value has its provenance: [`Provenance::Stated`] in the paper's text, or
//! [`Provenance::Derived`], our own choice with its reason.

use serde::Serialize;

use super::KnownSet;
use crate::Window;

/// The provenance of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Provenance {
    /// Stated in the text of the paper.
    Stated,
    /// Our choice, because the paper does not say. Never present it as the paper's.
    Derived,
}

/// A value with its provenance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// The provenance of the value.
    pub provenance: Provenance,
    /// The place in the paper, or what the value was derived from.
    pub source: &'static str,
}

/// The unit of the split into an annotated and a tested part. Slices that do not show the structure belong to neither part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SplitUnit {
    /// The slices of each volume: some are annotated, the others tested.
    SlicesOfEachCase,
    /// The images of the whole set: some are annotated, the others tested.
    Images,
}

/// The default preprocessing of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Preprocessing {
    /// The intensity window.
    pub window: Sourced<Window>,
    /// The structures, in the syntax of [`LabelTable::parse_structures`](crate::LabelTable::parse_structures). A tumour is part of its
    /// organ.
    pub structures: Sourced<&'static str>,
    /// The unit of the split into annotated and tested.
    #[serde(rename = "division")]
    pub split_unit: Sourced<SplitUnit>,
    /// A slice counts as showing a structure only if it has at least this many pixels of it.
    pub min_object_pixels: Sourced<usize>,
}

const fn stated<T>(value: T, source: &'static str) -> Sourced<T> {
    Sourced { value, provenance: Provenance::Stated, source }
}

const fn derived<T>(value: T, source: &'static str) -> Sourced<T> {
    Sourced { value, provenance: Provenance::Derived, source }
}

impl KnownSet {
    /// The preprocessing of the set: the paper's where it is stated, else ours.
    pub const fn preprocessing(self) -> Preprocessing {
        let window = match self {
            Self::Kits19 | Self::Lits | Self::Btcv => {
                derived(Window::Abdomen, "the usual soft tissue window, W400 L40")
            }
            Self::CtOrg => derived(Window::Lung, "the usual lung window, W1500 L-600; the paper takes the lungs alone"),
            Self::Ct2usKidney => derived(Window::BYTE, "ultrasound has no absolute scale, and is stored in 8 bits"),
            Self::Lizard => derived(Window::BYTE, "SAM was trained on colour images as they are"),
            Self::ProstatexGland | Self::ProstatexPeripheral | Self::Scgm | Self::ScgmRater(_) => derived(
                Window::PERCENTILE,
                "MR has no absolute scale; MedSAM takes these percentiles of voxels that are not 0",
            ),
            Self::Msd => {
                derived(Window::Auto, "a task is CT or MR; of the spleen, the paper's, this is the soft tissue window")
            }
        };
        let structures = match self {
            Self::Kits19 => stated("kidney=1+2", "Table 1: kidney + tumour"),
            Self::Ct2usKidney => stated("all", "Table 1: kidney"),
            Self::Lits => stated("liver=1+2", "Table 1: liver + tumour"),
            Self::CtOrg => stated("lungs", "Table 1: lung"),
            Self::ProstatexGland => stated("all", "Table 1: gland"),
            Self::ProstatexPeripheral => stated("all", "Table 1: PZ"),
            Self::Msd => derived("all", "Table 1 takes the spleen; another task has other structures"),
            Self::Lizard => stated("all", "Table 1: nuclei, of all classes"),
            Self::Scgm | Self::ScgmRater(_) => {
                stated("spinal cord=1+2", "Table 1: spinal cord; its parts are the grey and the white matter")
            }
            Self::Btcv => stated("all", "Table 1: 13 abdominal organs; Table 2 has the adrenal glands as one"),
        };
        let split_unit = match self {
            Self::Ct2usKidney | Self::Lizard => {
                stated(SplitUnit::Images, "section 4: some images to train on, others to test")
            }
            _ => stated(
                SplitUnit::SlicesOfEachCase,
                "section 4: each case by itself, a few slices against the remaining ones",
            ),
        };
        let min_object_pixels = derived(
            10,
            "ten points, the most that Table 2 draws, need as many pixels; MedSAM leaves out objects below 100",
        );
        Preprocessing { window, structures, split_unit, min_object_pixels }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::known::ALL, *};

    #[test]
    fn every_value_says_where_it_comes_from() {
        for set in ALL {
            let Preprocessing { window, structures, split_unit, min_object_pixels } = set.preprocessing();
            assert!(
                [window.source, structures.source, split_unit.source, min_object_pixels.source]
                    .iter()
                    .all(|source| !source.is_empty())
            );
            assert_eq!(window.provenance, Provenance::Derived, "the paper's supplement on windows cannot be had");
            // Every structure must be in the set's table. A Decathlon task has its own table.
            let table: crate::LabelTable = set.labels().iter().map(|&(value, name)| (value, name.to_owned())).collect();
            let parsed = table.parse_structures(structures.value).expect("structures of the set");
            assert_eq!(parsed.is_empty(), set == KnownSet::Msd);
            assert_eq!(structures.provenance == Provenance::Stated, structures.source.starts_with("Table 1:"), "{set}");
        }
        let json = serde_json::to_value(KnownSet::CtOrg.preprocessing()).expect("plain data");
        assert_eq!((&json["window"]["value"], &json["window"]["provenance"]), (&"lung".into(), &"derived".into()));
    }
}
