//! Progress of long calls: bars on a terminal; without one, a line for each stage, and one every 30 seconds in a long stage. The user's stop
//! request is passed on.

use std::{
    fmt,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use indicatif::ProgressBar;
use sam_annotate::{AnnotationSummary, Event, LearnedFrom};
use sam_experiments as experiments;
use sam_files::escape_controls;
use sam_prompt::counted;
use sam_prompt::{
    SliceNumber,
    progress::{Progress, Stage},
};

use crate::console::Console;

/// In a log, a long stage prints a line this often.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// An observer that shows the progress of one call after another.
#[derive(Debug)]
pub struct ProgressBars {
    console: Console,
    /// The current stage and its subject.
    shown: Option<(Stage, String, Shown)>,
    told_to_stop: bool,
    /// Whether it was told that the masks are complete.
    told_of_test: bool,
}

/// What is shown of a stage: its bar, or its lines in a log.
#[derive(Debug)]
struct Shown {
    bar: ProgressBar,
    lines: Lines,
}

impl Shown {
    fn new(console: &Console, name: &str, total: usize) -> Self {
        Self { bar: console.bar(name, total), lines: Lines::new(name, LINE_EVERY) }
    }

    /// Shows how far the stage is. In a log, prints a line if the last one is long ago.
    fn show(&mut self, console: &Console, done: usize, total: usize) {
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        if !console.has_bars()
            && let Some(line) = self.lines.due(done, total)
        {
            console.note(line);
        }
    }
}

/// The lines of a stage in a log.
#[derive(Debug)]
struct Lines {
    name: String,
    every: Duration,
    begun: Instant,
    last: Instant,
}

/// A line of a stage in a log.
#[derive(Debug)]
struct Line<'a> {
    name: &'a str,
    done: usize,
    total: usize,
    elapsed: Duration,
}

impl Lines {
    fn new(name: &str, every: Duration) -> Self {
        let now = Instant::now();
        Self { name: name.to_owned(), every, begun: now, last: now }
    }

    /// A line, if the last one was printed long enough ago.
    fn due(&mut self, done: usize, total: usize) -> Option<Line<'_>> {
        let now = Instant::now();
        if now.duration_since(self.last) < self.every {
            return None;
        }
        self.last = now;
        Some(Line { name: &self.name, done, total, elapsed: now.duration_since(self.begun) })
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, done, total, elapsed } = self;
        write!(f, "{name}: {done} of {total} after {} s", elapsed.as_secs())
    }
}

impl ProgressBars {
    /// An observer that shows nothing yet.
    pub fn new(console: &Console) -> Self {
        Self { console: console.clone(), shown: None, told_to_stop: false, told_of_test: false }
    }

    /// Shows the progress of a call; `what` is its subject. Returns `Break` once the user asked to stop.
    pub fn show(&mut self, what: &str, progress: &Progress) -> ControlFlow<()> {
        if self.shown.as_ref().is_none_or(|(stage, shown, _)| *stage != progress.stage || shown != what) {
            self.clear();
            let shown = Shown::new(&self.console, &format!("{} {what}", verb(progress.stage)), progress.total);
            self.shown = Some((progress.stage, what.to_owned(), shown));
        }
        if let Some((.., shown)) = &mut self.shown {
            shown.show(&self.console, progress.done, progress.total);
            if let Some(loss) = progress.loss {
                shown.bar.set_message(format!("training loss {loss:.3}"));
            } else if let Some(slice) = progress.slice {
                shown.bar.set_message(format!("slice {}", SliceNumber::of_index(slice)));
            }
        }
        self.flow()
    }

    /// `Break` once the user asked to stop, with a note the first time.
    fn flow(&mut self) -> ControlFlow<()> {
        let flow = self.console.flow();
        if flow.is_break() && !std::mem::replace(&mut self.told_to_stop, true) {
            self.console.note("Stopping. Press Ctrl-C again to end at once.");
        }
        flow
    }

    /// Shows an event of an annotator.
    pub fn event(&mut self, event: &Event) -> ControlFlow<()> {
        let name = event.structure().unwrap_or_default();
        match event {
            Event::Understood { summary } => self.understood(summary),
            Event::Progress { progress, .. } => {
                let is_test = progress.stage == Stage::SelfCheck;
                if is_test && !std::mem::replace(&mut self.told_of_test, true) {
                    self.console
                        .note("The masks are complete. Ctrl-C skips the test of what Dice to expect, and keeps them.");
                }
                return self.show(name, progress);
            }
            Event::Learned { seconds, start, .. } => {
                let start = match start {
                    LearnedFrom::LastRound => ", continuing from the last round".to_owned(),
                    LearnedFrom::Card { card, scans } => {
                        format!(", continuing from the card of {card} ({})", counted(*scans, "scan"))
                    }
                    _ => String::new(),
                };
                self.console.note(format_args!("{name}: learned in {seconds:.1} s{start}"));
            }
            Event::CardUsed { card, .. } => self.console.note(format_args!("{name}: prompted with the card of {card}")),
            Event::CardSaved { path, .. } => {
                self.console.note(format_args!("{name}: card saved in {}", path.display()));
            }
            Event::Segmented { annotated, found, slices, strategy, .. } => {
                self.console.note(format_args!(
                    "{name}: {} annotated, found on {found} of {slices} by {strategy}",
                    counted(*annotated, "slice")
                ));
            }
            _ => {}
        }
        self.flow()
    }

    /// Tells what was understood of the outlines, and what the user should check.
    fn understood(&self, summary: &AnnotationSummary) {
        self.console.note(summary);
        for structure in &summary.structures {
            for warning in structure.warnings() {
                self.console.warn(format_args!("warning: {warning}"));
            }
            if !structure.too_small.is_empty() {
                self.console.note("--min-outline 0 lets every outline count");
            }
            if !structure.open.is_empty() {
                self.console.note(format_args!(
                    "{}: --empty {}:SLICES says where it is absent, --complete that it is absent wherever others alone are outlined",
                    structure.name, structure.value
                ));
            }
        }
    }

    /// Removes the bar.
    pub fn clear(&mut self) {
        if let Some((.., shown)) = self.shown.take() {
            shown.bar.finish_and_clear();
        }
    }
}

impl Drop for ProgressBars {
    fn drop(&mut self) {
        self.clear();
    }
}

/// An observer that shows the progress of an experiment.
#[derive(Debug)]
pub struct ExperimentBars {
    bars: ProgressBars,
    case: Option<CaseShown>,
}

/// What is shown of a case, and how far it is.
#[derive(Debug)]
struct CaseShown {
    shown: Shown,
    done: usize,
    steps: usize,
}

impl ExperimentBars {
    /// An observer that shows nothing yet.
    pub fn new(console: &Console) -> Self {
        Self { bars: ProgressBars::new(console), case: None }
    }

    /// Shows an event of an experiment. Returns `Break` once the user asked to stop.
    pub fn event(&mut self, event: &experiments::Event) -> ControlFlow<()> {
        use experiments::Event as E;
        let console = self.bars.console.clone();
        match event {
            E::Experiment { number, count, title } => console.note(format_args!("{title} ({number} of {count})")),
            E::Case { name, steps } => {
                self.clear();
                self.case = Some(CaseShown { shown: Shown::new(&console, name, *steps), done: 0, steps: *steps });
            }
            E::Activity(activity) => self.message(activity.clone()),
            E::Step { loss } => {
                if let Some(CaseShown { shown, done, steps }) = &mut self.case {
                    *done += 1;
                    shown.show(&console, *done, *steps);
                }
                if let Some(loss) = loss {
                    self.message(format!("training loss {loss:.3}"));
                }
            }
            E::CaseDone => self.clear(),
            E::Note(note) => console.note(note),
            _ => {}
        }
        self.bars.flow()
    }

    fn message(&self, message: String) {
        if let Some(case) = &self.case {
            case.shown.bar.set_message(escape_controls(&message));
        }
    }

    fn clear(&mut self) {
        if let Some(case) = self.case.take() {
            case.shown.bar.finish_and_clear();
        }
    }
}

impl Drop for ExperimentBars {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The stage as a verb before the name of a structure.
fn verb(stage: Stage) -> &'static str {
    match stage {
        Stage::Read => "Reading",
        Stage::Fetch => "Fetching",
        Stage::Embed => "Embedding",
        Stage::Learn => "Learning",
        Stage::Fit => "Fitting generators of",
        Stage::Segment => "Segmenting",
        Stage::Rank => "Ranking slices of",
        Stage::Join => "Joining",
        Stage::SelfCheck => "Testing",
        Stage::Compare => "Comparing",
        _ => "Working on",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_stage_prints_a_line_now_and_then() {
        let mut often = Lines::new("Learning liver", Duration::ZERO);
        assert_eq!(often.due(3, 70).map(|line| line.to_string()).as_deref(), Some("Learning liver: 3 of 70 after 0 s"));
        assert!(often.due(4, 70).is_some());
        let mut seldom = Lines::new("Learning liver", LINE_EVERY);
        assert!((0..70).all(|done| seldom.due(done, 70).is_none()), "the stage is short");
        seldom.last -= LINE_EVERY;
        assert!(seldom.due(1, 70).is_some() && seldom.due(2, 70).is_none(), "one line for 30 seconds");
    }
}
