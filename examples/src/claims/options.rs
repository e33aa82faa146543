//! The command line of a claim.

use std::{path::PathBuf, str::FromStr};

use anyhow::{Context, Error, Result, ensure};
use clap::Args;
use clap::Parser;
use sam_data::{KnownSet, PhantomKind};

use super::{Claim, Plan};
use crate::{backend::BackendChoice, data_options::DataOptions, weights::ModelOptions};

/// Measure the paper's claim here, and write a page with both.
#[derive(Debug, Clone, Parser)]
pub struct ClaimOptions {
    #[command(flatten)]
    run: RunOptions,
    /// Which model.
    #[command(flatten)]
    pub model: ModelOptions,
    /// Folder that keeps embedded slices; embeddings/ in the folder of results if none is given.
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    pub backend: BackendChoice,
}

/// What is measured on.
#[derive(Debug, Clone, Args)]
struct RunOptions {
    /// Data to measure on, as often as there are some: DIR, DIR:STRUCTURES or DIR:STRUCTURES@WINDOW, for example
    /// "scans:liver,cord=1+2@-160:240"; with SET= before it, a known data set as it was downloaded: btcv=DIR. Phantoms if none is given.
    #[arg(long, value_name = "SOURCE")]
    data: Vec<Source>,
    /// How often all is done, each time with other slices and prompts; the same ones for every method.
    #[arg(long, default_value_t = 1)]
    repeats: u64,
    /// Seed of the first repeat.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// At most this many slices are tested for each structure of a case, at equal distances.
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    test_slices: usize,
    /// Folder for the page and the journal. A run that was interrupted goes on there; results/NAME if none is given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Data to measure on.
#[derive(Debug, Clone)]
pub struct Source(DataOptions);

impl Source {
    /// A phantom, given as `KIND` or `KIND:STRUCTURES`.
    ///
    /// # Errors
    /// If there is no such kind.
    pub(super) fn phantom(text: &str) -> Result<Self> {
        let (kind, structures) = split(text, ':');
        let kind: PhantomKind = kind.parse()?;
        Ok(Self(DataOptions { phantom: Some(kind), structures, ..DataOptions::default() }))
    }

    pub(super) fn into_data(self) -> DataOptions {
        self.0
    }
}

fn split(text: &str, at: char) -> (&str, Option<String>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after.to_owned())))
}

impl FromStr for Source {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        // A folder may have a "=" in its structures, but no known set is called like a folder with one.
        let (set, rest) = match text.split_once('=') {
            Some((name, rest)) if !name.contains([':', '/', '\\']) => {
                let set: KnownSet = name.parse().with_context(|| format!("in \"{text}\""))?;
                (Some(set), rest)
            }
            _ => (None, text),
        };
        let (folder, described) = split(rest, ':');
        let (structures, window) = match described.as_deref().map(|described| split(described, '@')) {
            None => (None, None),
            Some((structures, window)) => (Some(structures.to_owned()), window),
        };
        ensure!(!folder.is_empty(), "expected DIR, DIR:STRUCTURES or DIR:STRUCTURES@WINDOW, found \"{text}\"");
        let window = window.map(|window| window.parse()).transpose().with_context(|| format!("in \"{text}\""))?;
        let structures = structures.filter(|structures| !structures.is_empty());
        Ok(Self(DataOptions { data: Some(folder.into()), set, structures, window, phantom: None }))
    }
}

impl ClaimOptions {
    /// Where results go.
    pub(super) fn out(&self, claims: &[Claim]) -> PathBuf {
        let name = if let [claim] = claims { claim.id() } else { "overview".to_owned() };
        self.run.out.clone().unwrap_or_else(|| PathBuf::from("results").join(name))
    }

    /// What is measured on, checked.
    pub(super) fn plan(&self) -> Result<Plan> {
        let run = &self.run;
        ensure!(run.repeats > 0 && run.test_slices > 0, "at least one repeat and one test slice are needed");
        let sources = run.data.iter().cloned().map(Source::into_data).collect();
        let seeds = (run.seed..run.seed.saturating_add(run.repeats)).collect();
        Ok(Plan::new(sources, seeds, run.test_slices))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, String, String) {
        let data = text.parse::<Source>().expect(text).into_data();
        (data.to_string(), data.structures(), data.window().to_string())
    }

    #[test]
    fn sources_say_where_what_and_through_which_window() {
        let of = |folder: &str, structures: &str, window: &str| {
            (folder.to_owned(), structures.to_owned(), window.to_owned())
        };
        assert_eq!(read("scans/ct"), of("scans/ct", "all", "auto"));
        assert_eq!(read("scans/ct:liver,cord=1+2"), of("scans/ct", "liver,cord=1+2", "auto"));
        assert_eq!(read("ct:liver@-160:240"), of("ct", "liver", "-160:240"));
        assert_eq!(read("ct:@lung"), of("ct", "all", "lung"));
        assert_eq!(read("ct-org=sets/ct").1, "lungs");
        for wrong in ["", ":liver", "ct:liver@bright", "nosuchset=ct"] {
            wrong.parse::<Source>().expect_err(wrong);
        }
        assert!(Source::phantom("abdomen:liver").expect("a phantom").into_data().phantom.is_some());
        Source::phantom("head").expect_err("no such phantom");
    }
}
