//! The annotator's loop from end to end, on a phantom and a tiny model of random weights: correct, accept, reject, undo, replay.

use std::{fs, path::PathBuf};

use anyhow::{Result, bail, ensure};
use clap::Parser;
use examples::annotate::{self, Options};
use sam_data::{LabelVolume, Phantom, SliceAxis, SlicePlane};
use sam_prompt::ndarray::{Array2, Array3};
use serde_json::Value;
use tempfile::TempDir;

use crate::tiny;

/// A desk with a scan on it, and a model.
struct Desk {
    folder: TempDir,
    phantom: Phantom,
    plane: SlicePlane,
}

impl Desk {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let phantom = tiny::phantom(0);
        sam_data::write_volume(&folder.path().join("scan.nii.gz"), &phantom.volume)?;
        fs::write(folder.path().join("tiny.safetensors"), tiny::weights()?)?;
        let plane = SlicePlane::new(&phantom.volume.grid, SliceAxis::K);
        Ok(Self { folder, phantom, plane })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn truth(&self, slice: usize) -> Result<Array2<u16>> {
        let labels = self.plane.extract(self.phantom.labels.labels.view(), slice);
        Ok(tiny::only(labels, tiny::structure(&self.phantom)?))
    }

    fn write(&self, name: &str, labels: &Array3<u16>) -> Result<()> {
        Ok(sam_data::write_labels(&self.path(name), labels.view(), &self.phantom.volume)?)
    }

    fn mask(&self) -> Result<LabelVolume> {
        Ok(sam_data::read_labels(&self.path("mask.nii.gz"))?)
    }

    fn slice(&self, labels: &LabelVolume, slice: usize) -> Array2<u16> {
        self.plane.extract(labels.labels.view(), slice)
    }

    /// Runs annotate in the session, with more words.
    fn run(&self, words: &str) -> Result<()> {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let mut arguments = vec!["annotate".to_owned()];
        for (option, name) in [
            ("--image", "scan.nii.gz"),
            ("--out", "mask.nii.gz"),
            ("--weights", "tiny.safetensors"),
            ("--session", "session"),
            ("--cache", "cache"),
        ] {
            arguments.extend([option.to_owned(), text(self.path(name))]);
        }
        for word in words.split_whitespace() {
            arguments.push(if word.ends_with(".nii.gz") { text(self.path(word)) } else { word.to_owned() });
        }
        annotate::run(&Options::try_parse_from(arguments)?)
    }

    fn provenance(&self) -> Result<Value> {
        let record: Value = serde_json::from_slice(&fs::read(self.path("mask.json"))?)?;
        Ok(record["session"].clone())
    }
}

#[test]
fn a_scan_is_corrected_round_after_round() -> Result<()> {
    let desk = Desk::new()?;
    let value = tiny::structure(&desk.phantom)?;
    assert!(desk.run("").expect_err("nothing to begin with").to_string().contains("--annotations FILE"));
    let (shown, bare) = tiny::slices(&desk.phantom, &desk.plane)?;
    // Two are outlined, one is empty; later one is corrected, one accepted, one rejected.
    let ([outlined, wrong, right, also_outlined, ..], [empty, .., rejected]) = (&shown[..], &bare[..]) else {
        bail!("the phantom shows its structure on the slices {shown:?} alone")
    };
    let (outlined, wrong, right, also_outlined) = (*outlined, *wrong, *right, *also_outlined);
    let mut partial = Array3::zeros(desk.phantom.volume.voxels.dim());
    for slice in [outlined, also_outlined] {
        desk.plane.insert(&mut partial, slice, desk.truth(slice)?.view());
    }
    desk.write("partial.nii.gz", &partial)?;
    desk.run(&format!("--annotations partial.nii.gz --empty {empty}"))?;
    let first = desk.mask()?;
    assert_eq!(desk.slice(&first, outlined), desk.truth(outlined)?);
    assert_eq!(desk.slice(&first, also_outlined), desk.truth(also_outlined)?);
    assert!(desk.slice(&first, *empty).iter().all(|&label| label == 0));
    let rising = |mut slices: Vec<usize>| {
        slices.sort_unstable();
        serde_json::json!(slices)
    };
    assert_eq!(desk.provenance()?["drawn"], rising(vec![*empty, outlined, also_outlined]));
    assert_eq!(desk.provenance()?["round"]["warm_start"], Value::Null);

    let mut corrected = first.labels.clone();
    let mut drawn = desk.truth(wrong)?;
    drawn[(0, 0)] = value;
    desk.plane.insert(&mut corrected, wrong, drawn.view());
    desk.write("corrected.nii.gz", &corrected)?;
    desk.run(&format!("--annotations corrected.nii.gz --accept {right} --reject {rejected} --warm"))?;
    let second = desk.mask()?;
    for (slice, expected) in
        [(outlined, desk.truth(outlined)?), (wrong, drawn.clone()), (right, desk.slice(&first, right))]
    {
        assert_eq!(desk.slice(&second, slice), expected, "slice {slice} is the person's");
    }
    let provenance = desk.provenance()?;
    assert_eq!(provenance["drawn"], rising(vec![*empty, outlined, wrong, also_outlined]));
    assert_eq!(provenance["accepted"], rising(vec![right]));
    assert_eq!(provenance["rejected"], rising(vec![*rejected]));
    assert_eq!(provenance["round"]["warm_start"], 1);
    assert_eq!(provenance["round"]["seed"], 1);

    // The same map again changes nothing, and no round is needed.
    desk.run("--annotations corrected.nii.gz")?;
    assert_eq!((desk.provenance()?["events"].clone(), desk.mask()?), (provenance["events"].clone(), second.clone()));

    // Back to the first mask, with what was decided since upon it; then the decisions, the last one first.
    desk.run("--undo")?;
    let back = desk.mask()?;
    assert_eq!(desk.provenance()?["round"]["number"], 1);
    for (slice, expected) in
        [(wrong, drawn), (right, desk.slice(&first, right)), (*rejected, desk.slice(&first, *rejected))]
    {
        assert_eq!(desk.slice(&back, slice), expected, "slice {slice}");
    }
    desk.run("--undo")?;
    desk.run("--undo")?;
    assert_eq!(desk.provenance()?["accepted"], serde_json::json!([]));
    desk.run("--anew --members 2")?;
    let provenance = desk.provenance()?;
    assert_eq!((&provenance["round"]["number"], &provenance["round"]["warm_start"]), (&3.into(), &Value::Null));
    // Two members cannot go on from one, nor one from two.
    desk.run(&format!("--accept {right} --warm"))?;
    assert_eq!(desk.provenance()?["round"]["warm_start"], Value::Null);

    let log = fs::read(desk.path("session/log.jsonl"))?;
    desk.run("--replay")?;
    ensure!(fs::read(desk.path("session/log.jsonl"))? == log, "a replay writes nothing");
    Ok(())
}
