//! Points, boxes and masks for one object, in image pixels.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::PromptError;

/// The name of a box corner in error messages.
pub(crate) const BOX_CORNER: &str = "box corner";

/// Whether a clicked pixel belongs to the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// The pixel belongs to the object (SAM's label 1).
    Foreground,
    /// The pixel does not belong to the object (SAM's label 0).
    Background,
}

impl Label {
    /// `foreground` or `background`, for messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Foreground => "foreground",
            Self::Background => "background",
        }
    }
}

/// A click on one pixel.
///
/// Units: pixels of the image, `x` the column and `y` the row. Whole numbers are pixel centres, as in SAM.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Column.
    pub x: f32,
    /// Row.
    pub y: f32,
    /// Whether the pixel belongs to the object.
    pub label: Label,
}

impl Point {
    /// A click on the centre of the pixel in a row and a column.
    pub(crate) const fn on_pixel((row, column): (usize, usize), label: Label) -> Self {
        Self { x: column as f32, y: row as f32, label }
    }
}

/// A box around an object, both corners included.
///
/// Units: pixels of the image, as in [`Point`]: whole numbers are pixel centres, so the box of a single pixel reaches half a pixel to
/// each side of it, and the box of a whole image from -0.5 to `width - 0.5`. For boxes of other programs, which mostly end at
/// `x_max = width`, see [`BoundingBox::from_half_open`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoundingBox {
    /// Left edge.
    pub x_min: f32,
    /// Upper edge.
    pub y_min: f32,
    /// Right edge.
    pub x_max: f32,
    /// Lower edge.
    pub y_max: f32,
}

impl BoundingBox {
    /// The box of a whole image: from half a pixel before its first pixel centres to half a pixel beyond the last.
    pub const fn of_image(height: usize, width: usize) -> Self {
        Self { x_min: -0.5, y_min: -0.5, x_max: width as f32 - 0.5, y_max: height as f32 - 0.5 }
    }

    /// Whether a coordinate lies in the box, edges included. NaN lies in no box.
    pub fn contains(&self, x: f32, y: f32) -> bool {
        (self.x_min..=self.x_max).contains(&x) && (self.y_min..=self.y_max).contains(&y)
    }

    /// A box of another program, in half-open pixel indices: the columns `x_min..x_max` and the rows `y_min..y_max`.
    ///
    /// Most tools write boxes this way (Python slices, COCO, `x_max = width` for a box up to the right border), and so do those that
    /// count from the edges of pixels instead of their centres. This crate's coordinates are pixel centres, so each edge moves by
    /// half a pixel, and the box of a whole image is [`BoundingBox::of_image`].
    ///
    /// ```
    /// use sam_prompt::BoundingBox;
    ///
    /// assert_eq!(BoundingBox::from_half_open(0.0, 0.0, 120.0, 100.0), BoundingBox::of_image(100, 120));
    /// ```
    pub const fn from_half_open(x_min: f32, y_min: f32, x_max: f32, y_max: f32) -> Self {
        Self { x_min: x_min - 0.5, y_min: y_min - 0.5, x_max: x_max - 0.5, y_max: y_max - 0.5 }
    }

    /// The smallest box that holds another one, if given, and the pixel in a row and a column.
    pub(crate) fn around(other: Option<Self>, (row, column): (usize, usize)) -> Self {
        let pixel = Self {
            x_min: column as f32 - 0.5,
            y_min: row as f32 - 0.5,
            x_max: column as f32 + 0.5,
            y_max: row as f32 + 0.5,
        };
        other.map_or(pixel, |other| Self {
            x_min: other.x_min.min(pixel.x_min),
            y_min: other.y_min.min(pixel.y_min),
            x_max: other.x_max.max(pixel.x_max),
            y_max: other.y_max.max(pixel.y_max),
        })
    }

    /// The distance of a coordinate from the box, in pixels; 0 inside it.
    pub fn distance(&self, x: f32, y: f32) -> f32 {
        let beyond = |at: f32, low: f32, high: f32| (low - at).max(at - high).max(0.0);
        beyond(x, self.x_min, self.x_max).hypot(beyond(y, self.y_min, self.y_max))
    }

    /// The box with each edge moved outward by `margin` pixels (inward if it is negative) and clipped to an image of `height` x `width`
    /// pixels.
    ///
    /// If the box is valid (not inverted), so is the result. If the box overlaps the image, the result is not empty: a negative
    /// margin leaves at least the middle pixel of each side, or all of a side shorter than one pixel.
    #[must_use]
    pub fn grown(&self, margin: f32, height: usize, width: usize) -> Self {
        let grown = |low: f32, high: f32, pixels| moved_side((low, high), (low - margin, high + margin), pixels);
        let (x_min, x_max) = grown(self.x_min, self.x_max, width);
        let (y_min, y_max) = grown(self.y_min, self.y_max, height);
        Self { x_min, y_min, x_max, y_max }
    }
}

/// Moves the two edges of one side of a box, clipped to an image side of `pixels`. The middle pixel of the exact side stays inside.
pub(crate) fn moved_side(exact: (f32, f32), moved: (f32, f32), pixels: usize) -> (f32, f32) {
    let BoundingBox { x_min: start, x_max: end, .. } = BoundingBox::of_image(1, pixels);
    let (low, high) = (exact.0.clamp(start, end), exact.1.clamp(start, end));
    let centre = f32::midpoint(low, high);
    // The middle pixel extends half a pixel to both sides, but not beyond a side that is shorter.
    let (keep_low, keep_high) = ((centre - 0.5).max(low), (centre + 0.5).min(high));
    (moved.0.min(keep_low).clamp(start, end), moved.1.max(keep_high).clamp(start, end))
}

/// All prompts for one object on one image.
///
/// SAM reads one box at a time. Several boxes are several parts of one object (two lungs, for example): each part is segmented from
/// its own box and the parts are joined; see [`Prompts::parts`].
///
/// In serialised form, empty fields may be left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prompts {
    /// Clicks inside and outside the object.
    pub points: Vec<Point>,
    /// Boxes, one for each part of the object.
    pub boxes: Vec<BoundingBox>,
    /// Low-resolution logits of an earlier prediction, fed back to the model.
    pub mask: Option<Array2<f32>>,
    /// Tokens of another model, `[tokens, embed_dim]`, appended unchanged to those of points and boxes.
    ///
    /// A text encoder such as CLIP's can prompt this way. SAM's own text prompts were never released, so the published weights do not
    /// understand such tokens. A prompt encoder or decoder must be trained with them.
    pub tokens: Option<Array2<f32>>,
}

impl Prompts {
    /// Prompts of points only.
    pub fn from_points(points: Vec<Point>) -> Self {
        Self { points, ..Self::default() }
    }

    /// Prompts of boxes only, one for each part of the object.
    pub fn from_boxes(boxes: Vec<BoundingBox>) -> Self {
        Self { boxes, ..Self::default() }
    }

    /// Whether there is no prompt at all.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty() && self.boxes.is_empty() && self.mask.is_none() && self.tokens.is_none()
    }

    /// Splits these prompts so that each part has at most one box, as SAM needs it.
    ///
    /// With several boxes, each part keeps its box, the foreground points inside it and all background points; a foreground point
    /// outside every box goes to the nearest one. With no box or one, the result is these prompts themselves.
    pub fn parts(&self) -> Vec<Self> {
        if self.boxes.len() <= 1 {
            return vec![self.clone()];
        }
        let belongs_to = |part: &BoundingBox, point: &Point| {
            let distance = |part: &BoundingBox| part.distance(point.x, point.y);
            point.label == Label::Background || self.boxes.iter().all(|other| distance(part) <= distance(other))
        };
        self.boxes
            .iter()
            .map(|part| Self {
                points: self.points.iter().filter(|point| belongs_to(part, point)).copied().collect(),
                boxes: vec![*part],
                mask: self.mask.clone(),
                tokens: self.tokens.clone(),
            })
            .collect()
    }

    /// Checks that every coordinate is finite and in the [image's box](BoundingBox::of_image), and that no box is inverted or empty.
    ///
    /// # Errors
    /// [`PromptError::OutsideImage`], [`PromptError::InvertedBox`] or [`PromptError::EmptyBox`] for the first that fails.
    pub fn check(&self, height: usize, width: usize) -> Result<(), PromptError> {
        for point in &self.points {
            check_inside("point", [point.x, point.y], height, width)?;
        }
        for &BoundingBox { x_min, y_min, x_max, y_max } in &self.boxes {
            check_inside(BOX_CORNER, [x_min, y_min], height, width)?;
            check_inside(BOX_CORNER, [x_max, y_max], height, width)?;
            if x_max < x_min || y_max < y_min {
                return Err(PromptError::InvertedBox { x_min, x_max, y_min, y_max });
            }
            if x_max <= x_min || y_max <= y_min {
                return Err(PromptError::EmptyBox { x_min, x_max, y_min, y_max });
            }
        }
        Ok(())
    }
}

/// Checks that a coordinate lies on a pixel of the image.
pub(crate) fn check_inside(
    what: &'static str,
    [x, y]: [f32; 2],
    height: usize,
    width: usize,
) -> Result<(), PromptError> {
    if BoundingBox::of_image(height, width).contains(x, y) {
        Ok(())
    } else {
        Err(PromptError::OutsideImage { what, x, y, width, height })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEFT: BoundingBox = BoundingBox { x_min: 0.0, y_min: 0.0, x_max: 9.0, y_max: 9.0 };
    const RIGHT: BoundingBox = BoundingBox { x_min: 20.0, y_min: 0.0, x_max: 29.0, y_max: 9.0 };

    #[test]
    fn each_part_keeps_its_own_clicks_and_all_background() {
        let click = |x, label| Point { x, y: 5.0, label };
        let prompts = Prompts {
            points: vec![click(5.0, Label::Foreground), click(25.0, Label::Foreground), click(15.0, Label::Background)],
            boxes: vec![LEFT, RIGHT],
            ..Prompts::default()
        };
        let parts = prompts.parts();
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[0].points, vec![click(5.0, Label::Foreground), click(15.0, Label::Background)]);
        assert_eq!(parts[1].points, vec![click(25.0, Label::Foreground), click(15.0, Label::Background)]);
        assert_eq!(parts[1].boxes, vec![RIGHT]);
    }

    #[test]
    fn clicks_outside_every_box_go_to_the_nearest() {
        let stray = |x| Point { x, y: 12.0, label: Label::Foreground };
        let boxes = vec![LEFT, RIGHT];
        let prompts = Prompts { points: vec![stray(4.0), stray(11.0), stray(40.0)], boxes, ..Prompts::default() };
        let parts = prompts.parts();
        assert_eq!(parts[0].points, vec![stray(4.0), stray(11.0)]);
        assert_eq!(parts[1].points, vec![stray(40.0)]);
    }

    #[test]
    fn coordinates_outside_the_image_are_refused() {
        let at = |x, y| Prompts::from_points(vec![Point { x, y, label: Label::Foreground }]);
        assert!(at(9.0, 4.0).check(5, 10).is_ok());
        assert!(at(-0.5, 4.5).check(5, 10).is_ok(), "the image's edge");
        for (x, y) in [(-1.0, 0.0), (0.0, 7.0), (10.0, 0.0), (0.0, 4.6), (f32::NAN, 0.0), (f32::INFINITY, 0.0)] {
            assert!(matches!(at(x, y).check(5, 10), Err(PromptError::OutsideImage { .. })), "({x}, {y})");
        }
        let inverted = BoundingBox { x_min: 9.0, x_max: 2.0, ..LEFT };
        assert!(matches!(Prompts::from_boxes(vec![inverted]).check(10, 10), Err(PromptError::InvertedBox { .. })));
        for empty in [BoundingBox { x_max: 0.0, ..LEFT }, BoundingBox { y_min: 9.0, ..LEFT }] {
            assert!(matches!(Prompts::from_boxes(vec![empty]).check(10, 10), Err(PromptError::EmptyBox { .. })));
        }
        let pixel = BoundingBox { x_min: 8.5, y_min: 8.5, x_max: 9.5, y_max: 9.5 };
        assert!(Prompts::from_boxes(vec![pixel]).check(10, 10).is_ok());
    }
}
