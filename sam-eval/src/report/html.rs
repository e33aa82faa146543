//! Reports as one self-contained HTML page.

use askama::Template;

use super::{Finding, Gallery, GalleryItem, GallerySlice, Plot, Report, ReportColumn, ReportTable, Section, Source};
use super::{gallery, number};
use crate::{EvalError, error::Cause};

impl Report {
    /// Renders the report as one self-contained HTML page, light or dark as the reader's system.
    ///
    /// All text is escaped. Plots and pictures are embedded, and the page's content security policy forbids it to load anything.
    ///
    /// # Errors
    /// [`EvalError::Render`] if a plot cannot be drawn.
    pub fn to_html(&self) -> Result<String, EvalError> {
        let sections = self.sections.iter().zip(anchors(&self.sections));
        let sections = sections.map(|(section, anchor)| SectionView::new(section, anchor)).collect::<Result<_, _>>()?;
        let page = Page {
            report: self,
            sections,
            verdicts: verdicts(self.sections.iter().flat_map(|section| &section.findings)),
            style: include_str!("../../templates/report.css"),
            script: include_str!("../../templates/report.js"),
            truth: hex(gallery::TRUTH),
            found: hex(gallery::FOUND),
        };
        page.render().map_err(|error| EvalError::Render { what: "the page".to_owned(), cause: Cause::new(error) })
    }
}

/// The data of the template.
#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    sections: Vec<SectionView<'a>>,
    verdicts: Vec<Verdict>,
    style: &'static str,
    script: &'static str,
    truth: String,
    found: String,
}

struct SectionView<'a> {
    section: &'a Section,
    anchor: String,
    tables: Vec<TableView<'a>>,
    plots: Vec<PlotView>,
    galleries: Vec<GalleryView<'a>>,
}

struct TableView<'a> {
    caption: &'a str,
    columns: Vec<ColumnView>,
    rows: Vec<Vec<CellView<'a>>>,
    quoted: bool,
}

struct ColumnView {
    column: ReportColumn,
    /// The source, and its mark in text.
    class: String,
}

struct CellView<'a> {
    text: &'a str,
    class: String,
    /// Whether the cell is the header of its row.
    heads: bool,
}

struct PlotView {
    svg: String,
    width: u32,
    height: u32,
    /// The minimum width on the screen, so that text stays readable.
    narrowest: u32,
    description: String,
}

struct GalleryView<'a> {
    caption: &'a str,
    items: Vec<ItemView<'a>>,
}

struct ItemView<'a> {
    title: &'a str,
    score: String,
    slices: Vec<SliceView<'a>>,
    /// The slice shown first: the middle one.
    first: usize,
}

struct SliceView<'a> {
    label: &'a str,
    png: String,
}

/// The number of claims with the same outcome.
struct Verdict {
    class: &'static str,
    sign: &'static str,
    words: &'static str,
    count: usize,
}

impl<'a> SectionView<'a> {
    fn new(section: &'a Section, anchor: String) -> Result<Self, EvalError> {
        Ok(Self {
            section,
            anchor,
            tables: section.tables.iter().map(TableView::new).collect(),
            plots: section.plots.iter().map(PlotView::new).collect::<Result<_, _>>()?,
            galleries: section.galleries.iter().map(GalleryView::new).collect(),
        })
    }
}

impl<'a> TableView<'a> {
    fn new(table: &'a ReportTable) -> Self {
        let columns = table.all_columns().into_iter().enumerate();
        let columns: Vec<_> = columns.map(|(at, column)| ColumnView::new(column, at, table)).collect();
        let cell = |row: &'a [String], at: usize| {
            let ColumnView { column, class } = &columns[at];
            let heads = at == 0 && column.source == Source::Label;
            CellView { text: ReportTable::cell(row, at), class: class.clone(), heads }
        };
        let rows = table.rows.iter().map(|row| (0..columns.len()).map(|at| cell(row, at)).collect()).collect();
        let quoted = columns.iter().any(|view| view.column.source == Source::Paper);
        Self { caption: &table.caption, columns, rows, quoted }
    }
}

impl ColumnView {
    fn new(column: ReportColumn, at: usize, table: &ReportTable) -> Self {
        let is_word =
            |text: &str| text.trim_start_matches(['-', '−', '–', '+', '<', '>']).starts_with(char::is_alphabetic);
        let words = table.rows.iter().any(|row| is_word(ReportTable::cell(row, at)));
        let class = format!("{}{}", column.source.name(), if words { " prose" } else { "" });
        Self { column, class }
    }
}

impl PlotView {
    fn new(plot: &Plot) -> Result<Self, EvalError> {
        let (width, height) = plot.size();
        let svg = number::to_base64(plot.to_svg()?.as_bytes());
        Ok(Self { svg, width, height, narrowest: width * 3 / 4, description: plot.description() })
    }
}

impl<'a> GalleryView<'a> {
    fn new(gallery: &'a Gallery) -> Self {
        Self { caption: &gallery.caption, items: gallery.ordered().into_iter().map(ItemView::new).collect() }
    }
}

impl<'a> ItemView<'a> {
    fn new(item: &'a GalleryItem) -> Self {
        let view = |slice: &'a GallerySlice| SliceView { label: &slice.label, png: number::to_base64(&slice.png) };
        Self {
            title: &item.title,
            score: number::score(item.score),
            slices: item.slices.iter().map(view).collect(),
            first: item.slices.len() / 2,
        }
    }
}

impl Finding {
    fn class(&self) -> &'static str {
        match self.holds {
            Some(true) => "holds",
            Some(false) => "fails",
            None => "open",
        }
    }
}

/// The numbers of claims that hold, do not hold, and cannot be decided; outcomes that do not occur are left out.
fn verdicts<'a>(findings: impl Iterator<Item = &'a Finding>) -> Vec<Verdict> {
    let outcomes = [Some(true), Some(false), None].map(|holds| Finding { holds, ..Finding::default() });
    let mut verdicts = outcomes.map(|finding| {
        let (sign, words) = finding.verdict();
        (finding.holds, Verdict { class: finding.class(), sign, words, count: 0 })
    });
    for finding in findings {
        verdicts.iter_mut().filter(|(holds, _)| *holds == finding.holds).for_each(|(_, verdict)| verdict.count += 1);
    }
    verdicts.into_iter().map(|(_, verdict)| verdict).filter(|verdict| verdict.count > 0).collect()
}

/// Unique anchors of sections: their ids, reduced to characters that a URL can hold.
fn anchors(sections: &[Section]) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    for section in sections {
        let letters = section.id.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
        let base: String = "section-".chars().chain(letters).collect();
        let mut anchor = base.clone();
        let mut count = 1;
        while anchors.contains(&anchor) {
            count += 1;
            anchor = format!("{base}-{count}");
        }
        anchors.push(anchor);
    }
    anchors
}

fn hex([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Bar, BarPlot};

    fn page(section: Section) -> Result<String, EvalError> {
        Report { title: "Results".to_owned(), sections: vec![section], ..Report::default() }.to_html()
    }

    #[test]
    fn names_are_text_wherever_they_stand() -> Result<(), EvalError> {
        let evil = || "<script>alert(1)</script>\"' onerror=x".to_owned();
        let slice = GallerySlice { label: evil(), png: vec![1, 2, 3] };
        let item = GalleryItem { title: evil(), score: 0.5, slices: vec![slice.clone(), slice] };
        let bar = Bar { label: evil(), value: 0.5, ..Bar::default() };
        let section = Section {
            id: evil(),
            title: evil(),
            notes: vec![evil()],
            paragraphs: vec![evil()],
            findings: vec![Finding { claim: evil(), holds: None, evidence: evil() }],
            tables: vec![ReportTable {
                caption: evil(),
                columns: vec![ReportColumn::paper(evil())],
                rows: vec![vec![evil()]],
            }],
            plots: vec![Plot::Bars(BarPlot { title: evil(), bars: vec![bar], ..BarPlot::default() })],
            galleries: vec![Gallery { caption: evil(), items: vec![item] }],
            footnotes: vec![evil()],
        };
        let report =
            Report { title: evil(), facts: vec![(evil(), evil())], notes: vec![evil()], sections: vec![section] };
        let html = report.to_html()?;
        assert!(!html.contains("<script>alert") && !html.contains("\"' onerror"), "{html}");
        assert_eq!(html.matches("<script>").count(), 1); // the page's own
        assert!(html.contains("src=\"data:image/png;base64,AQID\""), "{html}");
        Ok(())
    }

    #[test]
    fn the_papers_columns_are_set_apart() -> Result<(), EvalError> {
        let columns = vec![ReportColumn::label("Organ"), ReportColumn::measured("Dice"), ReportColumn::paper("Dice")];
        let rows = vec![vec!["liver".to_owned(), "0.93".to_owned()]];
        let html = page(Section {
            tables: vec![ReportTable { caption: "Dice".to_owned(), columns, rows }],
            ..Section::default()
        })?;
        assert!(html.contains("<th scope=\"col\" class=\"paper\">"), "{html}");
        assert!(html.contains("<td class=\"measured\">0.93</td>"), "{html}");
        assert!(html.contains("<td class=\"paper\">–</td>"), "{html}");
        Ok(())
    }

    #[test]
    fn words_and_numbers_are_told_apart() {
        let columns = vec![ReportColumn::label("Set"), ReportColumn::paper("Modality"), ReportColumn::paper("Cases")];
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = vec![row(["a", "CT", "30"]), row(["b", "", "−4.5 ± 1"])];
        let table = ReportTable { caption: String::new(), columns, rows };
        let classes: Vec<_> = TableView::new(&table).columns.into_iter().map(|view| view.class).collect();
        assert_eq!(classes, ["label prose", "paper prose", "paper"]);
    }

    #[test]
    fn an_empty_report_is_a_page_that_may_load_nothing() -> Result<(), EvalError> {
        let html = Report::default().to_html()?;
        assert!(html.contains("default-src &#39;none&#39;") || html.contains("default-src 'none'"), "{html}");
        assert!(!html.contains("http:") && !html.contains("https:"), "{html}");
        page(Section { plots: vec![Plot::Bars(BarPlot::default())], ..Section::default() })?;
        Ok(())
    }

    #[test]
    fn anchors_are_plain_and_distinct() {
        let section = |id: &str| Section { id: id.to_owned(), ..Section::default() };
        let found = anchors(&[section("Table 2"), section("table_2"), section("ü")]);
        assert_eq!(found, ["section-table-2", "section-table-2-2", "section--"]);
    }

    #[test]
    fn claims_are_counted_by_outcome() {
        let finding = |holds| Finding { holds, ..Finding::default() };
        let findings = [finding(None), finding(Some(true)), finding(Some(true))];
        let counts: Vec<_> =
            verdicts(findings.iter()).into_iter().map(|verdict| (verdict.sign, verdict.count)).collect();
        assert_eq!(counts, [("✓", 2), ("?", 1)]);
    }
}
