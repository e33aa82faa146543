//! Whether learning that goes on is as good as learning anew, on a real scan whose masks are known.
//!
//! ```text
//! SAM_MED_DATA=DIR SAM_MED_STRUCTURES=liver,aorta cargo test --release -p examples --test annotator -- --ignored warm --nocapture
//! ```
//!
//! `DIR` holds `image.nii.gz`, `label.nii.gz` and `labels.json`. Two slices are outlined; after the first round the two that were
//! segmented worst are corrected; the second round then goes on, or learns anew, from the same four slices. Told are mean Dice of the other
//! slices that show the structure, and seconds of the second round, embeddings at hand.

use std::{env, fs, path::Path, time::Instant};

use anyhow::{Context, Result};
use clap::Parser;
use examples::annotate::{self, Options};
use ndarray::{Array2, Array3};
use sam_data::{LabelTable, LabelVolume, SliceAxis, SlicePlane, Volume};
use sam_eval::{EmptyPolicy, dice};
use sam_prompt::ndarray;

/// One structure of a scan, and a folder for its sessions.
struct Trial<'a> {
    data: &'a Path,
    folder: &'a Path,
    volume: &'a Volume,
    truth: LabelVolume,
    plane: SlicePlane,
}

impl Trial<'_> {
    fn run(&self, session: &str, annotations: &str, more: &[&str]) -> Result<(LabelVolume, f64)> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let out = self.folder.join("mask.nii.gz");
        let mut words = vec!["annotate".to_owned()];
        for (option, path) in [
            ("--image", self.data.join("image.nii.gz")),
            ("--annotations", self.folder.join(annotations)),
            ("--out", out.clone()),
            ("--session", self.folder.join(session)),
            ("--cache", self.folder.join("../cache")),
        ] {
            words.extend([option.to_owned(), text(&path)]);
        }
        words.extend(more.iter().map(|&word| word.to_owned()));
        let begun = Instant::now();
        annotate::run(&Options::try_parse_from(words)?)?;
        Ok((sam_data::read_labels(&out)?, begun.elapsed().as_secs_f64()))
    }

    fn cut(&self, labels: &LabelVolume, slice: usize) -> Array2<u16> {
        self.plane.extract(labels.labels.view(), slice)
    }

    fn write(&self, name: &str, labels: &Array3<u16>) -> Result<()> {
        Ok(sam_data::write_labels(&self.folder.join(name), labels.view(), self.volume)?)
    }

    /// Dice of a slice.
    fn dice(&self, mask: &LabelVolume, slice: usize) -> Result<f64> {
        let [found, truth] = [mask, &self.truth].map(|labels| self.cut(labels, slice).mapv(|label| label != 0));
        Ok(dice(&found, &truth, EmptyPolicy::Nan)?)
    }

    /// Dice before, and of both ways with their seconds.
    fn compare(&self) -> Result<[f64; 5]> {
        let has_structure =
            |&slice: &usize| self.cut(&self.truth, slice).iter().filter(|&&label| label != 0).count() >= 10;
        let shown: Vec<usize> = (0..self.plane.count()).filter(has_structure).collect();
        let mut partial = Array3::zeros(self.truth.labels.dim());
        let outlined = [shown[shown.len() / 3], shown[2 * shown.len() / 3]];
        for slice in outlined {
            self.plane.insert(&mut partial, slice, self.cut(&self.truth, slice).view());
        }
        self.write("partial.nii.gz", &partial)?;
        let (first, _) = self.run("warm", "partial.nii.gz", &[])?;
        let mut rest: Vec<usize> = shown.into_iter().filter(|slice| !outlined.contains(slice)).collect();
        let mut scored =
            rest.iter().map(|&slice| Ok((self.dice(&first, slice)?, slice))).collect::<Result<Vec<_>>>()?;
        scored.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let mut corrected = first.labels.clone();
        for &(_, slice) in scored.iter().take(2) {
            self.plane.insert(&mut corrected, slice, self.cut(&self.truth, slice).view());
            rest.retain(|&other| other != slice);
        }
        self.write("corrected.nii.gz", &corrected)?;
        let copy = self.folder.join("anew");
        copy_folder(&self.folder.join("warm"), &copy)?;
        let (warm, warm_seconds) = self.run("warm", "corrected.nii.gz", &["--warm"])?;
        let (anew, anew_seconds) = self.run("anew", "corrected.nii.gz", &[])?;
        let mean = |mask: &LabelVolume| -> Result<f64> {
            let dices = rest.iter().map(|&slice| self.dice(mask, slice)).collect::<Result<Vec<_>>>()?;
            Ok(dices.iter().sum::<f64>() / dices.len() as f64)
        };
        Ok([mean(&first)?, mean(&warm)?, warm_seconds, mean(&anew)?, anew_seconds])
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() { copy_folder(&path, &target)? } else { fs::copy(&path, &target).map(drop)? }
    }
    Ok(())
}

#[test]
#[ignore = "it needs a real scan, weights and minutes"]
fn going_on_is_as_good_as_learning_anew() -> Result<()> {
    let data = env::var_os("SAM_MED_DATA").context("SAM_MED_DATA names the folder of a scan")?;
    let data = Path::new(&data);
    let structures = env::var("SAM_MED_STRUCTURES").unwrap_or_else(|_| "all".to_owned());
    let volume = sam_data::read_volume(&data.join("image.nii.gz"))?;
    let labels = sam_data::read_labels(&data.join("label.nii.gz"))?;
    let folder = tempfile::tempdir()?;
    println!("\n{:<20} {:>6} {:>6} {:>6} {:>6} {:>6}", "structure", "before", "warm", "s", "anew", "s");
    let (mut warm, mut anew, mut count) = (0.0, 0.0, 0.0);
    for structure in LabelTable::read(&data.join("labels.json"))?.parse_structures(&structures)? {
        let folder = folder.path().join(&structure.name);
        fs::create_dir_all(&folder)?;
        let truth = labels.labels.mapv(|label| u16::from(structure.values.contains(&label)));
        let truth = LabelVolume::new(truth, labels.grid.affine);
        let plane = SlicePlane::new(&volume.grid, SliceAxis::Auto);
        let trial = Trial { data, folder: &folder, volume: &volume, truth, plane };
        let [before, of_warm, warm_seconds, of_anew, anew_seconds] = trial.compare()?;
        println!(
            "{:<20} {before:>6.3} {of_warm:>6.3} {warm_seconds:>6.1} {of_anew:>6.3} {anew_seconds:>6.1}",
            structure.name
        );
        (warm, anew, count) = (warm + of_warm, anew + of_anew, count + 1.0);
    }
    // One seed, few structures: a loss of so much would be more than chance.
    assert!(
        warm / count > anew / count - 0.03,
        "going on reaches {:.3}, learning anew {:.3}",
        warm / count,
        anew / count
    );
    Ok(())
}
