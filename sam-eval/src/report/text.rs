//! Reports as Markdown and as CSV.

use std::fmt::Write;

use super::{Finding, Report, ReportTable, Section, Source, number};
use crate::lines::{MISSING, markdown};

impl Report {
    /// Renders the report as Markdown, with titles in place of plots and pictures.
    pub fn to_markdown(&self) -> String {
        let mut out = format!("# {}\n", plain(&self.title));
        out.extend(self.notes.iter().map(|note| format!("\n> **Note:** {}\n", plain(note))));
        if !self.facts.is_empty() {
            out.push('\n');
            out.extend(self.facts.iter().map(|(name, value)| format!("- {}: {}\n", plain(name), plain(value))));
        }
        self.sections.iter().for_each(|section| section.to_markdown(&mut out));
        out
    }

    /// Renders the report as CSV for other programs, one number on each line: section, table, row, column, source (`measured` or
    /// `paper`), value. Titles of the paper's columns also end in "(paper)".
    ///
    /// Rows are named by their label columns. The values of plots and the scores of pictures follow the tables of their section;
    /// undefined values are empty.
    pub fn to_csv(&self) -> String {
        let mut lines = csv::Writer::from_writer(Vec::new());
        let mut line = |fields: [&str; 6]| {
            // Cannot fail: all lines have the same number of fields, and they are written to memory.
            let _ = lines.write_record(fields);
        };
        line(["section", "table", "row", "column", "source", "value"]);
        for section in &self.sections {
            for table in &section.tables {
                table.to_csv(&mut |row, column, source, value| {
                    line([&section.id, &table.caption, row, column, source.name(), value]);
                });
            }
            for plot in &section.plots {
                for (row, column, source, value) in plot.values() {
                    let column = format!("{column}{}", source.mark());
                    line([&section.id, plot.title(), &row, &column, source.name(), &exact(value)]);
                }
            }
            for gallery in &section.galleries {
                for item in gallery.ordered() {
                    line([&section.id, &gallery.caption, &item.title, "score", "measured", &exact(item.score)]);
                }
            }
        }
        lines.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl Section {
    fn to_markdown(&self, out: &mut String) {
        let mut paragraph = |text: String| {
            // Writing to a string cannot fail.
            let _ = write!(out, "\n{text}\n");
        };
        paragraph(format!("## {}", plain(&self.title)));
        self.notes.iter().for_each(|note| paragraph(format!("> **Note:** {}", plain(note))));
        self.paragraphs.iter().for_each(|text| paragraph(plain(text)));
        if !self.findings.is_empty() {
            let findings: Vec<String> = self.findings.iter().map(Finding::to_markdown).collect();
            paragraph(findings.join("\n"));
        }
        for table in &self.tables {
            paragraph(format!("**{}**", plain(&table.caption)));
            paragraph(table.to_markdown().trim_end().to_owned());
        }
        self.plots.iter().for_each(|plot| paragraph(format!("*Plot: {}*", plain(plot.title()))));
        for gallery in &self.galleries {
            paragraph(format!("*Pictures: {}*", plain(&gallery.caption)));
            let items = gallery.ordered();
            let item = |title: &str, score| format!("- {}: {}", plain(title), number::score(score));
            let items: Vec<String> = items.iter().map(|found| item(&found.title, found.score)).collect();
            if !items.is_empty() {
                paragraph(items.join("\n"));
            }
        }
        self.footnotes.iter().for_each(|note| paragraph(plain(note)));
    }
}

impl Finding {
    /// The outcome as a sign and in words.
    pub(super) fn verdict(&self) -> (&'static str, &'static str) {
        match self.holds {
            Some(true) => ("✓", "holds"),
            Some(false) => ("✗", "does not hold"),
            None => ("?", "cannot be told"),
        }
    }

    fn to_markdown(&self) -> String {
        let (sign, words) = self.verdict();
        let evidence = if self.evidence.is_empty() { String::new() } else { format!(" {}", plain(&self.evidence)) };
        format!("- {sign} {} *{words}.*{evidence}", plain(&self.claim))
    }
}

impl ReportTable {
    fn to_markdown(&self) -> String {
        let columns = self.all_columns();
        let head = columns.iter().map(|column| plain(&format!("{}{}", column.title, column.source.mark())));
        let mut lines: Vec<Vec<String>> = vec![head.collect()];
        lines.extend(self.rows.iter().map(|row| (0..columns.len()).map(|at| plain(Self::cell(row, at))).collect()));
        markdown(&lines)
    }

    fn to_csv(&self, line: &mut impl FnMut(&str, &str, Source, &str)) {
        let columns = self.all_columns();
        for (index, row) in self.rows.iter().enumerate() {
            let names: Vec<&str> = columns
                .iter()
                .enumerate()
                .filter(|(_, column)| column.source == Source::Label)
                .filter_map(|(at, _)| row.get(at).map(|cell| cell.trim()))
                .collect();
            let name = if names.is_empty() { (index + 1).to_string() } else { names.join(", ") };
            for (at, column) in columns.iter().enumerate().filter(|(_, column)| column.source != Source::Label) {
                let title = format!("{}{}", column.title, column.source.mark());
                let value = Self::cell(row, at);
                line(&name, &title, column.source, if value == MISSING { "" } else { value });
            }
        }
    }
}

/// A number in full precision; empty if it is undefined.
fn exact(number: f64) -> String {
    if number.is_finite() { number.to_string() } else { String::new() }
}

/// Text on one line, with Markdown and HTML escaped.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('<', r"\<")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        Curve, CurvePlot, CurvePoint, Gallery, GalleryItem, Plot, Report, ReportColumn, ReportTable, Section,
    };

    fn report() -> Report {
        let columns =
            vec![ReportColumn::label("Organ"), ReportColumn::measured("2 slices"), ReportColumn::paper("2 slices")];
        let cells = |row: &[&str]| row.iter().map(|cell| (*cell).to_owned()).collect();
        let rows = vec![cells(&["liver, \"left\" | lobe", "0.93", "0.95"]), cells(&["<script>", ""])];
        let points = vec![CurvePoint::new(1.0, 0.5), CurvePoint::new(2.0, f64::NAN)];
        let curve = Curve { name: "SAM".to_owned(), source: Source::Paper, points };
        let item = GalleryItem { title: "case 1".to_owned(), score: f64::NAN, slices: vec![] };
        let section = Section {
            id: "t2".to_owned(),
            title: "Table 2".to_owned(),
            findings: vec![Finding { claim: "More is better.".to_owned(), holds: None, evidence: String::new() }],
            tables: vec![ReportTable { caption: "Dice".to_owned(), columns, rows }],
            plots: vec![Plot::Curves(CurvePlot {
                title: "Fig. 7".to_owned(),
                curves: vec![curve],
                ..CurvePlot::default()
            })],
            galleries: vec![Gallery { caption: "Liver".to_owned(), items: vec![item] }],
            ..Section::default()
        };
        Report { title: "R".to_owned(), sections: vec![section], ..Report::default() }
    }

    #[test]
    fn csv_has_a_line_for_every_number() {
        let lines = "section,table,row,column,source,value\n\
            t2,Dice,\"liver, \"\"left\"\" | lobe\",2 slices,measured,0.93\n\
            t2,Dice,\"liver, \"\"left\"\" | lobe\",2 slices (paper),paper,0.95\n\
            t2,Dice,<script>,2 slices,measured,\n\
            t2,Dice,<script>,2 slices (paper),paper,\n\
            t2,Fig. 7,1,SAM (paper),paper,0.5\n\
            t2,Fig. 7,2,SAM (paper),paper,\n\
            t2,Liver,case 1,score,measured,\n";
        assert_eq!(report().to_csv(), lines);
        assert_eq!(Report::default().to_csv(), "section,table,row,column,source,value\n");
    }

    #[test]
    fn markdown_marks_the_papers_columns_and_holds_no_tags() {
        let text = report().to_markdown();
        for part in [
            "| Organ | 2 slices | 2 slices (paper) |",
            r#"| liver, "left" \| lobe | 0.93 | 0.95 |"#,
            r"| \<script> | – | – |",
            "- ? More is better. *cannot be told.*",
            "*Plot: Fig. 7*",
            "- case 1: –",
        ] {
            assert!(text.contains(part), "no {part:?} in:\n{text}");
        }
        assert_eq!(Report::default().to_markdown(), "# \n");
    }
}
