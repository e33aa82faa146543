//! Bars with errors.

use plotters::prelude::*;

use super::{Chart, Drawn, Frame, Horizontal, INK, axis, distinct};
use crate::report::{BarPlot, Source};

pub(super) fn frame(plot: &BarPlot) -> Frame<'_> {
    let series = distinct(plot.bars.iter().map(|bar| (&*bar.series, bar.source)));
    let ends = plot.bars.iter().flat_map(|bar| [Some(bar.value), bar.low, bar.high].into_iter().flatten());
    Frame {
        title: &plot.title,
        x_label: &plot.x_label,
        y_label: &plot.y_label,
        x: Horizontal::Groups { labels: labels(plot), slots: series.len() },
        y: axis(plot.y_range, ends),
        series,
        empty: !plot.bars.iter().any(|bar| bar.value.is_finite()),
    }
}

pub(super) fn draw<'a>(chart: &mut Chart<'a>, plot: &BarPlot, frame: &Frame<'_>) -> Drawn<'a> {
    let labels = labels(plot);
    for bar in plot.bars.iter().filter(|bar| bar.value.is_finite()) {
        let colour = frame.colour(&bar.series);
        let group = labels.iter().position(|label| *label == bar.label).unwrap_or(0);
        let (x, half) = frame.slot(group, frame.rank(&bar.series, bar.source));
        let corners = [(x - half, frame.clamp(0.0)), (x + half, frame.clamp(bar.value))];
        let filled = if bar.source == Source::Paper { WHITE.filled() } else { colour.mix(0.75).filled() };
        let width = if bar.source == Source::Paper { 2 } else { 1 };
        chart.draw_series([Rectangle::new(corners, filled), Rectangle::new(corners, colour.stroke_width(width))])?;
        let end = |end: Option<f64>| frame.clamp(end.filter(|end| end.is_finite()).unwrap_or(bar.value));
        let (low, high) = (end(bar.low), end(bar.high));
        if low < high {
            let cap = half / 3.0;
            let lines = [[(x, low), (x, high)], [(x - cap, low), (x + cap, low)], [(x - cap, high), (x + cap, high)]];
            chart.draw_series(lines.map(|line| PathElement::new(line, INK.mix(0.8).stroke_width(1))))?;
        }
    }
    Ok(())
}

/// Names below the bars, in the order of their first appearance.
fn labels(plot: &BarPlot) -> Vec<&str> {
    let mut labels: Vec<&str> = Vec::new();
    for bar in &plot.bars {
        if !labels.contains(&&*bar.label) {
            labels.push(&bar.label);
        }
    }
    labels
}
