//! The data of plots.
//!
//! Values that are not finite are left out, never drawn as 0; in JSON they are `null`.

use serde::{Deserialize, Serialize};

use super::{Source, number};

/// A plot: data and labels. [`Plot::to_svg`] draws it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plot {
    /// Box plots of scores.
    Boxes(BoxPlot),
    /// Curves of one value over another.
    Curves(CurvePlot),
    /// Bars of single values.
    Bars(BarPlot),
}

/// Box plots: boxes from the lower to the upper quartile with the median, whiskers to the last scores within 1.5 box lengths of the box,
/// and dots for the scores beyond. Fewer than five scores are drawn as dots with their median.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BoxPlot {
    /// Heading.
    pub title: String,
    /// Label of the axis of groups.
    pub x_label: String,
    /// Label of the axis of scores.
    pub y_label: String,
    /// Ends of the axis of scores. `None`: 0 to 1 if all scores are in that range, otherwise a range that contains all of them.
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
    /// The boxes. Series of the same name have the same colour throughout the plot.
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

/// Curves, with bands where a spread is given.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CurvePlot {
    /// Heading.
    pub title: String,
    /// Label of the horizontal axis.
    pub x_label: String,
    /// Label of the vertical axis.
    pub y_label: String,
    /// Ends of the vertical axis. `None`: 0 to 1 if all values are in that range, otherwise a range that contains all of them.
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
    /// Its source; curves of the paper are dashed.
    #[serde(default)]
    pub source: Source,
    /// Points by rising x. An undefined value interrupts the line.
    pub points: Vec<CurvePoint>,
}

/// One point of a line.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Position on the horizontal axis.
    #[serde(deserialize_with = "number::nan")]
    pub x: f64,
    /// Value.
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
    /// Label of the horizontal axis.
    pub x_label: String,
    /// Label of the vertical axis.
    pub y_label: String,
    /// Ends of the vertical axis. `None`: 0 to 1 if all values are in that range, otherwise a range that contains all of them.
    #[serde(deserialize_with = "number::pair")]
    pub y_range: Option<(f64, f64)>,
    /// Bars. Bars of the same label form a group, in the order in which the labels first appear.
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
    /// Its source; bars of the paper are hollow.
    #[serde(default)]
    pub source: Source,
    /// Its length; a bar whose length is not finite is left out.
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

    /// Every value of the plot: row (group, x or label), series, source, value.
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

    /// A description of the plot for screen readers.
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
