//! Which scans to work on and how they are prepared, on the command line and in the results.

use std::{fmt, path::PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use sam_data::{Dataset, KnownSet, PhantomKind, Window, open_dataset};
use serde::Serialize;

/// So many files that were left out are named one by one.
const NAMED: usize = 5;
/// Slices with fewer pixels of a structure count as not showing it, where no known set says otherwise.
const MIN_OBJECT_PIXELS: usize = 10;

/// A folder of scans with masks, or synthetic ones.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub struct DataOptions {
    /// Folder with case folders or a single volume (image.nii.gz, label.nii.gz, labels.json), or with images/ and masks/.
    #[arg(long, value_name = "DIR", required_unless_present = "phantom")]
    pub data: Option<PathBuf>,
    /// The known data set that the folder holds, as it was downloaded: kits19, ct2us-kidney, lits, ct-org, prostatex-gland,
    /// prostatex-peripheral, msd, lizard, scgm, scgm-rater-1 to -4, or btcv. Structures and window are then the set's, if none are
    /// given.
    #[arg(long, value_name = "NAME", requires = "data")]
    pub set: Option<KnownSet>,
    /// Synthetic data instead of a folder: abdomen, spinal-cord, kidney-ultrasound or nuclei.
    #[arg(long, value_name = "KIND", conflicts_with_all = ["data", "set"])]
    pub phantom: Option<PhantomKind>,
    /// Structures by name or label value, merged with +: all (the default without --set), or "liver,spleen,cord=1+2".
    #[arg(long)]
    #[serde(skip)]
    pub(crate) structures: Option<String>,
    /// Intensity window: auto (the default without --set), abdomen, lung, brain, bone, minmax, percentile, or LO:HI.
    #[arg(long, allow_hyphen_values = true)]
    #[serde(skip)]
    pub(crate) window: Option<Window>,
}

impl DataOptions {
    /// Looks through the folder, and tells on the error stream what was left out and with which sets scans are shared.
    ///
    /// # Errors
    /// If the folder is not laid out as it should be.
    pub fn open(&self) -> Result<Box<dyn Dataset>> {
        if let Some(kind) = self.phantom {
            let cases = if kind.is_volume() { 1 } else { 16 };
            return Ok(Box::new(kind.dataset(cases, 0)));
        }
        let folder = self.data.as_deref().context("--data DIR or --phantom KIND is needed")?;
        let dataset = open_dataset(folder, self.set)?;
        tell_left_out(dataset.as_ref());
        for sibling in self.set.iter().flat_map(|set| set.siblings()) {
            self.set.and_then(|set| set.leakage(sibling)).iter().for_each(|warning| eprintln!("note: {warning}"));
        }
        Ok(dataset)
    }

    /// The structures asked for, else those of the set, else all.
    pub fn structures(&self) -> String {
        let of_set = self.set.map(|set| set.preprocessing().structures.value.to_owned());
        self.structures.clone().or(of_set).unwrap_or_else(|| "all".to_owned())
    }

    /// The window asked for, else that of the set, else one that fits the intensities.
    pub fn window(&self) -> Window {
        self.window.or(self.set.map(|set| set.preprocessing().window.value)).unwrap_or_default()
    }

    /// How many pixels of a structure a slice must show.
    pub fn min_object_pixels(&self) -> usize {
        self.set.map_or(MIN_OBJECT_PIXELS, |set| set.preprocessing().min_object_pixels.value)
    }
}

/// Names what a reader left out, the first few one by one.
pub fn tell_left_out(dataset: &dyn Dataset) {
    let left_out = dataset.left_out();
    for one in left_out.iter().take(NAMED) {
        eprintln!("left out {one}");
    }
    if left_out.len() > NAMED {
        eprintln!("left out {} more files of {}", left_out.len() - NAMED, dataset.name());
    }
}

/// Where the data are.
impl fmt::Display for DataOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.data, self.phantom) {
            (Some(folder), _) => write!(f, "{}", folder.display()),
            (None, Some(kind)) => write!(f, "the phantom {kind}"),
            (None, None) => f.write_str("no data"),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        data: DataOptions,
    }

    fn parse(words: &str) -> Result<DataOptions, clap::Error> {
        Line::try_parse_from(words.split(' ')).map(|line| line.data)
    }

    #[test]
    fn a_set_brings_structures_and_window_unless_others_are_asked_for() {
        let of = |words| {
            let options = parse(words).expect("options");
            (options.structures(), options.window().to_string(), options.min_object_pixels())
        };
        assert_eq!(of("evaluate --data x"), ("all".to_owned(), "auto".to_owned(), 10));
        assert_eq!(of("evaluate --data x --set ct-org"), ("lungs".to_owned(), "lung".to_owned(), 10));
        let given = "evaluate --data x --set lits --structures 2 --window -100:200";
        assert_eq!(of(given), ("2".to_owned(), "-100:200".to_owned(), 10));
        assert!(parse("evaluate").is_err() && parse("evaluate --set lits").is_err());
        assert!(parse("evaluate --phantom nuclei --data x").is_err());
    }

    #[test]
    fn phantoms_are_data_too() {
        let options = parse("evaluate --phantom nuclei").expect("options");
        assert_eq!(options.open().expect("a phantom").cases().len(), 16);
        assert_eq!(options.to_string(), "the phantom nuclei");
        assert_eq!(serde_json::to_value(options).expect("plain data")["phantom"], "nuclei");
    }
}
