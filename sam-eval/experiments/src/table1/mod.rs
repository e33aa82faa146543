//! The paper's Table 1, next to the counts of the data on this machine.
//!
//! The paper's numbers and the counted numbers are in separate columns, which are labelled.

mod paper;

use std::{collections::BTreeSet, ops::ControlFlow, path::Path};

use burn::tensor::backend::Backend;
use sam_data::{Case, Dataset, SliceAxis, Structure, Window};
use sam_eval::report::{ReportColumn, ReportTable, Section};
use sam_files::Outputs;
use serde::Serialize;

pub use paper::{PAPER, PaperSet};

use crate::{
    Event, EventObserver, ExperimentError, Plan, Setup,
    data_source::left_out,
    error::{Context, Result},
};

/// A data set to count.
pub struct Table1Source {
    /// The data set.
    pub dataset: Box<dyn Dataset>,
    /// Names or label values of structures.
    pub structures: String,
    /// The line of the paper's table that it belongs to, if any.
    pub paper: Option<&'static PaperSet>,
}

impl Table1Source {
    /// Phantoms for all lines of the paper's table that have a similar phantom, with this number of cases each.
    pub fn phantoms(cases: usize) -> Vec<Self> {
        let phantom = |line: &'static PaperSet| {
            let (kind, structures) = line.phantom()?;
            let dataset = Box::new(kind.dataset(cases, 0));
            Some(Self { dataset, structures: structures.to_owned(), paper: Some(line) })
        };
        PAPER.iter().filter_map(phantom).collect()
    }
}

/// The counts of one structure of one data set.
#[derive(Debug, Clone, Serialize)]
pub struct StructureCounts {
    /// The line of the paper's table that it belongs to, if any.
    pub paper: Option<&'static PaperSet>,
    /// The data set's name; for synthetic data, the phantom's name.
    pub dataset: String,
    /// Whether the data are synthetic.
    pub synthetic: bool,
    /// The structure.
    pub structure: String,
    /// Cases that could be read.
    pub cases: usize,
    /// Cases that show the structure.
    pub cases_with: usize,
    /// Number of slices of all cases, or of images.
    pub slices: usize,
    /// Slices that show the structure.
    pub slices_with: usize,
    /// Number of instances, if the masks number them.
    pub instances: Option<usize>,
    /// Files that are not cases.
    pub left_out: usize,
}

/// Reads all cases of a data set and counts where each structure is shown.
///
/// # Errors
/// If a case cannot be read, or a structure is not in the data set's table; [`ExperimentError::Stopped`].
pub fn count(source: &Table1Source, observer: &mut EventObserver<'_>) -> Result<Vec<StructureCounts>> {
    let dataset = source.dataset.as_ref();
    let structures = dataset.table().parse_structures(&source.structures)?;
    let row = |structure: &Structure| StructureCounts {
        paper: source.paper,
        dataset: dataset.name().to_owned(),
        synthetic: dataset.name().starts_with("phantom-"),
        structure: structure.name.clone(),
        cases: dataset.cases().len(),
        cases_with: 0,
        slices: 0,
        slices_with: 0,
        instances: None,
        left_out: dataset.left_out().len(),
    };
    let mut rows: Vec<StructureCounts> = structures.iter().map(row).collect();
    let mut tell = |event: Event| match observer(&event) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(ExperimentError::Stopped),
    };
    left_out(dataset).into_iter().try_for_each(|note| tell(Event::Note(note)))?;
    tell(Event::Case { name: dataset.name().to_owned(), steps: dataset.cases().len() })?;
    for case in dataset.cases() {
        count_case(case, &structures, &mut rows).step(|| format!("case {} of {}", case.name, dataset.name()))?;
        tell(Event::Step { loss: None })?;
    }
    tell(Event::CaseDone)?;
    Ok(rows)
}

fn count_case(case: &Case, structures: &[Structure], rows: &mut [StructureCounts]) -> Result<()> {
    let slices = case.stack(SliceAxis::Auto, &Window::Auto)?;
    let instances = case.instances()?.map(|numbers| {
        let distinct: BTreeSet<u16> = numbers.into_iter().filter(|&number| number > 0).collect();
        distinct.len()
    });
    let mut shown = vec![0; structures.len()];
    for index in 0..slices.len() {
        let labels = slices.labels(index);
        for (shown, structure) in shown.iter_mut().zip(structures) {
            *shown += usize::from(labels.iter().any(|label| structure.values.contains(label)));
        }
    }
    for (row, shown) in rows.iter_mut().zip(shown) {
        row.cases_with += usize::from(shown > 0);
        row.slices += slices.len();
        row.slices_with += shown;
        row.instances = instances.map(|count| row.instances.unwrap_or(0) + count).or(row.instances);
    }
    Ok(())
}

/// The table's header and lines: the paper's columns, then the counted ones. Lines of the paper without data have empty counts.
pub fn lines(counts: &[StructureCounts]) -> Vec<Vec<String>> {
    let head = [
        "paper: task",
        "paper: source",
        "paper: modality",
        "paper: target",
        "paper: cases",
        "here: data",
        "here: structure",
        "here: cases",
        "here: cases with it",
        "here: slices",
        "here: slices with it",
        "here: instances",
        "here: left out",
    ];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for paper in &PAPER {
        let mut own = counts.iter().filter(|found| found.paper.is_some_and(|line| line.task == paper.task)).peekable();
        if own.peek().is_none() {
            lines.push(line(Some(paper), None));
        }
        lines.extend(own.map(|found| line(Some(paper), Some(found))));
    }
    lines.extend(counts.iter().filter(|found| found.paper.is_none()).map(|found| line(None, Some(found))));
    lines
}

fn line(paper: Option<&PaperSet>, found: Option<&StructureCounts>) -> Vec<String> {
    let mut cells = paper.map_or_else(
        || vec![String::new(); 5],
        |paper| {
            let cases = paper.cases.to_string();
            [paper.task, paper.source, paper.modality, paper.target, &cases].map(str::to_owned).to_vec()
        },
    );
    match found {
        None => cells.extend(vec![String::new(); 8]),
        Some(found) => {
            let name = if found.synthetic { format!("{} (synthetic)", found.dataset) } else { found.dataset.clone() };
            cells.extend([name, found.structure.clone()]);
            let counts = [found.cases, found.cases_with, found.slices, found.slices_with];
            cells.extend(counts.map(|count| count.to_string()));
            cells.push(found.instances.map_or(String::new(), |count| count.to_string()));
            cells.push(found.left_out.to_string());
        }
    }
    cells
}

/// The lines in Markdown, in columns of equal width.
pub fn markdown(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let widths: Vec<usize> =
        (0..columns).map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)).collect();
    let row = |line: &[String]| {
        let cells = line.iter().zip(&widths).map(|(cell, &width)| format!(" {cell:<width$} |"));
        format!("|{}\n", cells.collect::<String>())
    };
    let rule: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
    let body = lines.iter().skip(1).map(|line| row(line));
    lines.first().map_or(String::new(), |head| [row(head), row(&rule)].into_iter().chain(body).collect())
}

/// The files that [`write()`] stages.
pub const FILES: [&str; 3] = ["results.json", "table.csv", "table.md"];

/// Stages the counts in a folder: `results.json`, `table.csv` and `table.md`. They get their names when the outputs are published.
///
/// # Errors
/// If a file cannot be written, or is not in the plan of outputs.
pub fn write(outputs: &Outputs, folder: impl AsRef<Path>, counts: &[StructureCounts]) -> Result<()> {
    let path = |name: &str| folder.as_ref().join(name);
    let lines = lines(counts);
    let (csv, markdown) = (csv(&lines)?, markdown(&lines));
    outputs.write_json(path("results.json"), &Results { paper: &PAPER, found: counts })?;
    outputs.write(path("table.csv"), |file| file.write_all(&csv))?;
    Ok(outputs.write(path("table.md"), |file| file.write_all(markdown.as_bytes()))?)
}

/// The content of `results.json`.
#[derive(Serialize)]
struct Results<'a> {
    paper: &'a [PaperSet],
    found: &'a [StructureCounts],
}

/// The lines as comma-separated values.
fn csv(lines: &[Vec<String>]) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut writer = csv::Writer::from_writer(&mut text);
    for line in lines {
        writer.write_record(line)?;
    }
    writer.flush().map_err(csv::Error::from)?;
    drop(writer);
    Ok(text)
}

/// The section of the page.
pub(crate) fn section<B: Backend>(setup: &Setup<B>, plan: &Plan) -> Result<Section> {
    let mut sources = if plan.is_synthetic() { Table1Source::phantoms(1) } else { Vec::new() };
    for data in &plan.sources {
        let paper = data.known_set().and_then(PaperSet::of);
        sources.push(Table1Source { dataset: data.open()?, structures: data.structures(), paper });
    }
    let mut counts = Vec::new();
    for source in &sources {
        counts.extend(count(source, &mut setup.observer())?);
    }
    let mut lines = lines(&counts).into_iter();
    let column = |title: String| match title.split_once(": ") {
        Some(("paper", name)) => ReportColumn::paper(name),
        Some((_, name)) => ReportColumn::measured(name),
        None => ReportColumn::label(title),
    };
    let columns = lines.next().unwrap_or_default().into_iter().map(column).collect();
    Ok(Section {
        paragraphs: vec![
            "The paper's data sets, and for each structure that is here how many cases and slices show it.".to_owned(),
        ],
        tables: vec![ReportTable { caption: "Data sets".to_owned(), columns, rows: lines.collect() }],
        footnotes: vec![
            "The paper's text speaks of eight data sets, its table lists nine: BTCV is used in Table 2 alone."
                .to_owned(),
        ],
        ..Section::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_paper_stays_and_what_is_found_stands_beside_it() {
        let (kind, structures) = PAPER[7].phantom().expect("the cord has a phantom");
        let dataset = Box::new(kind.dataset(2, 0));
        let source = Table1Source { dataset, structures: structures.to_owned(), paper: Some(&PAPER[7]) };
        let found = count(&source, &mut |_| ControlFlow::Continue(())).expect("a phantom");
        assert_eq!((found[0].cases, found[0].slices, found[0].slices_with), (2, 28, 28));
        let lines = lines(&found);
        assert_eq!(lines.len(), 1 + PAPER.len());
        assert!(lines.iter().all(|line| line.len() == lines[0].len()));
        assert!(lines[8][5].contains("synthetic") && lines[1][5].is_empty());
        assert_eq!(markdown(&lines).lines().count(), 2 + PAPER.len());
        let quoted = csv(&[vec!["a,b".to_owned(), "c\"d".to_owned()]]).expect("one line");
        assert_eq!(quoted, b"\"a,b\",\"c\"\"d\"\n");
    }

    #[test]
    fn every_phantom_has_the_structures_that_stand_in() {
        for line in &PAPER {
            if let Some((kind, structures)) = line.phantom() {
                kind.table().parse_structures(structures).expect("structures of the phantom");
            }
            assert!(
                line.readers().first().and_then(|&set| PaperSet::of(set)).is_some_and(|found| found.task == line.task)
            );
        }
    }
}
