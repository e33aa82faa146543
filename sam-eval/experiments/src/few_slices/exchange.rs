//! Files for other programs that are measured on the same outlines, and their results.

use std::{fs, path::Path};

use sam_data::{Volume, write_labels, write_volume};
use sam_files::{WriteError, read_text, sha256_hex, write_atomic};
use sam_prompt::{
    ConfigError, counted,
    ndarray::{Array3, Axis},
};
use serde::Serialize;

use super::FewSlicesTrial;
use crate::{
    CaseStructure, OutlinedSlices,
    error::{Context, ExperimentError, Result},
};

/// What another program needs of one structure of one case.
#[derive(Serialize)]
struct Exchanged<'a> {
    dataset: &'a str,
    subject: String,
    /// Name of the image: the 8-bit levels that the model sees.
    image: String,
    /// Name of the truth: 1 in the structure.
    truth: String,
    /// The voxel axis along which both are cut into slices.
    axis: usize,
    trials: &'a [OutlinedSlices],
}

/// Writes image, truth and outlined slices of a structure into a folder, under names that depend on the case, the structure, and `seen`: a
/// digest of what they show, since one case may be seen in two windows.
///
/// # Errors
/// If a file cannot be written.
pub(super) fn write(folder: &Path, case: &CaseStructure<'_>, seen: &str, trials: &[OutlinedSlices]) -> Result<()> {
    let (Some(volume), Some(plane)) = (case.stack.volume(), case.stack.plane()) else { return Ok(()) };
    let failed = |source| WriteError { path: folder.to_path_buf(), source };
    fs::create_dir_all(folder).map_err(failed)?;
    let [i, j, k] = volume.grid.shape;
    let (mut levels, mut labels) = (Array3::zeros((i, j, k)), Array3::zeros((i, j, k)));
    for index in case.all_slices() {
        let image = case.stack.image(index);
        plane.insert(&mut levels, index, image.index_axis_move(Axis(2), 0).mapv(f32::from).view());
        plane.insert(&mut labels, index, case.mask(index).mapv(u16::from).view());
    }
    let name = |of: &str| sha256_hex(format!("{}\n{of}\n{seen}", case.dataset))[..12].to_owned();
    let (image, truth) = (name(case.stack.name()), name(&case.name()));
    let image = format!("image-{image}.nii.gz");
    let exchanged = Exchanged {
        dataset: case.dataset,
        subject: case.name(),
        truth: format!("truth-{truth}.nii.gz"),
        axis: plane.axis(),
        image,
        trials,
    };
    let levels = Volume::new(levels, volume.grid.affine);
    write_volume(folder.join(&exchanged.image), &levels)?;
    write_labels(folder.join(&exchanged.truth), labels.view(), &levels)?;
    let json = serde_json::to_vec_pretty(&exchanged)?;
    Ok(write_atomic(folder.join(format!("trials-{truth}.json")), |file| file.write_all(&json))?)
}

/// Reads the results of other programs.
///
/// # Errors
/// If the file cannot be read or is no list of results, or a value is out of range.
pub(crate) fn read_peers(path: &Path) -> Result<Vec<FewSlicesTrial>> {
    let reading = || format!("reading {}: expected what examples/few_slices_peers.py wrote", path.display());
    let trials: Vec<FewSlicesTrial> = serde_json::from_str(&read_text(path)?).step(reading)?;
    for trial in &trials {
        let (method, score) = (&trial.method, &trial.score);
        // It is printed in a terminal.
        let is_name = (1..=80).contains(&method.len()) && !method.contains(char::is_control);
        let shown = || format!("{method:?}");
        ConfigError::check(is_name, "peer's method", shown, "a name of at most 80 bytes without control characters")
            .step(reading)?;
        let wrong = || format!("{} of {}", score.false_slices, score.empty_slices);
        let holds = score.false_slices <= score.empty_slices;
        ConfigError::check(holds, "peer's false slices", wrong, "not more than slices without the structure")
            .step(reading)?;
        ConfigError::check_not_negative("peer's seconds", trial.seconds).step(reading)?;
        for dice in [Some(score.volume), score.slices, score.inner].into_iter().flatten() {
            ConfigError::check((0.0..=1.0).contains(&dice), "peer's Dice", || dice.to_string(), "a number in [0, 1]")
                .step(reading)?;
        }
    }
    Ok(trials)
}

/// Adds the results of other programs to those of the strategies. Each program needs a result for every trial, so that means compare the
/// same trials. Returns how many results were left out, because they are of other trials.
///
/// # Errors
/// [`ExperimentError::PeerTrial`] if a trial has no result, or one for other outlines; [`ExperimentError::Config`] if a program has the name
/// of a strategy.
pub fn add_peers(trials: &mut Vec<FewSlicesTrial>, peers: Vec<FewSlicesTrial>) -> Result<usize> {
    let (mut methods, given): (Vec<String>, usize) = (Vec::new(), peers.len());
    for FewSlicesTrial { method, .. } in &peers {
        let is_ours = trials.iter().any(|trial| trial.method == *method);
        ConfigError::check(!is_ours, "method of --peers", || format!("\"{method}\""), "no strategy's name")?;
        if !methods.contains(method) {
            methods.push(method.clone());
        }
    }
    let mut wanted: Vec<&FewSlicesTrial> = Vec::new();
    for trial in &*trials {
        if !wanted.iter().any(|known| same_trial(known, trial)) {
            wanted.push(trial);
        }
    }
    let mut added = Vec::new();
    for method in methods {
        for trial in &wanted {
            let found = peers.iter().find(|peer| peer.method == method && same_trial(peer, trial));
            let is_same = |peer: &&FewSlicesTrial| {
                peer.outlined == trial.outlined && peer.score.empty_slices == trial.score.empty_slices
            };
            let found = found.filter(is_same);
            added.push(found.cloned().ok_or_else(|| ExperimentError::PeerTrial {
                method: method.clone(),
                trial: format!("{}, {}, seed {}", trial.subject, counted(trial.outlines, "outline"), trial.seed),
            })?);
        }
    }
    let left_out = given - added.len();
    trials.extend(added);
    Ok(left_out)
}

/// Whether two results are of the same trial.
fn same_trial(one: &FewSlicesTrial, other: &FewSlicesTrial) -> bool {
    let key = |trial: &FewSlicesTrial| (trial.outlines, trial.seed);
    key(one) == key(other) && one.subject == other.subject && one.dataset == other.dataset
}
