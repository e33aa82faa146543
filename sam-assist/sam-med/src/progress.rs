//! Progress of long calls: bars on a terminal, one line for each stage without one. The user's stop request is passed on.

use std::ops::ControlFlow;

use indicatif::ProgressBar;
use sam_annotate::{AnnotationSummary, Event};
use sam_experiments as experiments;
use sam_prompt::{
    SliceNumber,
    progress::{Progress, Stage},
};

use crate::console::Console;

/// An observer that shows the progress of one call after another.
#[derive(Debug)]
pub struct ProgressBars {
    console: Console,
    /// The current bar, with its stage and subject.
    shown: Option<(Stage, String, ProgressBar)>,
    told_to_stop: bool,
}

impl ProgressBars {
    /// An observer that shows nothing yet.
    pub fn new(console: &Console) -> Self {
        Self { console: console.clone(), shown: None, told_to_stop: false }
    }

    /// Shows the progress of a call; `what` is its subject. Returns `Break` once the user asked to stop.
    pub fn show(&mut self, what: &str, progress: &Progress) -> ControlFlow<()> {
        if self.shown.as_ref().is_none_or(|(stage, shown, _)| *stage != progress.stage || shown != what) {
            self.clear();
            let bar = self.console.bar(&format!("{} {what}", verb(progress.stage)), progress.total);
            self.shown = Some((progress.stage, what.to_owned(), bar));
        }
        if let Some((.., bar)) = &self.shown {
            bar.set_length(progress.total as u64);
            bar.set_position(progress.done as u64);
            if let Some(loss) = progress.loss {
                bar.set_message(format!("loss {loss:.3}"));
            } else if let Some(slice) = progress.slice {
                bar.set_message(format!("slice {}", SliceNumber::of_index(slice)));
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
            Event::Progress { progress, .. } => return self.show(name, progress),
            Event::Learned { seconds, warm, .. } => {
                let start = if *warm { ", continuing from the last round" } else { "" };
                self.console.note(format_args!("{name}: learned in {seconds:.1} s{start}"));
            }
            Event::CardUsed { card, .. } => self.console.note(format_args!("{name}: prompted with the card of {card}")),
            Event::CardSaved { path, .. } => {
                self.console.note(format_args!("{name}: card saved in {}", path.display()));
            }
            Event::Segmented { annotated, found, slices, .. } => {
                self.console.note(format_args!("{name}: {annotated} slices annotated, found on {found} of {slices}"));
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
        if let Some((.., bar)) = self.shown.take() {
            bar.finish_and_clear();
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
    case: Option<ProgressBar>,
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
                self.case = Some(console.bar(name, *steps));
            }
            E::Activity(activity) => self.message(activity.clone()),
            E::Step { loss } => {
                self.case.iter().for_each(|bar| bar.inc(1));
                if let Some(loss) = loss {
                    self.message(format!("loss {loss:.3}"));
                }
            }
            E::CaseDone => self.clear(),
            E::Note(note) => console.note(note),
            _ => {}
        }
        self.bars.flow()
    }

    fn message(&self, message: String) {
        if let Some(bar) = &self.case {
            bar.set_message(message);
        }
    }

    fn clear(&mut self) {
        if let Some(bar) = self.case.take() {
            bar.finish_and_clear();
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
        Stage::SelfCheck => "Testing",
        _ => "Working on",
    }
}
