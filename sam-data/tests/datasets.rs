//! The known data sets, each as a small folder tree in its layout.

use std::{fs, path::Path};

use image::{ImageBuffer, Luma};
use ndarray::Array3;
use sam_data::{DataError, Dataset, KnownSet, LoadedCase, Volume, open_dataset, write_labels, write_rgb, write_volume};
use sam_prompt::error_chain;
use sam_testing::TestResult;

const SHAPE: (usize, usize, usize) = (4, 5, 3);

fn affine(origin: f64) -> [[f64; 4]; 4] {
    [[1.0, 0.0, 0.0, origin], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.5, 0.0], [0.0, 0.0, 0.0, 1.0]]
}

fn write(path: &Path, write: impl FnOnce(&Path) -> Result<(), DataError>) -> TestResult {
    fs::create_dir_all(path.parent().ok_or("a file lies in a folder")?)?;
    Ok(write(path)?)
}

fn scan(path: &Path) -> TestResult {
    write(path, |path| {
        write_volume(path, &Volume::new(Array3::from_shape_fn(SHAPE, |(i, _, _)| i as f32), affine(0.0)))
    })
}

/// Writes a mask with `value` at the voxel (1, 1, 1) and 1 at (2, 2, 2). The first voxel is at `origin`.
fn mask(path: &Path, value: u16, origin: f64) -> TestResult {
    let mut labels = Array3::zeros(SHAPE);
    (labels[(1, 1, 1)], labels[(2, 2, 2)]) = (value, 1);
    write(path, |path| write_labels(path, labels.view(), &Volume::new(Array3::zeros(SHAPE), affine(origin))))
}

fn picture(path: &Path) -> TestResult {
    write(path, |path| write_rgb(path, Array3::<u8>::from_elem((6, 7, 3), 90).view()))
}

/// Writes a 16-bit grey mask whose level depends on the column.
fn grey(path: &Path, level: impl Fn(u32) -> u16) -> TestResult {
    fs::create_dir_all(path.parent().ok_or("a file lies in a folder")?)?;
    Ok(ImageBuffer::from_fn(7, 6, |x, _| Luma([level(x)])).save(path)?)
}

fn names(set: &dyn Dataset) -> Vec<&str> {
    set.cases().iter().map(|case| case.name.as_str()).collect()
}

fn labels_of(set: &dyn Dataset, case: usize) -> TestResult<Array3<u16>> {
    match set.cases()[case].load()? {
        LoadedCase::Volume { volume, labels } => {
            assert_eq!(volume.grid, labels.grid, "a label map lies where its scan lies");
            Ok(labels.labels)
        }
        LoadedCase::Image { .. } => Err("expected a volume".into()),
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of data sets")]
fn volumes_with_one_mask_each() -> TestResult {
    for (set, image, label, name, value, structure) in [
        (
            KnownSet::Kits19,
            "data/case_00003/imaging.nii.gz",
            "data/case_00003/segmentation.nii.gz",
            "case_00003",
            2,
            "kidney tumour",
        ),
        (
            KnownSet::Lits,
            "Training Batch 1/volume-7.nii",
            "Training Batch 1/segmentation-7.nii",
            "7",
            2,
            "liver lesion",
        ),
        (KnownSet::CtOrg, "volume-12.nii.gz", "labels-12.nii.gz", "12", 3, "lungs"),
        (KnownSet::Btcv, "imagesTr/img0021.nii.gz", "labelsTr/label0021.nii.gz", "0021", 8, "aorta"),
        (
            KnownSet::ProstatexGland,
            "Files/prostate/Images/ProstateX-0005_t2_tse_tra_4.nii.gz",
            "Files/prostate/mask_prostate/ProstateX-0005.nii.gz",
            "ProstateX-0005",
            1,
            "prostate",
        ),
        (
            KnownSet::ProstatexPeripheral,
            "Images/ProstateX-0005_t2_tse_tra_4.nii.gz",
            "mask_pz/ProstateX-0005.nii.gz",
            "ProstateX-0005",
            1,
            "peripheral zone",
        ),
        (
            KnownSet::ScgmRater(2),
            "site1-sc01-image.nii.gz",
            "site1-sc01-mask-r2.nii.gz",
            "site1-sc01",
            2,
            "white matter",
        ),
    ] {
        let folder = tempfile::tempdir()?;
        let nothing = error_chain(&set.open(folder.path()).expect_err("nothing is there"));
        assert!(nothing.contains("looked in it and below") && nothing.contains("KEY"), "{nothing}");

        scan(&folder.path().join(image))?;
        let alone = error_chain(&set.open(folder.path()).expect_err("no mask"));
        assert!(alone.contains("there are images, but"), "{alone}");

        mask(&folder.path().join(label), value, 0.0)?;
        let scan_path = folder.path().join(image);
        let double = scan_path.with_file_name(format!("._{}", scan_path.file_name().ok_or("a name")?.display()));
        fs::write(double, "a resource fork")?;
        let opened = set.open(folder.path())?;
        assert_eq!((names(&opened), opened.left_out().len()), (vec![name], 0), "{set:?}");
        assert_eq!(opened.table().name(value), Some(structure));
        assert_eq!(labels_of(&opened, 0)?[(1, 1, 1)], value, "{set:?}");
        assert!(!opened.table().parse_structures(set.preprocessing().structures.value)?.is_empty());
    }
    Ok(())
}

#[test]
fn a_scan_without_a_mask_is_left_out_and_said_so() -> TestResult {
    let folder = tempfile::tempdir()?;
    for number in [2, 10] {
        scan(&folder.path().join(format!("volume-{number}.nii.gz")))?;
    }
    mask(&folder.path().join("labels-10.nii"), 4, 0.0)?;
    let opened = KnownSet::CtOrg.open(folder.path())?;
    assert_eq!(names(&opened), ["10"]);
    let said = opened.left_out()[0].to_string();
    assert!(said.contains("volume-2.nii.gz") && said.contains("no labels-2.nii"), "{said}");

    // A second copy of a case is ambiguous.
    scan(&folder.path().join("again/volume-10.nii.gz"))?;
    let twice = error_chain(&KnownSet::CtOrg.open(folder.path()).expect_err("two scans of one name"));
    assert!(twice.contains("of case 10; keep one"), "{twice}");
    Ok(())
}

#[test]
fn affines_decide_but_for_lits() -> TestResult {
    for (set, label) in [(KnownSet::CtOrg, "labels-1.nii.gz"), (KnownSet::Lits, "segmentation-1.nii.gz")] {
        let folder = tempfile::tempdir()?;
        scan(&folder.path().join("volume-1.nii.gz"))?;
        mask(&folder.path().join(label), 1, 40.0)?;
        let loaded = labels_of(&set.open(folder.path())?, 0);
        assert_eq!(loaded.is_ok(), set == KnownSet::Lits, "{set:?}");
    }
    assert!(KnownSet::Lits.shares_scans_with(KnownSet::CtOrg) && KnownSet::CtOrg.shares_scans_with(KnownSet::Lits));
    assert!(!KnownSet::Lits.shares_scans_with(KnownSet::Btcv));
    Ok(())
}

#[test]
fn raters_vote() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = |rater: usize| folder.path().join(format!("site2-sc05-mask-r{rater}.nii.gz"));
    scan(&folder.path().join("site2-sc05-image.nii.gz"))?;
    for (rater, value) in [(1, 2), (2, 1), (3, 2)] {
        mask(&path(rater), value, 0.0)?;
    }
    let missing = error_chain(&KnownSet::Scgm.open(folder.path()).expect_err("three raters"));
    assert!(missing.contains("no site2-sc05-mask-r4.nii"), "{missing}");
    for (last, expected) in [(2, 2), (1, 1), (0, 2)] {
        mask(&path(4), last, 0.0)?;
        let labels = labels_of(&KnownSet::Scgm.open(folder.path())?, 0)?;
        assert_eq!(
            (labels[(1, 1, 1)], labels[(2, 2, 2)], labels[(0, 0, 0)]),
            (expected, 1, 0),
            "the fourth says {last}"
        );
    }
    assert!(matches!(KnownSet::ScgmRater(5).open(folder.path()), Err(DataError::Word { .. })));
    Ok(())
}

#[test]
fn single_images() -> TestResult {
    let folder = tempfile::tempdir()?;
    picture(&folder.path().join("images/a7.png"))?;
    grey(&folder.path().join("masks/a7.png"), |x| [0, 3, 120, 127, 128, 250, 255][x as usize] * 257)?;
    let opened = KnownSet::Ct2usKidney.open(folder.path())?;
    let LoadedCase::Image { labels, .. } = opened.cases()[0].load()? else { return Err("expected an image".into()) };
    assert_eq!(labels.row(0).to_vec(), [0, 0, 0, 0, 1, 1, 1], "smoothed borders count by half");

    let folder = tempfile::tempdir()?;
    for (place, name) in [("Lizard_Images1", "glas_1"), ("Lizard_Images2", "crag_9")] {
        picture(&folder.path().join(place).join(format!("{name}.png")))?;
        grey(&folder.path().join(format!("Lizard_Labels/Labels/{name}.png")), |x| x as u16 * 300)?;
    }
    let opened = KnownSet::Lizard.open(folder.path())?;
    assert_eq!(names(&opened), ["crag_9", "glas_1"]);
    let LoadedCase::Image { labels, .. } = opened.cases()[0].load()? else { return Err("expected an image".into()) };
    assert_eq!(labels.row(0).to_vec(), [0, 1, 1, 1, 1, 1, 1], "all instances are nuclei");
    Ok(())
}

#[test]
fn sets_of_images_say_what_they_miss() -> TestResult {
    for (set, image, label) in [
        (KnownSet::Ct2usKidney, "image/7.png", "mask/7.png"),
        (KnownSet::Lizard, "Lizard_Images2/glas_1.png", "Lizard_Labels/Labels/glas_1.png"),
    ] {
        let folder = tempfile::tempdir()?;
        grey(&folder.path().join("Overlay/other.png"), |_| 1)?;
        let nothing = error_chain(&set.open(folder.path()).expect_err("another layout"));
        assert!(nothing.contains("KEY.") && nothing.contains("among 1 file;"), "{nothing}");

        // First only a mask, then only an image, then both, with the `._` file of macOS for each.
        grey(&folder.path().join(label), |x| x as u16 * 257 * 40)?;
        let masks = error_chain(&set.open(folder.path()).expect_err("no image"));
        assert!(masks.contains("there are masks, but"), "{masks}");
        picture(&folder.path().join(image).with_file_name("alone.png"))?;
        let alone = error_chain(&set.open(folder.path()).expect_err("no pair"));
        assert!(alone.contains("there are images, but") && alone.contains("with 1 more"), "{alone}");
        picture(&folder.path().join(image))?;
        for path in [image, label] {
            let path = folder.path().join(path);
            let name = path.file_name().ok_or("a name")?.display().to_string();
            fs::write(path.with_file_name(format!("._{name}")), "a resource fork")?;
        }
        let opened = set.open(folder.path())?;
        assert_eq!((opened.cases().len(), opened.left_out().len(), opened.known()), (1, 1, Some(set)));
        assert!(opened.left_out()[0].to_string().contains("it has no"), "{}", opened.left_out()[0]);
        assert_eq!(opened.cases()[0].instances()?.is_some(), set == KnownSet::Lizard);
    }
    Ok(())
}

#[test]
fn lizard_has_its_instances_in_mat_files() -> TestResult {
    let folder = tempfile::tempdir()?;
    let image = folder.path().join("Lizard_Images1/consep_1.png");
    write(&image, |path| write_rgb(path, Array3::from_elem((3, 5, 3), 200).view()))?;
    let labels = folder.path().join("Lizard_Labels/Labels/consep_1.mat");
    fs::create_dir_all(labels.parent().ok_or("a folder")?)?;
    fs::write(&labels, include_bytes!("fixtures/lizard_compressed.mat"))?;
    let opened = KnownSet::Lizard.open(folder.path())?;
    let instances = opened.cases()[0].instances()?.ok_or("instances")?;
    assert_eq!((instances.dim(), instances[(2, 3)]), ((3, 5), 203));
    let LoadedCase::Image { labels: nuclei, .. } = opened.cases()[0].load()? else { return Err("an image".into()) };
    assert_eq!((nuclei[(0, 0)], nuclei[(2, 3)]), (0, 1));

    fs::write(&labels, include_bytes!("fixtures/lizard_without_map.mat"))?;
    let wrong = error_chain(&opened.cases()[0].load().expect_err("no map"));
    assert!(
        wrong.contains("consep_1.mat") && wrong.contains("inst_map") && wrong.contains("only id, class"),
        "{wrong}"
    );
    // A second file with the same labels is ambiguous.
    grey(&labels.with_extension("png"), |_| 1)?;
    assert!(error_chain(&KnownSet::Lizard.open(folder.path()).expect_err("two masks")).contains("keep one of them"));
    Ok(())
}

#[test]
fn labels_stored_as_floats_are_labels_if_they_are_whole() -> TestResult {
    let folder = tempfile::tempdir()?;
    scan(&folder.path().join("volume-3.nii.gz"))?;
    let label = folder.path().join("labels-3.nii.gz");
    for (value, is_label) in [(3.0, true), (3.5, false), (-1.0, false)] {
        let mut floats = Array3::zeros(SHAPE);
        floats[(1, 1, 1)] = value;
        write(&label, |path| write_volume(path, &Volume::new(floats, affine(0.0))))?;
        let opened = KnownSet::CtOrg.open(folder.path())?;
        match labels_of(&opened, 0) {
            Ok(labels) => assert!(is_label && labels[(1, 1, 1)] == 3),
            Err(error) => assert!(!is_label && error.to_string().contains("whole numbers"), "{error}"),
        }
    }
    Ok(())
}

#[test]
fn a_decathlon_task_says_itself_what_it_holds() -> TestResult {
    let folder = tempfile::tempdir()?;
    let missing = error_chain(&KnownSet::Msd.open(folder.path()).expect_err("no list"));
    assert!(missing.contains("looked for dataset.json"), "{missing}");
    scan(&folder.path().join("imagesTr/spleen_10.nii.gz"))?;
    mask(&folder.path().join("labelsTr/spleen_10.nii.gz"), 1, 0.0)?;
    let list = |second: &str| {
        format!(
            r#"{{"labels": {{"0": "background", "1": "spleen"}}, "training": [
                {{"image": "./imagesTr/spleen_10.nii.gz", "label": "./labelsTr/spleen_10.nii.gz"}},
                {{"image": "{second}", "label": "./labelsTr/spleen_2.nii.gz"}}]}}"#
        )
    };
    let write = |text: &str| fs::write(folder.path().join("dataset.json"), text);
    write(&list("./imagesTr/spleen_2.nii.gz"))?;
    let opened = KnownSet::Msd.open(folder.path())?;
    assert_eq!((names(&opened), opened.table().name(1)), (vec!["spleen_10"], Some("spleen")));
    assert!(opened.left_out()[0].to_string().contains("it is not there"));
    assert_eq!(labels_of(&opened, 0)?[(1, 1, 1)], 1);

    for outside in ["../../elsewhere.nii.gz", "/etc/hostname"] {
        write(&list(outside))?;
        let refused = error_chain(&KnownSet::Msd.open(folder.path()).expect_err("outside of the folder"));
        assert!(refused.contains("not below the folder"), "{refused}");
    }
    for (text, word) in [("[]", "labels and training"), (r#"{"labels": {"x": "y"}, "training": []}"#, "\"x\"")] {
        write(text)?;
        assert!(error_chain(&KnownSet::Msd.open(folder.path()).expect_err("no task")).contains(word));
    }
    Ok(())
}

#[test]
fn a_plain_folder_is_a_data_set_too() -> TestResult {
    let folder = tempfile::tempdir()?;
    scan(&folder.path().join("image.nii.gz"))?;
    mask(&folder.path().join("label.nii.gz"), 1, 0.0)?;
    fs::write(folder.path().join("labels.json"), r#"{"1": "liver"}"#)?;
    let opened = open_dataset(folder.path(), None)?;
    assert_eq!((opened.cases().len(), opened.left_out().len(), opened.table().name(1)), (1, 0, Some("liver")));
    assert!(open_dataset(folder.path().join("nowhere"), Some(KnownSet::Btcv)).is_err());
    Ok(())
}
