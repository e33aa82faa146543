//! How a command talks to the user: results on standard output, progress and notes on the error stream.

use std::{
    env, fmt,
    io::{self, ErrorKind, IsTerminal, Write},
    ops::ControlFlow,
    time::Duration,
};

use anyhow::{Context, Result};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::{
    exit::{Failure, error_line, printable},
    stop::Stop,
};

/// A command's connection to the user: where its results, notes and progress go, and whether the user asked to stop.
#[derive(Debug, Clone)]
pub struct Console {
    json: bool,
    quiet: bool,
    bars: Option<MultiProgress>,
    /// The template of a bar.
    template: &'static str,
    stop: Stop,
}

/// A bar on a terminal.
const BAR: &str = "{prefix:<28} {wide_bar:.cyan/blue} {pos:>4}/{len:<4} {elapsed:>4}, {eta:>4} left {msg}";
/// The same for users who set `NO_COLOR`, which wins over whatever else is in the environment.
const PLAIN_BAR: &str = "{prefix:<28} {wide_bar} {pos:>4}/{len:<4} {elapsed:>4}, {eta:>4} left {msg}";

impl Console {
    /// Results as text or as JSON, notes or none, and bars on a terminal.
    pub fn new(json: bool, quiet: bool, stop: Stop) -> Self {
        let is_shown = !quiet && io::stderr().is_terminal();
        let bars = is_shown.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        let is_plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { json, quiet, bars, template: if is_plain { PLAIN_BAR } else { BAR }, stop }
    }

    /// A console without progress bars that is never stopped: for programs that call a command as a function.
    pub fn plain() -> Self {
        Self { json: false, quiet: true, bars: None, template: PLAIN_BAR, stop: Stop::default() }
    }

    /// This console with a line for each stage in place of bars, as without a terminal: other lines would tear them.
    #[must_use]
    pub fn without_bars(self) -> Self {
        Self { bars: None, ..self }
    }

    /// The user's wish to stop.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// `Break` once the user asked to stop.
    pub fn flow(&self) -> ControlFlow<()> {
        self.stop.flow()
    }

    /// Fails if the user asked to stop; `kept` says what is left of the work.
    ///
    /// # Errors
    /// [`Failure::Stopped`].
    pub fn check_stop(&self, kept: &'static str) -> Result<()> {
        if self.stop.is_asked() { Err(Failure::Stopped(kept).into()) } else { Ok(()) }
    }

    /// Whether results are written as JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a result on standard output: as text, or as one line of JSON. A reader that has closed the pipe is no error.
    ///
    /// # Errors
    /// If standard output cannot be written to.
    pub fn result<R: Serialize + fmt::Display>(&self, result: &R) -> Result<()> {
        let text = if self.json {
            serde_json::to_string(result).context("the result cannot be written as JSON")?
        } else {
            printable(result.to_string().trim_end())
        };
        if text.is_empty() {
            return Ok(());
        }
        let print = || {
            let mut out = io::stdout().lock();
            writeln!(out, "{text}")?;
            out.flush()
        };
        match self.aside(print) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(error).context("cannot write to standard output")
            }
            _ => Ok(()),
        }
    }

    /// Prints a note on the error stream, unless the user asked for quiet.
    pub fn note(&self, note: impl fmt::Display) {
        if !self.quiet {
            self.warn(note);
        }
    }

    /// Prints a warning on the error stream, quiet or not.
    pub fn warn(&self, warning: impl fmt::Display) {
        let text = printable(&warning.to_string());
        self.aside(|| error_line(text));
    }

    /// A bar for work of `length` steps. Without a terminal it is not drawn, and a line says that the work begins.
    pub fn bar(&self, name: &str, length: usize) -> ProgressBar {
        let Some(bars) = &self.bars else {
            self.note(format_args!("{name} ..."));
            return ProgressBar::hidden();
        };
        let style = ProgressStyle::with_template(self.template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("━╸ ");
        let bar = bars.add(ProgressBar::new(length as u64).with_style(style).with_prefix(name.to_owned()));
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }

    /// Prints beside the bars, which are taken away meanwhile.
    fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some(bars) => bars.suspend(print),
            None => print(),
        }
    }
}
