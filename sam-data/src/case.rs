//! One scan or image with its mask, on disk and in memory.

use std::path::{Path, PathBuf};

use ndarray::{Array2, Array3};

use crate::{
    DataError, ImageError, LabelVolume, NonFinite, PhantomKind, ReadOptions, SliceAxis, Stack, Volume, Window,
    image::read_silhouette, nifti::read_labels_on, note, read_image, read_labels, read_mask, read_volume_with,
};

/// One scan or image with its mask, not read yet.
#[derive(Debug, Clone)]
pub struct Case {
    /// The name of the case.
    pub name: String,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Files(CaseFiles),
    Phantom { kind: PhantomKind, seed: u64 },
}

/// The files of a case.
#[derive(Debug, Clone)]
pub(crate) struct CaseFiles {
    pub(crate) image: PathBuf,
    /// The mask, or the masks of several raters; never empty.
    pub(crate) labels: Vec<PathBuf>,
    pub(crate) kind: CaseKind,
    /// Whether image and mask must have the same grid. If not, the same shape is enough.
    pub(crate) compare_affines: bool,
}

/// The kind of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CaseKind {
    Volume,
    /// A single image whose mask holds label values.
    Classes,
    /// A single image whose mask holds instance numbers.
    Instances,
    /// A single image whose mask is white on the object. Compression and smoothing may leave grey levels between black and white.
    AboveHalf,
}

/// A case in memory.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "one case at a time is in memory, and its voxels lie elsewhere")]
pub enum LoadedCase {
    /// A volume and its label map on the same grid.
    Volume {
        /// Intensities.
        volume: Volume,
        /// Labels.
        labels: LabelVolume,
    },
    /// A single image and its mask.
    Image {
        /// Levels: `[rows, columns, channels]`.
        image: Array3<f32>,
        /// Labels: `[rows, columns]`. In an instance mask, every instance has the label 1.
        labels: Array2<u16>,
    },
}

impl Case {
    pub(crate) fn of_files(name: String, files: CaseFiles) -> Self {
        Self { name, source: Source::Files(files) }
    }

    pub(crate) fn of_phantom(name: String, kind: PhantomKind, seed: u64) -> Self {
        Self { name, source: Source::Phantom { kind, seed } }
    }

    /// Reads the case from its files, or generates it if it is a phantom.
    ///
    /// # Errors
    /// The errors of reading the files; [`DataError::Grid`] if the label map's voxels do not lie on those of the image; [`DataError::Image`] if image and
    /// mask differ in size.
    pub fn load(&self) -> Result<LoadedCase, DataError> {
        match &self.source {
            Source::Files(files) if files.kind == CaseKind::Volume => files.load_volume(),
            Source::Files(files) => files.load_image(),
            Source::Phantom { kind, seed } => Ok(kind.generate(*seed)),
        }
    }

    /// Reads the case as a stack of slices along an axis, seen through a window.
    ///
    /// # Errors
    /// Those of [`Case::load`] and of [`Stack::of_case`].
    pub fn stack(&self, axis: SliceAxis, window: &Window) -> Result<Stack, DataError> {
        Stack::of_case(self.name.clone(), self.load()?, axis, window)
    }

    /// The instance numbers of a single image, `[rows, columns]` with 0 for background; `None` if its mask holds only classes.
    ///
    /// # Errors
    /// The errors of reading the mask.
    pub fn instances(&self) -> Result<Option<Array2<u16>>, DataError> {
        match &self.source {
            Source::Files(files) if files.kind == CaseKind::Instances => read_mask(files.mask()).map(Some),
            Source::Files(_) => Ok(None),
            Source::Phantom { kind, seed } => Ok(kind.instances(*seed)),
        }
    }
}

impl CaseFiles {
    /// The mask of a single image.
    #[expect(clippy::expect_used, reason = "readers leave out images without a mask")]
    fn mask(&self) -> &Path {
        self.labels.first().expect("readers leave out what has no mask")
    }

    fn load_image(&self) -> Result<LoadedCase, DataError> {
        let (path, image) = (self.mask(), read_image(&self.image)?);
        let labels = match self.kind {
            CaseKind::AboveHalf => read_silhouette(path)?.mapv(u16::from),
            CaseKind::Instances => read_mask(path)?.mapv(|instance| instance.min(1)),
            CaseKind::Classes | CaseKind::Volume => read_mask(path)?,
        };
        let (rows, columns, _) = image.dim();
        if labels.dim() != (rows, columns) {
            let source =
                ImageError::MaskSize { image: self.image.clone(), expected: (rows, columns), found: labels.dim() };
            return Err(DataError::Image { path: path.to_path_buf(), source });
        }
        Ok(LoadedCase::Image { image, labels })
    }

    fn load_volume(&self) -> Result<LoadedCase, DataError> {
        let options = ReadOptions::default().with_non_finite(NonFinite::Lowest);
        let volume = read_volume_with(&self.image, &options)?;
        let read = |path: &PathBuf| {
            if self.compare_affines {
                let (labels, notes) = read_labels_on(path, &volume, &self.image)?;
                note::log(&notes);
                return Ok(labels.labels);
            }
            let labels = read_labels(path)?;
            volume.grid.compare_shape(&labels.grid).map_err(|mismatch| DataError::Grid {
                mask: path.clone(),
                image: self.image.clone(),
                mismatch: Box::new(mismatch),
            })?;
            Ok(labels.labels)
        };
        let raters = self.labels.iter().map(read).collect::<Result<Vec<_>, DataError>>()?;
        let labels = LabelVolume { labels: most_frequent(raters), grid: volume.grid.clone() };
        Ok(LoadedCase::Volume { volume, labels })
    }
}

/// Majority vote: the label that most raters give each voxel; in a tie, the lowest one. With one rater, the rater's label.
fn most_frequent(mut raters: Vec<Array3<u16>>) -> Array3<u16> {
    let mut first = raters.remove(0);
    if raters.is_empty() {
        return first;
    }
    let mut votes = Vec::with_capacity(raters.len() + 1);
    for (place, label) in first.indexed_iter_mut() {
        votes.clear();
        votes.extend(raters.iter().map(|rater| rater[place]));
        votes.push(*label);
        votes.sort_unstable();
        let groups = votes.chunk_by(|one, other| one == other);
        // `max_by_key` takes the last of equally long groups, so the order is reversed.
        let winner = groups.rev().max_by_key(|group| group.len());
        *label = winner.map_or(0, |group| group[0]);
    }
    first
}
