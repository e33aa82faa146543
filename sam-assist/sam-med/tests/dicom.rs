//! DICOM series as a user meets them: what is said, and what is refused.

use std::{fs, path::Path};

use anyhow::Result;
use sam_data::read_volume;

use crate::program;

const SIDE: u16 = 4;

/// An axial slice as a data set alone, without preamble: implicit types, little endian.
fn slice(series: &str, number: u16, position: &str) -> Vec<u8> {
    let instance = format!("{series}.{number}");
    let pixels: Vec<u8> = (0..SIDE * SIDE).flat_map(|pixel| (100 * number + pixel).to_le_bytes()).collect();
    let us = |number: u16| number.to_le_bytes().to_vec();
    let elements: [(u16, u16, Vec<u8>); 17] = [
        (0x0008, 0x0016, b"1.2.840.10008.5.1.4.1.1.2".to_vec()),
        (0x0008, 0x0018, instance.into_bytes()),
        (0x0008, 0x0060, b"CT".to_vec()),
        (0x0020, 0x000d, b"1.2.3".to_vec()),
        (0x0020, 0x000e, series.as_bytes().to_vec()),
        (0x0020, 0x0032, position.as_bytes().to_vec()),
        (0x0020, 0x0037, b"1\\0\\0\\0\\1\\0".to_vec()),
        (0x0028, 0x0002, us(1)),
        (0x0028, 0x0004, b"MONOCHROME2".to_vec()),
        (0x0028, 0x0010, us(SIDE)),
        (0x0028, 0x0011, us(SIDE)),
        (0x0028, 0x0030, b"1.0\\1.0".to_vec()),
        (0x0028, 0x0100, us(16)),
        (0x0028, 0x0101, us(16)),
        (0x0028, 0x0102, us(15)),
        (0x0028, 0x0103, us(0)),
        (0x7fe0, 0x0010, pixels),
    ];
    let mut bytes = Vec::new();
    for (group, number, mut value) in elements {
        let padding = if group == 0x0028 { b' ' } else { 0 };
        value.resize(value.len().next_multiple_of(2), padding);
        bytes.extend(group.to_le_bytes());
        bytes.extend(number.to_le_bytes());
        bytes.extend((value.len() as u32).to_le_bytes());
        bytes.extend(value);
    }
    bytes
}

/// The character sets of names in Japanese: the first is the default, which has no name.
#[test]
fn a_character_set_with_code_extensions_is_no_warning() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (series, out) = (folder.path().join("series"), folder.path().join("upright.nii.gz"));
    fs::create_dir(&series)?;
    let value = b"\\ISO 2022 IR 87 ";
    let element = [&[8, 0, 5, 0, value.len() as u8, 0, 0, 0][..], value].concat();
    for number in 0..3 {
        let image = slice("1.2.4", number, &format!("0\\0\\{number}"));
        fs::write(series.join(format!("{number}.dcm")), [&element[..], &image].concat())?;
    }
    let ran = program::run(words(&series, &out).into_iter().chain(["-v"]))?.done()?;
    assert!(ran.stderr.contains("read the scan") && !ran.stderr.contains("character set"), "{}", ran.stderr);
    Ok(())
}

/// A series of a tilted gantry: each slice lies one row lower than the one before.
fn sheared(folder: &Path) -> Result<()> {
    for number in 0..3 {
        let position = format!("0.0\\{number}.0\\{}.0", 2 * number);
        fs::write(folder.join(format!("{number}.dcm")), slice("1.2.4", number, &position))?;
    }
    Ok(())
}

fn words<'a>(image: &'a Path, out: &'a Path) -> Vec<&'a str> {
    let [image, out] = [image, out].map(|path| path.to_str().expect("a temporary folder has a plain name"));
    vec!["resample", "--image", image, "--out", out]
}

#[test]
fn a_sheared_series_is_told_and_resampled() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (series, out) = (folder.path().join("series"), folder.path().join("upright.nii.gz"));
    fs::create_dir(&series)?;
    sheared(&series)?;
    fs::write(series.join("notes.txt"), "about this series")?;
    let ran = program::run(words(&series, &out))?.done()?;
    assert!(ran.stdout.contains("4 x 6 x 3 voxels of 1.000 x 1.000 x 2.000 mm"), "{}", ran.stdout);
    for part in ["read the series 1.2.4 (CT \"\", 3 files)", "notes.txt", "sheared by 26.6 degrees", "sam-med resample"]
    {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    let upright = read_volume(&out)?;
    assert_eq!(upright.grid.shape, [4, 6, 3]);
    // Its own file is replaced, also by a run from its record.
    program::run(words(&series, &out))?.done()?;
    let record = folder.path().join("upright.json");
    program::run(["resample", "--config", &program::word(&record)])?.done()?;
    assert_eq!(read_volume(&out)?, upright);
    let again = folder.path().join("again.nii.gz");
    let quiet = program::run(words(&series, &again).into_iter().chain(["--quiet"]))?.done()?;
    assert_eq!(quiet.stderr, "");
    Ok(())
}

#[test]
fn a_file_that_may_be_a_slice_ends_the_program_with_its_name() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (series, out) = (folder.path().join("series"), folder.path().join("upright.nii.gz"));
    fs::create_dir(&series)?;
    sheared(&series)?;
    fs::write(series.join("3.dcm"), "")?;
    let error = program::run(words(&series, &out))?.failed(1)?;
    assert!(error.contains("3.dcm") && error.contains("--series"), "{error}");
    assert!(!out.exists());
    let told = program::run(words(&series, &out).into_iter().chain(["--series", "1.2.4"]))?.done()?;
    assert!(told.stderr.contains("3.dcm") && told.stderr.contains("is missing"), "{}", told.stderr);
    Ok(())
}

#[test]
fn series_are_joined_and_distances_are_checked() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (series, out) = (folder.path().join("series"), folder.path().join("upright.nii.gz"));
    fs::create_dir(&series)?;
    for number in 0..3 {
        let of = format!("1.2.4.{number}");
        fs::write(series.join(number.to_string()), slice(&of, number, &format!("0\\0\\{number}")))?;
    }
    let error = program::run(words(&series, &out))?.failed(1)?;
    assert!(error.contains("3 series") && error.contains("--series all"), "{error}");
    for chosen in [&["--series", "all"][..], &["--series", "1.2.4.0", "--series", "1.2.4.1,1.2.4.2"]] {
        let ran = program::run(words(&series, &out).into_iter().chain(chosen.iter().copied()))?.done()?;
        assert!(ran.stdout.contains("4 x 4 x 3 voxels"), "{}", ran.stdout);
        fs::remove_file(&out)?;
    }
    let error = program::run(words(&series, &out).into_iter().chain(["--spacing", "1,2"]))?.failed(2)?;
    assert!(error.contains("one or three numbers"), "{error}");
    let all = ["--series", "all", "--spacing", "1"];
    let error = program::run(words(&series, &out).into_iter().chain(all))?.failed(1)?;
    assert!(error.contains("leave out --spacing"), "{error}");
    Ok(())
}
