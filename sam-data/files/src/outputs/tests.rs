mod records;

use std::{collections::BTreeMap, error::Error, fs};

use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::*;

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// A folder with inputs, with files of others, and with a mask that this program wrote.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Result<Self> {
        let place = Self { folder: tempfile::tempdir()? };
        for folder in ["sub", "dicom"] {
            fs::create_dir(place.path(folder))?;
        }
        for name in ["scan.nii", "labels.json", "dicom/1.dcm", "dicom/2.dcm", "theirs.nii"] {
            fs::write(place.path(name), format!("content of {name}"))?;
        }
        place.write_ours("a mask")?;
        Ok(place)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn plan(&self) -> OutputPlan {
        let plan = OutputPlan::new().input("--image", self.path("dicom")).input("--labels", self.path("labels.json"));
        plan.input("--annotations", self.path("scan.nii"))
    }

    fn with_mask(&self) -> OutputPlan {
        self.plan().output("--out", self.path("ours.nii")).record("the record", self.path("ours.json"))
    }

    /// Writes `ours.nii` and its record.
    fn write_ours(&self, content: &str) -> Result<Vec<PathBuf>> {
        let outputs = self.with_mask().open()?;
        outputs.write(self.path("ours.nii"), |file| file.write_all(content.as_bytes()))?;
        Ok(outputs.publish_with_record(self.path("ours.json"), Map::new())?)
    }

    /// Every file with its content, but for files that a run may leave: none.
    fn files(&self) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
        let (mut files, mut folders) = (BTreeMap::new(), vec![self.folder.path().to_path_buf()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() && !path.is_symlink() {
                    folders.push(path);
                } else {
                    let content = fs::read(&path).unwrap_or_default();
                    files.insert(path, content);
                }
            }
        }
        Ok(files)
    }
}

/// Another spelling of a path below a folder.
#[cfg(unix)]
fn spelled(root: &Path, name: &str, spelling: usize) -> PathBuf {
    use std::os::unix::fs::symlink;

    let (plain, link) = (root.join(name), root.join(format!("link-{spelling}.nii")));
    match spelling {
        0 => plain,
        1 => root.join("./").join(name),
        2 => root.join("sub/..").join(name),
        3 => PathBuf::from(format!("{}//./{name}", root.display())),
        4 => PathBuf::from(format!("{}/", plain.display())),
        5 => {
            symlink(&plain, &link).expect("a link");
            link
        }
        6 => {
            symlink(name, &link).expect("a relative link");
            root.join("sub/../").join(format!("link-{spelling}.nii"))
        }
        7 => {
            symlink(root, root.join("sub/up")).expect("a link to the folder");
            root.join("sub/up").join(name)
        }
        _ => {
            // A file that does not exist yet has no hard links.
            if fs::hard_link(&plain, &link).is_err() { plain } else { link }
        }
    }
}

#[cfg(unix)]
const SPELLINGS: usize = 9;

#[cfg(unix)]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every input is safe, however an output's path leads to it, and even with `--overwrite`.
    #[test]
    fn no_spelling_of_an_input_is_an_output(which in 0..4_usize, spelling in 0..SPELLINGS, overwrite: bool, as_record: bool) {
        let place = Place::new().expect("a folder");
        let name = ["scan.nii", "labels.json", "dicom/1.dcm", "dicom/2.dcm"][which];
        let path = spelled(place.folder.path(), name, spelling);
        let before = place.files().expect("files");
        let plan = place.plan().with_overwrite(overwrite);
        let plan = if as_record { plan.record("the record", &path) } else { plan.output("--out", &path) };
        let refused = plan.check().expect_err("it is an input");
        prop_assert!(matches!(refused, OutputError::IsInput { .. }), "{}", refused);
        prop_assert!(matches!(plan.open(), Err(OutputError::IsInput { .. })), "it is an input");
        prop_assert_eq!(place.files().expect("files"), before);
    }

    /// Two outputs never share a file, whether it exists or not.
    #[test]
    fn no_two_outputs_are_one_file(
        exists: bool, first in 0..5_usize, second in 0..SPELLINGS, overwrite: bool, as_record: bool,
    ) {
        let place = Place::new().expect("a folder");
        let name = if exists { "ours.nii" } else { "new.nii" };
        let root = place.folder.path();
        let (first, second) = (spelled(root, name, first), spelled(root, name, second));
        let before = place.files().expect("files");
        let plan = place.plan().with_overwrite(overwrite).output("--out", first);
        let plan = if as_record { plan.record("the record", second) } else { plan.output("--seg", second) };
        let refused = plan.open().expect_err("they are one file");
        prop_assert!(matches!(refused, OutputError::SameFile { .. }), "{}", refused);
        prop_assert_eq!(place.files().expect("files"), before);
    }

    /// After a write that fails at any byte, nothing has changed and nothing is left behind.
    #[test]
    fn a_failed_write_changes_nothing(written in 0..64_usize, overwrite: bool) {
        let place = Place::new().expect("a folder");
        let before = place.files().expect("files");
        let outputs = place.with_mask().with_overwrite(overwrite).open().expect("ours");
        let failed = outputs.write(place.path("ours.nii"), |file| {
            file.write_all(&vec![7; written])?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        let error = failed.expect_err("the disk is full");
        prop_assert!(error.to_string().contains("ours.nii") && !error.to_string().contains(UNFINISHED), "{}", error);
        prop_assert_eq!(outputs.publish().expect("nothing to publish"), Vec::<PathBuf>::new());
        drop(outputs);
        prop_assert_eq!(place.files().expect("files"), before);
    }
}

#[test]
fn only_files_of_this_program_are_replaced() -> Result {
    let place = Place::new()?;
    // The next round, from the recorded mask, in place.
    let editable = place.with_mask().editable_input("--mask", place.path("ours.nii"));
    editable.check()?;
    assert_eq!(place.write_ours("another mask")?, [place.path("ours.nii")]);
    assert_eq!(fs::read(place.path("ours.nii"))?, b"another mask");

    let theirs = place.plan().output("--out", place.path("theirs.nii")).check().expect_err("not ours");
    assert!(matches!(theirs, OutputError::NotOurs { .. }));
    let message = theirs.to_string();
    assert!(message.contains("theirs.nii.bak") && message.contains("--overwrite"), "{message}");

    fs::write(place.path("ours.nii"), "corrected by hand")?;
    for plan in [place.with_mask(), place.with_mask().editable_input("--mask", place.path("ours.nii"))] {
        let refused = plan.check().expect_err("a person changed it");
        assert!(matches!(refused, OutputError::Changed { .. } | OutputError::IsInput { .. }), "{refused}");
    }
    let out = place.path("ours.nii");
    let refused = place.with_mask().check().expect_err("a person changed it");
    assert!(refused.is_unrecorded(&out) && !refused.is_unrecorded(place.path("ours.json")));
    place.with_mask().accept(&out, Sha256Id::of("corrected by hand")).check()?;
    // What was compared is not what is there now.
    let refused = place.with_mask().accept(&out, Sha256Id::of("a kept mask")).check().expect_err("another content");
    assert!(refused.is_unrecorded(&out), "{refused}");
    // A record that a person changed is not replaced either.
    let record = fs::read_to_string(place.path("ours.json"))?;
    fs::write(place.path("ours.json"), record.replace('{', "{\n  \"note\": \"mine\","))?;
    let refused = place.plan().record("the record", place.path("ours.json")).check().expect_err("changed");
    assert!(matches!(refused, OutputError::Changed { .. }), "{refused}");
    Ok(())
}

/// The property holds at every moment: whatever another program does between the plan and the rename, its file stays.
#[test]
fn a_change_after_the_content_was_compared_is_seen() -> Result {
    let place = Place::new()?;
    for (name, overwrite) in [("ours.nii", false), ("new.nii", false), ("theirs.nii", true)] {
        let target = place.path(name);
        let planned = place.plan().output("--out", &target).record("the record", target.with_extension("json"));
        let outputs = planned.with_overwrite(overwrite).open()?;
        outputs.write(&target, |file| file.write_all(b"hours of work"))?;
        let mut files = outputs.files();
        let output = files.iter_mut().find(|output| output.path == target).ok_or("it is planned")?;
        let seen = output.look().ok_or("as expected")?;
        fs::write(&target, "another program's, of other length")?;
        let refused = output.publish(&seen, overwrite).expect_err("it was changed");
        assert!(matches!(refused, OutputError::ChangedMeanwhile { .. }), "{refused}");
        assert_eq!(fs::read(&target)?, b"another program's, of other length");
        assert_eq!(fs::read(place.path(&format!("new-{name}")))?, b"hours of work");
        // The old file may have no other name left.
        assert_eq!(place.path(&format!("{name}.bak")).exists(), overwrite);
    }
    Ok(())
}

#[test]
fn a_result_that_fails_again_and_again_is_kept_once() -> Result {
    let place = Place::new()?;
    let (path, record) = (place.path("new.nii"), place.path("new.json"));
    let outputs = place.plan().output("--out", &path).record("the record", &record).open()?;
    fs::write(&path, "theirs")?;
    let try_again = |content: &str| -> Result<String> {
        outputs.write(&path, |file| file.write_all(content.as_bytes()))?;
        Ok(outputs.publish_with_record(&record, Map::new()).expect_err("another program's").to_string())
    };
    let first = try_again("first try")?;
    assert_eq!(try_again("second try")?, first);
    assert_eq!(fs::read(place.path("new-new.nii"))?, b"second try");
    // What a person made of it is left.
    fs::write(place.path("new-new.nii"), "opened and saved by a person")?;
    assert!(try_again("third try")?.contains("new2-new.nii"));
    assert_eq!(fs::read(place.path("new-new.nii"))?, b"opened and saved by a person");
    assert!(!record.exists(), "all files stay together");
    Ok(())
}

#[test]
fn overwrite_keeps_every_old_file() -> Result {
    let place = Place::new()?;
    let path = place.path("theirs.nii");
    for (content, backup) in [("first", "theirs.nii.bak"), ("second", "theirs.nii.bak2"), ("third", "theirs.nii.bak3")]
    {
        let old = fs::read(&path)?;
        let outputs = place.plan().output("--out", &path).with_overwrite(true).open()?;
        outputs.write(&path, |file| file.write_all(content.as_bytes()))?;
        outputs.publish()?;
        // Later saves of the same run replace only files of this run.
        outputs.write(&path, |file| file.write_all(content.as_bytes()))?;
        outputs.publish()?;
        assert_eq!((fs::read(&path)?, fs::read(place.path(backup))?), (content.as_bytes().to_vec(), old));
    }
    assert!(!place.path("theirs.nii.bak4").exists());
    Ok(())
}

#[test]
fn a_file_that_appears_during_the_work_is_left_and_the_result_is_kept() -> Result {
    let place = Place::new()?;
    let path = place.path("new.nii");
    let plan = || place.plan().output("--out", &path).record("the record", place.path("new.json"));
    for (number, theirs) in [("", "theirs"), ("2", "also theirs")] {
        let outputs = if number.is_empty() { plan().open()? } else { plan().with_overwrite(true).open()? };
        fs::write(&path, theirs)?;
        outputs.write(&path, |file| file.write_all(b"hours of work"))?;
        let published = outputs.publish_with_record(place.path("new.json"), Map::new());
        if number.is_empty() {
            let refused = published.expect_err("it appeared");
            assert!(matches!(refused, OutputError::ChangedMeanwhile { .. }), "{refused}");
            assert!(refused.to_string().contains("new-new.nii"), "{refused}");
            assert_eq!(fs::read(&path)?, theirs.as_bytes());
            assert_eq!(fs::read(place.path("new-new.nii"))?, b"hours of work");
        } else {
            published?;
            assert_eq!(fs::read(place.path("new.nii.bak"))?, theirs.as_bytes());
        }
    }
    Ok(())
}

#[test]
fn places_that_cannot_be_written_are_told_before_the_work() -> Result {
    let place = Place::new()?;
    let missing = place.plan().output("--out", place.path("missing/mask.nii"));
    assert!(matches!(missing.check(), Err(OutputError::Write(_))));
    let folder = place.plan().output("--out", place.path("dicom"));
    assert!(folder.check().is_err());
    let below_a_file = place.plan().output("--out", place.path("scan.nii/mask.nii"));
    assert!(below_a_file.check().is_err());
    // A folder of results is created when the work begins.
    let results = place.plan().folder(place.path("new/results")).output("--out", place.path("new/results/table.md"));
    results.check()?;
    assert!(!place.path("new").exists(), "a check changes nothing");
    drop(results.open()?);
    assert!(place.path("new/results").is_dir());
    let outputs = place.plan().open()?;
    let unplanned = outputs.write(place.path("other.nii"), |_| Ok(())).expect_err("it was not checked");
    assert!(matches!(unplanned, OutputError::NotPlanned { .. }));
    Ok(())
}

/// On Linux no user can create a file there, not even root.
#[cfg(target_os = "linux")]
#[test]
fn a_read_only_file_system_is_told_before_the_work() {
    for plan in [
        OutputPlan::new().output("--out", "/proc/mask.nii"),
        OutputPlan::new().record("the record", "/proc/mask.json"),
        OutputPlan::new().folder("/proc/results").output("--out", "/proc/results/table.md"),
    ] {
        let refused = plan.check().expect_err("nobody can write there");
        assert!(refused.to_string().contains("cannot write /proc"), "{refused}");
    }
}

#[test]
fn two_programs_never_have_one_output() -> Result {
    let place = Place::new()?;
    let first = place.with_mask().open()?;
    let refused = place.with_mask().open().expect_err("the first one writes it");
    let message = refused.to_string();
    assert!(message.contains("ours.nii") && message.contains(&std::process::id().to_string()), "{message}");
    drop(first);
    place.with_mask().open()?;
    Ok(())
}
