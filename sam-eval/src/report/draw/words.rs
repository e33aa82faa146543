//! Text of plots: the legend and the labels of axes.

use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{Area, Chart, Drawn, Frame, Horizontal, INK, LINE, SIDES};
use crate::report::Source;

/// Size of all text except the title; plotters writes it a fifth smaller.
const TEXT: i32 = 16;
/// Where the legend begins.
const LEGEND: (i32, i32) = (16, 46);

/// One name of the legend.
pub(super) struct Entry<'a> {
    name: &'a str,
    source: Source,
    x: i32,
    /// Top of its line.
    pub(super) y: i32,
}

impl Entry<'_> {
    fn text(&self) -> String {
        format!("{}{}", self.name, self.source.mark())
    }
}

impl Frame<'_> {
    /// The legend's entries, in lines; empty if there is only one series.
    pub(super) fn legend(&self) -> Vec<Entry<'_>> {
        let (mut x, mut y) = LEGEND;
        let mut entries = Vec::new();
        if self.series.len() < 2 && self.series.iter().all(|&(_, source)| source != Source::Paper) {
            return entries;
        }
        for &(name, source) in &self.series {
            let mut entry = Entry { name, source, x, y };
            let width = text_width(&entry.text()) as i32 + 50;
            if x > LEGEND.0 && x + width > self.width() as i32 {
                (x, y) = (LEGEND.0, y + 22);
                (entry.x, entry.y) = (x, y);
            }
            entries.push(entry);
            x += width;
        }
        entries
    }

    pub(super) fn draw_legend<'a>(&self, area: &Area<'a>, lines: bool) -> Drawn<'a> {
        let beside = text().pos(Pos::new(HPos::Left, VPos::Center));
        for entry in self.legend() {
            let (x, middle, colour) = (entry.x, entry.y + 6, self.colour(entry.name));
            let paper = entry.source == Source::Paper;
            let line =
                |from: i32, to: i32| PathElement::new([(x + from, middle), (x + to, middle)], colour.stroke_width(2));
            match (lines, paper) {
                (true, true) => [(0, 6), (10, 16)].iter().try_for_each(|&(from, to)| area.draw(&line(from, to)))?,
                (true, false) => area.draw(&line(0, 16))?,
                (false, paper) => {
                    let style = if paper { colour.stroke_width(2) } else { colour.filled() };
                    area.draw(&Rectangle::new([(x, entry.y), (x + 15, entry.y + 12)], style))?;
                }
            }
            area.draw_text(&entry.text(), &beside, (x + 23, middle))?;
        }
        Ok(())
    }

    /// The label of the horizontal axis, and those of its groups.
    pub(super) fn draw_words<'a>(&self, area: &Area<'a>, chart: &Chart<'a>) -> Drawn<'a> {
        let (columns, rows) = chart.plotting_area().get_pixel_range();
        let below = text().pos(Pos::new(HPos::Center, VPos::Top));
        let middle = i32::midpoint(columns.start, columns.end);
        area.draw_text(self.x_label, &below, (middle, self.height() as i32 - 24))?;
        for (at, lines) in self.lines().iter().enumerate() {
            let (x, _) = chart.plotting_area().map_coordinate(&(at as f64 + 0.5, self.y.start));
            for (line, words) in lines.iter().enumerate() {
                area.draw_text(words, &below, (x, rows.end + 8 + line as i32 * LINE))?;
            }
        }
        if self.empty {
            let centre = text().pos(Pos::new(HPos::Center, VPos::Center));
            area.draw_text("no data", &centre, (middle, i32::midpoint(rows.start, rows.end)))?;
        }
        Ok(())
    }

    /// The labels of the groups, broken into lines.
    pub(super) fn lines(&self) -> Vec<Vec<String>> {
        let Horizontal::Groups { labels, .. } = &self.x else { return Vec::new() };
        let inner = f64::from(self.width()) - f64::from(SIDES.0 + SIDES.1);
        labels.iter().map(|label| broken(label, inner / labels.len() as f64 - 6.0)).collect()
    }
}

pub(super) fn text() -> TextStyle<'static> {
    ("sans-serif", TEXT).into_font().color(&INK)
}

/// Approximate width of a text, since the picture is drawn without fonts.
pub(super) fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * f64::from(TEXT) * 0.45
}

/// A text broken between words into lines of at most this width.
fn broken(text: &str, width: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if text_width(line) + text_width(word) + text_width(" ") <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_broken_between_words() {
        assert_eq!(broken("right adrenal  gland", text_width("right adrenal")), ["right adrenal", "gland"]);
        assert_eq!(broken("oesophagus", 1.0), ["oesophagus"]);
        assert_eq!(broken(" ", 100.0), Vec::<String>::new());
    }
}
