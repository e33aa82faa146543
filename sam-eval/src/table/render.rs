//! The table as Markdown and as aligned plain text.

use std::fmt::{Display, Formatter, Result};

use super::{Cell, Column, ResultsTable, Row, Spread};
use crate::lines::{MISSING, aligned, markdown};

impl ResultsTable {
    /// The caption, in sentences: the metric, the meaning of ±, whether prompts were simulated, and which prediction counts if
    /// there are several for a slice.
    pub fn caption(&self) -> String {
        let spread = match self.spread {
            Spread::Repeats => "mean ± standard deviation over repeats (cases and seeds)",
            Spread::Slices => "mean ± standard deviation over the test slices of all repeats",
        };
        let prompts = match self.simulated {
            0 => String::new(),
            all if all == self.records => " Prompts were simulated from the ground truth.".to_owned(),
            some => format!(" Prompts were simulated from the ground truth in {some} of {} runs.", self.records),
        };
        let best = if self.interactive { " Of a series of clicks, the best Dice along it counts." } else { "" };
        format!("Dice, {spread}.{prompts}{best}")
    }

    /// The table in Markdown, with its caption above it.
    pub fn to_markdown(&self) -> String {
        let head = [String::new()].into_iter().chain(self.columns.iter().map(ToString::to_string));
        let mut lines: Vec<Vec<String>> = vec![head.collect()];
        lines.extend(self.body());
        lines.push(["**mean**".to_owned()].into_iter().chain(self.means()).collect());
        format!("{}\n\n{}", self.caption(), markdown(&lines))
    }

    /// The lines of the structures.
    fn body(&self) -> impl Iterator<Item = Vec<String>> {
        self.rows.iter().zip(self.values()).map(|(row, values)| [row.to_string()].into_iter().chain(values).collect())
    }

    fn values(&self) -> impl Iterator<Item = Vec<String>> {
        self.cells.iter().map(|cells| {
            cells.iter().map(|cell| cell.map_or_else(|| MISSING.to_owned(), |cell| cell.to_string())).collect()
        })
    }

    fn means(&self) -> impl Iterator<Item = String> {
        (0..self.columns.len()).map(|column| match self.column_mean(column) {
            None => MISSING.to_owned(),
            Some((mean, structures)) if structures == self.rows.len() => format!("{mean:.2}"),
            Some((mean, structures)) => format!("{mean:.2} ({structures} of {})", self.rows.len()),
        })
    }
}

/// The table as plain text, with its caption above it: names on the left, values on the right, and column headers on three lines (method,
/// annotated slices, prompt).
impl Display for ResultsTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let head = |part: fn(&Column) -> String| [String::new()].into_iter().chain(self.columns.iter().map(part));
        let mut lines: Vec<Vec<String>> = vec![
            head(|column| column.method.clone()).collect(),
            head(Column::slices).collect(),
            head(|column| column.prompt.clone()).collect(),
        ];
        lines.extend(self.body());
        lines.push(["mean".to_owned()].into_iter().chain(self.means()).collect());
        write!(f, "{}\n\n{}", self.caption(), aligned(&lines, 1))
    }
}

/// `data set: structure`.
impl Display for Row {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}: {}", self.dataset, self.structure)
    }
}

/// `method, slices, prompt`, without the slices if there are none.
impl Display for Column {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.annotated_slices {
            0 => write!(f, "{}, {}", self.method, self.prompt),
            _ => write!(f, "{}, {}, {}", self.method, self.slices(), self.prompt),
        }
    }
}

impl Column {
    fn slices(&self) -> String {
        match self.annotated_slices {
            0 => String::new(),
            1 => "1 slice".to_owned(),
            n => format!("{n} slices"),
        }
    }
}

/// `mean ± std` with two decimals, as the paper prints them.
impl Display for Cell {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match (self.mean, self.std) {
            (Some(mean), Some(std)) => write!(f, "{mean:.2} ± {std:.2}"),
            (Some(mean), None) => write!(f, "{mean:.2}"),
            (None, _) => f.write_str(MISSING),
        }
    }
}
