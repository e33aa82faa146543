//! Finds the images of a series among the files of a folder, and says what became of the other files.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    path::{Path, PathBuf},
};

use sam_prompt::{counted, error_chain};

use super::{
    file::{self, Opened, Part, Unreadable},
    frame::Header,
    note::{DicomFolderReport, SkipReason, SkippedFile},
};
use crate::{DataError, DicomError, LayoutError, SeriesSummary};

/// Stands for all series of a folder where a Series Instance UID is expected.
const ALL: &str = "all";

/// The files of a folder by what they are.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// The images of each series, by Series Instance UID: their files and headers.
    images: BTreeMap<String, Vec<(PathBuf, Header)>>,
    /// DICOM files that cannot be read.
    unreadable: Vec<(PathBuf, Unreadable)>,
    /// Files that are not DICOM, and whether they are blank.
    foreign: Vec<(PathBuf, bool)>,
    /// DICOM files without an image.
    without_image: Vec<PathBuf>,
}

/// The images that were chosen, and what was read and skipped.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) images: Vec<(PathBuf, Header)>,
    pub(super) report: DicomFolderReport,
}

impl Files {
    /// Reads the header of another file.
    pub(super) fn add(&mut self, path: PathBuf) {
        let opened = match file::open(&path, Part::Header) {
            Ok(opened) => opened,
            Err(unreadable) => return self.unreadable.push((path, unreadable)),
        };
        let data = match opened {
            Opened::Dicom(data) => data,
            Opened::Foreign { is_blank } => return self.foreign.push((path, is_blank)),
        };
        let series = data.texts.shown(dicom_dictionary_std::tags::SERIES_INSTANCE_UID);
        match Header::of_image(data) {
            Ok(Some(header)) => self.images.entry(header.series.clone()).or_default().push((path, header)),
            Ok(None) => self.without_image.push(path),
            Err(source) => {
                let error = Box::new(DataError::Dicom { path: path.clone(), source });
                let series = (!series.is_empty()).then_some(series);
                self.unreadable.push((path, Unreadable { series, error }));
            }
        }
    }

    /// Chooses the images of the wanted series; of the only series if none is named.
    ///
    /// A file that cannot be read is an error if it is of a chosen series. If its series is unknown, it may be a slice that would be missing:
    /// it is an error, too, unless the user chose a series by name.
    pub(super) fn choose(mut self, path: &Path, wanted: &[String]) -> Result<Chosen, DataError> {
        if path.is_file() {
            // The user named this file, so it is no file of another series.
            if let Some((_, Unreadable { error, .. })) = self.unreadable.pop() {
                return Err(*error);
            }
        }
        let chosen = self.chosen(path, wanted)?;
        let is_named = !wanted.is_empty() && wanted != [ALL];
        let skipped = self.skipped(&chosen, is_named)?;
        let (read, others) = summaries(&self.images).into_iter().partition(|series| chosen.contains(&series.uid));
        let images = chosen.iter().flat_map(|uid| self.images.remove(uid).unwrap_or_default()).collect();
        Ok(Chosen { images, report: DicomFolderReport { read, others, skipped } })
    }

    /// The UIDs of the wanted series.
    fn chosen(&mut self, path: &Path, wanted: &[String]) -> Result<BTreeSet<String>, DataError> {
        let refuse = |source| DataError::Dicom { path: path.to_path_buf(), source };
        if wanted.is_empty() && self.images.len() > 1 {
            return Err(refuse(DicomError::SeveralSeries { available: summaries(&self.images) }));
        }
        let is_all = wanted == [ALL];
        if self.images.is_empty() && (wanted.is_empty() || is_all) {
            return Err(self.nothing(path));
        }
        let chosen: BTreeSet<_> = if wanted.is_empty() || is_all {
            self.images.keys().cloned().collect()
        } else {
            wanted.iter().cloned().collect()
        };
        let is_known = |uid: &String| {
            self.images.contains_key(uid) || self.unreadable.iter().any(|(_, file)| file.series.as_ref() == Some(uid))
        };
        match chosen.iter().find(|&uid| !is_known(uid)) {
            Some(uid) => Err(refuse(DicomError::NoSuchSeries { uid: uid.clone(), available: summaries(&self.images) })),
            None => Ok(chosen),
        }
    }

    /// The error for a folder without an image: the first file that cannot be read, or that there is nothing.
    fn nothing(&mut self, path: &Path) -> DataError {
        if !self.unreadable.is_empty() {
            return *self.unreadable.swap_remove(0).1.error;
        }
        let found = self.foreign.len() + self.without_image.len();
        let files = counted(found, "other file");
        let looked = format!("looked for DICOM images in it and below it, found {files}");
        DataError::Layout { path: path.to_path_buf(), source: LayoutError::NothingFound(looked) }
    }

    /// The files that are skipped; an error for a file that must not be.
    fn skipped(&mut self, chosen: &BTreeSet<String>, is_named: bool) -> Result<Vec<SkippedFile>, DataError> {
        let images = self.images.iter().filter(|(uid, _)| chosen.contains(*uid)).flat_map(|(_, images)| images);
        let endings: BTreeSet<_> = images.map(|(path, _)| ending(path)).collect();
        let mut skipped = Vec::new();
        for (path, is_blank) in std::mem::take(&mut self.foreign) {
            // An empty file, or one of zeros, that is named like the images is a slice whose copy failed.
            let own = ending(&path);
            let is_slice = endings.contains(&own) && (is_blank || own.is_some());
            if is_slice {
                let source = DicomError::NotDicom { is_blank };
                let error = Box::new(DataError::Dicom { path: path.clone(), source });
                self.unreadable.push((path, Unreadable { series: None, error }));
            } else {
                skipped.push(SkippedFile { path, reason: SkipReason::NotDicom });
            }
        }
        for (path, Unreadable { series, error }) in std::mem::take(&mut self.unreadable) {
            match &series {
                Some(uid) if chosen.contains(uid) => return Err(*error),
                None if !is_named => {
                    return Err(DataError::Dicom { path, source: DicomError::UnknownSeries(error) });
                }
                _ => {
                    let reason = SkipReason::Unreadable { series, error: error_chain(&*error) };
                    skipped.push(SkippedFile { path, reason });
                }
            }
        }
        let without_image = std::mem::take(&mut self.without_image);
        skipped.extend(without_image.into_iter().map(|path| SkippedFile { path, reason: SkipReason::NoImage }));
        skipped.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(skipped)
    }
}

/// The ending of a file's name in lower case.
fn ending(path: &Path) -> Option<std::ffi::OsString> {
    path.extension().map(OsStr::to_ascii_lowercase)
}

fn summaries(images: &BTreeMap<String, Vec<(PathBuf, Header)>>) -> Vec<SeriesSummary> {
    let summary = |(uid, images): (&String, &Vec<(PathBuf, Header)>)| {
        let Header { modality, description, .. } = &images[0].1;
        let (modality, description) = (modality.clone(), description.clone());
        SeriesSummary { uid: uid.clone(), modality, description, files: images.len() }
    };
    images.iter().map(summary).collect()
}
