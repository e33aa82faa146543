//! The paper's Table 1, and what lies on this machine beside it.
//!
//! The paper's numbers are kept apart from those found here, in columns that say so.

use anyhow::{Context, Result};
use sam_data::{Case, Dataset, KnownSet, PhantomKind, SliceAxis, Structure, Window};
use serde::Serialize;

use crate::progress;

/// A line of the paper's Table 1.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PaperSet {
    /// The paper's name for the task.
    pub task: &'static str,
    /// The data set.
    pub source: &'static str,
    /// How images were taken.
    pub modality: &'static str,
    /// What is segmented.
    pub target: &'static str,
    /// How many cases the paper has.
    pub cases: usize,
    /// Readers of the set.
    #[serde(skip)]
    readers: &'static [KnownSet],
    /// Synthetic data of the kind.
    #[serde(skip)]
    phantom: Option<PhantomKind>,
}

/// A line of the table: what the paper prints, then the readers of the set and the phantom that stands in.
const fn paper(
    [task, source, modality, target]: [&'static str; 4],
    cases: usize,
    readers: &'static [KnownSet],
    phantom: Option<PhantomKind>,
) -> PaperSet {
    PaperSet { task, source, modality, target, cases, readers, phantom }
}

use KnownSet::{
    Btcv, Ct2usKidney, CtOrg, Kits19, Lits, Lizard, Msd, ProstatexGland, ProstatexPeripheral, Scgm, ScgmRater,
};
use PhantomKind::{Abdomen, KidneyUltrasound, Nuclei, SpinalCord};

/// All raters' masks, or those of one.
const SCGM: [KnownSet; 5] = [Scgm, ScgmRater(1), ScgmRater(2), ScgmRater(3), ScgmRater(4)];

/// Table 1 of arXiv 2307.05617.
pub const PAPER: [PaperSet; 9] = [
    paper(["Kidney-CT", "KiTS", "CT", "kidney + tumour"], 210, &[Kits19], Some(Abdomen)),
    paper(["Kidney-US", "CT2US", "ultrasound", "kidney"], 4586, &[Ct2usKidney], Some(KidneyUltrasound)),
    paper(["Liver-CT", "LiTS", "CT", "liver + tumour"], 131, &[Lits], Some(Abdomen)),
    paper(["Lung-CT", "CT-ORG", "CT", "lung"], 139, &[CtOrg], None),
    paper(["Prostate-MRI", "PROSTATEx", "MRI", "gland; PZ"], 346, &[ProstatexGland, ProstatexPeripheral], None),
    paper(["Spleen-CT", "MSD", "CT", "spleen"], 41, &[Msd], Some(Abdomen)),
    paper(["Nuclear-Hist", "Lizard", "histopathology", "nuclei"], 238, &[Lizard], Some(Nuclei)),
    paper(["Spine-MRI", "SCGM challenge", "MRI", "spinal cord"], 40, &SCGM, Some(SpinalCord)),
    paper(["MultiOrgan-CT", "BTCV", "CT", "13 abdominal organs"], 30, &[Btcv], Some(Abdomen)),
];

impl PaperSet {
    /// Structures of the phantom that stands in: what comes nearest to the target.
    const fn structures_of_phantom(&self) -> &'static str {
        match self.readers {
            [Kits19] => "kidneys=right kidney+left kidney+kidney tumour",
            [Lits] => "liver=liver+liver lesion",
            [Msd] => "spleen",
            [Scgm, ..] => "spinal cord=1+2",
            [Btcv] => "spleen,right kidney,left kidney,liver=liver+liver lesion,stomach,aorta",
            _ => "all",
        }
    }

    /// The phantom that stands in for the set without data, and its structures; `None` for a set that no phantom resembles.
    pub fn phantom(&self) -> Option<(PhantomKind, &'static str)> {
        self.phantom.map(|kind| (kind, self.structures_of_phantom()))
    }

    /// The line of a known set.
    pub fn of(set: KnownSet) -> Option<&'static Self> {
        PAPER.iter().find(|line| line.readers.contains(&set))
    }
}

/// What was found of one structure of one data set.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// The paper's line that it belongs to, if to one.
    pub paper: Option<&'static PaperSet>,
    /// The data set's name; of synthetic data, that of the phantom.
    pub dataset: String,
    /// Whether the data are synthetic.
    pub synthetic: bool,
    /// The structure.
    pub structure: String,
    /// Cases that could be read.
    pub cases: usize,
    /// Those that show the structure.
    pub cases_with: usize,
    /// Slices of all cases, or images.
    pub slices: usize,
    /// Those that show the structure.
    pub slices_with: usize,
    /// Numbered instances, where masks number them.
    pub instances: Option<usize>,
    /// Files that are no case.
    pub left_out: usize,
}

/// Reads all cases of a data set and counts where each structure is shown.
///
/// # Errors
/// If a case cannot be read, or a structure is not in the data set's table.
pub fn survey(dataset: &dyn Dataset, structures: &str, paper: Option<&'static PaperSet>) -> Result<Vec<Found>> {
    let structures = dataset.table().parse_structures(structures)?;
    let row = |structure: &Structure| Found {
        paper,
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
    let mut rows: Vec<Found> = structures.iter().map(row).collect();
    let bar = progress::bar(dataset.name(), dataset.cases().len());
    for case in dataset.cases() {
        count(case, &structures, &mut rows).with_context(|| format!("case {} of {}", case.name, dataset.name()))?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(rows)
}

fn count(case: &Case, structures: &[Structure], rows: &mut [Found]) -> Result<()> {
    let slices = case.slices(SliceAxis::Auto, &Window::Auto)?;
    let instances = case.instances()?.map(|numbers| {
        let distinct: std::collections::BTreeSet<u16> = numbers.into_iter().filter(|&number| number > 0).collect();
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

/// The table's head and lines: the paper's columns, then those counted here. Lines of the paper without data stay empty on the right.
pub fn lines(found: &[Found]) -> Vec<Vec<String>> {
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
        let mut own = found.iter().filter(|found| found.paper.is_some_and(|line| line.task == paper.task)).peekable();
        if own.peek().is_none() {
            lines.push(line(Some(paper), None));
        }
        lines.extend(own.map(|found| line(Some(paper), Some(found))));
    }
    lines.extend(found.iter().filter(|found| found.paper.is_none()).map(|found| line(None, Some(found))));
    lines
}

fn line(paper: Option<&PaperSet>, found: Option<&Found>) -> Vec<String> {
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

/// The lines as comma-separated values.
pub fn csv(lines: &[Vec<String>]) -> String {
    let quoted = |cell: &String| {
        let plain = !cell.contains([',', '"', '\n']);
        if plain { cell.clone() } else { format!("\"{}\"", cell.replace('"', "\"\"")) }
    };
    lines.iter().map(|line| line.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_paper_stays_and_what_is_found_stands_beside_it() {
        let (kind, structures) = PAPER[7].phantom().expect("the cord has a phantom");
        let found = survey(&kind.dataset(2, 0), structures, Some(&PAPER[7])).expect("a phantom");
        assert_eq!((found[0].cases, found[0].slices, found[0].slices_with), (2, 28, 28));
        let lines = lines(&found);
        assert_eq!(lines.len(), 1 + PAPER.len());
        assert!(lines.iter().all(|line| line.len() == lines[0].len()));
        assert!(lines[8][5].contains("synthetic") && lines[1][5].is_empty());
        assert_eq!(markdown(&lines).lines().count(), 2 + PAPER.len());
        assert_eq!(csv(&[vec!["a,b".to_owned(), "c\"d".to_owned()]]), "\"a,b\",\"c\"\"d\"\n");
    }

    #[test]
    fn every_phantom_has_the_structures_that_stand_in() {
        for line in &PAPER {
            if let Some((kind, structures)) = line.phantom() {
                kind.table().parse_structures(structures).expect("structures of the phantom");
            }
            assert!(PaperSet::of(line.readers[0]).is_some_and(|found| found.task == line.task));
        }
    }
}
