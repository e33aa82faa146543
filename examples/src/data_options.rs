//! Which scans to work on, on the command line and in the results.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use sam_data::{Dataset, KnownSet, open_dataset};
use serde::Serialize;

/// A folder of scans with masks.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub struct DataOptions {
    /// Folder with case folders or a single volume (image.nii.gz, label.nii.gz, labels.json), or with images/ and masks/.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// The known data set that the folder holds, as it was downloaded: kits19, ct2us-kidney, lits, ct-org, prostatex-gland,
    /// prostatex-peripheral, msd, lizard, scgm, scgm-rater-1 to -4, or btcv.
    #[arg(long, value_name = "NAME")]
    pub set: Option<KnownSet>,
}

impl DataOptions {
    /// Looks through the folder, and tells on the error stream what was left out.
    ///
    /// # Errors
    /// If the folder is not laid out as it should be.
    pub fn open(&self) -> Result<Box<dyn Dataset>> {
        let dataset = open_dataset(&self.data, self.set)?;
        for left_out in dataset.left_out() {
            eprintln!("left out {left_out}");
        }
        Ok(dataset)
    }
}
