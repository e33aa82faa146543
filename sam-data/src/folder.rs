//! A plain folder of scans with masks.
//!
//! Three layouts are understood: a volume in the folder itself (`image.nii.gz`, `label.nii.gz`, `labels.json`), a folder of that kind
//! for each case (which may share one `labels.json` beside them), or single images (`images/NAME.png`, `masks/NAME.png`,
//! `labels.json`).

use std::path::{Path, PathBuf};

use ndarray::{Array2, Array3};

use crate::{
    DataError, Grid, LabelTable, LabelVolume, Volume, files::entries, read_image, read_labels, read_mask, read_volume,
};

/// Image and mask may lie this far apart, in mm.
///
/// Tools round affines when they write them, and a rotation kept as a quaternion of 32 bits can be off by half a thousandth.
const GRID_TOLERANCE_MM: f64 = 0.1;

/// Above this, a level of 8 bits is nearer to white than to black.
const HALF_WHITE: u16 = 127;

/// The file that names the label values.
const TABLE: &str = "labels.json";

/// A folder of cases that share a label table.
#[derive(Debug, Clone)]
pub struct Folder {
    name: String,
    table: LabelTable,
    cases: Vec<Case>,
}

/// One scan or image with its mask, not read yet.
#[derive(Debug, Clone)]
pub struct Case {
    /// The case's own name.
    pub name: String,
    pub(crate) image: PathBuf,
    /// One mask, or those of several raters.
    pub(crate) labels: Vec<PathBuf>,
    pub(crate) kind: CaseKind,
    /// Whether scan and mask must lie at one place, or only have one shape.
    pub(crate) compare_affines: bool,
}

/// What a case consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CaseKind {
    Volume,
    /// A single image whose mask holds label values.
    Classes,
    /// A single image whose mask numbers its instances.
    Instances,
    /// A single image whose mask is white on the object; compression and smoothing leave levels between.
    AboveHalf,
}

/// A case in memory.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "one case at a time is in memory, and its voxels lie elsewhere")]
pub enum LoadedCase {
    /// A volume and its label map, on one grid.
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
        /// Labels: `[rows, columns]`. Instance masks have every instance as 1.
        labels: Array2<u16>,
    },
}

impl Folder {
    /// Looks through a folder; reads the label table but no image.
    ///
    /// # Errors
    /// [`DataError::Layout`] says what was looked for where no layout fits or a mask is missing.
    pub fn open(folder: &Path) -> Result<Self, DataError> {
        let name = folder.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        let name = name.unwrap_or_else(|| folder.display().to_string());
        let layout = |reason: String| DataError::Layout { path: folder.to_path_buf(), reason };
        if !folder.is_dir() {
            return Err(layout("it is no folder".to_owned()));
        }
        if let Some(case) = volume_case(folder, &name)? {
            return Ok(Self { table: table(folder)?, name, cases: vec![case] });
        }
        if folder.join("images").is_dir() {
            let table = table(folder)?;
            let kind = if table.holds_instances() { CaseKind::Instances } else { CaseKind::Classes };
            return Ok(Self { table, cases: image_cases(folder, kind)?, name });
        }
        let mut cases = Vec::new();
        let mut tables: Vec<LabelTable> = Vec::new();
        for sub in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
            let case_name = sub.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if let Some(case) = volume_case(&sub, &case_name)? {
                let own = if sub.join(TABLE).is_file() { &*sub } else { folder };
                tables.push(table(own)?);
                cases.push(case);
            }
        }
        let Some(first) = tables.first().cloned() else {
            return Err(layout(
                "looked for image.nii.gz (or image.nii) in it or in its sub-folders, and for images/*.png with masks/*.png"
                    .to_owned(),
            ));
        };
        if let Some(odd) = tables.iter().position(|table| *table != first) {
            let names = (&cases[0].name, &cases[odd].name);
            return Err(layout(format!(
                "the labels.json of {} and of {} differ; make them equal, or open the case folders one by one",
                names.0, names.1
            )));
        }
        Ok(Self { name, table: first, cases })
    }

    /// The folder's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the label values mean.
    pub fn table(&self) -> &LabelTable {
        &self.table
    }

    /// All cases, by name.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }
}

impl Case {
    /// Reads the case.
    ///
    /// # Errors
    /// What reading meets; [`DataError::Grid`] if image and label map lie apart; [`DataError::Image`] if image and mask differ in
    /// size.
    pub fn load(&self) -> Result<LoadedCase, DataError> {
        if self.kind == CaseKind::Volume {
            return self.load_volume();
        }
        let path = &self.labels[0];
        let (image, labels) = (read_image(&self.image)?, read_mask(path)?);
        let (rows, columns, _) = image.dim();
        if labels.dim() != (rows, columns) {
            let reason = format!(
                "the mask has {:?} rows and columns, {} has {:?}",
                labels.dim(),
                self.image.display(),
                (rows, columns)
            );
            return Err(DataError::Image { path: path.clone(), reason });
        }
        let labels = match self.kind {
            CaseKind::Instances => labels.mapv(|instance| instance.min(1)),
            CaseKind::AboveHalf => labels.mapv(|level| u16::from(level > HALF_WHITE)),
            CaseKind::Classes | CaseKind::Volume => labels,
        };
        Ok(LoadedCase::Image { image, labels })
    }

    fn load_volume(&self) -> Result<LoadedCase, DataError> {
        let volume = read_volume(&self.image)?;
        let read = |path: &PathBuf| {
            let labels = read_labels(path)?;
            let place = if self.compare_affines { labels.grid.affine } else { volume.grid.affine };
            let grid = Grid::new(labels.grid.shape, place);
            volume.grid.compare(&grid, GRID_TOLERANCE_MM).map_err(|mismatch| DataError::Grid {
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

/// The label that most raters give each voxel; of equally frequent ones, the lowest. Of one rater, what that one says.
fn most_frequent(mut raters: Vec<Array3<u16>>) -> Array3<u16> {
    let mut first = raters.remove(0);
    if raters.is_empty() {
        return first;
    }
    for (place, label) in first.indexed_iter_mut() {
        let mut votes: Vec<u16> = raters.iter().map(|rater| rater[place]).collect();
        votes.push(*label);
        votes.sort_unstable();
        let groups = votes.chunk_by(|one, other| one == other);
        // Of equally long groups, `max_by_key` takes the last, so the order is turned.
        let winner = groups.rev().max_by_key(|group| group.len());
        *label = winner.map_or(0, |group| group[0]);
    }
    first
}

/// The volume in a folder, if there is one.
fn volume_case(folder: &Path, name: &str) -> Result<Option<Case>, DataError> {
    let either = |stem: &str| {
        ["nii.gz", "nii"].map(|ending| folder.join(format!("{stem}.{ending}"))).into_iter().find(|path| path.is_file())
    };
    let Some(image) = either("image") else { return Ok(None) };
    let missing = || DataError::Layout {
        path: folder.to_path_buf(),
        reason: format!("{} has no label.nii.gz (or label.nii) beside it", image.display()),
    };
    let labels = either("label").ok_or_else(missing)?;
    let name = name.to_owned();
    Ok(Some(Case { name, image, labels: vec![labels], kind: CaseKind::Volume, compare_affines: true }))
}

/// The single images of a folder, each with its mask.
fn image_cases(folder: &Path, kind: CaseKind) -> Result<Vec<Case>, DataError> {
    let is_png = |path: &PathBuf| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png"));
    let images: Vec<_> = entries(&folder.join("images"))?.into_iter().filter(is_png).collect();
    let layout = |reason: String| DataError::Layout { path: folder.to_path_buf(), reason };
    if images.is_empty() {
        return Err(layout("its folder images holds no PNG file".to_owned()));
    }
    let case = |image: PathBuf| {
        let file = image.file_name().map(PathBuf::from).unwrap_or_default();
        let labels = folder.join("masks").join(&file);
        if !labels.is_file() {
            return Err(layout(format!("images/{0} has no masks/{0}", file.display())));
        }
        let name = file.with_extension("").display().to_string();
        Ok(Case { name, image, labels: vec![labels], kind, compare_affines: false })
    };
    images.into_iter().map(case).collect()
}

fn table(folder: &Path) -> Result<LabelTable, DataError> {
    let path = folder.join(TABLE);
    if path.is_file() {
        return LabelTable::read(&path);
    }
    let reason =
        "labels.json is missing: it says what label values mean, like {\"0\": \"background\", \"1\": \"liver\"}";
    Err(DataError::Layout { path: folder.to_path_buf(), reason: reason.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{write_labels, write_volume};

    const LIVER: &str = r#"{"0": "background", "1": "liver"}"#;

    fn write_case(folder: &Path, label_origin: f64) {
        fs::create_dir_all(folder).expect("a writable folder");
        let affine =
            |origin| [[1.0, 0.0, 0.0, origin], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let volume = Volume::new(Array3::from_shape_fn((4, 5, 6), |(i, _, _)| i as f32), affine(0.0));
        write_volume(&folder.join("image.nii.gz"), &volume).expect("a writable folder");
        let elsewhere = Volume::new(volume.voxels.clone(), affine(label_origin));
        let labels = Array3::from_shape_fn((4, 5, 6), |(i, _, _)| u16::from(i > 2));
        write_labels(&folder.join("label.nii.gz"), labels.view(), &elsewhere).expect("a writable folder");
        fs::write(folder.join("labels.json"), LIVER).expect("a writable folder");
    }

    #[test]
    fn volumes_alone_and_in_case_folders() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write_case(folder.path(), 0.0);
        assert_eq!(Folder::open(folder.path()).expect("a volume").cases().len(), 1);

        let folder = tempfile::tempdir().expect("a temporary folder");
        write_case(&folder.path().join("b"), 0.001);
        write_case(&folder.path().join("a"), 3.0);
        fs::create_dir(folder.path().join("._a")).expect("a writable folder");
        let opened = Folder::open(folder.path()).expect("two cases");
        assert_eq!(opened.cases().iter().map(|case| case.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert!(matches!(opened.cases()[1].load(), Ok(LoadedCase::Volume { .. })));
        let message = opened.cases()[0].load().expect_err("the mask lies elsewhere").to_string();
        assert!(message.contains("origin") && message.contains("3.000 mm"), "{message}");

        // One table beside the cases serves those without their own; two different ones are refused.
        fs::rename(folder.path().join("a/labels.json"), folder.path().join("labels.json")).expect("writable");
        assert_eq!(Folder::open(folder.path()).expect("two cases").table(), opened.table());
        fs::write(folder.path().join("labels.json"), r#"{"1": "spleen"}"#).expect("writable");
        assert!(Folder::open(folder.path()).expect_err("two tables").to_string().contains("of a and of b differ"));
    }

    #[test]
    fn single_images_with_masks() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for sub in ["images", "masks"] {
            fs::create_dir(folder.path().join(sub)).expect("a writable folder");
        }
        let image = Array3::from_shape_fn((6, 7, 3), |(row, column, _)| (10 * row + column) as u8);
        crate::write_rgb(&folder.path().join("images/one.png"), image.view()).expect("a writable folder");
        fs::write(folder.path().join("images/._one.png"), "not an image").expect("a writable folder");
        fs::write(folder.path().join("labels.json"), r#"{"encoding": "instance", "1": "nucleus"}"#).expect("writable");
        let missing = Folder::open(folder.path()).expect_err("no mask").to_string();
        assert!(missing.contains("masks/one.png"), "{missing}");

        let mask = ::image::ImageBuffer::from_fn(7, 6, |x, _| ::image::Luma([x as u16 * 300]));
        mask.save(folder.path().join("masks/one.png")).expect("a writable folder");
        let opened = Folder::open(folder.path()).expect("one image");
        let Ok(LoadedCase::Image { image, labels }) = opened.cases()[0].load() else { panic!("an image") };
        assert_eq!((image.dim(), labels.dim()), ((6, 7, 3), (6, 7)));
        assert!((0..7).all(|column| labels[(0, column)] == u16::from(column > 0)), "instances become one class");
    }

    #[test]
    fn a_folder_that_does_not_fit_is_told_what_was_looked_for() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let message = Folder::open(folder.path()).expect_err("empty").to_string();
        assert!(message.contains("image.nii.gz") && message.contains("images/*.png"), "{message}");
        write_case(folder.path(), 0.0);
        fs::remove_file(folder.path().join("labels.json")).expect("it was written");
        assert!(Folder::open(folder.path()).expect_err("no table").to_string().contains("labels.json is missing"));
        fs::write(folder.path().join("labels.json"), "[]").expect("writable");
        assert!(matches!(Folder::open(folder.path()), Err(DataError::Labels { .. })));
        fs::remove_file(folder.path().join("label.nii.gz")).expect("it was written");
        assert!(Folder::open(folder.path()).expect_err("no mask").to_string().contains("label.nii.gz"));
    }
}
