//! A desk: a folder with a scan, a model and their session.

use std::{fs, ops::Deref};

use anyhow::Result;
use sam_data::LabelVolume;
use sam_prompt::ndarray::Array3;
use serde_json::Value;

use crate::program;

/// A folder with a scan and a model.
pub(crate) struct Desk(sam_testing::scan::Desk);

impl Deref for Desk {
    type Target = sam_testing::scan::Desk;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self(sam_testing::scan::Desk::new())
    }

    pub(crate) fn write(&self, name: &str, labels: &Array3<u16>) -> Result<()> {
        Ok(sam_data::write_labels(self.path(name), labels.view(), &self.phantom.volume)?)
    }

    pub(crate) fn mask(&self) -> Result<LabelVolume> {
        Ok(sam_data::read_labels(self.path("mask.nii.gz"))?)
    }

    /// A path on the desk as an argument.
    pub(crate) fn word(&self, name: &str) -> String {
        program::word(self.path(name))
    }

    /// The command line of a command, with more words; names of files on the desk are replaced by their paths.
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

    /// Runs `annotate` in the session, with more words.
    pub(crate) fn annotate(&self, more: &str) -> Result<program::Ran> {
        let mut words = self.words("annotate");
        for word in more.split_whitespace() {
            words.push(if word.ends_with(".nii.gz") { self.word(word) } else { word.to_owned() });
        }
        program::run(words)
    }

    /// Runs `annotate` in the session, and fails unless it succeeds.
    pub(crate) fn run(&self, more: &str) -> Result<()> {
        self.annotate(more)?.done().map(drop)
    }

    /// Writes a label map with the outlines of some slices.
    pub(crate) fn outline(&self, slices: &[usize]) -> Result<()> {
        self.write("partial.nii.gz", &self.outlines(slices).labels)
    }

    /// Runs the first round, which learns from some slices; `more` holds other options.
    pub(crate) fn begin(&self, outlined: &[usize], more: &str) -> Result<()> {
        self.outline(outlined)?;
        self.run(&format!("--annotations partial.nii.gz {more}"))
    }

    pub(crate) fn provenance(&self) -> Result<Value> {
        let record: Value = serde_json::from_slice(&fs::read(self.path("mask.json"))?)?;
        Ok(record["session"].clone())
    }
}
