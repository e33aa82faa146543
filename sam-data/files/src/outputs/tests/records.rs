//! What records tell of the files beside them.

use super::*;

#[test]
fn the_only_copy_of_a_persons_work_is_replaced_only_where_it_is_edited() -> Result {
    let place = Place::new()?;
    let (mask, record) = (place.path("reviewed.nii"), place.path("reviewed.review.json"));
    let fields = json!({ ONLY_COPY: true }).as_object().cloned().unwrap_or_default();
    let outputs = place.plan().output("--out", &mask).record("the record", &record).open()?;
    outputs.write(&mask, |file| file.write_all(b"accepted slice by slice"))?;
    outputs.publish_with_record(&record, fields)?;
    drop(outputs);
    let plan = || place.plan().output("--out", &mask).record("the record", place.path("reviewed.json"));
    let refused = plan().check().expect_err("the only copy");
    assert!(matches!(refused, OutputError::OnlyCopy { .. }), "{refused}");
    plan().editable_input("--mask", &mask).check()?;
    plan().edit(&mask).check()?;
    plan().with_overwrite(true).check()?;

    // A computed mask that a person accepted as it is: another record lists the same content.
    let outputs = plan().with_overwrite(true).open()?;
    outputs.write(&mask, |file| file.write_all(b"accepted slice by slice"))?;
    outputs.publish_with_record(place.path("reviewed.json"), Map::new())?;
    drop(outputs);
    assert!(matches!(plan().check(), Err(OutputError::OnlyCopy { .. })));
    Ok(())
}

#[test]
fn a_record_that_cannot_be_written_does_not_lose_the_result() -> Result {
    let place = Place::new()?;
    fs::create_dir(place.path("gone"))?;
    let (mask, record) = (place.path("new.nii"), place.path("gone/new.json"));
    let outputs = place.plan().output("--out", &mask).record("the record", &record).open()?;
    outputs.write(&mask, |file| file.write_all(b"hours of work"))?;
    fs::remove_dir_all(place.path("gone"))?;
    let error = outputs.publish_with_record(&record, Map::new()).expect_err("its folder is gone");
    assert!(error.to_string().contains("new-new.nii"), "{error}");
    assert_eq!(fs::read(place.path("new-new.nii"))?, b"hours of work");
    assert!(!mask.exists());
    Ok(())
}

/// The record is written first. If the program is killed then, the old file and the new one are both known.
#[test]
fn a_program_that_is_killed_while_it_publishes_knows_its_files_again() -> Result {
    let place = Place::new()?;
    let old = fs::read(place.path("ours.nii"))?;
    place.write_ours("a new mask")?;
    place.with_mask().check()?;
    fs::write(place.path("ours.nii"), old)?;
    place.with_mask().check()?;
    Ok(())
}

#[test]
fn a_record_lists_what_was_written_and_no_absolute_path() -> Result {
    let place = Place::new()?;
    let [mask, card, record] = ["new.nii", "sub/card.safetensors", "new.json"].map(|name| place.path(name));
    let plan = place.plan().output("--out", &mask).output("--save-card", &card).record("the record", &record);
    for absolute_paths in [false, true] {
        let outputs = plan.clone().with_absolute_paths(absolute_paths).open()?;
        outputs.write_now(&card, |path| Ok::<_, OutputError>(write_atomic(path, |file| file.write_all(b"card"))?))?;
        assert_eq!(fs::read(&card)?, b"card");
        outputs.write(&mask, |file| file.write_all(b"mask"))?;
        let fields = json!({ "options": { "out": mask, "image": place.path("dicom"), "window": "lung" } });
        let written = outputs.publish_with_record(&record, fields.as_object().cloned().unwrap_or_default())?;
        assert_eq!(written, std::slice::from_ref(&mask));
        let text = fs::read_to_string(&record)?;
        let read: Value = serde_json::from_str(&text)?;
        assert_eq!(read["outputs"]["new.nii"]["sha256"], json!(Sha256Id::of("mask")));
        assert_eq!(read["outputs"]["sub/card.safetensors"]["sha256"], json!(Sha256Id::of("card")));
        let is_told = text.contains(&*place.folder.path().to_string_lossy());
        assert_eq!(is_told, absolute_paths, "{text}");
        if !absolute_paths {
            assert_eq!(read["options"], json!({ "out": "new.nii", "image": "dicom", "window": "lung" }));
        }
    }
    Ok(())
}

#[test]
fn outputs_that_a_later_run_does_not_write_stay_known() -> Result {
    let place = Place::new()?;
    let [mask, segmentation, record] = ["new.nii", "sub/new.dcm", "dicom/new.json"].map(|name| place.path(name));
    let mask_alone = || place.plan().output("--out", &mask).record("the record", &record);
    let both = || mask_alone().output("--seg", &segmentation);
    let outputs = both().open()?;
    for path in [&mask, &segmentation] {
        outputs.write(path, |file| file.write_all(b"first"))?;
    }
    outputs.publish_with_record(&record, Map::new())?;
    drop(outputs);
    let write_mask = || -> Result {
        let outputs = mask_alone().open()?;
        outputs.write(&mask, |file| file.write_all(b"second"))?;
        outputs.publish_with_record(&record, Map::new())?;
        Ok(())
    };
    write_mask()?;
    both().check()?;
    let listed = || -> Result<Vec<String>> {
        let read: Value = serde_json::from_slice(&fs::read(&record)?)?;
        Ok(read["outputs"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect())
    };
    assert_eq!(listed()?, ["../new.nii", "../sub/new.dcm"]);
    // A file that was changed is not listed any longer.
    fs::write(&segmentation, "changed by another program")?;
    write_mask()?;
    assert_eq!(listed()?, ["../new.nii"]);
    assert!(matches!(both().check(), Err(OutputError::NotOurs { .. })));
    Ok(())
}

#[test]
fn a_record_is_replaced_only_with_one_of_its_files() -> Result {
    let place = Place::new()?;
    let record = place.path("ours.json");
    let packed = || place.plan().output("--out", place.path("ours.nii.gz"));
    for plan in [packed().record("the record", &record), packed().output("--merge", &record)] {
        let refused = plan.clone().check().expect_err("the record of ours.nii");
        let message = refused.to_string();
        assert!(matches!(refused, OutputError::OtherRecord { .. }), "{message}");
        assert!(message.contains("the record of") && message.contains("ours.nii;"), "{message}");
        plan.with_overwrite(true).check()?;
    }
    place.with_mask().check()?;
    // Without its files it tells of nothing.
    fs::remove_file(place.path("ours.nii"))?;
    packed().record("the record", &record).check()?;
    Ok(())
}

#[test]
fn the_programs_own_files_in_a_folder_are_known_by_their_records() -> Result {
    let place = Place::new()?;
    let [mask, card, record] = ["new.nii", "sub/card.safetensors", "new.json"].map(|name| place.path(name));
    let before = own_files(place.folder.path())?;
    let outputs =
        place.plan().output("--out", &mask).output("--save-card", &card).record("the record", &record).open()?;
    outputs.write(&mask, |file| file.write_all(b"mask"))?;
    outputs.write(&card, |file| file.write_all(b"card"))?;
    outputs.publish_with_record(&record, serde_json::Map::new())?;
    fs::write(&mask, "corrected by a person")?;
    fs::write(place.path("labels.json"), r#"{"1": "liver", "outputs": {}}"#)?;
    let own = own_files(place.folder.path())?;
    assert_eq!(own.difference(&before).collect::<Vec<_>>(), [&record, &mask, &card]);
    Ok(())
}
