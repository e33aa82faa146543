//! The program, run as a user runs it.

use std::{
    ffi::OsStr,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The result of a run.
pub(crate) struct Ran {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The program with these words, in an empty environment.
pub(crate) fn command<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sam-med"));
    command.args(words).env_clear().stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub(crate) fn run<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Result<Ran> {
    let output = command(words).output()?;
    Ok(Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

/// Starts the program with its streams piped.
pub(crate) fn start<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Result<Child> {
    Ok(command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
}

/// Sends a signal to a process that this test started.
pub(crate) fn signal(child: &Child, name: &str) -> Result<()> {
    let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status()?;
    ensure!(sent.success(), "the program has ended already");
    Ok(())
}

impl Ran {
    /// Fails unless the program succeeded.
    pub(crate) fn done(self) -> Result<Self> {
        ensure!(self.code == Some(0), "exit code {:?}: {}{}", self.code, self.stdout, self.stderr);
        Ok(self)
    }

    /// The error message of a run that ended with this code.
    pub(crate) fn failed(self, code: i32) -> Result<String> {
        ensure!(self.code == Some(code), "exit code {:?}, expected {code}: {}{}", self.code, self.stdout, self.stderr);
        Ok(self.stderr)
    }

    /// The result of a run with `--json`.
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("no JSON: {}", self.stdout))
    }
}

/// A path as an argument.
pub(crate) fn word(path: impl AsRef<Path>) -> String {
    path.as_ref().to_string_lossy().into_owned()
}
