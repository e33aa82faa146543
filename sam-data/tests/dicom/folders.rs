//! Which files of a folder are read, skipped or refused.

use std::{fs, path::Path};

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use sam_data::{
    DataError, DicomNote, DicomSeries, Scan, ScanConfig, SkipReason, Volume, read_dicom, read_dicom_observed,
};
use sam_prompt::{error_chain, progress::ignore_progress};

use super::{
    assert_reads, plain,
    written::{self, SERIES, words},
};

fn read(folder: &Path, series: &[&str]) -> Result<(Volume, DicomSeries), DataError> {
    let config = series.iter().fold(ScanConfig::default(), |config, uid| config.with_series(*uid));
    read_dicom_observed(folder, &config, &mut ignore_progress()).map(|read| read.expect("nothing stops it"))
}

#[track_caller]
fn assert_refused(folder: &Path, series: &[&str], parts: &[&str]) {
    let message = error_chain(&read(folder, series).expect_err("it is refused"));
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");
}

fn of_series(uid: &str, mut image: InMemDicomObject) -> InMemDicomObject {
    image.put(words(tags::SERIES_INSTANCE_UID, VR::UI, uid));
    image
}

#[test]
fn files_without_a_preamble_are_read() {
    let explicit = uids::EXPLICIT_VR_LITTLE_ENDIAN;
    let last = written::slice(3);
    let whole = written::bytes(&last, explicit);
    let forms = [
        written::data_set(&last, uids::IMPLICIT_VR_LITTLE_ENDIAN),
        written::data_set(&last, explicit),
        whole[128..].to_vec(),
        whole[132..].to_vec(),
    ];
    for bytes in forms {
        let folder = written::folder_of(&written::slices()[..3]);
        fs::write(folder.path().join("IM010"), &bytes).expect("a writable folder");
        assert_reads(folder.path(), &plain());
        let scan = Scan::open(folder.path().join("IM010"), None).expect("one slice");
        assert!(scan.is_dicom() && scan.grid().shape[2] == 1);
        // A mask can refer to such a file by the UIDs of its data set.
        assert!(scan.segmentation_notes().expect("it has its UIDs").is_empty());
    }
}

#[test]
fn an_empty_file_that_is_named_like_the_images_is_an_error() {
    for bytes in [Vec::new(), vec![0; 64], vec![0; 9000]] {
        let folder = written::folder_of(&written::slices()[..3]);
        fs::write(folder.path().join("IM010"), &bytes).expect("a writable folder");
        assert_refused(folder.path(), &[], &["IM010", "filled with zeros", "choose the series"]);
        // The user says which series, so other files do not stop the work; but it is told.
        let (volume, series) = read(folder.path(), &[SERIES]).expect("the series is named");
        assert_eq!(volume.grid.shape[2], 3);
        let told = series.notes().iter().map(ToString::to_string).find(|note| note.contains("IM010"));
        assert!(told.is_some_and(|note| note.contains("is missing")), "{:?}", series.notes());
    }
    // Files that are named otherwise are no slices.
    let folder = written::folder_of(&written::slices());
    for (name, bytes) in [("empty.txt", &b""[..]), ("README", b"about this folder")] {
        fs::write(folder.path().join(name), bytes).expect("a writable folder");
    }
    assert_reads(folder.path(), &plain());
    fs::rename(folder.path().join("IM000"), folder.path().join("IM000.dcm")).expect("a writable folder");
    fs::write(folder.path().join("page.DCM"), "<html>").expect("a writable folder");
    assert_refused(folder.path(), &[], &["page.DCM", "not DICOM"]);
}

#[test]
fn a_damaged_file_is_an_error_in_its_series_and_a_note_in_others() {
    let folder = written::folder_of(&written::slices());
    let other = written::bytes(&of_series("1.2.3.9", written::slice(2)), uids::EXPLICIT_VR_LITTLE_ENDIAN);
    fs::write(folder.path().join("zz"), &other[..other.len() - 10]).expect("a writable folder");
    for series in [&[][..], &[SERIES]] {
        let (volume, series) = read(folder.path(), series).expect("the other series does not matter");
        assert_eq!(volume.voxels, plain().voxels);
        let unreadable = series.notes().iter().find_map(|note| match note {
            DicomNote::Unreadable { path, series, error } => Some((path.clone(), series.clone(), error.clone())),
            _ => None,
        });
        let (path, of, error) = unreadable.expect("it is told");
        assert_eq!((path, of.as_deref()), (folder.path().join("zz"), Some("1.2.3.9")));
        assert!(error.contains("truncated"), "{error}");
    }
    assert_refused(folder.path(), &["1.2.3.9"], &["zz", "truncated"]);
    assert_refused(folder.path(), &["1.2.3.8"], &["no series 1.2.3.8"]);

    // Cut before its series: it may be a slice.
    fs::write(folder.path().join("zz"), &other[..150]).expect("a writable folder");
    assert_refused(folder.path(), &[], &["zz", "its series is unknown", "choose the series"]);
    assert_reads_series(folder.path());
    // A value that cannot be read in another series is no error either.
    let mut wrong = of_series("1.2.3.9", written::slice(2));
    wrong.put(words(tags::ROWS, VR::LO, "many"));
    fs::write(folder.path().join("zz"), written::bytes(&wrong, uids::EXPLICIT_VR_LITTLE_ENDIAN)).expect("writable");
    assert_reads_series(folder.path());
}

#[track_caller]
fn assert_reads_series(folder: &Path) {
    assert_eq!(read(folder, &[SERIES]).expect("it is named").0.voxels, plain().voxels);
}

#[test]
fn slices_with_a_series_each_are_joined() {
    let series: Vec<_> = (0..4).map(|index| format!("1.2.3.{}", 50 + index)).collect();
    let images: Vec<_> = written::slices().into_iter().zip(&series).map(|(image, uid)| of_series(uid, image)).collect();
    let folder = written::folder_of(&images);
    assert_refused(
        folder.path(),
        &[],
        &["4 series", "read all of them as one", "1.2.3.50 (CT \"abdomen 2.5\", 1 file)"],
    );
    let names: Vec<_> = series.iter().map(String::as_str).collect();
    for chosen in [&["all"][..], &names[..]] {
        let (volume, read) = read(folder.path(), chosen).expect("one volume");
        assert_eq!(volume.voxels, plain().voxels);
        assert_eq!((read.uid.as_str(), read.report().read.len(), read.report().others.len()), ("1.2.3.50", 4, 0));
    }
    let (volume, two) = read(folder.path(), &names[1..3]).expect("two slices");
    assert_eq!((volume.grid.shape[2], two.report().others.len()), (2, 2));
}

#[test]
fn images_without_a_series_are_one_series() {
    let mut images = written::slices();
    for image in &mut images {
        image.remove_element(tags::SERIES_INSTANCE_UID);
    }
    let folder = written::folder_of(&images);
    let (volume, series) = read_dicom(folder.path(), None).expect("the only series");
    assert_eq!((volume.voxels, series.uid.as_str()), (plain().voxels, ""));
    assert!(series.notes()[0].to_string().contains("without a UID"), "{}", series.notes()[0]);
}

#[test]
fn the_report_says_what_became_of_each_file() {
    let folder = written::folder_of(&written::slices());
    fs::write(folder.path().join("notes.txt"), "short").expect("a writable folder");
    let mut report = of_series("1.2.3.8", written::slice(0));
    report.remove_element(tags::ROWS);
    let others = [report, of_series("1.2.3.9", written::slice(1)), of_series("1.2.3.9", written::slice(2))];
    fs::create_dir(folder.path().join("others")).expect("a writable folder");
    written::write(&folder.path().join("others"), &others, uids::EXPLICIT_VR_LITTLE_ENDIAN);

    let (_, series) = read(folder.path(), &[SERIES]).expect("it is named");
    let found = series.report();
    assert_eq!(found.read.iter().map(|read| (read.uid.as_str(), read.files)).collect::<Vec<_>>(), [(SERIES, 4)]);
    assert_eq!(found.others.iter().map(|read| (read.uid.as_str(), read.files)).collect::<Vec<_>>(), [("1.2.3.9", 2)]);
    let skipped: Vec<_> = found.skipped.iter().map(|file| (file.path.clone(), file.reason.clone())).collect();
    let expected = [
        (folder.path().join("notes.txt"), SkipReason::NotDicom),
        (folder.path().join("others/IM000"), SkipReason::NoImage),
    ];
    assert_eq!(skipped, expected);
    let notes: Vec<_> = series.notes().iter().map(ToString::to_string).collect();
    assert_eq!(notes.len(), 3, "{notes:?}");
    assert!(notes[0].contains("4 files") && notes[1].contains("1.2.3.9") && notes[2].contains("notes.txt; IM000"));
}
