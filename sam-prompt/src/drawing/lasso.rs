//! Closed outlines.

use ndarray::Array2;
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{check_inside, check_path};
use crate::{BoundingBox, Center, Label, PointSampler, PromptError, Prompts};

const WHAT: &str = "lasso";

/// A closed line around the object.
///
/// Units: positions `[x, y]` are in pixels of the image, as in [`Point`](crate::Point); with `P` as `[f64; 3]` they are in patient millimetres.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lasso<P = [f32; 2]> {
    /// Vertices in order; the last is joined to the first.
    pub path: Vec<P>,
}

impl<P, T> Lasso<P>
where
    P: Copy + IntoIterator<Item = T>,
    T: Into<f64>,
{
    /// Checks everything that does not depend on the image.
    pub(crate) fn check_form(&self) -> Result<(), PromptError> {
        check_path(WHAT, &self.path, 3)
    }
}

impl Lasso {
    /// The pixels whose centres lie inside, by the even-odd rule: areas that the line encloses twice are outside.
    ///
    /// A centre on the line itself belongs to the mask if the inside is to its right, or below it for a horizontal line. So lassos that
    /// share a side have no pixel in common and leave no gap.
    ///
    /// # Shapes
    /// - output: `[height, width]`
    ///
    /// # Errors
    /// [`PromptError::ShortPath`] below three vertices, [`PromptError::NotFinite`] or [`PromptError::OutsideImage`] if the path leaves
    /// the image.
    pub fn rasterise(&self, height: usize, width: usize) -> Result<Array2<bool>, PromptError> {
        self.check_form()?;
        check_inside(WHAT, &self.path, height, width)?;
        let mut mask = Array2::from_elem((height, width), false);
        let ends = self.path.iter().cycle().skip(1);
        for (&a, &b) in self.path.iter().zip(ends) {
            let (upper, lower) = if a[1] <= b[1] { (a, b) } else { (b, a) };
            let ([x, y], [to_x, to_y]) = (upper.map(f64::from), lower.map(f64::from));
            // Each side toggles all centres to its left; an odd number of toggles is inside. The test uses products, not quotients, so that
            // rounding never moves a centre off the line.
            for row in y.ceil() as usize..to_y.ceil() as usize {
                let is_left = |column: usize| (column as f64 - x) * (to_y - y) < (row as f64 - y) * (to_x - x);
                for (column, inside) in mask.row_mut(row).iter_mut().enumerate() {
                    *inside ^= is_left(column);
                }
            }
        }
        Ok(mask)
    }

    /// The smallest box that holds all vertices; `None` if there are none.
    pub fn bounding_box(&self) -> Option<BoundingBox> {
        let (&[x, y], rest) = self.path.split_first()?;
        let first = BoundingBox { x_min: x, y_min: y, x_max: x, y_max: y };
        Some(rest.iter().fold(first, |found, &[x, y]| BoundingBox {
            x_min: found.x_min.min(x),
            y_min: found.y_min.min(y),
            x_max: found.x_max.max(x),
            y_max: found.y_max.max(y),
        }))
    }

    /// The lasso's box, and `count` foreground points on different pixels inside, drawn by [`Center`]: the innermost first.
    ///
    /// # Errors
    /// As [`Lasso::rasterise`]; [`PromptError::EmptyRegion`] or [`PromptError::TooFewPixels`] if there are fewer pixels than points.
    pub fn prompts(
        &self,
        count: usize,
        height: usize,
        width: usize,
        rng: &mut dyn Rng,
    ) -> Result<Prompts, PromptError> {
        let inside = self.rasterise(height, width)?;
        let points = Center::default().sample(inside.view(), Label::Foreground, count, rng)?;
        Ok(Prompts { points, boxes: self.bounding_box().into_iter().collect(), ..Prompts::default() })
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::Point;

    fn prompts(lasso: &Lasso, count: usize, side: usize) -> Result<Prompts, PromptError> {
        lasso.prompts(count, side, side, &mut ChaCha8Rng::seed_from_u64(0))
    }

    fn lasso(path: &[[f32; 2]]) -> Lasso {
        Lasso { path: path.to_vec() }
    }

    fn rectangle(left: f32, top: f32, right: f32, bottom: f32) -> Lasso {
        lasso(&[[left, top], [right, top], [right, bottom], [left, bottom]])
    }

    fn pixels(mask: &Array2<bool>) -> usize {
        mask.iter().filter(|&&inside| inside).count()
    }

    #[test]
    fn upper_and_left_sides_belong_lower_and_right_ones_do_not() {
        let mask = rectangle(1.0, 2.0, 4.0, 6.0).rasterise(9, 9).expect("the lasso is in the image");
        let expected = Array2::from_shape_fn((9, 9), |(row, column)| (2..6).contains(&row) && (1..4).contains(&column));
        assert_eq!(mask, expected);
        let all = rectangle(-0.5, -0.5, 8.5, 4.5).rasterise(5, 9).expect("the lasso ends with the image");
        assert_eq!(pixels(&all), all.len());
    }

    #[test]
    fn what_is_crossed_twice_is_outside() {
        let bow_tie = lasso(&[[0.0, 0.0], [8.0, 8.0], [8.0, 0.0], [0.0, 8.0]]).rasterise(9, 9).expect("in the image");
        assert!(bow_tie[(4, 1)] && bow_tie[(4, 7)] && !bow_tie[(1, 4)] && !bow_tie[(7, 4)]);
    }

    #[test]
    fn the_innermost_point_is_first_and_all_are_apart() {
        let prompts = prompts(&rectangle(1.0, 1.0, 6.0, 6.0), 3, 20).expect("the lasso has 25 pixels");
        let places: Vec<_> = prompts.points.iter().map(|point| (point.x, point.y)).collect();
        assert_eq!(places[0], (3.0, 3.0));
        assert!(places[1] != places[0] && places[2] != places[0] && places[1] != places[2]);
        assert_eq!(prompts.boxes, [BoundingBox { x_min: 1.0, y_min: 1.0, x_max: 6.0, y_max: 6.0 }]);
    }

    #[test]
    fn the_border_of_the_image_is_outside() {
        let prompts = prompts(&rectangle(-0.5, -0.5, 6.5, 6.5), 1, 7).expect("the lasso is the image");
        assert_eq!(prompts.points, [Point { x: 3.0, y: 3.0, label: Label::Foreground }]);
    }

    #[test]
    fn impossible_lassos_are_errors() {
        let line = lasso(&[[0.0, 0.0], [3.0, 3.0]]).rasterise(9, 9);
        assert!(matches!(line, Err(PromptError::ShortPath { needed: 3, found: 2, .. })));
        assert!(matches!(rectangle(1.0, 1.0, 9.0, 4.0).rasterise(9, 9), Err(PromptError::OutsideImage { .. })));
        let sliver = rectangle(1.2, 1.2, 1.8, 1.8);
        assert!(matches!(prompts(&sliver, 1, 9), Err(PromptError::EmptyRegion { requested: 1, .. })));
        assert_eq!(prompts(&sliver, 0, 9).expect("a box needs no pixel").boxes.len(), 1);
        let one = prompts(&rectangle(0.5, 0.5, 1.5, 1.5), 2, 9);
        assert!(matches!(one, Err(PromptError::TooFewPixels { requested: 2, available: 1, .. })));
    }
}
