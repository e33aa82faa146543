//! The program `sam-med`: its commands and their common options.

use std::{ffi::OsString, io, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing::Level;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{
    commands::{
        annotate, automatic, batch, cards, coarse, convert, embed, evaluate, parity, predict, quickstart, resample,
        review, shell,
    },
    config_file,
    console::Console,
    exit::{self, Status},
    printed,
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
    printed::print_panics();
    let mut words: Vec<_> = words.into_iter().collect();
    let mut usage = None;
    let status = exit::run(|| match parse(&mut words) {
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
    let is_wrong = error.use_stderr();
    match print_usage(error, &words) {
        _ if is_wrong => Status::Usage.into(),
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Status::Input.into(),
        _ => Status::Done.into(),
    }
}

/// Parses the command line, and the config file that it names, whose options are added to the words.
fn parse(words: &mut Vec<OsString>) -> Result<Program> {
    let mut command = Program::command();
    command.build();
    *words = config_file::expand(&command, std::mem::take(words))?;
    Ok(Program::from_arg_matches(&Program::command().try_get_matches_from(words.clone())?)?)
}

/// Prints what clap says about these words, which it quotes.
fn print_usage(error: clap::Error, words: &[OsString]) -> io::Result<()> {
    let is_plain = |word: &OsString| !word.to_string_lossy().contains(sam_files::controls_output);
    if words.iter().all(is_plain) {
        return error.print();
    }
    // clap colours its messages by control characters, too. So these are told apart before: the words with escapes are refused likewise.
    let words = words.iter().map(|word| sam_files::escape_controls(&word.to_string_lossy()));
    match Program::command().try_get_matches_from(words) {
        Err(shown) if shown.kind() == error.kind() => shown.print(),
        _ => {
            printed::error_line(printed::printable_message(&error.render().to_string()));
            Ok(())
        }
    }
}

impl Program {
    fn run(self) -> Result<()> {
        let CommonOptions { config, json, quiet, verbose, .. } = self.common;
        trace(if quiet { LevelFilter::ERROR } else { level(verbose) });
        let with = |stop: io::Result<Stop>| -> Result<Console> {
            let console =
                Console::new(json, quiet, stop.context("cannot watch for Ctrl-C")?).with_config(config.clone());
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

/// Code of others that warns of every DICOM text with code extensions (ISO 2022), which `sam-data` decodes itself. It logs nothing else.
const FALSE_WARNINGS: &str = "dicom_parser::stateful::decode";

/// Sends the libraries' tracing output to standard error. A program that calls a command as a function may have its own subscriber.
fn trace(level: LevelFilter) {
    let targets = Targets::new().with_default(level).with_target(FALSE_WARNINGS, LevelFilter::OFF);
    let lines = tracing_subscriber::fmt().with_max_level(level).with_target(false).without_time();
    let _ = lines.with_writer(|| printed::PrintableStderr).finish().with(targets).try_init();
}

#[cfg(test)]
mod tests {
    use std::any::TypeId;

    use clap::Arg;
    use sam_files::LossyPath;

    use super::*;

    /// Options that name a file or folder that is written.
    const WRITTEN: [&str; 5] = ["out", "seg", "save_card", "merge", "folder"];

    #[test]
    fn every_command_that_writes_can_overwrite_and_every_path_can_be_recorded() {
        let mut program = Program::command();
        program.build();
        for command in program.get_subcommands() {
            let name = command.get_name();
            let has = |wanted: &str| command.get_arguments().any(|argument| argument.get_id() == wanted);
            assert_eq!(WRITTEN.iter().any(|written| has(written)), has("overwrite"), "{name}");
            assert_eq!(has("overwrite"), has("absolute_paths"), "{name}");
            let is = |argument: &Arg, kind: TypeId| argument.get_value_parser().type_id() == kind;
            // The file of `--config` is not recorded. JSON cannot represent every `PathBuf`.
            let unsafe_path = command
                .get_arguments()
                .find(|argument| is(argument, TypeId::of::<PathBuf>()) && argument.get_id() != "config");
            assert!(unsafe_path.is_none(), "{name}: {unsafe_path:?} has to be a LossyPath");
            let written = command.get_arguments().filter(|argument| WRITTEN.contains(&argument.get_id().as_str()));
            for argument in written {
                assert!(is(argument, TypeId::of::<LossyPath>()), "{name}: {argument:?}");
            }
        }
    }
}
