//! Boxes of quartiles.

use plotters::prelude::*;

use super::{Chart, Drawn, Frame, Horizontal, INK, axis, distinct};
use crate::report::{BoxPlot, Source};

/// From this number of scores on, a box is drawn instead of dots.
const ENOUGH: usize = 5;

pub(super) fn frame(plot: &BoxPlot) -> Frame<'_> {
    let all = || plot.groups.iter().flat_map(|group| &group.series);
    let series = distinct(all().map(|series| (&*series.name, Source::Measured)));
    let labels = plot.groups.iter().map(|group| &*group.label).collect();
    let scores = || all().flat_map(|series| series.scores.iter().copied());
    Frame {
        title: &plot.title,
        x_label: &plot.x_label,
        y_label: &plot.y_label,
        x: Horizontal::Groups { labels, slots: series.len() },
        y: axis(plot.y_range, scores()),
        series,
        empty: !scores().any(f64::is_finite),
    }
}

pub(super) fn draw<'a>(chart: &mut Chart<'a>, plot: &BoxPlot, frame: &Frame<'_>) -> Drawn<'a> {
    for (group, boxes) in plot.groups.iter().enumerate() {
        for series in &boxes.series {
            let rank = frame.rank(&series.name, Source::Measured);
            let Some(spread) = Spread::of(&series.scores) else { continue };
            let (middle, half) = frame.slot(group, rank);
            spread.draw(chart, middle, half, frame.colour(&series.name), frame)?;
        }
    }
    Ok(())
}

/// The values that a box shows.
#[derive(Debug, Clone, PartialEq)]
struct Spread {
    /// First quartile, median, third quartile; interpolated linearly, NumPy's default.
    quartiles: [f64; 3],
    /// The lowest and the highest score within 1.5 box lengths of the box.
    whiskers: (f64, f64),
    /// The outliers, or all scores if there are few.
    dots: Vec<f64>,
    few: bool,
}

impl Spread {
    /// The values of the defined scores; `None` if there are none.
    fn of(scores: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = scores.iter().copied().filter(|score| score.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let quartiles = [0.25, 0.5, 0.75].map(|part| {
            let at = part * last as f64;
            let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
            low + (high - low) * at.fract()
        });
        let reach = 1.5 * (quartiles[2] - quartiles[0]);
        let within = |score: &f64| (quartiles[0] - reach..=quartiles[2] + reach).contains(score);
        let whiskers = (sorted.iter().copied().find(within)?, sorted.iter().rev().copied().find(within)?);
        let few = sorted.len() < ENOUGH;
        sorted.retain(|score| few || !within(score));
        Some(Self { quartiles, whiskers, dots: sorted, few })
    }

    fn draw<'a>(&self, chart: &mut Chart<'a>, x: f64, half: f64, colour: RGBColor, frame: &Frame<'_>) -> Drawn<'a> {
        let [lower, median, upper] = self.quartiles.map(|value| frame.clamp(value));
        let line = |from: (f64, f64), to: (f64, f64), style: ShapeStyle| PathElement::new([from, to], style);
        if !self.few {
            let (low, high) = (frame.clamp(self.whiskers.0), frame.clamp(self.whiskers.1));
            let corners = [(x - half, lower), (x + half, upper)];
            chart.draw_series([
                Rectangle::new(corners, colour.mix(0.3).filled()),
                Rectangle::new(corners, colour.stroke_width(1)),
            ])?;
            chart.draw_series([
                line((x, upper), (x, high), colour.stroke_width(1)),
                line((x, lower), (x, low), colour.stroke_width(1)),
                line((x - half / 2.0, high), (x + half / 2.0, high), colour.stroke_width(1)),
                line((x - half / 2.0, low), (x + half / 2.0, low), colour.stroke_width(1)),
            ])?;
        }
        chart.draw_series([line((x - half, median), (x + half, median), INK.stroke_width(2))])?;
        let dot = |&score: &f64| Circle::new((x, frame.clamp(score)), 3, colour.mix(0.75).filled());
        chart.draw_series(self.dots.iter().map(dot))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_numpys_and_outliers_are_apart() {
        let found = Spread::of(&[0.9, f64::NAN, 0.1, 0.8, 0.7, 0.6]).expect("five scores");
        // numpy.percentile([.1, .6, .7, .8, .9], [25, 50, 75])
        assert!(found.quartiles.iter().zip([0.6, 0.7, 0.8]).all(|(found, numpys)| (found - numpys).abs() < 1e-12));
        assert_eq!((found.whiskers, &*found.dots), ((0.6, 0.9), &[0.1][..]));
    }

    #[test]
    fn few_scores_are_dots() {
        let found = Spread::of(&[0.5, 1.0]).expect("two scores");
        assert!(found.few);
        assert_eq!((found.quartiles[1], &*found.dots), (0.75, &[0.5, 1.0][..]));
        assert_eq!(Spread::of(&[f64::NAN]), None);
    }
}
