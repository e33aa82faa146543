//! The program `sam-med` as a library: its commands, and the command-line pieces that other programs of this workspace reuse.
//!
//! - [`program`]: the command line; [`exit`]: its exit codes.
//! - [`commands`]: each command with its `Options` and its `run`.
//! - [`options`]: options that commands share.
//! - [`console`]: results on standard output, notes and progress on standard error; [`progress`]: bars for long calls.
//! - [`backend`]: the choice of backend, the only place that names one.
//! - [`config_file`]: `--config`; [`record`]: result files.
//! - [`parity`]: comparison with reference tensors of the official implementations.
//!
//! To embed the annotator in another program, use `sam-annotate`; this crate prints, draws bars and reads command lines.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::unwrap_used))]
// Everything is printed by the module `printed`, which makes it safe for a terminal.
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod backend;
pub mod commands;
pub mod config_file;
pub mod console;
pub mod exit;
pub mod options;
pub mod parity;
mod printed;
pub mod program;
pub mod progress;
pub mod record;
pub mod stop;

/// Runs the command `quickstart` with the arguments of this process.
pub fn quickstart() -> std::process::ExitCode {
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_else(|| "sam-med".into());
    program::run([program, "quickstart".into()].into_iter().chain(words))
}
