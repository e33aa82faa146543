//! A page of results: what was measured beside what the paper says, with plots and pictures.
//!
//! Sections are plain data. A program fills them in, [`Report`] renders them; a report read back from its JSON renders
//! the same, so that sections of different runs can be put together.

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

/// A page of results.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Heading of the page.
    pub title: String,
    /// What must be known to judge or repeat the results, as name and value: data, seed, hardware, hash of the weights,
    /// backend, whether prompts were simulated.
    pub facts: Vec<(String, String)>,
    /// What nobody may overlook, for example that the data are synthetic; shown above everything else.
    pub notes: Vec<String>,
    /// The results, in the order they are shown.
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
    /// What nobody may overlook about this section.
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
    /// Whether it holds; `None` if these data cannot tell.
    pub holds: Option<bool>,
    /// The numbers that say so.
    pub evidence: String,
}

/// A table whose columns say where their numbers come from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ReportTable {
    /// What the numbers are.
    pub caption: String,
    /// Heads of the columns.
    pub columns: Vec<ReportColumn>,
    /// Cells by row. An empty cell, and one that a short row lacks, is shown as a dash.
    pub rows: Vec<Vec<String>>,
}

/// Head of a column.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReportColumn {
    /// What stands in the column.
    pub title: String,
    /// Where it comes from.
    pub source: Source,
}

/// Where a column, curve or bar comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Not a result: the name of a structure, a number of slices.
    Label,
    /// Measured here.
    #[default]
    Measured,
    /// Quoted from the paper. Always set apart from what was measured, in every format.
    Paper,
}

impl ReportColumn {
    /// A column of names.
    pub fn label(title: impl Into<String>) -> Self {
        Self { title: title.into(), source: Source::Label }
    }

    /// A column of what was measured here.
    pub fn measured(title: impl Into<String>) -> Self {
        Self { title: title.into(), source: Source::Measured }
    }

    /// A column of the paper's own numbers.
    pub fn paper(title: impl Into<String>) -> Self {
        Self { title: title.into(), source: Source::Paper }
    }
}

impl Source {
    /// A name for programs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Measured => "measured",
            Self::Paper => "paper",
        }
    }

    /// What is added to a title in plain text.
    pub(crate) fn mark(self) -> &'static str {
        if self == Self::Paper { " (paper)" } else { "" }
    }
}

impl ReportTable {
    /// Columns, and an untitled one for each cell beyond them, so that nothing is lost.
    pub(crate) fn all_columns(&self) -> Vec<ReportColumn> {
        let width = self.rows.iter().map(Vec::len).fold(self.columns.len(), usize::max);
        (0..width).map(|at| self.columns.get(at).cloned().unwrap_or_default()).collect()
    }

    /// The cell in a row, a dash where there is none.
    pub(crate) fn cell(row: &[String], at: usize) -> &str {
        row.get(at).map(|cell| cell.trim()).filter(|cell| !cell.is_empty()).unwrap_or(crate::lines::MISSING)
    }
}
