//! What a click changes of a mask.

use ndarray::{Array2, ArrayView2, Zip};
use serde::{Deserialize, Serialize};

use super::{components, mask_area};
use crate::{ConfigError, Label, Point, PromptError, distance_transform};

/// What a click changes of a mask: nothing far from it, and one connected region.
///
/// A model predicts a whole mask from all clicks, so that a click on one side can change the other side. A person who clicks on an error means
/// that error. So of a new prediction only the region around the click is taken. The clicked pixel always changes.
///
/// Distances are measured in the distance from the click to the nearest pixel that is already right: to the edge of the mask. A click in
/// the middle of an error is about as far from the mask's edge as from the true edge on its other side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ClickReach {
    /// Pixels farther from the click than this many distances to the mask's edge do not change.
    pub farthest: f32,
    /// If the model contradicts the click, a disc around the click changes: its radius is this many distances to the mask's edge.
    pub disc: f32,
    /// Largest radius of that disc, as a share of the square root of the mask's area.
    pub largest_disc: f32,
}

impl Default for ClickReach {
    fn default() -> Self {
        Self { farthest: 3.0, disc: 0.75, largest_disc: 0.15 }
    }
}

impl ClickReach {
    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] names the first one that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let Self { farthest, disc, largest_disc } = *self;
        ConfigError::check((0.0..=1.0).contains(&disc), "click.disc", || disc.to_string(), "from 0 to 1")?;
        let is_share = (0.0..=1.0).contains(&largest_disc);
        ConfigError::check(is_share, "click.largest_disc", || largest_disc.to_string(), "from 0 to 1")?;
        let found = || farthest.to_string();
        ConfigError::check(farthest.is_finite() && farthest >= 1.0, "click.farthest", found, "at least 1")
    }

    /// The mask after a click: `before`, with what `predicted` adds around a foreground click, or removes around a background click. A click
    /// where the mask is already right changes nothing. In an empty mask, a foreground click takes the predicted component at any distance.
    ///
    /// # Shapes
    /// - before, predicted: `[rows, columns]`
    /// - output: the same
    ///
    /// # Errors
    /// [`PromptError::UnequalMasks`] if the masks differ in shape.
    pub fn apply(
        &self,
        before: ArrayView2<'_, bool>,
        predicted: ArrayView2<'_, bool>,
        click: Point,
    ) -> Result<Array2<bool>, PromptError> {
        PromptError::check_equal_masks(&before, &predicted)?;
        let wanted = click.label == Label::Foreground;
        let (place, mut after) = (pixel(click, before.dim()), before.to_owned());
        if before.is_empty() || before[place] == wanted {
            return Ok(after);
        }
        let wrong = before.mapv(|inside| inside != wanted);
        // Without a right pixel, there is no edge to measure from.
        let edge = wrong.iter().any(|wrong| !wrong).then(|| distance_transform(wrong.view())[place]);
        let distance = |(row, column): (usize, usize)| (row as f32 - click.y).hypot(column as f32 - click.x);
        let agrees = predicted[place] == wanted;
        let radius = if agrees { edge.map(|edge| self.farthest * edge) } else { Some(self.disc_radius(before, edge)) };
        let mut changed = Array2::from_shape_fn(before.dim(), |pixel| {
            let is_near = radius.is_none_or(|radius| distance(pixel) <= radius);
            wrong[pixel] && is_near && (!agrees || predicted[pixel] == wanted)
        });
        changed[place] = true;
        let (labels, _) = components(changed.view());
        let own = labels[place];
        Zip::from(&mut after).and(&labels).for_each(|inside, &label| {
            if label == own {
                *inside = wanted;
            }
        });
        Ok(after)
    }

    /// The radius of the disc that changes where the model contradicts a click.
    fn disc_radius(&self, before: ArrayView2<'_, bool>, edge: Option<f32>) -> f32 {
        let most = self.largest_disc * (mask_area(before) as f32).sqrt();
        edge.map_or(0.0, |edge| (self.disc * edge).min(most))
    }
}

/// The pixel of a click, whose centre is the nearest to it.
fn pixel(click: Point, (rows, columns): (usize, usize)) -> (usize, usize) {
    let nearest = |at: f32, count: usize| (at.round().max(0.0) as usize).min(count.saturating_sub(1));
    (nearest(click.y, rows), nearest(click.x, columns))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: (usize, usize) = (24, 30);

    fn masks() -> impl Strategy<Value = [Array2<bool>; 2]> {
        let mask = || proptest::collection::vec(any::<bool>(), SIZE.0 * SIZE.1);
        (mask(), mask()).prop_map(|(one, other)| {
            [one, other].map(|pixels| Array2::from_shape_vec(SIZE, pixels).expect("as many as pixels"))
        })
    }

    fn click(row: usize, column: usize, foreground: bool) -> Point {
        Point::on_pixel((row, column), if foreground { Label::Foreground } else { Label::Background })
    }

    proptest! {
        #[test]
        fn a_click_has_its_effect_and_changes_nothing_the_other_way(
            [before, predicted] in masks(), row in 0..SIZE.0, column in 0..SIZE.1, foreground in any::<bool>(),
        ) {
            let after = ClickReach::default().apply(before.view(), predicted.view(), click(row, column, foreground));
            let after = after.expect("masks of one size");
            prop_assert_eq!(after[(row, column)], foreground);
            for (before, after) in before.iter().zip(&after) {
                prop_assert!(before == after || *after == foreground);
            }
            if before[(row, column)] == foreground {
                prop_assert_eq!(after, before);
            }
        }
    }

    /// A square from row and column 8 to 15.
    fn square() -> Array2<bool> {
        Array2::from_shape_fn(SIZE, |(row, column)| (8..16).contains(&row) && (8..16).contains(&column))
    }

    #[test]
    fn what_is_far_away_or_apart_does_not_change() -> Result<(), PromptError> {
        // The model adds a strip next to the square, a place apart, and a tail far away.
        let predicted = Array2::from_shape_fn(SIZE, |(row, column)| {
            square()[(row, column)] || (8..16).contains(&row) && (16..30).contains(&column) || row < 3 && column < 3
        });
        let after = ClickReach::default().apply(square().view(), predicted.view(), click(12, 17, true))?;
        assert!(after[(12, 20)] && !after[(12, 29)] && !after[(1, 1)]);
        assert!(square().iter().zip(&after).all(|(before, after)| after >= before));
        Ok(())
    }

    #[test]
    fn in_an_empty_mask_the_predicted_component_is_taken() -> Result<(), PromptError> {
        let empty = Array2::from_elem(SIZE, false);
        let mut predicted = square();
        predicted[(1, 28)] = true;
        let after = ClickReach::default().apply(empty.view(), predicted.view(), click(12, 12, true))?;
        assert_eq!(after, square());
        let missed = ClickReach::default().apply(empty.view(), empty.view(), click(12, 12, true))?;
        assert_eq!(mask_area(missed.view()), 1, "the click itself");
        Ok(())
    }

    #[test]
    fn against_the_model_a_click_changes_a_small_disc() -> Result<(), PromptError> {
        // The model sees nothing beyond the square. The mask's area is 64, so that the radius is at most 1.2.
        let after = ClickReach::default().apply(square().view(), square().view(), click(12, 25, true))?;
        assert_eq!(mask_area(after.view()) - mask_area(square().view()), 5, "the pixel and its four neighbours");
        Ok(())
    }

    #[test]
    fn a_click_means_the_pixel_that_it_is_nearest_to() -> Result<(), PromptError> {
        let below = Point { x: 11.7, y: 15.4, label: Label::Foreground };
        let beside = |y| Point { y, ..below };
        let apply = |click| ClickReach::default().apply(square().view(), square().view(), click);
        assert_eq!(apply(below)?, square(), "row 15 is inside");
        assert_ne!(apply(beside(15.6))?, square());
        // The image's edge is half a pixel beyond the centre of its last row.
        assert!(apply(beside(23.5))?[(23, 12)]);
        Ok(())
    }

    #[test]
    fn impossible_reaches_are_refused() {
        assert!(ClickReach::default().check().is_ok());
        assert!(ClickReach { disc: 1.5, ..ClickReach::default() }.check().is_err());
        assert!(ClickReach { farthest: 0.5, ..ClickReach::default() }.check().is_err());
    }
}
