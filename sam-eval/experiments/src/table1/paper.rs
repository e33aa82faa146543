//! The lines of the paper's Table 1 (arXiv 2307.05617), with the readers of each data set and the phantom that replaces it.

use sam_data::{KnownSet, PhantomKind};
use serde::Serialize;

/// A line of the paper's Table 1.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PaperSet {
    /// The paper's name for the task.
    pub task: &'static str,
    /// The data set.
    pub source: &'static str,
    /// The imaging modality.
    pub modality: &'static str,
    /// The segmented structure.
    pub target: &'static str,
    /// Number of cases in the paper.
    pub cases: usize,
    /// The known data sets that read it.
    #[serde(skip)]
    readers: &'static [KnownSet],
    /// The kind of phantom that replaces it.
    #[serde(skip)]
    phantom: Option<PhantomKind>,
}

/// A line of the table: the paper's values, then the readers of the data set and the phantom that replaces it.
const fn paper(
    [task, source, modality, target]: [&'static str; 4],
    cases: usize,
    readers: &'static [KnownSet],
    phantom: Option<PhantomKind>,
) -> PaperSet {
    PaperSet { task, source, modality, target, cases, readers, phantom }
}

use KnownSet::{
    Btcv, Ct2usKidney, CtOrg, Kits19, Lits, Lizard, Msd, ProstatexGland, ProstatexPeripheral, Scgm, ScgmRater,
};
use PhantomKind::{Abdomen, KidneyUltrasound, Nuclei, SpinalCord};

/// The masks of all raters together, or of one of them.
const SCGM: [KnownSet; 5] = [Scgm, ScgmRater(1), ScgmRater(2), ScgmRater(3), ScgmRater(4)];

/// Table 1 of arXiv 2307.05617.
pub const PAPER: [PaperSet; 9] = [
    paper(["Kidney-CT", "KiTS", "CT", "kidney + tumour"], 210, &[Kits19], Some(Abdomen)),
    paper(["Kidney-US", "CT2US", "ultrasound", "kidney"], 4586, &[Ct2usKidney], Some(KidneyUltrasound)),
    paper(["Liver-CT", "LiTS", "CT", "liver + tumour"], 131, &[Lits], Some(Abdomen)),
    paper(["Lung-CT", "CT-ORG", "CT", "lung"], 139, &[CtOrg], None),
    paper(["Prostate-MRI", "PROSTATEx", "MRI", "gland; PZ"], 346, &[ProstatexGland, ProstatexPeripheral], None),
    paper(["Spleen-CT", "MSD", "CT", "spleen"], 41, &[Msd], Some(Abdomen)),
    paper(["Nuclear-Hist", "Lizard", "histopathology", "nuclei"], 238, &[Lizard], Some(Nuclei)),
    paper(["Spine-MRI", "SCGM challenge", "MRI", "spinal cord"], 40, &SCGM, Some(SpinalCord)),
    paper(["MultiOrgan-CT", "BTCV", "CT", "13 abdominal organs"], 30, &[Btcv], Some(Abdomen)),
];

impl PaperSet {
    /// The structures of the phantom that are most similar to the target.
    const fn structures_of_phantom(&self) -> &'static str {
        match self.readers {
            [Kits19] => "kidneys=right kidney+left kidney+kidney tumour",
            [Lits] => "liver=liver+liver lesion",
            [Msd] => "spleen",
            [Scgm, ..] => "spinal cord=1+2",
            [Btcv] => "spleen,right kidney,left kidney,liver=liver+liver lesion,stomach,aorta",
            _ => "all",
        }
    }

    /// The phantom that replaces the data set, and its structures; `None` if no phantom is similar.
    pub fn phantom(&self) -> Option<(PhantomKind, &'static str)> {
        self.phantom.map(|kind| (kind, self.structures_of_phantom()))
    }

    /// The known data sets that read it.
    pub const fn readers(&self) -> &'static [KnownSet] {
        self.readers
    }

    /// The line of a known data set.
    pub fn of(set: KnownSet) -> Option<&'static Self> {
        PAPER.iter().find(|line| line.readers.contains(&set))
    }
}
