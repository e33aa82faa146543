//! The paper's Table 1: its nine data sets, beside what is found on this machine.
//!
//! ```text
//! cargo run --release --example table1_datasets -- --set kits19=DIR --set lits=DIR --data FOLDER
//! ```
//!
//! Prints the paper's numbers in columns of their own, and for each structure how many cases and slices show it. Without data it counts
//! synthetic ones, and says so. Writes results.json, table.csv and table.md. Seconds on synthetic data; every scan is read, so that a
//! large data set takes minutes.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    str::FromStr,
};

use anyhow::{Context, Result, bail};
use clap::Parser;
use examples::{
    data_options::tell_left_out,
    report,
    table1::{Found, PAPER, PaperSet, csv, lines, markdown, survey},
};
use sam_data::{Dataset, KnownSet, open_dataset};
use serde::Serialize;

/// Print the paper's data sets beside those that are here.
#[derive(Debug, Parser, Serialize)]
struct Options {
    /// A known data set and its folder, as NAME=DIR, or NAME alone for the one folder of --data. Repeat it for several sets.
    #[arg(long, value_name = "NAME=DIR")]
    set: Vec<SetFolder>,
    /// A folder with case folders, a single volume, or images/ and masks/. Repeat it for several folders.
    #[arg(long, value_name = "DIR")]
    data: Vec<PathBuf>,
    /// Cases of each phantom, where no data are given.
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    phantoms: usize,
    /// Folder for results.json, table.csv and table.md.
    #[arg(long, value_name = "DIR", default_value = "table1-results")]
    out: PathBuf,
}

/// A known set, and where it lies if it says so.
#[derive(Debug, Clone, Serialize)]
struct SetFolder(KnownSet, Option<PathBuf>);

impl FromStr for SetFolder {
    type Err = sam_data::DataError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, folder) = text.split_once('=').map_or((text, None), |(name, folder)| (name, Some(folder.into())));
        Ok(Self(name.parse()?, folder))
    }
}

/// Data sets with their structures and the paper's line.
type Source = (Box<dyn Dataset>, String, Option<&'static PaperSet>);

fn sources(options: &Options) -> Result<Vec<Source>> {
    let (mut sources, mut plain): (Vec<Source>, &[PathBuf]) = (Vec::new(), &options.data);
    for SetFolder(set, folder) in &options.set {
        let folder = match (folder, options.data.as_slice()) {
            (Some(folder), _) => folder,
            (None, [folder]) => {
                plain = &[];
                folder
            }
            _ => bail!("where does {set} lie? give --set {set}=DIR"),
        };
        let structures = set.preprocessing().structures.value.to_owned();
        sources.push((open_dataset(folder, Some(*set))?, structures, PaperSet::of(*set)));
    }
    for folder in plain {
        sources.push((open_dataset(folder, None)?, "all".to_owned(), None));
    }
    if sources.is_empty() {
        eprintln!(
            "No data given (--set NAME=DIR, --data DIR): counting synthetic ones, which say nothing of the data sets."
        );
        let phantoms = PAPER.iter().filter_map(|line| Some((line, line.phantom()?)));
        sources.extend(phantoms.map(|(line, (kind, structures))| -> Source {
            (Box::new(kind.dataset(options.phantoms, 0)), structures.to_owned(), Some(line))
        }));
    }
    Ok(sources)
}

fn run(options: &Options) -> Result<()> {
    let mut found: Vec<Found> = Vec::new();
    let sources = sources(options)?;
    for (dataset, structures, paper) in &sources {
        tell_left_out(dataset.as_ref());
        found.extend(survey(dataset.as_ref(), structures, *paper)?);
    }
    for (at, SetFolder(one, _)) in options.set.iter().enumerate() {
        let leaks = options.set[..at].iter().filter_map(|SetFolder(other, _)| one.leakage(*other));
        leaks.for_each(|warning| eprintln!("note: {warning}"));
    }
    let lines = lines(&found);
    print!("{}", markdown(&lines));
    std::fs::create_dir_all(&options.out).with_context(|| format!("cannot make {}", options.out.display()))?;
    let results = serde_json::json!({
        "config": options, "version": env!("CARGO_PKG_VERSION"), "paper": PAPER, "found": found
    });
    write(&options.out.join("results.json"), &(serde_json::to_string_pretty(&results)? + "\n"))?;
    write(&options.out.join("table.csv"), &csv(&lines))?;
    write(&options.out.join("table.md"), &markdown(&lines))
}

fn write(path: &Path, text: &str) -> Result<()> {
    Ok(sam_data::write_atomically(path, |file| file.write_all(text.as_bytes()))?)
}

fn main() -> ExitCode {
    report::exit(run(&Options::parse()))
}
