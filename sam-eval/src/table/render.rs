//! The table as Markdown and as aligned plain text.

use std::fmt::{Display, Formatter, Result, Write};

use super::{Cell, Column, ResultsTable, Row, Spread};

const MISSING: &str = "–";

impl ResultsTable {
    /// What the numbers are, in sentences: the metric, what ± spans, and whether prompts were simulated.
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
        format!("Dice, {spread}.{prompts}")
    }

    /// The table in Markdown, its caption above it.
    pub fn to_markdown(&self) -> String {
        let mut out = format!("{}\n\n", self.caption());
        let mut line = |cells: Vec<String>| {
            out.extend(cells.iter().flat_map(|cell| ["| ", cell, " "]));
            out.push_str("|\n");
        };
        let header = |name: &dyn Display| escape(&name.to_string());
        line([String::new()].into_iter().chain(self.columns.iter().map(|column| header(column))).collect());
        line(vec!["---".to_owned(); self.columns.len() + 1]);
        for (row, values) in self.rows.iter().zip(self.values()) {
            line([header(row)].into_iter().chain(values).collect());
        }
        line(["**mean**".to_owned()].into_iter().chain(self.means()).collect());
        out
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

/// The table as plain text, its caption above it: names to the left, numbers to the right, the head of a column on
/// three lines (method, annotated slices, prompt).
impl Display for ResultsTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let head = |part: fn(&Column) -> String| [String::new()].into_iter().chain(self.columns.iter().map(part));
        let mut lines: Vec<Vec<String>> = vec![
            head(|column| column.method.clone()).collect(),
            head(Column::slices).collect(),
            head(|column| column.prompt.clone()).collect(),
        ];
        for (row, values) in self.rows.iter().zip(self.values()) {
            lines.push([row.to_string()].into_iter().chain(values).collect());
        }
        lines.push(["mean".to_owned()].into_iter().chain(self.means()).collect());

        let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..=self.columns.len()).map(width).collect();
        writeln!(f, "{}\n", self.caption())?;
        for line in &lines {
            let mut text = format!("{:<1$}", line[0], widths[0]);
            for (cell, &width) in line.iter().zip(&widths).skip(1) {
                write!(text, "  {cell:>width$}")?;
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
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

fn escape(text: &str) -> String {
    text.replace('|', r"\|").replace(['\n', '\r'], " ")
}
