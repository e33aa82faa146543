//! The data of an experiment: a folder, a known data set, or a phantom.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use sam_data::{Dataset, KnownSet, PhantomKind, Window, open_dataset};
use sam_files::LossyPath;
use serde::{Deserialize, Serialize};

use crate::{ExperimentError, error::Result};

/// Maximum number of left-out files that are named one by one.
const NAMED: usize = 5;
/// Slices with fewer pixels of a structure count as not showing it, unless a known data set has its own limit.
const MIN_OBJECT_PIXELS: usize = 10;
/// Number of cases of a phantom whose cases are single images.
const PHANTOM_IMAGES: usize = 16;

/// A folder of scans with masks, a known data set, or a phantom; with optional structures and intensity window.
///
/// Only the location of the data is serialised; [`CaseSelection`](crate::CaseSelection) resolves and stores structures and window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DataSource {
    data: Option<LossyPath>,
    set: Option<KnownSet>,
    phantom: Option<PhantomKind>,
    #[serde(skip)]
    structures: Option<String>,
    #[serde(skip)]
    window: Option<Window>,
}

impl DataSource {
    /// A folder with case folders or a single volume (image.nii.gz, label.nii.gz, labels.json), or with images/ and masks/.
    ///
    /// With a known data set, the folder holds that set as it was downloaded; structures and window are then those of the set, unless
    /// others are given.
    pub fn folder(folder: impl Into<PathBuf>, set: Option<KnownSet>) -> Self {
        let folder: PathBuf = folder.into();
        Self { data: Some(LossyPath::from(folder)), set, ..Self::default() }
    }

    /// Synthetic cases.
    pub fn phantom(kind: PhantomKind) -> Self {
        Self { phantom: Some(kind), ..Self::default() }
    }

    /// This source with other structures: names or label values, merged with `+`, such as "liver,spleen,cord=1+2"; or "all".
    #[must_use]
    pub fn with_structures(self, structures: Option<String>) -> Self {
        Self { structures, ..self }
    }

    /// This source with another intensity window.
    #[must_use]
    pub fn with_window(self, window: Option<Window>) -> Self {
        Self { window, ..self }
    }

    /// The folder of the data; `None` for a phantom.
    pub fn location(&self) -> Option<&Path> {
        self.data.as_deref()
    }

    /// The known set that the folder holds.
    pub fn known_set(&self) -> Option<KnownSet> {
        self.set
    }

    /// Opens the data set; reads no image.
    ///
    /// # Errors
    /// If there is neither a folder nor a phantom, or the folder does not have the expected layout.
    pub fn open(&self) -> Result<Box<dyn Dataset>> {
        if let Some(kind) = self.phantom {
            let cases = if kind.is_volume() { 1 } else { PHANTOM_IMAGES };
            return Ok(Box::new(kind.dataset(cases, 0)));
        }
        let folder = self.data.as_deref().ok_or(ExperimentError::NoData)?;
        Ok(open_dataset(folder, self.set)?)
    }

    /// Notes for the user about the opened data: the files that are left out, and the other sets that share its scans.
    pub fn notes(&self, dataset: &dyn Dataset) -> Vec<String> {
        let mut notes = left_out(dataset);
        if let Some(set) = self.set {
            notes.extend(set.siblings().filter_map(|sibling| set.leakage(sibling)));
        }
        notes
    }

    /// The given structures; otherwise those of the known data set; otherwise all.
    pub fn structures(&self) -> String {
        let of_set = self.set.map(|set| set.preprocessing().structures.value.to_owned());
        self.structures.clone().or(of_set).unwrap_or_else(|| "all".to_owned())
    }

    /// The given window; otherwise that of the known data set; otherwise one that fits the intensities.
    pub fn window(&self) -> Window {
        self.window.or(self.set.map(|set| set.preprocessing().window.value)).unwrap_or_default()
    }

    /// Minimum number of pixels of a structure on a slice that is annotated or tested.
    pub fn min_object_pixels(&self) -> usize {
        self.set.map_or(MIN_OBJECT_PIXELS, |set| set.preprocessing().min_object_pixels.value)
    }

    /// The last part of the folder's path, or the phantom's name. It contains no private path.
    pub(crate) fn short_name(&self) -> String {
        let name = self.data.as_deref().and_then(|folder| folder.file_name());
        name.map_or_else(|| self.to_string(), |name| name.to_string_lossy().into_owned())
    }
}

/// Notes about files of a data set that are not cases; the first few are named.
pub fn left_out(dataset: &dyn Dataset) -> Vec<String> {
    let left_out = dataset.left_out();
    let mut notes: Vec<String> = left_out.iter().take(NAMED).map(|one| format!("left out {one}")).collect();
    if left_out.len() > NAMED {
        notes.push(format!("left out {} more files of {}", left_out.len() - NAMED, dataset.name()));
    }
    notes
}

/// The location of the data.
impl fmt::Display for DataSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.data, self.phantom) {
            (Some(folder), _) => write!(f, "{}", folder.display()),
            (None, Some(kind)) => write!(f, "the phantom {kind}"),
            (None, None) => f.write_str("no data"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_set_brings_structures_and_window_unless_others_are_asked_for() {
        let all_of = |data: DataSource| (data.structures(), data.window().to_string(), data.min_object_pixels());
        let folder = |set: Option<&str>| DataSource::folder("x", set.map(|set| set.parse().expect("a known set")));
        assert_eq!(all_of(folder(None)), ("all".to_owned(), "auto".to_owned(), 10));
        assert_eq!(all_of(folder(Some("ct-org"))), ("lungs".to_owned(), "lung".to_owned(), 10));
        let given = folder(Some("lits")).with_structures(Some("2".to_owned())).with_window("-100:200".parse().ok());
        assert_eq!(all_of(given), ("2".to_owned(), "-100:200".to_owned(), 10));
    }

    #[test]
    fn a_phantom_is_opened_and_written_by_its_name() {
        let phantom = DataSource::phantom("nuclei".parse().expect("a phantom"));
        assert_eq!(phantom.open().expect("a phantom").cases().len(), 16);
        assert_eq!(phantom.to_string(), "the phantom nuclei");
        let written = serde_json::to_value(&phantom).expect("plain data");
        assert_eq!(written, serde_json::json!({ "data": null, "set": null, "phantom": "nuclei" }));
        assert_eq!(serde_json::from_value::<DataSource>(written).expect("what was written"), phantom);
        assert!(DataSource::default().open().is_err());
    }
}
