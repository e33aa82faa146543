//! The output of `annotate`, as text or as JSON.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use sam_annotate::{
    Action, AnnotatedStructure, AnnotationSummary, CheckedOutput, Expectation, KeptMasks, NamedStructure, NextAction,
    Pace, RoundOutcome, SliceList, SliceTrust, batch::CaseTrust,
};
use sam_data::SlicePlane;
use sam_files::LossyPath;
use sam_prompt::counted;
use serde::Serialize;

use super::{Options, next};

/// Number of slices of a ranking that are named.
const NAMED: usize = 5;

/// The result of `annotate`.
#[derive(Debug, Default, Serialize)]
pub(in crate::commands) struct AnnotateReport {
    /// What was understood of the outlines. As text it was told before anything was learned.
    understood: Option<AnnotationSummary>,
    /// The files of the mask.
    written: Vec<LossyPath>,
    /// The file with the config and the ranking.
    record: Option<LossyPath>,
    /// The structures that were segmented.
    structures: Vec<StructureReport>,
    session: Option<SessionReport>,
    /// Number of rounds that were replayed, all with the same masks.
    replayed: Option<usize>,
    /// Trust in the mask.
    trust: Option<CaseTrust>,
    /// What to do first.
    first: Option<First>,
    /// The command to run next: it reviews the mask.
    next: Option<String>,
}

/// A structure that was segmented.
#[derive(Debug, Serialize)]
struct StructureReport {
    value: u16,
    name: String,
    /// Number of annotated slices.
    annotated: usize,
    /// Number of slices that show it.
    found: usize,
    /// Number of all slices.
    slices: usize,
    learning_seconds: Option<f64>,
    /// What was fused, and the Dice to be expected.
    expected_dice: Option<Expectation>,
    /// What was kept of the round before.
    kept: Option<KeptMasks>,
    /// `kept` for people.
    #[serde(skip)]
    changed: Option<String>,
    /// The slices to review first.
    look_first: Vec<LookAt>,
}

/// A slice to review.
#[derive(Debug, Serialize)]
struct LookAt {
    /// The slice, counted from 0.
    index: usize,
    /// Where it lies.
    mm: f64,
    trust: f32,
    reason: String,
    /// The slice for people: its number and place.
    #[serde(skip)]
    shown: String,
}

/// What to do first.
#[derive(Debug, Serialize)]
struct First {
    #[serde(flatten)]
    next: NextAction,
    /// Where the slice lies.
    mm: f64,
    /// How its seconds are known.
    pace: Pace,
    /// The slice for people: its number and place.
    #[serde(skip)]
    shown: String,
}

/// A session after the run.
#[derive(Debug, Default, Serialize)]
pub(super) struct SessionReport {
    pub(super) folder: LossyPath,
    /// The last round.
    pub(super) round: Option<usize>,
    /// Whether that round was run now.
    pub(super) is_new_round: bool,
    /// The round from which it continued.
    pub(super) warm_start: Option<usize>,
    /// Decisions of this run.
    pub(super) decided: BTreeMap<String, SliceList>,
    /// Structures that this run added or renamed.
    pub(super) named: Vec<Named>,
    /// What was undone.
    pub(super) undone: Option<String>,
    pub(super) drawn: SliceList,
    pub(super) accepted: SliceList,
    pub(super) rejected: SliceList,
    /// How the scan is sliced.
    #[serde(skip)]
    pub(super) plane: Option<SlicePlane>,
}

/// A structure that was added to a session or renamed.
#[derive(Debug, Serialize)]
pub(super) struct Named {
    value: u16,
    before: Option<String>,
    name: String,
}

impl Named {
    pub(super) fn new(structure: &NamedStructure) -> Self {
        Self { value: structure.label, before: structure.before.clone(), name: structure.name.clone() }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, before, name } = self;
        match before {
            Some(before) => write!(f, "Renamed label value {value}: {before} is now {name}"),
            None => write!(f, "Added a structure to the session: {name} (label value {value})"),
        }
    }
}

impl SessionReport {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.into(), ..Self::default() }
    }

    /// Slices for people: their numbers and places.
    fn shown(&self, slices: &SliceList) -> String {
        self.plane.as_ref().map_or_else(|| slices.to_string(), |plane| slices.with_millimetres(plane))
    }
}

impl AnnotateReport {
    pub(super) fn new(
        structures: &[AnnotatedStructure],
        plane: &SlicePlane,
        written: Vec<PathBuf>,
        output: &CheckedOutput,
    ) -> Self {
        let record = (!written.is_empty()).then(|| output.record().into());
        let written = written.into_iter().map(LossyPath::from).collect();
        let structures = structures.iter().map(|structure| StructureReport::new(structure, plane)).collect();
        Self { written, record, structures, ..Self::default() }
    }

    pub(super) fn understood(self, summary: AnnotationSummary) -> Self {
        Self { understood: Some(summary), ..self }
    }

    pub(super) fn replayed(folder: &Path, rounds: usize) -> Self {
        let session = Some(SessionReport::new(folder));
        Self { session, replayed: Some(rounds), ..Self::default() }
    }

    /// Sets the trust in the mask.
    pub(super) fn with_trust(self, trust: Option<CaseTrust>) -> Self {
        Self { trust, ..self }
    }

    /// Trust in the mask, if it was estimated.
    pub(in crate::commands) fn trust(&self) -> Option<CaseTrust> {
        self.trust
    }

    /// Adds what to do first, if a slice is ranked.
    pub(super) fn with_first(self, next: Option<NextAction>, pace: Pace, plane: &SlicePlane) -> Self {
        let first = next.map(|next| {
            let index = next.slice.index;
            First { next, mm: plane.millimetres(index), pace, shown: shown(index, plane) }
        });
        Self { first, ..self }
    }

    /// Adds the command that reviews the mask, if there is one.
    pub(super) fn with_next(self, options: &Options) -> Self {
        let next = self.written.first().map(|mask| next::review(options, mask));
        Self { next, ..self }
    }

    pub(super) fn in_session(self, session: SessionReport, round: Option<&RoundOutcome>) -> Self {
        let (is_new_round, warm_start) = (round.is_some(), round.and_then(|round| round.warm_start));
        Self { session: Some(SessionReport { is_new_round, warm_start, ..session }), ..self }
    }
}

/// A slice for people: its number and place.
fn shown(index: usize, plane: &SlicePlane) -> String {
    SliceList::from_iter([index]).with_millimetres(plane)
}

impl StructureReport {
    fn new(structure: &AnnotatedStructure, plane: &SlicePlane) -> Self {
        let look_at = |ranked: &sam_auto::RankedSlice| LookAt {
            index: ranked.slice,
            mm: plane.millimetres(ranked.slice),
            shown: shown(ranked.slice, plane),
            trust: ranked.trust,
            reason: ranked.reason.clone(),
        };
        Self {
            value: structure.value,
            name: structure.name.clone(),
            annotated: structure.annotated,
            found: structure.slices.iter().filter(|slice| slice.mask().is_some()).count(),
            slices: structure.slices.len(),
            learning_seconds: structure.learning_seconds,
            expected_dice: structure.expected_dice.clone(),
            kept: structure.kept.clone(),
            changed: structure.kept.as_ref().map(|kept| kept.text(plane)),
            look_first: structure.ranking.iter().take(NAMED).map(look_at).collect(),
        }
    }
}

impl fmt::Display for AnnotateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rounds) = self.replayed {
            return writeln!(f, "Repeated {}: each gave its recorded mask, voxel for voxel", counted(rounds, "round"));
        }
        if let Some(session) = &self.session {
            write!(f, "{session}")?;
        }
        for structure in &self.structures {
            let StructureReport { name, annotated, found, slices, expected_dice, changed, look_first, .. } = structure;
            writeln!(f, "{name}: on {found} of {}, {annotated} of them annotated", counted(*slices, "slice"))?;
            if let Some(changed) = changed {
                writeln!(f, "{name}: {changed}")?;
            }
            if let Some(expected) = expected_dice {
                writeln!(f, "{name}: {expected}")?;
            }
            if !look_first.is_empty() {
                let named = look_first.iter().map(|LookAt { shown, reason, .. }| format!("{shown}: {reason}"));
                let slices = if look_first.len() == 1 { "slice" } else { "slices" };
                writeln!(f, "{name}: look first at {slices} {}", named.collect::<Vec<_>>().join("; "))?;
            }
        }
        for path in self.written.iter().chain(&self.record) {
            writeln!(f, "Wrote {}", path.display())?;
        }
        if let Some(first) = &self.first {
            writeln!(f, "{first}")?;
        }
        if let Some(next) = &self.next {
            writeln!(f, "Next, review the mask in the browser: {next}")?;
        }
        Ok(())
    }
}

impl fmt::Display for First {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { next: NextAction { action, slice, seconds, .. }, pace, shown, .. } = self;
        let SliceTrust { trust, reason, .. } = slice;
        if *action == Action::Accept {
            return write!(
                f,
                "No slice needs a correction: of slice {shown}, the least trusted, Dice {trust:.2} is expected"
            );
        }
        let known = if pace.is_measured { "at your pace" } else { "assumed" };
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        write!(f, "Do first: {action} slice {shown} (expected Dice {trust:.2}{reason}; {seconds:.0} s {known})")
    }
}

impl fmt::Display for SessionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.named.iter().try_for_each(|named| writeln!(f, "{named}"))?;
        for (what, slices) in &self.decided {
            writeln!(f, "Slices {what}: {}", self.shown(slices))?;
        }
        match (&self.undone, self.round) {
            (Some(undone), _) => writeln!(f, "Undone: {undone}")?,
            (None, Some(round)) if !self.is_new_round => {
                writeln!(f, "No slice has changed since round {round}, so nothing was learned; --anew learns again")?;
            }
            (None, Some(round)) => match self.warm_start {
                Some(before) => writeln!(f, "Round {round}: learning continued from round {before}")?,
                None => writeln!(f, "Round {round}: learning started from the model")?,
            },
            (None, None) => {}
        }
        for (what, slices) in [("Drawn", &self.drawn), ("Accepted", &self.accepted)] {
            if !slices.is_empty() {
                writeln!(f, "{what} by you: slices {}", self.shown(slices))?;
            }
        }
        if !self.rejected.is_empty() {
            let rejected = self.shown(&self.rejected);
            writeln!(f, "Rejected by you, still to be corrected or accepted: slices {rejected}")?;
        }
        if self.round.is_none() {
            writeln!(
                f,
                "No mask was written, because every round is undone; run annotate without --undo to learn again"
            )?;
        }
        Ok(())
    }
}
