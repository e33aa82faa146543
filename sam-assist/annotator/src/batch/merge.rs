//! One table of all cases: their states, and which of them a person should look at first.

use std::{cmp::Ordering, collections::BTreeMap, path::Path};

use sam_files::Sha256Id;
use sam_prompt::SliceNumber;
use serde::Serialize;

use super::{BatchError, Case, CaseState, CaseTrust, Outcome, Record, Records};
use crate::session::BoxError;

/// Number of cases by state, after merging.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Merged {
    /// Cases whose mask is written.
    pub done: usize,
    /// Cases that were done, but whose options, inputs or mask have changed since.
    pub outdated: usize,
    /// Cases that failed.
    pub failed: usize,
    /// Cases that a process works on.
    pub running: usize,
    /// Cases without a record.
    pub missing: usize,
}

/// A row of the table.
#[derive(Debug, Serialize)]
struct Row {
    line: u64,
    case: String,
    image: String,
    out: String,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trust: Option<CaseTrust>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mask_sha256: Option<Sha256Id>,
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
    /// The process that works on a case, or what has changed since it was done.
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
}

impl Records {
    /// The states of all cases as one table, which is to be written to `path`: `.csv` or `.json`. The cases with the lowest mean trust come
    /// first: a person should look at them first. Cases without trust follow, then those that are not done, in the order of the table of
    /// cases.
    ///
    /// In CSV, slices are counted from 1; in JSON, from 0. Absolute paths are shortened; see [`Records::with_absolute_paths`].
    ///
    /// # Errors
    /// [`BatchError::Lock`]; [`BatchError::Record`]; [`BatchError::Ending`]; [`BatchError::Write`].
    pub fn table<W>(&self, cases: &[Case<W>], path: impl AsRef<Path>) -> Result<(Merged, Vec<u8>), BatchError> {
        let path = path.as_ref();
        let mut merged = Merged::default();
        let mut rows = Vec::new();
        for case in cases {
            let state = self.state(case)?;
            merged.count(&state);
            rows.push(Row::new(case, state).with_texts(|text| self.shown(text, case, path)));
        }
        tell_apart(&mut rows);
        rows.sort_by(Row::compare);
        let bytes = match path.extension().and_then(|ending| ending.to_str()) {
            Some("json") => serde_json::to_vec_pretty(&rows).map_err(|error| BatchError::Write(error.into()))?,
            Some("csv") => csv_of(&rows).map_err(BatchError::Write)?,
            _ => return Err(BatchError::Ending { path: path.to_path_buf() }),
        };
        Ok((merged, bytes))
    }
}

/// Adds the lines to the names of cases that are the same after their paths were shortened.
fn tell_apart(rows: &mut [Row]) {
    let mut lines: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        lines.entry(row.case.clone()).or_default().push(index);
    }
    for index in lines.into_values().filter(|same| same.len() > 1).flatten() {
        let Row { case, line, .. } = &mut rows[index];
        *case = format!("{case} (line {line})");
    }
}

impl Merged {
    fn count(&mut self, state: &CaseState) {
        *match state {
            CaseState::Open => &mut self.missing,
            CaseState::Running(_) => &mut self.running,
            CaseState::Done(_) => &mut self.done,
            CaseState::Failed(_) => &mut self.failed,
            CaseState::Outdated(..) => &mut self.outdated,
        } += 1;
    }
}

impl Row {
    fn new<W>(case: &Case<W>, state: CaseState) -> Self {
        let (image, out) = (case.image.display().to_string(), case.mask.display().to_string());
        let row = Self {
            line: case.line,
            case: case.name.clone(),
            image,
            out,
            outcome: "missing",
            seconds: None,
            trust: None,
            mask_sha256: None,
            error: String::new(),
            note: String::new(),
        };
        match state {
            CaseState::Open => row,
            CaseState::Running(runner) => {
                let note = runner.map_or_else(String::new, |runner| runner.to_string());
                Self { outcome: "running", note, ..row }
            }
            CaseState::Done(record) => Self { outcome: "done", ..row }.with(record),
            CaseState::Failed(record) => Self { outcome: "failed", ..row }.with(record),
            CaseState::Outdated(record, changes) => {
                let note = changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                Self { outcome: "outdated", note, ..row }.with(record)
            }
        }
    }

    fn with(self, record: Record) -> Self {
        let row = Self { seconds: Some(record.seconds), trust: record.trust, ..self };
        match record.outcome {
            Outcome::Done { mask_sha256 } => Self { mask_sha256: Some(mask_sha256), ..row },
            Outcome::Failed { error } => Self { error, ..row },
        }
    }

    /// The row with its texts as `shown` gives them.
    fn with_texts(self, shown: impl Fn(String) -> String) -> Self {
        let Self { case, image, out, error, .. } = self;
        Self { case: shown(case), image: shown(image), out: shown(out), error: shown(error), ..self }
    }

    /// The order of the table.
    fn compare(&self, other: &Self) -> Ordering {
        match [self, other].map(|row| (row.outcome == "done").then_some(row.trust)) {
            [Some(Some(one)), Some(Some(other))] => one.compare(&other),
            [Some(one), Some(other)] => other.is_some().cmp(&one.is_some()),
            [one, other] => other.is_some().cmp(&one.is_some()),
        }
    }

    /// The row as cells.
    fn cells(&self) -> [String; COLUMNS.len()] {
        let trust =
            |value: fn(&CaseTrust) -> f32| self.trust.map_or_else(String::new, |trust| format!("{:.3}", value(&trust)));
        [
            self.line.to_string(),
            self.case.clone(),
            self.image.clone(),
            self.out.clone(),
            self.outcome.to_owned(),
            self.seconds.map_or_else(String::new, |seconds| format!("{seconds:.1}")),
            self.trust.map_or_else(String::new, |trust| SliceNumber::of_index(trust.worst_index).to_string()),
            trust(|trust| trust.worst),
            trust(|trust| trust.mean),
            self.mask_sha256.map_or_else(String::new, |id| id.to_string()),
            self.error.clone(),
            self.note.clone(),
        ]
    }
}

/// The columns of the table.
const COLUMNS: [&str; 12] = [
    "line",
    "case",
    "image",
    "out",
    "outcome",
    "seconds",
    "worst_slice",
    "worst_trust",
    "mean_trust",
    "mask_sha256",
    "error",
    "note",
];

fn csv_of(rows: &[Row]) -> Result<Vec<u8>, BoxError> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(COLUMNS)?;
    rows.iter().try_for_each(|row| table.write_record(row.cells()))?;
    Ok(table.into_inner()?)
}
