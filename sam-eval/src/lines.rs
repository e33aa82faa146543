//! Tables as text: Markdown, or aligned for a terminal.

use std::fmt::Write;

/// The cell of a missing value.
pub(crate) const MISSING: &str = "–";

/// A Markdown table; the first line is its header.
pub(crate) fn markdown(lines: &[Vec<String>]) -> String {
    let mut out = String::new();
    for (at, line) in lines.iter().enumerate() {
        out.extend(line.iter().flat_map(|cell| ["| ".to_owned(), escape(cell), " ".to_owned()]));
        out.push_str("|\n");
        if at == 0 {
            out.push_str(&"| --- ".repeat(line.len()));
            out.push_str("|\n");
        }
    }
    out
}

/// Columns padded to equal width: the first `names` left-aligned, the others right-aligned.
pub(crate) fn aligned(lines: &[Vec<String>], names: usize) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| lines.iter().filter_map(|line| line.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
    let mut out = String::new();
    for line in lines {
        let mut text = String::new();
        for (at, (cell, &width)) in line.iter().zip(&widths).enumerate() {
            let gap = if at == 0 { "" } else { "  " };
            // Writing to a string cannot fail.
            let _ = if at < names { write!(text, "{gap}{cell:<width$}") } else { write!(text, "{gap}{cell:>width$}") };
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

fn escape(text: &str) -> String {
    text.replace('|', r"\|").replace(['\n', '\r'], " ")
}
