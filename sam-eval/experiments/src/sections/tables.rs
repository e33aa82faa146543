//! Records as tables, plots and findings of a page.

use std::collections::BTreeMap;

use sam_eval::{
    Record, ResultsTable, Spread, Summary, Wilcoxon, failures,
    report::{BoxGroup, BoxPlot, BoxSeries, Finding, Plot, ReportColumn, ReportTable},
};
use sam_prompt::counted;

use crate::{Run, error::Result};

/// Slices with a Dice below this are listed.
const FAILED_BELOW: f64 = 0.5;
/// Maximum number of listed slices, the worst first.
const LISTED: usize = 12;

/// A series of records: method, number of annotated slices and prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Series<'a>(pub &'a str, pub usize, pub &'a str);

/// The scores of runs.
pub(super) fn records(runs: &[Run<Record>]) -> Vec<Record> {
    runs.iter().map(|run| run.score.clone()).collect()
}

/// The name of a series in tables.
pub(super) fn name(Series(method, slices, prompt): Series<'_>) -> String {
    let prompt = match prompt.split_once('-') {
        Some(("points", "1")) => "1 point".to_owned(),
        Some(("points", count)) => format!("{count} points"),
        Some(("active", count)) => format!("box and up to {count} clicks"),
        _ => prompt.to_owned(),
    };
    if slices == 0 {
        format!("{method}, {prompt}")
    } else {
        format!("{method}, {}, {prompt}", counted(slices, "slice"))
    }
}

impl Series<'_> {
    pub(super) fn holds(self, record: &Record) -> bool {
        record.method == self.0 && record.annotated_slices == self.1 && record.prompt == self.2
    }
}

/// Data set and structure.
pub(super) fn structure(record: &Record) -> String {
    format!("{}: {}", record.dataset, record.structure)
}

/// Structures in order of first appearance.
pub(super) fn structures(records: &[Record]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in records.iter().map(structure) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Mean Dice over structures, each counting once.
pub(super) fn mean(records: &[Record], series: Series<'_>) -> Option<f64> {
    let mut by_structure: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for record in records.iter().filter(|record| series.holds(record)) {
        by_structure.entry(structure(record)).or_default().extend(record.dice.mean);
    }
    Summary::of(by_structure.values().filter_map(|means| Summary::of(means.iter().copied()).mean)).mean
}

/// Dice of each slice, named by case, structure, seed and slice.
pub(super) fn slices(records: &[Record], series: Series<'_>) -> BTreeMap<(String, u64, usize), f64> {
    let of = |record: &Record| {
        // If a data set has one case, the case has the name of the data set.
        let case = if record.case == record.dataset { String::new() } else { format!("{} ", record.case) };
        let subject = case + &structure(record);
        let seed = record.seed;
        record
            .slices
            .clone()
            .into_iter()
            .filter_map(move |slice| Some(((subject.clone(), seed, slice.slice), slice.dice?)))
    };
    records.iter().filter(|record| series.holds(record)).flat_map(of).collect()
}

/// The paired test of two series on the same slices.
pub(super) fn paired(records: &[Record], one: Series<'_>, other: Series<'_>) -> Wilcoxon {
    let other = slices(records, other);
    Wilcoxon::of(slices(records, one).into_iter().filter_map(|(slice, dice)| Some((dice, *other.get(&slice)?))))
}

/// Dice of every structure and series, mean ± standard deviation over the slices of all repeats, and the mean over structures.
pub(super) fn dice(caption: &str, records: &[Record]) -> Result<ReportTable> {
    let table = ResultsTable::new(records, Spread::Slices)?;
    let title = |column: &sam_eval::Column| name(Series(&column.method, column.annotated_slices, &column.prompt));
    let columns = columns("Structure", table.columns().iter().map(title));
    let cell = |row, column| {
        let cell = table.cell(row, column)?;
        Some(match (cell.mean?, cell.std) {
            (mean, Some(std)) => format!("{mean:.3} ± {std:.3}"),
            (mean, None) => format!("{mean:.3}"),
        })
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (at, row) in table.rows().iter().enumerate() {
        let cells = (0..table.columns().len()).map(|column| cell(at, column).unwrap_or_default());
        rows.push(std::iter::once(format!("{}: {}", row.dataset, row.structure)).chain(cells).collect());
    }
    let means = (0..table.columns().len())
        .map(|column| table.column_mean(column).map_or(String::new(), |(mean, _)| format!("{mean:.3}")));
    rows.push(std::iter::once("mean over structures".to_owned()).chain(means).collect());
    Ok(ReportTable { caption: caption.to_owned(), columns, rows })
}

/// A column of names, and columns of measured results.
pub(super) fn columns(label: &str, measured: impl IntoIterator<Item = impl Into<String>>) -> Vec<ReportColumn> {
    std::iter::once(ReportColumn::label(label)).chain(measured.into_iter().map(ReportColumn::measured)).collect()
}

/// The worst slices of a series, if any failed.
pub(super) fn failed(records: &[Record], series: Series<'_>) -> Option<ReportTable> {
    let failures = failures(slices(records, series), FAILED_BELOW);
    if failures.failed.is_empty() {
        return None;
    }
    let row = |((subject, seed, slice), dice): &((String, u64, usize), f64)| {
        vec![subject.clone(), slice.to_string(), seed.to_string(), format!("{dice:.3}")]
    };
    Some(ReportTable {
        caption: format!(
            "Slices with Dice below {FAILED_BELOW}, {}: {} of {}, the worst first",
            name(series),
            failures.failed.len(),
            failures.tested
        ),
        columns: vec![
            ReportColumn::label("Case and structure"),
            ReportColumn::label("Slice"),
            ReportColumn::label("Seed"),
            ReportColumn::measured("Dice"),
        ],
        rows: failures.failed.iter().take(LISTED).map(row).collect(),
    })
}

/// A box plot of Dice: one group for each label, with one box for each series.
pub(super) fn boxes(
    title: &str,
    x_label: &str,
    records: &[Record],
    groups: &[(String, Vec<(String, Series<'_>)>)],
) -> Plot {
    let group = |(label, series): &(String, Vec<(String, Series<'_>)>)| BoxGroup {
        label: label.clone(),
        series: series
            .iter()
            .map(|(name, series)| BoxSeries {
                name: name.clone(),
                scores: slices(records, *series).into_values().collect(),
            })
            .collect(),
    };
    Plot::Boxes(BoxPlot {
        title: title.to_owned(),
        x_label: x_label.to_owned(),
        y_label: "Dice of slices".to_owned(),
        y_range: None,
        groups: groups.iter().map(group).collect(),
    })
}

/// The finding that one value is no less than another, within a margin.
pub(super) fn no_less(claim: &str, names: [&str; 2], values: [Option<f64>; 2], margin: f64) -> Finding {
    let [one, other] = values;
    let said = |value: Option<f64>| value.map_or("not measured".to_owned(), |value| format!("{value:.3}"));
    Finding {
        claim: claim.to_owned(),
        holds: one.zip(other).map(|(one, other)| one >= other - margin),
        evidence: format!("{} {}, {} {}", names[0], said(one), names[1], said(other)),
    }
}
