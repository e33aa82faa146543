//! Options of everything that a command writes.

use std::path::{Path, PathBuf};

use clap::Args;
use sam_annotate::Output;
use sam_files::OutputPlan;

use crate::console::Console;

/// What happens to files that exist already, and what records may tell.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct OutputOptions {
    /// Also replace other files; the old one is kept as NAME.bak
    #[arg(long, help_heading = "Common options")]
    pub overwrite: bool,
    /// Write absolute paths to records, not only names
    #[arg(long, help_heading = "Common options")]
    pub absolute_paths: bool,
}

impl OutputOptions {
    /// What is given here or there.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            overwrite: self.overwrite || other.overwrite,
            absolute_paths: self.absolute_paths || other.absolute_paths,
        }
    }

    /// The plan of a command's outputs; so far its only input is the file of `--config`.
    pub fn plan(self, console: &Console) -> OutputPlan {
        let plan = OutputPlan::new().with_overwrite(self.overwrite).with_absolute_paths(self.absolute_paths);
        // A result that is computed again from its record gets a new record.
        console.config().into_iter().fold(plan, |plan, config| plan.editable_input("--config", config))
    }
}

/// The record of a folder of results.
pub const RECORD: &str = "options.json";

/// Adds a folder of results to a plan: these files, and their record.
pub fn results<'a>(
    plan: OutputPlan,
    folder: &Path,
    names: impl IntoIterator<Item = &'a str>,
    record: &str,
) -> OutputPlan {
    let title = |name: &str| format!("{name} of --out");
    let plan = names.into_iter().fold(plan.folder(folder), |plan, name| plan.output(&title(name), folder.join(name)));
    plan.record(&title(record), folder.join(record))
}

/// Adds the record of a file to a plan. Returns its path, too: see [`Output::record`].
pub(crate) fn with_record(plan: OutputPlan, file: &Path) -> (OutputPlan, PathBuf) {
    let record = Output::new(file).record();
    (plan.record("the record of --out", &record), record)
}
