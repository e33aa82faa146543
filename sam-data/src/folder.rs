//! A plain folder of scans with masks.
//!
//! Three layouts are supported:
//! - a volume in the folder itself (`image.nii.gz`, `label.nii.gz`, `labels.json`);
//! - a sub-folder like this for each case, each with its own `labels.json` or all with one in the parent folder;
//! - single images (`images/NAME.png`, `masks/NAME.png`, `labels.json`). Images are PNG, TIFF or JPEG, masks are PNG or TIFF. Image and
//!   mask may differ in format.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::{
    Case, DataError, LabelTable, LayoutError,
    case::{CaseFiles, CaseKind},
    files::entries,
    image::IMAGE_ENDINGS,
};

/// The file that names the label values.
pub(crate) const TABLE: &str = "labels.json";

/// A folder of cases that share a label table.
#[derive(Debug, Clone)]
pub struct Folder {
    name: String,
    table: LabelTable,
    cases: Vec<Case>,
}

impl Folder {
    /// Opens a folder. Reads the label table but no image.
    ///
    /// # Errors
    /// [`DataError::Layout`] if no layout fits or a mask is missing. The error says what was looked for.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, DataError> {
        let folder = folder.as_ref();
        let name = folder.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        let name = name.unwrap_or_else(|| folder.display().to_string());
        let layout = |source| DataError::Layout { path: folder.to_path_buf(), source };
        if !folder.is_dir() {
            return Err(layout(LayoutError::NoFolder));
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
            let looked = "looked for image.nii.gz (or image.nii) in it or in its sub-folders, and for images/*.png with masks/*.png";
            return Err(layout(LayoutError::NothingFound(looked.to_owned())));
        };
        if let Some(odd) = tables.iter().position(|table| *table != first) {
            let [first, second] = [&cases[0], &cases[odd]].map(|case| case.name.clone());
            return Err(layout(LayoutError::TablesDiffer { first, second }));
        }
        Ok(Self { name, table: first, cases })
    }

    /// The folder's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of the label values.
    pub fn table(&self) -> &LabelTable {
        &self.table
    }

    /// All cases, sorted by name.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }
}

/// The volume in a folder, if there is one.
fn volume_case(folder: &Path, name: &str) -> Result<Option<Case>, DataError> {
    let either = |stem: &str| {
        ["nii.gz", "nii"].map(|ending| folder.join(format!("{stem}.{ending}"))).into_iter().find(|path| path.is_file())
    };
    let Some(image) = either("image") else { return Ok(None) };
    let missing =
        || DataError::Layout { path: folder.to_path_buf(), source: LayoutError::NoLabels { image: image.clone() } };
    let labels = either("label").ok_or_else(missing)?;
    let files = CaseFiles { image, labels: vec![labels], kind: CaseKind::Volume, compare_affines: true };
    Ok(Some(Case::of_files(name.to_owned(), files)))
}

/// The single images of a folder, each with its mask.
fn image_cases(folder: &Path, kind: CaseKind) -> Result<Vec<Case>, DataError> {
    let is_image = |path: &PathBuf| {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        ending.is_some_and(|ending| IMAGE_ENDINGS.contains(&ending.as_str()))
    };
    let images: Vec<_> = entries(&folder.join("images"))?.into_iter().filter(is_image).collect();
    let layout = |source| DataError::Layout { path: folder.to_path_buf(), source };
    if images.is_empty() {
        let nothing = format!("its folder images holds no image ({})", IMAGE_ENDINGS.join(", "));
        return Err(layout(LayoutError::NothingFound(nothing)));
    }
    let masks = if folder.join("masks").is_dir() { entries(&folder.join("masks"))? } else { Vec::new() };
    let case = |image: PathBuf| {
        let mut own = masks.iter().filter(|mask| mask.file_stem() == image.file_stem());
        let name = image.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let labels = match (own.next(), own.next()) {
            (Some(mask), None) => mask.clone(),
            (None, _) => {
                let mask = Path::new("masks").join(format!("{name}.png"));
                return Err(layout(LayoutError::NoMask { image, mask }));
            }
            (Some(one), Some(other)) => {
                let (first, second, role) = (one.clone(), other.clone(), format!("the mask of {name}"));
                return Err(layout(LayoutError::Ambiguous { first, second, role }));
            }
        };
        Ok(Case::of_files(name, CaseFiles { image, labels: vec![labels], kind, compare_affines: false }))
    };
    let cases = images.into_iter().map(case).collect::<Result<Vec<_>, _>>()?;
    let mut names = BTreeSet::new();
    match cases.iter().find(|case| !names.insert(case.name.as_str())) {
        Some(twice) => Err(layout(LayoutError::TwoImages { name: twice.name.clone() })),
        None => Ok(cases),
    }
}

fn table(folder: &Path) -> Result<LabelTable, DataError> {
    let path = folder.join(TABLE);
    if path.is_file() {
        return LabelTable::read(&path);
    }
    Err(DataError::Layout { path: folder.to_path_buf(), source: LayoutError::NoTable })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ndarray::Array3;

    use super::*;
    use crate::{LoadedCase, Volume, error::error_chain, write_labels, write_volume};

    const LIVER: &str = r#"{"0": "background", "1": "liver"}"#;

    fn write_case(folder: &Path, label_origin: f64) {
        fs::create_dir_all(folder).expect("a writable folder");
        let affine =
            |origin| [[1.0, 0.0, 0.0, origin], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let volume = Volume::new(Array3::from_shape_fn((4, 5, 6), |(i, _, _)| i as f32), affine(0.0));
        write_volume(folder.join("image.nii.gz"), &volume).expect("a writable folder");
        let elsewhere = Volume::new(volume.voxels.clone(), affine(label_origin));
        let labels = Array3::from_shape_fn((4, 5, 6), |(i, _, _)| u16::from(i > 2));
        write_labels(folder.join("label.nii.gz"), labels.view(), &elsewhere).expect("a writable folder");
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
        let message = error_chain(&opened.cases()[0].load().expect_err("the mask lies elsewhere"));
        assert!(message.contains("origin") && message.contains("3.000 mm"), "{message}");

        // Cases without a table use the one of the parent folder. Different tables are refused.
        fs::rename(folder.path().join("a/labels.json"), folder.path().join("labels.json")).expect("writable");
        assert_eq!(Folder::open(folder.path()).expect("two cases").table(), opened.table());
        fs::write(folder.path().join("labels.json"), r#"{"1": "spleen"}"#).expect("writable");
        assert!(error_chain(&Folder::open(folder.path()).expect_err("two tables")).contains("of a and of b differ"));
    }

    #[test]
    fn single_images_with_masks() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for sub in ["images", "masks"] {
            fs::create_dir(folder.path().join(sub)).expect("a writable folder");
        }
        let image = Array3::from_shape_fn((6, 7, 3), |(row, column, _)| (10 * row + column) as u8);
        crate::write_rgb(folder.path().join("images/one.png"), image.view()).expect("a writable folder");
        fs::write(folder.path().join("images/._one.png"), "not an image").expect("a writable folder");
        fs::write(folder.path().join("labels.json"), r#"{"encoding": "instance", "1": "nucleus"}"#).expect("writable");
        let missing = error_chain(&Folder::open(folder.path()).expect_err("no mask"));
        assert!(missing.contains("masks/one.png"), "{missing}");

        let mask = ::image::ImageBuffer::from_fn(7, 6, |x, _| ::image::Luma([x as u16 * 300]));
        mask.save(folder.path().join("masks/one.png")).expect("a writable folder");
        let opened = Folder::open(folder.path()).expect("one image");
        let Ok(LoadedCase::Image { image, labels }) = opened.cases()[0].load() else { panic!("an image") };
        assert_eq!((image.dim(), labels.dim()), ((6, 7, 3), (6, 7)));
        assert!((0..7).all(|column| labels[(0, column)] == u16::from(column > 0)), "instances become one class");

        // Image and mask need the same name but not the same format. Two files of the same name are ambiguous and refused.
        fs::rename(folder.path().join("masks/one.png"), folder.path().join("masks/one.tif")).expect("writable");
        assert!(Folder::open(folder.path()).expect("one image").cases()[0].load().is_ok());
        fs::copy(folder.path().join("images/one.png"), folder.path().join("images/one.jpg")).expect("writable");
        assert!(error_chain(&Folder::open(folder.path()).expect_err("twice")).contains("two images one"));
        fs::remove_file(folder.path().join("images/one.jpg")).expect("it was written");
        fs::copy(folder.path().join("masks/one.tif"), folder.path().join("masks/one.png")).expect("writable");
        assert!(error_chain(&Folder::open(folder.path()).expect_err("twice")).contains("keep one of them"));
    }

    #[test]
    fn a_folder_that_does_not_fit_is_told_what_was_looked_for() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let message = error_chain(&Folder::open(folder.path()).expect_err("empty"));
        assert!(message.contains("image.nii.gz") && message.contains("images/*.png"), "{message}");
        write_case(folder.path(), 0.0);
        fs::remove_file(folder.path().join("labels.json")).expect("it was written");
        assert!(error_chain(&Folder::open(folder.path()).expect_err("no table")).contains("labels.json is missing"));
        fs::write(folder.path().join("labels.json"), "[]").expect("writable");
        assert!(matches!(Folder::open(folder.path()), Err(DataError::Labels { .. })));
        fs::remove_file(folder.path().join("label.nii.gz")).expect("it was written");
        assert!(error_chain(&Folder::open(folder.path()).expect_err("no mask")).contains("label.nii.gz"));
    }
}
