//! The program `sam-med`: its commands and their common options.

use std::{ffi::OsString, io, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing::Level;
use tracing_subscriber::filter::LevelFilter;

use crate::{
    commands::{
        annotate, automatic, batch, cards, coarse, convert, embed, evaluate, parity, predict, quickstart, resample,
        review, shell,
    },
    config_file,
    console::Console,
    exit::{self, Status},
    stop::Stop,
};

/// Segment medical scans from a few outlined slices: SAM^Med on the command line.
#[derive(Debug, Parser)]
#[command(name = "sam-med", version, max_term_width = 110, disable_help_subcommand = true, disable_help_flag = true, after_help = AFTER_HELP)]
pub struct Program {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: CommonOptions,
}

const AFTER_HELP: &str = "\
First steps:
  sam-med quickstart                     a synthetic scan, from outlines to a mask
  sam-med annotate --image ct.nii.gz --annotations few.nii.gz --out mask.nii.gz --session work
  sam-med review --image ct.nii.gz --out mask.nii.gz --session work
  sam-med annotate --help                options and examples of a command

Exit codes: 0 done, 1 bad input, 2 wrong command line, 3 defect of the program, 130 stopped.
Results are on standard output, progress and notes on standard error.";

// Options of every command; a doc comment here would replace the program's description.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common options")]
struct CommonOptions {
    /// Read more options from a file, such as the one beside a result
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long, global = true)]
    json: bool,
    /// Print no progress and no notes
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Print what is done to standard error; twice for more
    #[arg(long, short, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Print this help
    #[arg(long, short, global = true, action = ArgAction::Help)]
    help: Option<bool>,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    Annotate(annotate::Options),
    Review(review::Options),
    Batch(batch::Options),
    Predict(predict::Options),
    Automatic(automatic::Options),
    Evaluate(evaluate::Options),
    Coarse(coarse::Options),
    Convert(convert::Options),
    Embed(embed::Options),
    Cards(cards::Options),
    Parity(parity::Options),
    Resample(resample::Options),
    Quickstart(quickstart::Options),
    Completions(shell::CompletionOptions),
    Man(shell::ManOptions),
    /// Panic, for the test of what the program says of its own defects. Release builds do not have it.
    #[cfg(debug_assertions)]
    #[command(hide = true)]
    Panic,
}

/// Runs the program with these words, the first of which is its name. Panics are caught, reported, and have their own exit code.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<_> = words.into_iter().collect();
    let mut usage = None;
    let status = exit::run(|| match parse(words) {
        Ok(program) => program.run(),
        Err(error) => match error.downcast::<clap::Error>() {
            Ok(error) => {
                usage = Some(error);
                Ok(())
            }
            Err(error) => Err(error),
        },
    });
    let Some(error) = usage else { return status.into() };
    // Help and version are results, everything else is an error; clap selects the stream.
    let printed = error.print();
    match (error.use_stderr(), printed) {
        (true, _) => Status::Usage.into(),
        (false, Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => Status::Input.into(),
        (false, _) => Status::Done.into(),
    }
}

/// Parses the command line, and the config file that it names.
fn parse(words: Vec<OsString>) -> Result<Program> {
    let mut command = Program::command();
    command.build();
    let words = config_file::expand(&command, words)?;
    Ok(Program::from_arg_matches(&Program::command().try_get_matches_from(words)?)?)
}

impl Program {
    fn run(self) -> Result<()> {
        let CommonOptions { json, quiet, verbose, .. } = self.common;
        trace(if quiet { LevelFilter::ERROR } else { level(verbose) });
        let with = |stop: io::Result<Stop>| -> Result<Console> {
            let console = Console::new(json, quiet, stop.context("cannot watch for Ctrl-C")?);
            Ok(if verbose > 0 { console.without_bars() } else { console })
        };
        let console = || with(Stop::on_signals());
        let at_once = || with(Stop::at_once());
        match self.command {
            Command::Annotate(options) => annotate::run(&options, &console()?),
            Command::Review(options) => review::run(&options, &console()?),
            Command::Batch(options) => batch::run(&options, &console()?),
            Command::Predict(options) => predict::run(&options, &console()?),
            Command::Automatic(options) => automatic::run(&options, &console()?),
            Command::Evaluate(options) => evaluate::run(&options, &console()?),
            Command::Coarse(options) => coarse::run(&options, &console()?),
            Command::Convert(options) => convert::run(&options, &at_once()?),
            Command::Embed(options) => embed::run(&options, &at_once()?),
            Command::Cards(options) => cards::run(&options, &at_once()?),
            Command::Parity(options) => parity::run(&options, &at_once()?),
            Command::Resample(options) => resample::run(&options, &console()?),
            Command::Quickstart(options) => quickstart::run(&options, &console()?),
            Command::Completions(options) => shell::completions(&options, &mut Program::command()),
            Command::Man(options) => shell::man(&options, Program::command(), &at_once()?),
            #[cfg(debug_assertions)]
            Command::Panic => panic!("a panic on purpose"),
        }
    }
}

fn level(verbose: u8) -> LevelFilter {
    match verbose {
        0 => LevelFilter::WARN,
        1 => Level::INFO.into(),
        _ => Level::DEBUG.into(),
    }
}

/// Sends the libraries' tracing output to standard error. A program that calls a command as a function may have its own subscriber.
fn trace(level: LevelFilter) {
    let _ = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .without_time()
        .with_writer(io::stderr)
        .try_init();
}
