//! The command line of Table 1.

use std::{path::PathBuf, process::ExitCode, str::FromStr};

use anyhow::{Context, Result, bail};
use clap::Parser;
use sam_data::{KnownSet, open_dataset};
use sam_experiments::table1::{PaperSet, Table1Source, count, lines, markdown, write};
use sam_med::{console::Console, exit, progress::ExperimentBars};
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

/// A known data set, and its folder if one is given.
#[derive(Debug, Clone, Serialize)]
struct SetFolder(KnownSet, Option<PathBuf>);

impl FromStr for SetFolder {
    type Err = sam_data::DataError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, folder) = text.split_once('=').map_or((text, None), |(name, folder)| (name, Some(folder.into())));
        Ok(Self(name.parse()?, folder))
    }
}

impl Options {
    fn sources(&self) -> Result<Vec<Table1Source>> {
        let (mut sources, mut plain) = (Vec::new(), self.data.as_slice());
        for SetFolder(set, folder) in &self.set {
            let folder = match (folder, self.data.as_slice()) {
                (Some(folder), _) => folder,
                (None, [folder]) => {
                    plain = &[];
                    folder
                }
                _ => bail!("the folder of {set} is missing; give --set {set}=DIR"),
            };
            let structures = set.preprocessing().structures.value.to_owned();
            let dataset = open_dataset(folder, Some(*set))?;
            sources.push(Table1Source { dataset, structures, paper: PaperSet::of(*set) });
        }
        for folder in plain {
            let dataset = open_dataset(folder, None)?;
            sources.push(Table1Source { dataset, structures: "all".to_owned(), paper: None });
        }
        if sources.is_empty() {
            eprintln!(
                "No data given (--set NAME=DIR, --data DIR): counting synthetic ones, which say nothing of the data sets."
            );
            sources = Table1Source::phantoms(self.phantoms);
        }
        Ok(sources)
    }
}

/// Counts the data sets of the command line, prints the table and writes it.
pub fn table1_datasets() -> ExitCode {
    exit::run(|| run(&Options::parse())).into()
}

fn run(options: &Options) -> Result<()> {
    let (mut counts, mut bars) = (Vec::new(), ExperimentBars::new(&Console::plain()));
    for source in options.sources()? {
        counts.extend(count(&source, &mut |event| bars.event(event))?);
    }
    for (at, SetFolder(one, _)) in options.set.iter().enumerate() {
        let leaks = options.set[..at].iter().filter_map(|SetFolder(other, _)| one.leakage(*other));
        leaks.for_each(|warning| eprintln!("note: {warning}"));
    }
    print!("{}", markdown(&lines(&counts)));
    std::fs::create_dir_all(&options.out).with_context(|| format!("cannot create {}", options.out.display()))?;
    Ok(write(&options.out, options, &counts)?)
}
