//! Options of the voxels of a scan, and its reading.

use std::{num::NonZeroUsize, path::Path};

use anyhow::{Result, anyhow};
use clap::Args;
use sam_data::{DataError, NiftiNote, Scan, ScanConfig, ScanNote};
use serde::{Serialize, Serializer};

use crate::{console::Console, exit::Failure, progress::ProgressBars};

/// Which voxels of a NIfTI file are read, and how.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub struct VoxelOptions {
    /// Volume of a NIfTI file with a fourth dimension, counted from 1
    #[arg(long, value_name = "N", requires = "image")]
    #[serde(rename = "volume_index", serialize_with = "index")]
    pub volume: Option<NonZeroUsize>,
    /// Intensity of voxels that are NaN or infinite, in place of the lowest
    #[arg(long, value_name = "VALUE", requires = "image", allow_hyphen_values = true, value_parser = finite)]
    pub nan: Option<f32>,
}

impl VoxelOptions {
    /// The config of a scan, without a DICOM series.
    pub fn config(&self) -> ScanConfig {
        let config = ScanConfig::default();
        let config = self.volume.map_or(config.clone(), |volume| config.with_volume_index(volume.get() - 1));
        self.nan.map_or(config.clone(), |nan| config.with_nan(nan))
    }
}

/// Saves a number that is counted from 1 as an index, which is counted from 0.
#[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn index<S: Serializer>(number: &Option<NonZeroUsize>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    number.map(|number| number.get() - 1).serialize(serializer)
}

/// A number that is neither NaN nor infinite.
fn finite(text: &str) -> std::result::Result<f32, String> {
    let number = text.parse::<f32>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| "expected a finite number, such as -1024".to_owned())
}

/// Reads a scan, and shows what the person must know about it. Errors and notes name the options of [`VoxelOptions`] that help.
pub(crate) fn read_scan(path: &Path, config: &ScanConfig, console: &Console) -> Result<Scan> {
    let mut bars = ProgressBars::new(console);
    let scan = Scan::open_observed(path, config, &mut |progress| match progress.total {
        1 => console.flow(),
        _ => bars.show("files", progress),
    });
    let scan = scan.map_err(with_hint)?.ok_or(Failure::Stopped("nothing was written"))?;
    bars.clear();
    for note in scan.notes() {
        let is_replaced = matches!(note, ScanNote::Nifti { note: NiftiNote::NonFinite { .. }, .. });
        let hint = if is_replaced { "; --nan gives another" } else { "" };
        console.note(format_args!("{note}{hint}"));
    }
    Ok(scan)
}

/// Adds the option that helps to an error.
fn with_hint(error: DataError) -> anyhow::Error {
    let hint = match error {
        DataError::SeveralVolumes { .. } => "--volume chooses one",
        DataError::NonFinite { .. } => "--nan gives one",
        _ => return error.into(),
    };
    hinted(&error.into(), hint)
}

/// An error with a hint behind its causes.
pub(super) fn hinted(error: &anyhow::Error, hint: &str) -> anyhow::Error {
    anyhow!("{error:#}; {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_counted_from_1_by_people_and_from_0_in_files() -> Result<()> {
        let options = VoxelOptions { volume: NonZeroUsize::new(3), nan: Some(-1024.0) };
        assert_eq!(serde_json::to_string(&options)?, r#"{"volume_index":2,"nan":-1024.0}"#);
        assert_eq!(options.config(), ScanConfig::default().with_volume_index(2).with_nan(-1024.0));
        assert_eq!(VoxelOptions::default().config(), ScanConfig::default());
        assert!(finite("NaN").is_err() && finite("inf").is_err() && finite("-1e3").is_ok());
        Ok(())
    }
}
