//! A desk: a scan, a model, and a session of them.

use std::{fs, path::PathBuf};

use anyhow::Result;
use sam_data::{LabelVolume, Phantom, SliceAxis, SlicePlane};
use sam_prompt::ndarray::{Array2, Array3};
use serde_json::Value;
use tempfile::TempDir;

use crate::{program, tiny};

/// A desk with a scan on it, and a model.
pub(crate) struct Desk {
    folder: TempDir,
    pub(crate) phantom: Phantom,
    pub(crate) plane: SlicePlane,
}

impl Desk {
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let phantom = tiny::phantom(0);
        sam_data::write_volume(folder.path().join("scan.nii.gz"), &phantom.volume)?;
        fs::write(folder.path().join("tiny.safetensors"), tiny::weights()?)?;
        let plane = SlicePlane::new(&phantom.volume.grid, SliceAxis::K);
        Ok(Self { folder, phantom, plane })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn truth(&self, slice: usize) -> Result<Array2<u16>> {
        let labels = self.plane.extract(self.phantom.labels.labels.view(), slice);
        Ok(tiny::only(labels, tiny::structure(&self.phantom)?))
    }

    pub(crate) fn write(&self, name: &str, labels: &Array3<u16>) -> Result<()> {
        Ok(sam_data::write_labels(self.path(name), labels.view(), &self.phantom.volume)?)
    }

    pub(crate) fn mask(&self) -> Result<LabelVolume> {
        Ok(sam_data::read_labels(self.path("mask.nii.gz"))?)
    }

    pub(crate) fn slice(&self, labels: &LabelVolume, slice: usize) -> Array2<u16> {
        self.plane.extract(labels.labels.view(), slice)
    }

    /// A path on the desk as a word of a command line.
    pub(crate) fn word(&self, name: &str) -> String {
        program::word(self.path(name))
    }

    /// The command line of a command, with more words; those that are files of the desk are given their paths.
    pub(crate) fn words_of(&self, command: &str, more: &[&str]) -> Vec<String> {
        let mut words = vec![command.to_owned()];
        for (option, name) in [("--image", "scan.nii.gz"), ("--weights", "tiny.safetensors"), ("--cache", "cache")] {
            words.extend([option.to_owned(), self.word(name)]);
        }
        let is_file = |word: &&str| word.ends_with(".nii.gz");
        words.extend(more.iter().map(|word| if is_file(word) { self.word(word) } else { (*word).to_owned() }));
        words
    }

    /// The command line of a command in the session.
    pub(crate) fn words(&self, command: &str) -> Vec<String> {
        let session = self.word("session");
        self.words_of(command, &["--out", "mask.nii.gz", "--session", &session])
    }

    /// Runs annotate in the session, with more words.
    pub(crate) fn annotate(&self, more: &str) -> Result<program::Ran> {
        let mut words = self.words("annotate");
        for word in more.split_whitespace() {
            words.push(if word.ends_with(".nii.gz") { self.word(word) } else { word.to_owned() });
        }
        program::run(words)
    }

    /// Runs annotate in the session to its end.
    pub(crate) fn run(&self, more: &str) -> Result<()> {
        self.annotate(more)?.done().map(drop)
    }

    /// Writes the outlines of some slices.
    pub(crate) fn outline(&self, slices: &[usize]) -> Result<()> {
        let mut partial = Array3::zeros(self.phantom.volume.voxels.dim());
        for &slice in slices {
            self.plane.insert(&mut partial, slice, self.truth(slice)?.view());
        }
        self.write("partial.nii.gz", &partial)
    }

    /// The first round, learned from some slices; others are named in more words.
    pub(crate) fn begin(&self, outlined: &[usize], more: &str) -> Result<()> {
        self.outline(outlined)?;
        self.run(&format!("--annotations partial.nii.gz {more}"))
    }

    pub(crate) fn provenance(&self) -> Result<Value> {
        let record: Value = serde_json::from_slice(&fs::read(self.path("mask.json"))?)?;
        Ok(record["session"].clone())
    }
}
