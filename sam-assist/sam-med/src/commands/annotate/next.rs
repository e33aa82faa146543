//! The command that a user runs after `annotate`.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use sam_annotate::KnownModel;
use sam_core::Precision;
use sam_data::{SliceAxis, Window};

use super::Options;
use crate::options::{InputOptions, Spacing};

/// The command that reviews a mask of `annotate`, for a shell.
pub(super) fn review(options: &Options, mask: &Path) -> String {
    let Options { scan, session, structures, compute, .. } = options;
    let model = &compute.model;
    let precision = (model.precision != Precision::default()).then(|| model.precision.to_string());
    let reviewed = free_beside(mask);
    let is_session = session.session.is_some();
    // A session knows its own.
    let window = (!is_session && structures.window != Window::Auto).then(|| structures.window.to_string());
    let axis = (!is_session && structures.axis != SliceAxis::Auto).then(|| structures.axis.to_string());
    let labels = structures.labels.as_deref().filter(|_| !is_session);
    let (reviewed_mask, out) = match &session.session {
        Some(folder) => (("--session", Some(folder.as_os_str())), mask),
        None => (("--mask", Some(mask.as_os_str())), reviewed.as_path()),
    };
    let InputOptions { image, series, spacing, voxels } = &scan.input;
    let series = (!series.is_empty()).then(|| series.join(","));
    let spacing = spacing.map(|Spacing(sides)| sides.map(|side| side.to_string()).join(","));
    let volume = voxels.volume.map(|volume| volume.to_string());
    let nan = voxels.nan.map(|nan| nan.to_string());
    let words = [
        ("--image", Some(image.as_os_str())),
        ("--series", series.as_deref().map(OsStr::new)),
        ("--spacing", spacing.as_deref().map(OsStr::new)),
        ("--volume", volume.as_deref().map(OsStr::new)),
        ("--nan", nan.as_deref().map(OsStr::new)),
        reviewed_mask,
        ("--out", Some(out.as_os_str())),
        ("--labels", labels.map(Path::as_os_str)),
        ("--window", window.as_deref().map(OsStr::new)),
        ("--axis", axis.as_deref().map(OsStr::new)),
        ("--model", model.model.map(KnownModel::name).map(OsStr::new)),
        ("--weights", model.weights.as_deref().map(Path::as_os_str)),
        ("--precision", precision.as_deref().map(OsStr::new)),
        ("--cache", compute.cache.as_deref().map(Path::as_os_str)),
    ];
    let words = words.into_iter().filter_map(|(option, value)| Some(format!(" {option} {}", quoted(value?))));
    format!("sam-med review{}", words.collect::<Vec<_>>().concat())
}

/// The first of `reviewed.nii.gz`, `reviewed2.nii.gz` and so on that is free, and so are the names of its records.
fn free_beside(mask: &Path) -> PathBuf {
    let folder = mask.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let taken: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    let stems = ["reviewed".to_owned()].into_iter().chain((2_u32..).map(|number| format!("reviewed{number}")));
    let is_taken =
        |stem: &str| taken.iter().any(|name| name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('.')));
    let free = { stems }.find(|stem| !is_taken(stem));
    mask.with_file_name(free.unwrap_or_default() + ".nii.gz")
}

/// A word as a POSIX shell reads it.
fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let is_plain = |sign: char| sign.is_alphanumeric() || "_-./,:=@%+".contains(sign);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn after(words: &str) -> Result<String, clap::Error> {
        let words = ["annotate"].into_iter().chain(words.split('|'));
        Ok(review(&Line::try_parse_from(words)?.options, Path::new("it's here/mask.nii.gz")))
    }

    #[test]
    fn the_next_command_never_names_a_file_that_exists() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let mask = folder.path().join("mask.nii.gz");
        for (taken, free) in [
            ("mask.nii.gz", "reviewed.nii.gz"),
            ("reviewed.nii.gz", "reviewed2.nii.gz"),
            ("reviewed2.review.json", "reviewed3.nii.gz"),
            ("reviewed30.nii.gz", "reviewed3.nii.gz"),
        ] {
            fs::write(folder.path().join(taken), "")?;
            assert_eq!(free_beside(&mask), folder.path().join(free));
        }
        Ok(())
    }

    #[test]
    fn the_next_command_reads_what_this_one_read() -> Result<(), clap::Error> {
        let once =
            after("--image|my scan.nii.gz|--annotations|few.nii.gz|--out|mask.nii.gz|--axis|k|--labels|names.json")?;
        let expected = r"sam-med review --image 'my scan.nii.gz' --mask 'it'\''s here/mask.nii.gz' --out 'it'\''s here/reviewed.nii.gz' --labels names.json --axis k";
        assert_eq!(once, expected);
        let session =
            after("--image|ct|--session|work|--out|mask.nii.gz|--series|1.2.3|--precision|bf16|--weights|sam.pth")?;
        let expected = r"sam-med review --image ct --series 1.2.3 --session work --out 'it'\''s here/mask.nii.gz' --weights sam.pth --precision bf16";
        assert_eq!(session, expected);
        let named = after("--image|ct|--session|work|--out|mask.nii.gz|--model|mini-sam")?;
        let expected = r"sam-med review --image ct --session work --out 'it'\''s here/mask.nii.gz' --model mini-sam";
        assert_eq!(named, expected);
        Ok(())
    }
}
