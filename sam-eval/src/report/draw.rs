//! Plots as SVG: title, legend and axes. Modules for each kind of plot draw the data.

mod bars;
mod boxes;
mod curves;
mod words;

use std::{collections::HashSet, ops::Range};

use plotters::{
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
};

use self::words::{text, text_width};
use super::{Plot, Source, number};
use crate::{EvalError, error::Cause};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn<'a, T = ()> = Result<T, DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

/// Height of the axes with their labels, in units of the picture.
const HEIGHT: u32 = 320;
/// Smallest and largest width of a plot.
const WIDTHS: (f64, f64) = (720.0, 1600.0);
/// Space for the labels of the vertical axis, and to the right of the plot.
const SIDES: (i32, i32) = (70, 16);
/// Space to the left of the vertical axis' label.
const GAP: i32 = 10;
/// Height of a line of text.
const LINE: i32 = 17;
const INK: RGBColor = RGBColor(31, 41, 51);

impl Plot {
    /// Draws the plot as an SVG picture, dark on white.
    ///
    /// # Errors
    /// [`EvalError::Render`] if it cannot be drawn.
    pub fn to_svg(&self) -> Result<String, EvalError> {
        let frame = self.frame();
        let mut svg = String::new();
        let size = (frame.width(), frame.height());
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        // plotters' errors borrow the text that is being written.
        let drawn = frame.draw(&area, self).map_err(|error| error.to_string());
        drop(area);
        drawn.map_err(|cause| EvalError::Render {
            what: format!("the plot {:?}", self.title()),
            cause: Cause::new(cause),
        })?;
        Ok(svg)
    }

    /// Width and height of the picture.
    pub(super) fn size(&self) -> (u32, u32) {
        let frame = self.frame();
        (frame.width(), frame.height())
    }

    fn frame(&self) -> Frame<'_> {
        match self {
            Self::Boxes(plot) => boxes::frame(plot),
            Self::Curves(plot) => curves::frame(plot),
            Self::Bars(plot) => bars::frame(plot),
        }
    }
}

/// Title, legend and axes of a plot.
struct Frame<'a> {
    title: &'a str,
    x_label: &'a str,
    y_label: &'a str,
    /// Names of the series, in the order of their colours, and their sources.
    series: Vec<(&'a str, Source)>,
    x: Horizontal<'a>,
    y: Range<f64>,
    /// Whether there is nothing to draw.
    empty: bool,
}

/// The horizontal axis.
enum Horizontal<'a> {
    /// Numbers; whole numbers are labelled without decimals.
    Numbers(Range<f64>),
    /// Groups, each one unit wide, with a number of slots for boxes or bars.
    Groups { labels: Vec<&'a str>, slots: usize },
}

impl Frame<'_> {
    /// Wide enough for the longest word below a group, and for its boxes or bars.
    fn width(&self) -> u32 {
        let inner = match &self.x {
            Horizontal::Numbers(_) => 0.0,
            Horizontal::Groups { labels, slots } => {
                let words = labels.iter().flat_map(|label| label.split_whitespace());
                let widest = words.map(text_width).fold(*slots as f64 * 14.0 + 14.0, f64::max);
                labels.len() as f64 * (widest + 6.0)
            }
        };
        (inner + f64::from(SIDES.0 + SIDES.1)).clamp(WIDTHS.0, WIDTHS.1) as u32
    }

    fn height(&self) -> u32 {
        (self.top() + self.bottom()) as u32 + HEIGHT - 60
    }

    /// Where the axes begin, below title and legend.
    fn top(&self) -> i32 {
        self.legend().last().map_or(50, |entry| entry.y + 28)
    }

    /// Space for the labels of the horizontal axis.
    fn bottom(&self) -> i32 {
        self.lines().iter().map(Vec::len).max().unwrap_or(1) as i32 * LINE + 36
    }

    fn draw<'a>(&self, area: &Area<'a>, plot: &Plot) -> Drawn<'a> {
        area.fill(&WHITE)?;
        let bold = ("sans-serif", 20, FontStyle::Bold).into_font().color(&INK);
        area.draw_text(self.title, &bold, (16, 12))?;
        self.draw_legend(area, matches!(plot, Plot::Curves(_)))?;
        let mut chart = self.axes(area)?;
        match plot {
            Plot::Boxes(plot) => boxes::draw(&mut chart, plot, self)?,
            Plot::Curves(plot) => curves::draw(&mut chart, plot, self)?,
            Plot::Bars(plot) => bars::draw(&mut chart, plot, self)?,
        }
        area.present()
    }

    fn axes<'a>(&self, area: &Area<'a>) -> Drawn<'a, Chart<'a>> {
        let x = match &self.x {
            Horizontal::Numbers(range) => range.clone(),
            Horizontal::Groups { labels, .. } => 0.0..(labels.len().max(1) as f64),
        };
        let labels = match &self.x {
            Horizontal::Numbers(range) => ((range.end - range.start) as usize + 1).clamp(3, 11),
            Horizontal::Groups { .. } => 0,
        };
        let mut chart = ChartBuilder::on(area)
            .margin_top(self.top())
            .margin_left(GAP)
            .margin_right(SIDES.1)
            .x_label_area_size(self.bottom())
            .y_label_area_size(SIDES.0 - GAP)
            .build_cartesian_2d(x, self.y.clone())?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(INK.mix(0.1))
            .axis_style(INK.mix(0.45))
            .label_style(text())
            .x_labels(labels)
            .x_label_formatter(&|x| number::tick(*x))
            .y_labels(6)
            .y_label_formatter(&|y| number::tick(*y))
            .y_desc(self.y_label);
        mesh.draw()?;
        self.draw_words(area, &chart)?;
        Ok(chart)
    }

    /// Middle of a slot of a group and half the width of its box or bar, in units of the axis.
    fn slot(&self, group: usize, slot: usize) -> (f64, f64) {
        let slots = match self.x {
            Horizontal::Groups { slots, .. } => slots.max(1),
            Horizontal::Numbers(_) => 1,
        };
        let width = 0.8 / slots as f64;
        (group as f64 + 0.1 + (slot as f64 + 0.5) * width, (width * 0.42).min(0.16))
    }

    /// Clamps a value to the axis.
    fn clamp(&self, y: f64) -> f64 {
        y.clamp(self.y.start, self.y.end)
    }

    fn rank(&self, name: &str, source: Source) -> usize {
        self.series.iter().position(|&series| series == (name, source)).unwrap_or(0)
    }

    /// The colour of a series. A series of the paper has the colour of the measured series with the same name.
    fn colour(&self, name: &str) -> RGBColor {
        let mut names: Vec<&str> = self.series.iter().map(|&(name, _)| name).collect();
        let mut seen = HashSet::new();
        names.retain(|name| seen.insert(*name));
        colour(names.iter().position(|other| *other == name).unwrap_or(0))
    }
}

/// Series in the order of their first appearance.
fn distinct<'a>(series: impl Iterator<Item = (&'a str, Source)>) -> Vec<(&'a str, Source)> {
    let mut all = Vec::new();
    for one in series {
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all
}

/// The range of an axis: the requested range; otherwise 0 to 1 if it contains all values; otherwise from 0, or slightly below the lowest
/// value, to slightly above the highest.
fn axis(asked: Option<(f64, f64)>, values: impl Iterator<Item = f64>) -> Range<f64> {
    if let Some((low, high)) = asked.filter(|(low, high)| low < high && low.is_finite() && high.is_finite()) {
        return low..high;
    }
    let (low, high) = extent(values);
    if low > high || (low >= 0.0 && high <= 1.0) {
        return 0.0..1.0;
    }
    let room = if high > low { (high - low) * 0.06 } else { high.abs().max(1.0) * 0.06 };
    let end = if high <= 0.0 { 0.0 } else { high + room };
    if low >= 0.0 { 0.0..end } else { low - room..end }
}

/// The lowest and the highest finite value; without any, the lowest is above the highest.
fn extent(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}

/// P. Tol's bright scheme, for all kinds of colour vision.
fn colour(rank: usize) -> RGBColor {
    const SCHEME: [RGBColor; 7] = [
        RGBColor(68, 119, 170),
        RGBColor(238, 102, 119),
        RGBColor(34, 136, 51),
        RGBColor(204, 187, 68),
        RGBColor(170, 51, 119),
        RGBColor(102, 204, 238),
        RGBColor(120, 120, 120),
    ];
    SCHEME[rank % SCHEME.len()]
}
