//! The command line of Table 1.

use std::{process::ExitCode, str::FromStr};

use anyhow::{Result, bail};
use clap::Parser;
use sam_data::{KnownSet, open_dataset};
use sam_experiments::table1::{FILES, PaperSet, Table1Source, count, lines, markdown, write};
use sam_files::{LossyPath, OutputPlan};
use sam_med::{
    console::Console,
    exit,
    options::{OutputOptions, RECORD, results},
    progress::ExperimentBars,
    record,
};
use serde::Serialize;

/// Print the paper's data sets beside those that are here.
#[derive(Debug, Parser, Serialize)]
struct Options {
    /// A known data set and its folder, as NAME=DIR, or NAME alone for the one folder of --data. Repeat it for several sets.
    #[arg(long, value_name = "NAME=DIR")]
    set: Vec<SetFolder>,
    /// A folder with case folders, a single volume, or images/ and masks/. Repeat it for several folders.
    #[arg(long, value_name = "DIR")]
    data: Vec<LossyPath>,
    /// Cases of each phantom, where no data are given.
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    phantoms: usize,
    /// Folder for results.json, table.csv, table.md and options.json.
    #[arg(long, value_name = "DIR", default_value = "table1-results")]
    out: LossyPath,
    /// What happens to files that exist already.
    #[command(flatten)]
    #[serde(skip_serializing)]
    outputs: OutputOptions,
}

/// A known data set, and its folder if one is given.
#[derive(Debug, Clone, Serialize)]
struct SetFolder(KnownSet, Option<LossyPath>);

impl FromStr for SetFolder {
    type Err = sam_data::DataError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, folder) = text.split_once('=').map_or((text, None), |(name, folder)| (name, Some(folder.into())));
        Ok(Self(name.parse()?, folder))
    }
}

impl Options {
    /// What is read and written.
    fn plan(&self, console: &Console) -> OutputPlan {
        let sets = self.set.iter().filter_map(|SetFolder(_, folder)| folder.as_deref());
        let plan = self.outputs.plan(console).inputs("--set", sets).inputs("--data", &self.data);
        results(plan, &self.out, FILES, RECORD)
    }

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
    let console = Console::plain();
    let outputs = options.plan(&console).open()?;
    let (mut counts, mut bars) = (Vec::new(), ExperimentBars::new(&console));
    for source in options.sources()? {
        counts.extend(count(&source, &mut |event| bars.event(event))?);
    }
    for (at, SetFolder(one, _)) in options.set.iter().enumerate() {
        let leaks = options.set[..at].iter().filter_map(|SetFolder(other, _)| one.leakage(*other));
        leaks.for_each(|warning| eprintln!("note: {warning}"));
    }
    print!("{}", markdown(&lines(&counts)));
    write(&outputs, &options.out, &counts)?;
    outputs.publish_with_record(options.out.join(RECORD), record::saved_options("table1_datasets", options)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{error::Error, fs};

    use sam_data::PhantomKind;

    use super::*;

    #[test]
    fn a_table_replaces_its_own_files_and_none_of_a_person() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let out = folder.path().to_string_lossy();
        let options = Options::try_parse_from(["table1_datasets", "--phantoms", "1", "--out", &out])?;
        let theirs = folder.path().join("table.md");
        fs::write(&theirs, "written by a person")?;
        let refused = run(&options).expect_err("refused").to_string();
        assert!(refused.contains("table.md of --out") && refused.contains("--overwrite"), "{refused}");
        assert_eq!(fs::read_to_string(&theirs)?, "written by a person");
        assert_eq!(fs::read_dir(folder.path())?.count(), 1, "nothing else was written");
        fs::remove_file(&theirs)?;
        run(&options)?;
        run(&options)?;
        assert!(fs::read_to_string(&theirs)?.contains("(synthetic)"));
        Ok(())
    }

    /// Other systems do not have such names.
    #[cfg(target_os = "linux")]
    #[test]
    fn paths_that_are_not_utf_8_are_recorded() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff");
        let (data, out) = (folder.path().join(name), folder.path().join("results"));
        "spinal-cord".parse::<PhantomKind>()?.write(&data, 1, 0)?;
        let words =
            ["table1_datasets".as_ref(), "--data".as_ref(), data.as_os_str(), "--out".as_ref(), out.as_os_str()];
        run(&Options::try_parse_from(words)?)?;
        assert!(fs::read_to_string(out.join(RECORD))?.contains('\u{fffd}'));
        Ok(())
    }
}
