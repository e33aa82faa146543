//! The table of results: structures in rows, methods in columns.

mod interaction;
mod render;

use std::collections::HashMap;

pub use self::interaction::InteractionTable;
use crate::{EvalError, Record, Summary, record::check_distinct, summary::pooled};

/// The meaning of the "±" in a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Spread {
    /// The repeats (cases and seeds): every record counts once, and ± is the standard deviation of the records' means. With one repeat
    /// there is no ±.
    #[default]
    Repeats,
    /// The pooled test slices of all repeats: every slice counts once.
    Slices,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Row {
    /// Data set.
    pub dataset: String,
    /// Structure within it.
    pub structure: String,
}

/// One column of the table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Column {
    /// Method, for example `assist`.
    pub method: String,
    /// Number of annotated slices.
    pub annotated_slices: usize,
    /// Prompt, for example `points-3`.
    pub prompt: String,
}

/// Mean ± standard deviation (`ddof = 0`) of the Dice of all records of one row and column.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cell {
    /// Mean, if any record had a defined Dice.
    pub mean: Option<f64>,
    /// Standard deviation as [`Spread`] defines it; `None` for a single repeat under [`Spread::Repeats`].
    pub std: Option<f64>,
    /// Number of records with a defined Dice.
    pub repeats: usize,
}

/// Dice by data set and structure (rows) and by method, annotated slices and prompt (columns).
///
/// Rows are in the order of the records. So are columns, except that the columns of one method are adjacent, ordered by their number of
/// annotated slices. The last row is the mean over the structures, each counting once. If a column lacks some structures, the mean shows
/// their number, because means over different structures are not comparable.
///
/// # Example
///
/// ```
/// use sam_eval::{Record, ResultsTable, Spread, Summary};
///
/// let record = |method: &str, annotated_slices, seed, dice| Record {
///     dataset: "abdomen".into(),
///     case: "1".into(),
///     structure: "liver".into(),
///     method: method.into(),
///     annotated_slices,
///     prompt: "points-3".into(),
///     seed,
///     dice: Summary::of([dice]),
///     iou: None,
///     interaction: None,
///     slices: Vec::new(),
///     train_seconds: 0.0,
///     simulated_prompts: true,
/// };
/// let records = [record("original", 0, 1, 0.25), record("assist", 5, 1, 0.75), record("assist", 5, 2, 0.85)];
/// let table = ResultsTable::new(&records, Spread::Repeats)?;
/// assert!(table.to_markdown().contains("| abdomen: liver | 0.25 | 0.80 ± 0.05 |"));
/// # Ok::<(), sam_eval::EvalError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ResultsTable {
    rows: Vec<Row>,
    columns: Vec<Column>,
    cells: Vec<Vec<Option<Cell>>>,
    spread: Spread,
    simulated: usize,
    records: usize,
    interactive: bool,
}

impl ResultsTable {
    /// Groups records by row and column and aggregates each group.
    ///
    /// # Errors
    /// [`EvalError::DuplicateRecord`] if two records agree in all that identifies a run: data set, case, structure,
    /// method, annotated slices, prompt and seed.
    pub fn new(records: &[Record], spread: Spread) -> Result<Self, EvalError> {
        check_distinct(records)?;
        let mut methods = Order::default();
        let mut rows = Order::default();
        let mut columns = Order::default();
        let mut grouped: HashMap<(usize, usize), Vec<Summary>> = HashMap::new();
        for record in records {
            let (row, column) = (Row::of(record), Column::of(record));
            methods.index_of(&record.method);
            let place = (rows.index_of(&row), columns.index_of(&column));
            grouped.entry(place).or_default().push(record.dice);
        }

        let mut order: Vec<usize> = (0..columns.items.len()).collect();
        order.sort_by_key(|&at| {
            let column = &columns.items[at];
            (methods.index.get(&column.method), column.annotated_slices)
        });
        let cell = |row, column| grouped.get(&(row, column)).map(|summaries| Cell::of(summaries, spread));
        Ok(Self {
            cells: (0..rows.items.len()).map(|row| order.iter().map(|&column| cell(row, column)).collect()).collect(),
            columns: order.iter().map(|&at| columns.items[at].clone()).collect(),
            rows: rows.items,
            spread,
            simulated: records.iter().filter(|record| record.simulated_prompts).count(),
            records: records.len(),
            interactive: records.iter().any(|record| record.interaction.is_some()),
        })
    }

    /// The rows, without the last one with the averages.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The cell of a row and a column, by their positions; `None` if it has no record or does not exist.
    pub fn cell(&self, row: usize, column: usize) -> Option<Cell> {
        *self.cells.get(row)?.get(column)?
    }

    /// Mean over the structures of a column, each counting once, and how many structures had a value; `None` if none.
    pub fn column_mean(&self, column: usize) -> Option<(f64, usize)> {
        let means: Vec<f64> = (0..self.rows.len()).filter_map(|row| self.cell(row, column)?.mean).collect();
        Some((Summary::of(means.iter().copied()).mean?, means.len()))
    }
}

impl Row {
    /// The row of a record.
    fn of(record: &Record) -> Self {
        Self { dataset: record.dataset.clone(), structure: record.structure.clone() }
    }
}

impl Column {
    /// The column of a record.
    fn of(record: &Record) -> Self {
        Self { method: record.method.clone(), annotated_slices: record.annotated_slices, prompt: record.prompt.clone() }
    }
}

impl Cell {
    fn of(summaries: &[Summary], spread: Spread) -> Self {
        let repeats = summaries.iter().filter(|summary| summary.mean.is_some()).count();
        match spread {
            Spread::Repeats => {
                let over = Summary::of(summaries.iter().filter_map(|summary| summary.mean));
                Self { mean: over.mean, std: over.std.filter(|_| repeats > 1), repeats }
            }
            Spread::Slices => {
                let (mean, std) = pooled(summaries).unzip();
                Self { mean, std, repeats }
            }
        }
    }
}

/// Distinct values in the order of their first appearance.
struct Order<T> {
    items: Vec<T>,
    index: HashMap<T, usize>,
}

impl<T> Default for Order<T> {
    fn default() -> Self {
        Self { items: Vec::new(), index: HashMap::new() }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Order<T> {
    fn index_of(&mut self, item: &T) -> usize {
        if let Some(&index) = self.index.get(item) {
            return index;
        }
        self.items.push(item.clone());
        self.index.insert(item.clone(), self.items.len() - 1);
        self.items.len() - 1
    }
}
