//! Pairs scans and masks by patterns of their file names.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sam_files::read_text;
use sam_prompt::counted;
use serde::Deserialize;

use super::LeftOut;
use crate::{
    Case, DataError, LabelTable, LayoutError,
    case::{CaseFiles, CaseKind},
    files::files_below,
};

/// Name patterns of the files of one case. `KEY` stands for the case's name, `*` for anything without a slash, `.{png,tif}` for one of
/// these extensions. Patterns of parent folders may precede the file name. The extension `.nii` also matches `.nii.gz`.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) image: &'static str,
    /// The pattern of the mask, or those of the masks of several raters.
    pub(super) masks: Vec<String>,
    pub(super) kind: CaseKind,
    /// Whether image and mask must have the same grid. If not, the same shape is enough.
    pub(super) compare_affines: bool,
}

/// The cases, and the files that belong to no case.
pub(super) type Found = (Vec<Case>, Vec<LeftOut>);

/// Pairs images and masks in a folder and its sub-folders.
pub(super) fn cases_of(folder: &Path, pattern: &Pattern) -> Result<Found, DataError> {
    let files = files_below(folder)?;
    let by_key = |pattern: &str| -> Result<BTreeMap<String, PathBuf>, DataError> {
        let mut found = BTreeMap::new();
        for path in &files {
            let Some(key) = key_of(pattern, path) else { continue };
            if let Some(other) = found.insert(key.clone(), path.clone()) {
                let role = format!("{pattern} of case {key}");
                let source = LayoutError::Ambiguous { first: other, second: path.clone(), role };
                return Err(DataError::Layout { path: folder.to_path_buf(), source });
            }
        }
        Ok(found)
    };
    let images = by_key(pattern.image)?;
    let masks = pattern.masks.iter().map(|mask| by_key(mask)).collect::<Result<Vec<_>, _>>()?;
    let (mut cases, mut left_out) = (Vec::new(), Vec::new());
    for (key, image) in &images {
        if let Some(rater) = masks.iter().position(|masks| !masks.contains_key(key)) {
            let reason = format!("it has no {}", pattern.masks[rater].replace("KEY", key));
            left_out.push(LeftOut { path: image.clone(), reason });
            continue;
        }
        let files = CaseFiles {
            image: image.clone(),
            labels: masks.iter().map(|masks| masks[key].clone()).collect(),
            kind: pattern.kind,
            compare_affines: pattern.compare_affines,
        };
        cases.push(Case::of_files(key.clone(), files));
    }
    for (key, mask) in masks.iter().flatten().filter(|(key, _)| !images.contains_key(*key)) {
        let reason = format!("it has no {}", pattern.image.replace("KEY", key));
        left_out.push(LeftOut { path: mask.clone(), reason });
    }
    if cases.is_empty() {
        return Err(DataError::Layout {
            path: folder.to_path_buf(),
            source: LayoutError::NothingFound(nothing_found(pattern, files.len(), images.len(), &left_out)),
        });
    }
    Ok((cases, left_out))
}

fn nothing_found(pattern: &Pattern, files: usize, images: usize, left_out: &[LeftOut]) -> String {
    let masks = pattern.masks.join(", ");
    let looked = format!(
        "looked in it and below for {} with {masks} (KEY: the case's name; .nii or .nii.gz), among {}",
        pattern.image,
        counted(files, "file")
    );
    let there = if images == 0 { "masks" } else { "images" };
    match left_out {
        [] => format!("{looked}; give the folder that holds the data set as it was unpacked"),
        [only] => format!("{looked}; there are {there}, but {only}"),
        [first, rest @ ..] => format!("{looked}; there are {there}, but {first}, and so with {} more", rest.len()),
    }
}

/// The part of a path that `KEY` stands for; `None` if the path does not match the pattern.
fn key_of(pattern: &str, path: &Path) -> Option<String> {
    if let Some((before, endings)) = pattern.strip_suffix('}').and_then(|pattern| pattern.split_once('{')) {
        let ending = path.extension()?.to_str()?;
        let known = endings.split(',').find(|known| known.eq_ignore_ascii_case(ending))?;
        // Repeats the match with this one extension, in the pattern's case.
        return key_of(&format!("{before}{known}"), &path.with_extension(known));
    }
    let mut parts: Vec<_> = pattern.split('/').rev().collect();
    let file = parts.remove(0);
    let name = path.file_name()?.to_str()?;
    // `.nii` also matches `.nii.gz`.
    let name = match name.strip_suffix(".gz") {
        Some(unzipped) if Path::new(file).extension().is_some_and(|ending| ending == "nii") => unzipped,
        _ => name,
    };
    let mut key = key_in(file, name)?;
    for (part, folder) in parts.into_iter().zip(path.ancestors().skip(1)) {
        let found = key_in(part, folder.file_name()?.to_str()?)?;
        key = if key.is_empty() { found } else { key };
    }
    Some(key)
}

/// The part of a path component that `KEY` stands for. Empty if the pattern has no `KEY`.
fn key_in(pattern: &str, text: &str) -> Option<String> {
    let matches = |pattern: &str, text: &str| match pattern.split_once('*') {
        None => pattern == text,
        Some((start, end)) => text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end),
    };
    let Some((before, after)) = pattern.split_once("KEY") else { return matches(pattern, text).then(String::new) };
    let rest = text.strip_prefix(before)?;
    if !after.contains('*') {
        return rest.strip_suffix(after).filter(|key| !key.is_empty()).map(str::to_owned);
    }
    // The key ends where the text after `KEY` first occurs.
    let fixed = after.split('*').next().unwrap_or_default();
    let key = &rest[..rest.find(fixed)?];
    (!key.is_empty() && matches(after, &rest[key.len()..])).then(|| key.to_owned())
}

/// The fields of `dataset.json` (Medical Segmentation Decathlon) that are used here.
#[derive(Deserialize)]
struct MsdTask {
    labels: BTreeMap<String, String>,
    training: Vec<MsdPair>,
}

#[derive(Deserialize)]
struct MsdPair {
    image: String,
    label: String,
}

/// Reads a task of the Medical Segmentation Decathlon: its label table and the pairs that it lists.
pub(super) fn msd_tables(folder: &Path) -> Result<(LabelTable, Found), DataError> {
    let path = folder.join("dataset.json");
    let layout = |source| DataError::Layout { path: folder.to_path_buf(), source };
    if !path.is_file() {
        let looked = "looked for dataset.json; give the folder of one task, such as Task09_Spleen";
        return Err(layout(LayoutError::NothingFound(looked.to_owned())));
    }
    let text = read_text(&path)?;
    let task: MsdTask = serde_json::from_str(&text).map_err(|error| layout(LayoutError::Task(error)))?;
    let parse = |(value, name): (String, String)| match value.parse::<u16>() {
        Ok(value) => Ok((value, name)),
        Err(_) => Err(layout(LayoutError::TaskLabel { found: value })),
    };
    let table = task.labels.into_iter().map(parse).collect::<Result<LabelTable, _>>()?;
    let (mut cases, mut left_out) = (Vec::new(), Vec::new());
    for MsdPair { image, label } in task.training {
        let (image, label) = (inside(folder, &image)?, inside(folder, &label)?);
        let name = image.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = name.trim_end_matches(".gz").trim_end_matches(".nii").to_owned();
        if let Some(missing) = [&image, &label].into_iter().find(|path| !path.is_file()) {
            let reason = "dataset.json lists it, but it is not there".to_owned();
            left_out.push(LeftOut { path: missing.clone(), reason });
        } else {
            let files = CaseFiles { image, labels: vec![label], kind: CaseKind::Volume, compare_affines: true };
            cases.push(Case::of_files(name, files));
        }
    }
    if cases.is_empty() {
        let nothing = format!("none of the {} scans that dataset.json lists is there", left_out.len());
        return Err(layout(LayoutError::NothingFound(nothing)));
    }
    cases.sort_by(|first, second| first.name.cmp(&second.name));
    Ok((table, (cases, left_out)))
}

/// Resolves a listed file name, which must be inside the folder.
fn inside(folder: &Path, listed: &str) -> Result<PathBuf, DataError> {
    let relative = Path::new(listed);
    let stays = relative
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir));
    if stays {
        return Ok(folder.join(relative));
    }
    let source = LayoutError::Outside { found: listed.to_owned() };
    Err(DataError::Layout { path: folder.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_find_the_key() {
        let key = |pattern: &str, path: &str| key_of(pattern, Path::new(path));
        assert_eq!(key("KEY/imaging.nii", "data/case_00003/imaging.nii.gz").as_deref(), Some("case_00003"));
        assert_eq!(key("volume-KEY.nii", "Training Batch 1/volume-7.nii").as_deref(), Some("7"));
        assert_eq!(key("volume-KEY.nii", "segmentation-7.nii"), None);
        let image = "Files/prostate/Images/ProstateX-0005_t2_tse_tra_4.nii.gz";
        assert_eq!(key("Images/KEY_t2*.nii", image).as_deref(), Some("ProstateX-0005"));
        assert_eq!(key("Lizard_Images*/KEY.png", "Lizard_Images2/glas_1.png").as_deref(), Some("glas_1"));
        assert_eq!(key("Lizard_Images*/KEY.png", "Overlay/glas_1.png"), None);
        assert_eq!(key("mask*/KEY.{png,tif}", "masks/a.b.TIF").as_deref(), Some("a.b"));
        assert_eq!(key("mask*/KEY.{png,tif}", "masks/a.gif"), None);
        assert_eq!(key("imgKEY.nii", "img.nii.gz"), None, "a key is never empty");
    }
}
