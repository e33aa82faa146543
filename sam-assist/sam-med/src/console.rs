//! Output of a command: results on standard output, progress and notes on standard error.

use std::{
    env, fmt,
    io::{self, ErrorKind, IsTerminal},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use sam_files::escape_controls;
use serde::Serialize;

use crate::{
    exit::Failure,
    printed::{error_line, print_line, printable, printable_json},
    stop::Stop,
};

/// The output of a command: results, notes and progress, and whether the user asked to stop.
#[derive(Debug, Clone)]
pub struct Console {
    json: bool,
    quiet: bool,
    /// What notes and warnings are about, such as a case of a batch.
    subject: Option<Arc<str>>,
    bars: Option<MultiProgress>,
    /// The template of a progress bar.
    template: &'static str,
    stop: Stop,
    /// The file of `--config`.
    config: Option<PathBuf>,
}

/// The template on a terminal.
const BAR: &str = "{prefix:<28} {wide_bar:.cyan/blue} {pos:>4}/{len:<4} {elapsed:>4}, {eta:>4} left {msg}";
/// The template without colours, for users who set `NO_COLOR`, which has priority over other environment variables.
const PLAIN_BAR: &str = "{prefix:<28} {wide_bar} {pos:>4}/{len:<4} {elapsed:>4}, {eta:>4} left {msg}";

impl Console {
    /// A console with results as text or as JSON, with or without notes, and with bars on a terminal.
    pub fn new(json: bool, quiet: bool, stop: Stop) -> Self {
        let is_shown = !quiet && io::stderr().is_terminal();
        let bars = is_shown.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        let is_plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let template = if is_plain { PLAIN_BAR } else { BAR };
        Self { json, quiet, subject: None, bars, template, stop, config: None }
    }

    /// A console without progress bars and without a stop request, for programs that call a command as a function.
    pub fn plain() -> Self {
        let (template, stop) = (PLAIN_BAR, Stop::default());
        Self { json: false, quiet: true, subject: None, bars: None, template, stop, config: None }
    }

    /// This console with one line for each stage instead of bars, as without a terminal, because other output would break the bars.
    #[must_use]
    pub fn without_bars(self) -> Self {
        Self { bars: None, ..self }
    }

    /// This console of a command whose options are from this file, too.
    #[must_use]
    pub fn with_config(self, config: Option<PathBuf>) -> Self {
        Self { config, ..self }
    }

    /// The file of `--config`, if there is one.
    pub fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// This console with a name before each note and warning, so that the lines of several processes in one log can be told apart.
    #[must_use]
    pub fn about(&self, subject: &str) -> Self {
        Self { subject: Some(subject.into()), ..self.clone() }
    }

    /// The user's stop request.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// `Break` once the user asked to stop.
    pub fn flow(&self) -> ControlFlow<()> {
        self.stop.flow()
    }

    /// Fails if the user asked to stop; `kept` says which results remain.
    ///
    /// # Errors
    /// [`Failure::Stopped`].
    pub fn check_stop(&self, kept: &'static str) -> Result<()> {
        if self.stop.is_asked() { Err(Failure::Stopped(kept).into()) } else { Ok(()) }
    }

    /// Whether progress is shown as bars, and not as lines.
    pub fn has_bars(&self) -> bool {
        self.bars.is_some()
    }

    /// Whether results are written as JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a result on standard output, as text or as one line of JSON. A pipe closed by its reader is not an error.
    ///
    /// # Errors
    /// If standard output cannot be written to.
    pub fn result<R: Serialize + fmt::Display>(&self, result: &R) -> Result<()> {
        let text = if self.json {
            printable_json(&serde_json::to_string(result).context("the result cannot be written as JSON")?)
        } else {
            printable(result.to_string().trim_end())
        };
        if text.is_empty() {
            return Ok(());
        }
        match self.aside(|| print_line(text)) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(error).context("cannot write to standard output")
            }
            _ => Ok(()),
        }
    }

    /// Prints a note on standard error, except with `--quiet`.
    pub fn note(&self, note: impl fmt::Display) {
        if !self.quiet {
            self.warn(note);
        }
    }

    /// Prints a warning on standard error, even with `--quiet`.
    pub fn warn(&self, warning: impl fmt::Display) {
        let text = match &self.subject {
            Some(subject) => printable(&format!("{subject}: {warning}")),
            None => printable(&warning.to_string()),
        };
        self.aside(|| error_line(text));
    }

    /// A progress bar for `length` steps. Without a terminal it is hidden, and a line reports the start of the work.
    pub fn bar(&self, name: &str, length: usize) -> ProgressBar {
        let Some(bars) = &self.bars else {
            self.note(format_args!("{name} ..."));
            return ProgressBar::hidden();
        };
        let style = ProgressStyle::with_template(self.template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("━╸ ");
        let bar = bars.add(ProgressBar::new(length as u64).with_style(style).with_prefix(escape_controls(name)));
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }

    /// Prints while the bars are hidden.
    fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some(bars) => bars.suspend(print),
            None => print(),
        }
    }
}
