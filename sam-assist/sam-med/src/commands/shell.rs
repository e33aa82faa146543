//! `sam-med completions` and `sam-med man`: files for the shell and for `man`, from clap's own crates.

use std::{fmt, io, path::PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Command};
use clap_complete::Shell;
use serde::Serialize;

use crate::{console::Console, record};

/// Print the completions of a shell.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  sam-med completions bash > ~/.local/share/bash-completion/completions/sam-med
  sam-med completions zsh > ~/.zfunc/_sam-med
  sam-med completions fish > ~/.config/fish/completions/sam-med.fish")]
pub struct CompletionOptions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Write the man pages of all commands to a folder.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  sam-med man ~/.local/share/man/man1
  man sam-med-annotate")]
pub struct ManOptions {
    /// The folder, which is created if it does not exist
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Prints completions.
///
/// # Errors
/// If standard output cannot be written to.
pub fn completions(options: &CompletionOptions, program: &mut Command) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(options.shell, program, "sam-med", &mut text);
    match io::Write::write_all(&mut io::stdout(), &text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// Writes man pages.
///
/// # Errors
/// If the folder cannot be written to.
pub fn man(options: &ManOptions, program: Command, console: &Console) -> Result<()> {
    record::create_folder(&options.folder)?;
    clap_mangen::generate_to(program, &options.folder)
        .with_context(|| format!("cannot write man pages to {}", options.folder.display()))?;
    console.result(&ManReport { folder: options.folder.clone() })
}

/// The result of `man`.
#[derive(Debug, Serialize)]
struct ManReport {
    folder: PathBuf,
}

impl fmt::Display for ManReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wrote man pages to {}", self.folder.display())
    }
}
