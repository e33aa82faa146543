//! The kinds of phantoms.

use std::{fmt, fs, path::Path};

use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};

use super::{PhantomConfig, body, cord, kidney, nuclei};
use crate::{
    Case, Collection, DataError, LabelTable, LoadedCase, Volume,
    folder::TABLE,
    image::{write_grey, write_mask, write_rgb},
    named::named,
    write_labels, write_volume,
};

/// A kind of phantom. Every program can run with it instead of a data set.
///
/// No phantom was measured on a patient. The seed determines everything. Each kind describes its simplified anatomy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
pub enum PhantomKind {
    /// A CT volume of the upper abdomen: the organs of [`PhantomConfig`], with liver lesions and a kidney tumour.
    Abdomen,
    /// A T2*-weighted MR volume of the neck: grey and white matter of the spinal cord in bright fluid, with uneven coil sensitivity and
    /// Rician noise.
    SpinalCord,
    /// An ultrasound image of a kidney: speckle, a bright capsule and sinus, and a rib shadow.
    KidneyUltrasound,
    /// A stained tissue section: nuclei as numbered instances, some of them touching.
    Nuclei,
}

impl PhantomKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Abdomen, Self::SpinalCord, Self::KidneyUltrasound, Self::Nuclei];

    /// Whether a case is a volume. If not, it is a single image.
    pub const fn is_volume(self) -> bool {
        matches!(self, Self::Abdomen | Self::SpinalCord)
    }

    /// Label values and names.
    pub fn table(self) -> LabelTable {
        match self {
            Self::Abdomen => body::names(true).collect(),
            Self::SpinalCord => [(1, "grey matter".to_owned()), (2, "white matter".to_owned())].into_iter().collect(),
            Self::KidneyUltrasound => [(1, "kidney".to_owned())].into_iter().collect(),
            Self::Nuclei => [(1, "nucleus".to_owned())].into_iter().collect::<LabelTable>().of_instances(),
        }
    }

    /// Generates one case. The same seed gives the same case.
    pub fn generate(self, seed: u64) -> LoadedCase {
        match self {
            Self::Abdomen => {
                let phantom = PhantomConfig::default().with_tumours(true).with_seed(seed).generate();
                LoadedCase::Volume { volume: phantom.volume, labels: phantom.labels }
            }
            Self::SpinalCord => cord::generate(seed),
            Self::KidneyUltrasound => kidney::generate(seed),
            Self::Nuclei => {
                let (image, instances) = nuclei::generate(seed);
                LoadedCase::Image { image, labels: instances.mapv(|instance| instance.min(1)) }
            }
        }
    }

    /// The instance numbers of the case that [`PhantomKind::generate`] makes; `None` if the kind has no instances.
    pub(crate) fn instances(self, seed: u64) -> Option<Array2<u16>> {
        (self == Self::Nuclei).then(|| nuclei::generate(seed).1)
    }

    /// A data set of several phantoms in memory. Each case is generated when it is loaded. The first case has the seed `seed`, the next
    /// `seed + 1`, and so on.
    pub fn dataset(self, cases: usize, seed: u64) -> Collection {
        let seeds = (0..cases as u64).map(|number| seed.wrapping_add(number));
        Collection {
            name: format!("phantom-{self}"),
            known: None,
            table: self.table(),
            cases: seeds.map(|seed| Case::of_phantom(format!("{self}-{seed}"), self, seed)).collect(),
            left_out: Vec::new(),
        }
    }

    /// Writes the data set of [`PhantomKind::dataset`] to a folder that [`Folder::open`](crate::Folder::open) reads: a sub-folder for each
    /// volume, or `images` and `masks`, and `labels.json`.
    ///
    /// # Errors
    /// [`DataError::Write`].
    pub fn write(self, folder: impl AsRef<Path>, cases: usize, seed: u64) -> Result<(), DataError> {
        let folder = folder.as_ref();
        let make = |folder: &Path| {
            fs::create_dir_all(folder).map_err(|source| DataError::Write { path: folder.to_path_buf(), source })
        };
        make(folder)?;
        for case in &self.dataset(cases, seed).cases {
            match case.load()? {
                LoadedCase::Volume { volume, labels } => {
                    let own = folder.join(&case.name);
                    make(&own)?;
                    write_volume(own.join("image.nii.gz"), &Volume { header: None, ..volume.clone() })?;
                    write_labels(own.join("label.nii.gz"), labels.labels.view(), &volume)?;
                }
                LoadedCase::Image { image, labels } => {
                    let [images, masks] = ["images", "masks"].map(|part| folder.join(part));
                    make(&images)?;
                    make(&masks)?;
                    let (file, levels) = (format!("{}.png", case.name), image.mapv(|level| level as u8));
                    match levels.dim().2 {
                        1 => write_grey(images.join(&file), levels.index_axis(Axis(2), 0))?,
                        _ => write_rgb(images.join(&file), levels.view())?,
                    }
                    let labels = case.instances()?.unwrap_or(labels);
                    write_mask(masks.join(&file), labels.view())?;
                }
            }
        }
        self.table().write(folder.join(TABLE))
    }
}

/// Writes the name used on command lines.
impl fmt::Display for PhantomKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Abdomen => "abdomen",
            Self::SpinalCord => "spinal-cord",
            Self::KidneyUltrasound => "kidney-ultrasound",
            Self::Nuclei => "nuclei",
        })
    }
}

named!(PhantomKind, Self::ALL, "abdomen, spinal-cord, kidney-ultrasound or nuclei");
