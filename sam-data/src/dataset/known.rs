//! The known data sets by name: their layouts and label values.

use std::{fmt, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    Collection,
    layout::{Pattern, cases_of, msd_tables},
};
use crate::{DataError, LabelTable, case::CaseKind, named::named};

/// The data sets of the paper (Table 1).
///
/// Each entry names the source of its layout; "unconfirmed" means that no source confirms it. Command lines and JSON use the same name for
/// a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
pub enum KnownSet {
    /// Kidney and its tumours in CT: `case_00000/imaging.nii.gz` with `segmentation.nii.gz` (README of neheller/kits19). The slices run
    /// along the first array axis, as the affine says.
    Kits19,
    /// Kidney in ultrasound images made from CT: images and masks with the same name in folders `image` and `mask`, or `images` and `masks`
    /// (folder names unconfirmed: the README of SIAT-SongYuxin/CT2USforKidneySeg gives none), as PNG, TIFF or JPEG. Mask values are 0 and
    /// 255.
    Ct2usKidney,
    /// Liver and its lesions in CT: `volume-7.nii` with `segmentation-7.nii`, in any sub-folder (kaiko-ai/eva, docs/datasets/lits17.md).
    /// The affines of scan and mask may differ; only the shapes are compared.
    Lits,
    /// Six organs in CT: `volume-7.nii.gz` with `labels-7.nii.gz` (the set's README). Nearly all scans are also in `LiTS`: never train on
    /// one and test on the other.
    CtOrg,
    /// The prostate in T2 MR, with masks of `rcuocolo/PROSTATEx_masks`: `Images/ProstateX-0005_t2_tse_tra_4.nii.gz` with
    /// `mask_prostate/ProstateX-0005.nii.gz`. Masks from other sources are not read: `ykl-ucla/prostate_zonal_seg` has PNGs that belong to
    /// single DICOM files, the others have NRRD or DICOM.
    ProstatexGland,
    /// The peripheral zone of the prostate, from `mask_pz` (folder name unconfirmed). Otherwise like [`KnownSet::ProstatexGland`].
    ProstatexPeripheral,
    /// Any task of the Medical Segmentation Decathlon: `dataset.json` lists labels, scans and masks.
    Msd,
    /// Nuclei in histology: `Lizard_Images1/NAME.png` with `Labels/NAME.mat`, whose array `inst_map` holds instance numbers, or with PNGs
    /// of that array (the set's README; the array's name is unconfirmed).
    Lizard,
    /// Grey and white matter of the spinal cord in MR: `site1-sc01-image.nii.gz` with the masks of four raters, `-mask-r1.nii.gz` to `-r4`
    /// (medicaltorch/datasets.py). Each voxel gets the label that most raters give it; in a tie, the lowest label.
    Scgm,
    /// The masks of one of these raters, 1 to 4.
    ScgmRater(u8),
    /// 13 organs in CT: `img0001.nii.gz` with `label0001.nii.gz`, in any sub-folder (kaiko-ai/eva, docs/datasets/btcv.md).
    Btcv,
}

/// All sets, with one entry for each SCGM rater.
pub(super) const ALL: [KnownSet; 14] = [
    KnownSet::Kits19,
    KnownSet::Ct2usKidney,
    KnownSet::Lits,
    KnownSet::CtOrg,
    KnownSet::ProstatexGland,
    KnownSet::ProstatexPeripheral,
    KnownSet::Msd,
    KnownSet::Lizard,
    KnownSet::Scgm,
    KnownSet::ScgmRater(1),
    KnownSet::ScgmRater(2),
    KnownSet::ScgmRater(3),
    KnownSet::ScgmRater(4),
    KnownSet::Btcv,
];

/// Writes the name used on command lines, such as `ct-org`.
impl fmt::Display for KnownSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kits19 => f.write_str("kits19"),
            Self::Ct2usKidney => f.write_str("ct2us-kidney"),
            Self::Lits => f.write_str("lits"),
            Self::CtOrg => f.write_str("ct-org"),
            Self::ProstatexGland => f.write_str("prostatex-gland"),
            Self::ProstatexPeripheral => f.write_str("prostatex-peripheral"),
            Self::Msd => f.write_str("msd"),
            Self::Lizard => f.write_str("lizard"),
            Self::Scgm => f.write_str("scgm"),
            Self::ScgmRater(rater) => write!(f, "scgm-rater-{rater}"),
            Self::Btcv => f.write_str("btcv"),
        }
    }
}

named!(
    KnownSet,
    ALL,
    "kits19, ct2us-kidney, lits, ct-org, prostatex-gland, prostatex-peripheral, msd, lizard, scgm, scgm-rater-1 to scgm-rater-4, or btcv"
);

impl KnownSet {
    /// The name as in publications.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kits19 => "KiTS19",
            Self::Ct2usKidney => "CT2US kidney",
            Self::Lits => "LiTS",
            Self::CtOrg => "CT-ORG",
            Self::ProstatexGland => "PROSTATEx gland",
            Self::ProstatexPeripheral => "PROSTATEx peripheral zone",
            Self::Msd => "MSD",
            Self::Lizard => "Lizard",
            Self::Scgm | Self::ScgmRater(_) => "SCGM",
            Self::Btcv => "BTCV",
        }
    }

    /// Label values and names; empty for [`KnownSet::Msd`], because each task has its own.
    pub fn labels(self) -> &'static [(u16, &'static str)] {
        match self {
            Self::Kits19 => &[(1, "kidney"), (2, "kidney tumour")],
            Self::Ct2usKidney => &[(1, "kidney")],
            Self::Lits => &[(1, "liver"), (2, "liver lesion")],
            Self::CtOrg => &[(1, "liver"), (2, "bladder"), (3, "lungs"), (4, "kidneys"), (5, "bone"), (6, "brain")],
            Self::ProstatexGland => &[(1, "prostate")],
            Self::ProstatexPeripheral => &[(1, "peripheral zone")],
            Self::Msd => &[],
            Self::Lizard => &[(1, "nucleus")],
            // Which value stands for which matter is unconfirmed.
            Self::Scgm | Self::ScgmRater(_) => &[(1, "grey matter"), (2, "white matter")],
            Self::Btcv => &[
                (1, "spleen"),
                (2, "right kidney"),
                (3, "left kidney"),
                (4, "gallbladder"),
                (5, "esophagus"),
                (6, "liver"),
                (7, "stomach"),
                (8, "aorta"),
                (9, "inferior vena cava"),
                (10, "portal and splenic veins"),
                (11, "pancreas"),
                (12, "right adrenal gland"),
                (13, "left adrenal gland"),
            ],
        }
    }

    /// Whether two sets share scans, so that training on one and testing on the other is data leakage. CT-ORG contains nearly all scans of
    /// `LiTS`, and some sets are different masks of the same scans. For a Decathlon task this cannot be decided by name; its liver task is
    /// said to be `LiTS` (unconfirmed).
    pub fn shares_scans_with(self, other: Self) -> bool {
        let source = |set| match set {
            Self::Lits | Self::CtOrg => "LiTS",
            Self::ProstatexGland | Self::ProstatexPeripheral => "PROSTATEx",
            set => set.name(),
        };
        source(self) == source(other)
    }

    /// The warning about data leakage if one trains on one set and tests on the other; `None` if they share no scans.
    pub fn leakage(self, other: Self) -> Option<String> {
        (self.name() != other.name() && self.shares_scans_with(other)).then(|| {
            let (one, other) = (self.name(), other.name());
            format!("{one} and {other} share scans: what was learned from one must not be tested on the other")
        })
    }

    /// The other sets that share scans with this one.
    pub fn siblings(self) -> impl Iterator<Item = Self> {
        ALL.into_iter().filter(move |&other| other.name() != self.name() && other.shares_scans_with(self))
    }

    /// Opens a folder as this data set. Reads no image.
    ///
    /// # Errors
    /// [`DataError::Layout`] with what was looked for if no case is found; [`DataError::Word`] for a rater that does not exist.
    pub fn open(self, folder: impl AsRef<Path>) -> Result<Collection, DataError> {
        let folder = folder.as_ref();
        if let Self::ScgmRater(rater) = self
            && !(1..=4).contains(&rater)
        {
            return Err(DataError::Word { expected: "a rater from 1 to 4", found: rater.to_string() });
        }
        let (table, (cases, left_out)) = match self.pattern() {
            Some(pattern) => (self.table(), cases_of(folder, &pattern)?),
            None => msd_tables(folder)?,
        };
        Ok(Collection { name: self.name().to_owned(), known: Some(self), table, cases, left_out })
    }

    fn table(self) -> LabelTable {
        self.labels().iter().map(|&(value, name)| (value, name.to_owned())).collect()
    }

    /// The name pattern of images and masks; `None` if a file lists them.
    fn pattern(self) -> Option<Pattern> {
        let volume = |image, masks| Pattern { image, masks, kind: CaseKind::Volume, compare_affines: true };
        Some(match self {
            Self::Kits19 => volume("KEY/imaging.nii", vec!["KEY/segmentation.nii".to_owned()]),
            Self::Ct2usKidney => Pattern {
                image: "image*/KEY.{png,tif,tiff,jpg,jpeg}",
                masks: vec!["mask*/KEY.{png,tif,tiff,jpg,jpeg}".to_owned()],
                kind: CaseKind::AboveHalf,
                compare_affines: false,
            },
            Self::Lits => {
                Pattern { compare_affines: false, ..volume("volume-KEY.nii", vec!["segmentation-KEY.nii".to_owned()]) }
            }
            Self::CtOrg => volume("volume-KEY.nii", vec!["labels-KEY.nii".to_owned()]),
            Self::ProstatexGland => volume("Images/KEY_t2*.nii", vec!["mask_prostate/KEY.nii".to_owned()]),
            Self::ProstatexPeripheral => volume("Images/KEY_t2*.nii", vec!["mask_pz/KEY.nii".to_owned()]),
            Self::Msd => return None,
            Self::Lizard => Pattern {
                image: "Lizard_Images*/KEY.png",
                masks: vec!["Labels/KEY.{mat,png}".to_owned()],
                kind: CaseKind::Instances,
                compare_affines: false,
            },
            Self::Scgm => volume("KEY-image.nii", (1..=4).map(|rater| format!("KEY-mask-r{rater}.nii")).collect()),
            Self::ScgmRater(rater) => volume("KEY-image.nii", vec![format!("KEY-mask-r{rater}.nii")]),
            Self::Btcv => volume("imgKEY.nii", vec!["labelKEY.nii".to_owned()]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for set in ALL {
            assert_eq!(set.to_string().parse::<KnownSet>().unwrap(), set);
            let json = serde_json::to_string(&set).unwrap();
            assert_eq!(json, format!("\"{set}\""), "one name everywhere");
            assert_eq!(serde_json::from_str::<KnownSet>(&json).unwrap(), set);
        }
        assert!(serde_json::from_str::<KnownSet>("\"scgm-rater-5\"").is_err());
        let error = "kits".parse::<KnownSet>().unwrap_err().to_string();
        assert!(error.contains("ct2us-kidney"), "{error}");
    }
}
