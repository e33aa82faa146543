//! Plots, as the data behind them.
//!
//! A value that is not finite is left out, never drawn as 0; in JSON it is `null`.

use serde::{Deserialize, Serialize};

use super::{Source, number};

/// A plot: data and labels. [`Plot::to_svg`] draws it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plot {
    /// Spread of scores.
    Boxes(BoxPlot),
    /// A value over another.
    Curves(CurvePlot),
    /// Single values side by side.
    Bars(BarPlot),
}

/// Boxes from the lower to the upper quartile, with the median, whiskers to the last scores within 1.5 times the box's
/// length, and dots beyond. Fewer than five scores are drawn as dots and their median.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BoxPlot {
    /// Heading.
    pub title: String,
    /// What the groups are.
    pub x_label: String,
    /// What the scores are.
    pub y_label: String,
    /// Ends of the axis of scores; `None`: 0 to 1 if all lie there, else what holds them all.
    #[serde(deserialize_with = "number::pair")]
    pub y_range: Option<(f64, f64)>,
    /// Groups from left to right.
    pub groups: Vec<BoxGroup>,
}

/// Boxes that stand together, for example those of one structure.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BoxGroup {
    /// Name below the boxes.
    pub label: String,
    /// One box each. Series of one name have one colour throughout the plot.
    pub series: Vec<BoxSeries>,
}

/// The scores behind one box.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BoxSeries {
    /// Name in the legend.
    pub name: String,
    /// Scores, in any order.
    #[serde(deserialize_with = "number::nans")]
    pub scores: Vec<f64>,
}

/// Lines, with a band about them where there is a spread.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CurvePlot {
    /// Heading.
    pub title: String,
    /// What is varied.
    pub x_label: String,
    /// What came of it.
    pub y_label: String,
    /// Ends of the vertical axis; `None`: 0 to 1 if all values lie there, else what holds them all.
    #[serde(deserialize_with = "number::pair")]
    pub y_range: Option<(f64, f64)>,
    /// The lines.
    pub curves: Vec<Curve>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Curve {
    /// Name in the legend.
    pub name: String,
    /// Where it comes from; the paper's own are dashed.
    #[serde(default)]
    pub source: Source,
    /// Points by rising x. An undefined value interrupts the line.
    pub points: Vec<CurvePoint>,
}

/// One point of a line.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct CurvePoint {
    /// What was varied.
    #[serde(deserialize_with = "number::nan")]
    pub x: f64,
    /// What came of it.
    #[serde(deserialize_with = "number::nan")]
    pub y: f64,
    /// Lower and upper end of the band.
    #[serde(default, deserialize_with = "number::pair", skip_serializing_if = "Option::is_none")]
    pub band: Option<(f64, f64)>,
}

/// Bars from zero upwards or downwards.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BarPlot {
    /// Heading.
    pub title: String,
    /// What the bars are.
    pub x_label: String,
    /// What their length is.
    pub y_label: String,
    /// Ends of the vertical axis; `None`: 0 to 1 if all values lie there, else what holds them all.
    #[serde(deserialize_with = "number::pair")]
    pub y_range: Option<(f64, f64)>,
    /// Bars. Those of one label stand together, in the order in which the labels first appear.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Bar {
    /// Name below it.
    pub label: String,
    /// Name in the legend, which decides the colour; may be empty if there is one series only.
    #[serde(default)]
    pub series: String,
    /// Where it comes from; the paper's own are hollow.
    #[serde(default)]
    pub source: Source,
    /// Its length; a bar without a defined one is left out.
    #[serde(deserialize_with = "number::nan")]
    pub value: f64,
    /// Lower end of its error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper end of its error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

impl CurvePoint {
    /// A point without a band.
    pub fn new(x: f64, y: f64) -> Self {
        Self { x, y, band: None }
    }

    /// A point with a band from `low` to `high`.
    pub fn with_band(x: f64, y: f64, low: f64, high: f64) -> Self {
        Self { x, y, band: Some((low, high)) }
    }
}

impl Plot {
    /// Heading of the plot.
    pub fn title(&self) -> &str {
        match self {
            Self::Boxes(plot) => &plot.title,
            Self::Curves(plot) => &plot.title,
            Self::Bars(plot) => &plot.title,
        }
    }

    /// Every value that the plot is drawn from: row (group, x or label), series, where it comes from, value.
    pub(super) fn values(&self) -> Vec<(String, &str, Source, f64)> {
        match self {
            Self::Boxes(plot) => {
                let series = plot.groups.iter().flat_map(|group| group.series.iter().map(move |one| (group, one)));
                let scores = series.flat_map(|(group, one)| one.scores.iter().map(move |&score| (group, one, score)));
                scores.map(|(group, one, score)| (group.label.clone(), &*one.name, Source::Measured, score)).collect()
            }
            Self::Curves(plot) => {
                let points = plot.curves.iter().flat_map(|curve| curve.points.iter().map(move |point| (curve, point)));
                points.map(|(curve, point)| (number::short(point.x, 6), &*curve.name, curve.source, point.y)).collect()
            }
            Self::Bars(plot) => {
                plot.bars.iter().map(|bar| (bar.label.clone(), &*bar.series, bar.source, bar.value)).collect()
            }
        }
    }

    /// The plot in words, for who cannot see it.
    pub(super) fn description(&self) -> String {
        let (kind, x_label, y_label) = match self {
            Self::Boxes(plot) => ("Box plot", &plot.x_label, &plot.y_label),
            Self::Curves(plot) => ("Curves", &plot.x_label, &plot.y_label),
            Self::Bars(plot) => ("Bars", &plot.x_label, &plot.y_label),
        };
        let mut names: Vec<&str> = Vec::new();
        for (_, name, ..) in self.values() {
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
        let names = if names.is_empty() { String::new() } else { format!(": {}", names.join("; ")) };
        format!("{kind} of {y_label} by {x_label}, \"{}\"{names}", self.title())
    }
}
