//! The table of interactive results: one line for each structure, method and prompt.

use std::collections::HashMap;
use std::fmt::{Display, Formatter};

use super::{Column, Order, Row};
use crate::{
    EvalError, InteractionSummary, Record, Summary,
    lines::{MISSING, aligned, markdown},
    record::check_distinct,
    summary::pooled,
};

/// Best Dice, Dice after the last click and NoC (number of clicks) of every record that has an
/// [`InteractionSummary`], pooled over the test slices of all repeats: every slice counts once.
///
/// If there are several structures, the table ends with their means, each structure counting once.
#[derive(Debug, Clone, PartialEq)]
pub struct InteractionTable {
    rows: Vec<Row>,
    columns: Vec<Column>,
    targets: Vec<f64>,
    /// By row, then column.
    lines: Vec<Vec<Option<Line>>>,
}

/// The values of one line.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    best: Option<f64>,
    last: Option<f64>,
    /// Dice after each interaction.
    curve: Vec<Option<f64>>,
    /// For each target: clicks, and the share of slices that never reached it.
    noc: Vec<Option<(f64, f64)>>,
}

impl InteractionTable {
    /// Groups the records that have an interaction into lines; the others are ignored.
    ///
    /// # Errors
    /// [`EvalError::DuplicateRecord`] if two records are of the same run.
    pub fn new(records: &[Record]) -> Result<Self, EvalError> {
        check_distinct(records)?;
        let (mut rows, mut columns, mut targets) = (Order::default(), Order::default(), Vec::new());
        let mut grouped: HashMap<(usize, usize), Vec<(Summary, &InteractionSummary)>> = HashMap::new();
        for record in records {
            let Some(interaction) = &record.interaction else { continue };
            let place = (rows.index_of(&Row::of(record)), columns.index_of(&Column::of(record)));
            grouped.entry(place).or_default().push((record.dice, interaction));
            let of_record = interaction.noc.iter().map(|noc| noc.target);
            targets.extend(of_record.filter(|target| !targets.contains(target)).collect::<Vec<_>>());
        }
        let line = |row, column| grouped.get(&(row, column)).map(|runs| Line::of(runs, &targets));
        let lines = (0..rows.items.len())
            .map(|row| (0..columns.items.len()).map(|column| line(row, column)).collect())
            .collect();
        Ok(Self { rows: rows.items, columns: columns.items, lines, targets })
    }

    /// Whether no record had an interaction.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The click curve of each method and prompt: mean Dice after each interaction, over the structures, each counting once.
    /// Steps without a defined Dice are left out.
    pub fn curves(&self) -> impl Iterator<Item = (&Column, Vec<(usize, f64)>)> {
        self.columns.iter().enumerate().map(|(at, column)| {
            let steps = self.mean(at).curve.into_iter().zip(1..);
            (column, steps.filter_map(|(dice, step)| Some((step, dice?))).collect())
        })
    }

    /// The mean of a column over the structures that have it.
    fn mean(&self, column: usize) -> Line {
        Line::mean(&self.column(column))
    }

    fn column(&self, column: usize) -> Vec<&Line> {
        self.lines.iter().filter_map(|lines| lines[column].as_ref()).collect()
    }

    /// The caption, in sentences.
    pub fn caption(&self) -> String {
        "Series of interactions: best Dice along it (an oracle's pick, the paper's score), Dice after the last click, and NoC, the \
         number of interactions until a Dice is reached; in brackets the share of slices that never reached it, which count with all \
         their interactions. The first prompt is one interaction."
            .to_owned()
    }

    /// The table in Markdown, with its caption above it.
    pub fn to_markdown(&self) -> String {
        format!("{}\n\n{}", self.caption(), markdown(&self.cells()))
    }

    /// Header and lines.
    fn cells(&self) -> Vec<Vec<String>> {
        let mut head = vec![String::new(), "method".to_owned(), "best".to_owned(), "last".to_owned()];
        head.extend(self.targets.iter().map(|target| format!("NoC@{target:.2}")));
        let mut cells = vec![head];
        for (row, lines) in self.rows.iter().zip(&self.lines) {
            let present = self.columns.iter().zip(lines).filter_map(|(column, line)| Some((column, line.as_ref()?)));
            cells.extend(present.map(|(column, line)| line.cells(row.to_string(), column)));
        }
        if self.rows.len() > 1 {
            let mean = |column: usize| {
                let name = match self.column(column).len() {
                    all if all == self.rows.len() => "mean".to_owned(),
                    some => format!("mean ({some} of {})", self.rows.len()),
                };
                self.mean(column).cells(name, &self.columns[column])
            };
            cells.extend((0..self.columns.len()).map(mean));
        }
        cells
    }
}

/// The table as plain text, with its caption above it.
impl Display for InteractionTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n\n{}", self.caption(), aligned(&self.cells(), 2))
    }
}

impl Line {
    /// Pools the runs of one structure with one method.
    fn of(runs: &[(Summary, &InteractionSummary)], targets: &[f64]) -> Self {
        let mean = |summaries: Vec<Summary>| Some(pooled(&summaries)?.0);
        let steps = runs.iter().map(|(_, run)| run.curve.len()).max().unwrap_or(0);
        let step = |at: usize| mean(runs.iter().filter_map(|(_, run)| run.curve.get(at)).copied().collect());
        let noc = |&target: &f64| {
            let of_target =
                runs.iter().flat_map(|(_, run)| &run.noc).filter(|noc| noc.target.total_cmp(&target).is_eq());
            let (clicks, failed): (Vec<Summary>, Vec<usize>) = of_target.map(|noc| (noc.clicks, noc.failed)).unzip();
            let slices: usize = clicks.iter().map(|clicks| clicks.n).sum();
            Some((mean(clicks)?, failed.iter().sum::<usize>() as f64 / slices as f64))
        };
        Self {
            best: mean(runs.iter().map(|(best, _)| *best).collect()),
            last: mean(runs.iter().map(|(_, run)| run.last).collect()),
            curve: (0..steps).map(step).collect(),
            noc: targets.iter().map(noc).collect(),
        }
    }

    /// The mean over structures, each counting once.
    fn mean(lines: &[&Self]) -> Self {
        let mean = |of: &dyn Fn(&Self) -> Option<f64>| Summary::of(lines.iter().filter_map(|line| of(line))).mean;
        let targets = lines.first().map_or(0, |line| line.noc.len());
        let noc = |at: usize| Some((mean(&|line| Some(line.noc[at]?.0))?, mean(&|line| Some(line.noc[at]?.1))?));
        let steps = lines.iter().map(|line| line.curve.len()).max().unwrap_or(0);
        Self {
            best: mean(&|line| line.best),
            last: mean(&|line| line.last),
            curve: (0..steps).map(|at| mean(&|line| *line.curve.get(at)?)).collect(),
            noc: (0..targets).map(noc).collect(),
        }
    }

    fn cells(&self, name: String, column: &Column) -> Vec<String> {
        let dice = |value: Option<f64>| value.map_or_else(|| MISSING.to_owned(), |dice| format!("{dice:.2}"));
        let mut cells = vec![name, column.to_string(), dice(self.best), dice(self.last)];
        cells.extend(self.noc.iter().map(|noc| match noc {
            Some((clicks, failed)) => format!("{clicks:.1} ({:.0} %)", 100.0 * failed),
            None => MISSING.to_owned(),
        }));
        cells
    }
}
