//! Reports: measured results next to those of the paper, with plots and pictures.
//!
//! Sections are plain data, which [`Report`] renders. A report that is read back from its JSON renders the same, so that sections
//! of different runs can be combined.

mod draw;
mod gallery;
mod html;
mod number;
mod plot;
mod text;
mod write;

pub use gallery::{Gallery, GalleryItem, GallerySlice, overlay_png};
pub use plot::{Bar, BarPlot, BoxGroup, BoxPlot, BoxSeries, Curve, CurvePlot, CurvePoint, Plot};
use serde::{Deserialize, Serialize};

/// A report of results.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Heading of the page.
    pub title: String,
    /// Facts needed to judge or repeat the results, as name and value: data, seed, hardware, hash of the weights, backend, whether
    /// prompts were simulated.
    pub facts: Vec<(String, String)>,
    /// Important notes, for example that the data are synthetic; shown above everything else.
    pub notes: Vec<String>,
    /// The sections, in the order in which they are shown.
    pub sections: Vec<Section>,
}

/// One table or figure of the paper, or one experiment of our own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Section {
    /// Name for links and programs, for example `table2_btcv`.
    pub id: String,
    /// Heading.
    pub title: String,
    /// Important notes about this section.
    pub notes: Vec<String>,
    /// Text below the heading.
    pub paragraphs: Vec<String>,
    /// The paper's claims, and whether they hold here.
    pub findings: Vec<Finding>,
    /// Tables.
    pub tables: Vec<ReportTable>,
    /// Plots.
    pub plots: Vec<Plot>,
    /// Pictures of slices.
    pub galleries: Vec<Gallery>,
    /// Small print below the section.
    pub footnotes: Vec<String>,
}

/// A claim of the paper, and whether it holds here.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Finding {
    /// The claim, as a sentence.
    pub claim: String,
    /// Whether it holds; `None` if these data cannot decide.
    pub holds: Option<bool>,
    /// The numbers that support the answer.
    pub evidence: String,
}

/// A table whose columns have a source.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ReportTable {
    /// Caption.
    pub caption: String,
    /// Column headers.
    pub columns: Vec<ReportColumn>,
    /// Cells by row. Empty and missing cells are shown as a dash.
    pub rows: Vec<Vec<String>>,
}

/// Header of a column.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReportColumn {
    /// Title.
    pub title: String,
    /// Source of its numbers.
    pub source: Source,
}

/// The source of a column, curve or bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Not a result: the name of a structure, a number of slices.
    Label,
    /// Measured here.
    #[default]
    Measured,
    /// Quoted from the paper. Every format shows it differently from measured results.
    Paper,
}

impl ReportColumn {
    /// A column of names.
    pub fn label(title: impl Into<String>) -> Self {
        Self { title: title.into(), source: Source::Label }
    }

    /// A column of measured results.
    pub fn measured(title: impl Into<String>) -> Self {
        Self { title: title.into(), source: Source::Measured }
    }

    /// A column of the paper's numbers.
    pub fn paper(title: impl Into<String>) -> Self {
        Self { title: title.into(), source: Source::Paper }
    }
}

impl Source {
    /// The name in files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Measured => "measured",
            Self::Paper => "paper",
        }
    }

    /// The suffix of a title in plain text.
    pub(crate) fn mark(self) -> &'static str {
        if self == Self::Paper { " (paper)" } else { "" }
    }
}

impl ReportTable {
    /// The columns, and an untitled one for each further cell, so that no cell is lost.
    pub(crate) fn all_columns(&self) -> Vec<ReportColumn> {
        let width = self.rows.iter().map(Vec::len).fold(self.columns.len(), usize::max);
        (0..width).map(|at| self.columns.get(at).cloned().unwrap_or_default()).collect()
    }

    /// The cell in a row; a dash if there is none.
    pub(crate) fn cell(row: &[String], at: usize) -> &str {
        row.get(at).map(|cell| cell.trim()).filter(|cell| !cell.is_empty()).unwrap_or(crate::lines::MISSING)
    }
}
