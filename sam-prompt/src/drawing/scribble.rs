//! Pen strokes.

use std::ops::{Range, Sub};

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::{check_inside, check_path};
use crate::{Label, Point, PromptError};

const WHAT: &str = "scribble";

/// A stroke of a round pen inside or outside the object.
///
/// Units: positions `[x, y]` are in pixels of the image, as in [`Point`]; with `P` as `[f64; 3]` they are in patient millimetres.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scribble<P = [f32; 2]> {
    /// Whether the pixels under the pen belong to the object.
    pub label: Label,
    /// Vertices of the line along which the pen's centre moved; a single vertex is a dot.
    pub path: Vec<P>,
    /// Half the width of the pen, in the unit of the path.
    pub radius: f32,
}

impl<P, T> Scribble<P>
where
    P: Copy + IntoIterator<Item = T>,
    T: Into<f64>,
{
    /// Checks everything that does not depend on the image.
    pub(crate) fn check_form(&self) -> Result<(), PromptError> {
        check_path(WHAT, &self.path, 1)?;
        if self.radius.is_finite() && self.radius >= 0.0 {
            Ok(())
        } else {
            Err(PromptError::InvalidRange { name: "radius of a scribble", value: self.radius, least: 0.0 })
        }
    }
}

impl Scribble {
    /// The pixels under the pen: those whose centre lies within `radius` of the path.
    ///
    /// The pen is at least as wide as a pixel's diagonal, so that it covers each pixel that the path passes.
    ///
    /// # Shapes
    /// - output: `[height, width]`
    ///
    /// # Errors
    /// [`PromptError::ShortPath`] if the path is empty, [`PromptError::NotFinite`] or [`PromptError::OutsideImage`] if it leaves the
    /// image, [`PromptError::InvalidRange`] if the radius is negative or not finite.
    pub fn rasterise(&self, height: usize, width: usize) -> Result<Array2<bool>, PromptError> {
        self.check(height, width)?;
        // The squared distance from the centre of a pixel to its corner is 1/2.
        let reach_squared = f64::from(self.radius).powi(2).max(0.5);
        let reach = reach_squared.sqrt();
        let mut mask = Array2::from_elem((height, width), false);
        for segment in self.segments() {
            for row in within(reach, segment.start.y, segment.end.y, height) {
                for column in within(reach, segment.start.x, segment.end.x, width) {
                    let centre = Place { x: column as f64, y: row as f64 };
                    mask[(row, column)] |= segment.is_near(centre, reach_squared);
                }
            }
        }
        Ok(mask)
    }

    /// `count` points on the path at equal distances along it, the first and last half a distance from its ends.
    ///
    /// A path of length 0 gives its only position once.
    ///
    /// # Errors
    /// As [`Scribble::rasterise`].
    pub fn points(&self, count: usize, height: usize, width: usize) -> Result<Vec<Point>, PromptError> {
        self.check(height, width)?;
        let point = |Place { x, y }| Point { x: x as f32, y: y as f32, label: self.label };
        let total: f64 = self.segments().map(|segment| segment.length()).sum();
        if total == 0.0 {
            return Ok(self.segments().take(count.min(1)).map(|segment| point(segment.start)).collect());
        }
        let mut wanted = (0..count).map(|index| (index as f64 + 0.5) / count as f64 * total).peekable();
        let mut points = Vec::new();
        let mut walked = 0.0;
        for segment in self.segments() {
            let length = segment.length();
            while let Some(distance) = wanted.next_if(|&distance| distance <= walked + length) {
                points.push(point(segment.at((distance - walked) / length)));
            }
            walked += length;
        }
        Ok(points)
    }

    fn check(&self, height: usize, width: usize) -> Result<(), PromptError> {
        self.check_form()?;
        check_inside(WHAT, &self.path, height, width)
    }

    /// The straight segments of the path. The last one has length 0, so that a path with one vertex also has a segment.
    fn segments(&self) -> impl Iterator<Item = Segment> {
        let ends = self.path.iter().skip(1).chain(self.path.last());
        self.path.iter().zip(ends).map(|(&start, &end)| Segment { start: start.into(), end: end.into() })
    }
}

/// The indices below `side` that lie within `reach` of the range between two coordinates.
fn within(reach: f64, a: f64, b: f64, side: usize) -> Range<usize> {
    // Casts saturate: a negative index becomes 0.
    let low = (a.min(b) - reach).ceil() as usize;
    let high = (a.max(b) + reach).floor() as usize;
    low..high.saturating_add(1).min(side)
}

#[derive(Clone, Copy)]
struct Place {
    x: f64,
    y: f64,
}

impl From<[f32; 2]> for Place {
    fn from([x, y]: [f32; 2]) -> Self {
        Self { x: x.into(), y: y.into() }
    }
}

impl Place {
    fn dot(self, other: Self) -> f64 {
        self.x * other.x + self.y * other.y
    }
}

impl Sub for Place {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { x: self.x - other.x, y: self.y - other.y }
    }
}

struct Segment {
    start: Place,
    end: Place,
}

impl Segment {
    fn length(&self) -> f64 {
        let along = self.end - self.start;
        along.x.hypot(along.y)
    }

    /// The position at a fraction of the segment, from start to end.
    fn at(&self, fraction: f64) -> Place {
        let along = self.end - self.start;
        Place { x: self.start.x + fraction * along.x, y: self.start.y + fraction * along.y }
    }

    /// Whether a position is within a distance, given as its square. The test has no division or root, so that on the pixel grid rounding
    /// does not depend on the direction of the stroke.
    fn is_near(&self, place: Place, reach_squared: f64) -> bool {
        let along = self.end - self.start;
        let (from_start, from_end) = (place - self.start, place - self.end);
        if along.dot(from_start) <= 0.0 {
            from_start.dot(from_start) <= reach_squared
        } else if along.dot(from_end) >= 0.0 {
            from_end.dot(from_end) <= reach_squared
        } else {
            let across = along.x * from_start.y - along.y * from_start.x;
            across.powi(2) <= reach_squared * along.dot(along)
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn scribble(path: &[[f32; 2]], radius: f32) -> Scribble {
        Scribble { label: Label::Background, path: path.to_vec(), radius }
    }

    #[test]
    fn a_thin_line_covers_the_pixels_it_passes_and_a_dab_its_own() {
        let line = scribble(&[[0.0, 1.0], [2.0, 1.0]], 0.0).rasterise(3, 4).expect("the line is in the image");
        let middle = [true, true, true, false];
        assert_eq!(line, array![[false; 4], middle, [false; 4]]);
        let dab = scribble(&[[1.0, 1.0]], 0.0).rasterise(2, 2).expect("the dab is in the image");
        assert_eq!(dab, array![[false, false], [false, true]]);
    }

    #[test]
    fn points_are_equally_spaced_round_corners() {
        // The path is six pixels long: points at 1, 3 and 5.
        let found = scribble(&[[0.0, 0.0], [2.0, 0.0], [2.0, 0.0], [2.0, 4.0]], 1.0).points(3, 9, 9);
        let expected = [(1.0, 0.0), (2.0, 1.0), (2.0, 3.0)];
        let expected = expected.map(|(x, y)| Point { x, y, label: Label::Background });
        assert_eq!(found.expect("the path is in the image"), expected);
    }

    #[test]
    fn a_dab_is_one_point_however_many_are_asked_for() {
        let dab = scribble(&[[3.0, 2.0], [3.0, 2.0]], 4.0);
        for (count, expected) in [(0, 0), (1, 1), (5, 1)] {
            assert_eq!(dab.points(count, 9, 9).expect("the dab is in the image").len(), expected);
        }
    }

    #[test]
    fn impossible_scribbles_are_errors() {
        assert!(matches!(scribble(&[], 1.0).points(1, 9, 9), Err(PromptError::ShortPath { needed: 1, found: 0, .. })));
        let ending_at = |place| scribble(&[[1.0, 1.0], place], 1.0).rasterise(9, 9);
        for place in [[-0.6, 0.0], [0.0, 9.0]] {
            assert!(matches!(ending_at(place), Err(PromptError::OutsideImage { .. })), "{place:?}");
        }
        for place in [[f32::NAN, 0.0], [0.0, f32::INFINITY]] {
            assert!(matches!(ending_at(place), Err(PromptError::NotFinite { .. })), "{place:?}");
        }
        for radius in [-1.0, f32::NAN, f32::INFINITY] {
            let found = scribble(&[[1.0, 1.0]], radius).rasterise(9, 9);
            assert!(matches!(found, Err(PromptError::InvalidRange { .. })), "{radius}");
        }
    }
}
