//! A desk: a scan, a model, and a session of them.

use std::{fs, path::PathBuf};

use anyhow::Result;
use clap::Parser;
use examples::annotate::{self, Options};
use sam_data::{LabelVolume, Phantom, SliceAxis, SlicePlane};
use sam_prompt::ndarray::{Array2, Array3};
use serde_json::Value;
use tempfile::TempDir;

use crate::tiny;

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
        sam_data::write_volume(&folder.path().join("scan.nii.gz"), &phantom.volume)?;
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
        Ok(sam_data::write_labels(&self.path(name), labels.view(), &self.phantom.volume)?)
    }

    pub(crate) fn mask(&self) -> Result<LabelVolume> {
        Ok(sam_data::read_labels(&self.path("mask.nii.gz"))?)
    }

    pub(crate) fn slice(&self, labels: &LabelVolume, slice: usize) -> Array2<u16> {
        self.plane.extract(labels.labels.view(), slice)
    }

    /// The command line of a program in the session.
    pub(crate) fn words(&self, program: &str) -> Vec<String> {
        let mut words = vec![program.to_owned()];
        for (option, name) in [
            ("--image", "scan.nii.gz"),
            ("--out", "mask.nii.gz"),
            ("--weights", "tiny.safetensors"),
            ("--session", "session"),
            ("--cache", "cache"),
        ] {
            words.extend([option.to_owned(), self.path(name).to_string_lossy().into_owned()]);
        }
        words
    }

    /// Runs annotate in the session, with more words.
    pub(crate) fn run(&self, more: &str) -> Result<()> {
        let mut words = self.words("annotate");
        for word in more.split_whitespace() {
            let is_file = word.ends_with(".nii.gz");
            words.push(if is_file { self.path(word).to_string_lossy().into_owned() } else { word.to_owned() });
        }
        annotate::run(&Options::try_parse_from(words)?)
    }

    /// The first round, learned from some slices; others are named in more words.
    pub(crate) fn begin(&self, outlined: &[usize], more: &str) -> Result<()> {
        let mut partial = Array3::zeros(self.phantom.volume.voxels.dim());
        for &slice in outlined {
            self.plane.insert(&mut partial, slice, self.truth(slice)?.view());
        }
        self.write("partial.nii.gz", &partial)?;
        self.run(&format!("--annotations partial.nii.gz {more}"))
    }

    pub(crate) fn provenance(&self) -> Result<Value> {
        let record: Value = serde_json::from_slice(&fs::read(self.path("mask.json"))?)?;
        Ok(record["session"].clone())
    }
}
