//! Lines with bands.

use plotters::prelude::*;

use super::{Chart, Drawn, Frame, Horizontal, axis, distinct, extent};
use crate::report::{Curve, CurvePlot, CurvePoint, Source};

pub(super) fn frame(plot: &CurvePlot) -> Frame<'_> {
    let points = || plot.curves.iter().flat_map(|curve| &curve.points);
    let ends = |point: &CurvePoint| {
        [point.y, point.band.map_or(f64::NAN, |band| band.0), point.band.map_or(f64::NAN, |band| band.1)]
    };
    let (low, high) = extent(points().filter(|point| point.y.is_finite()).map(|point| point.x));
    let room = if high > low { (high - low) * 0.03 } else { 0.5 };
    let x = if low > high { 0.0..1.0 } else { low - room..high + room };
    Frame {
        title: &plot.title,
        x_label: &plot.x_label,
        y_label: &plot.y_label,
        series: distinct(plot.curves.iter().map(|curve| (&*curve.name, curve.source))),
        x: Horizontal::Numbers(x),
        y: axis(plot.y_range, points().flat_map(ends)),
        empty: low > high,
    }
}

pub(super) fn draw<'a>(chart: &mut Chart<'a>, plot: &CurvePlot, frame: &Frame<'_>) -> Drawn<'a> {
    // Bands first, so that no band covers another curve's line.
    for curve in &plot.curves {
        let colour = frame.colour(&curve.name);
        for run in runs(curve) {
            let bands = || run.iter().filter_map(|point| point.band.map(|band| (point.x, band)));
            let lower = bands().map(|(x, (low, _))| (x, frame.clamp(low)));
            let upper = bands().rev().map(|(x, (_, high))| (x, frame.clamp(high)));
            let outline: Vec<(f64, f64)> = lower.chain(upper).filter(|(_, y)| y.is_finite()).collect();
            if outline.len() > 2 {
                chart.draw_series([Polygon::new(outline, colour.mix(0.14))])?;
            }
        }
    }
    for curve in &plot.curves {
        let colour = frame.colour(&curve.name);
        for run in runs(curve) {
            let points = || run.iter().map(|point| (point.x, frame.clamp(point.y)));
            if curve.source == Source::Paper {
                chart.draw_series(DashedLineSeries::new(points(), 7, 5, colour.stroke_width(2)))?;
                chart.draw_series(points().map(|point| Circle::new(point, 4, WHITE.filled())))?;
                chart.draw_series(points().map(|point| Circle::new(point, 4, colour.stroke_width(2))))?;
            } else {
                chart.draw_series(LineSeries::new(points(), colour.stroke_width(2)))?;
                chart.draw_series(points().map(|point| Circle::new(point, 4, colour.filled())))?;
            }
        }
    }
    Ok(())
}

/// The segments of a curve between its undefined values.
fn runs(curve: &Curve) -> impl Iterator<Item = &[CurvePoint]> {
    curve.points.split(|point| !point.x.is_finite() || !point.y.is_finite()).filter(|run| !run.is_empty())
}
