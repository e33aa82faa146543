//! From a mask that is roughly right to prompts.

use ndarray::{Array2, ArrayView2};
use rand_chacha::ChaCha8Rng;
use sam_prompt::{BoundingBox, Label, Prompts, SamplingScheme, bounding_box, component_masks, dilate, erode};
use serde::{Deserialize, Serialize};

use crate::AutoError;

/// What of a rough mask is handed on to SAM.
///
/// The default is a box around each component: on real scans it beats points and all three together, on the mean; points lead where a
/// map is rough, since they forgive its border. The paper hands on points, boxes for nuclei alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HandOver {
    /// Points drawn inside each component, and as many outside all of them; 0 for none.
    pub points: usize,
    /// Whether each component gets a box.
    pub boxes: bool,
    /// Whether a coarse map is a mask prompt itself, as low-res logits. Masks that are no map of probabilities have none.
    pub mask: bool,
    /// Where points are drawn.
    pub sampling: SamplingScheme,
    /// By how many pixels the mask is shrunk before points are drawn inside, and grown before they are drawn outside.
    pub point_distance: usize,
    /// Points of a coarse map are drawn only where it is surer than this that a pixel is inside, or outside, from 0 (wherever it is the
    /// likelier) to below 1; where it is so sure nowhere, wherever. Masks that are no map of probabilities are sure everywhere.
    pub point_confidence: f32,
    /// By how many pixels a box is widened on each side.
    pub box_margin: f32,
    /// Components of fewer pixels are not handed on; a mask without a larger one shows no object.
    pub min_pixels: usize,
    /// At most this many components are handed on, the largest first: for objects of a known number. All, if not given.
    pub components: Option<usize>,
    /// Logits of a mask prompt lie within this of zero.
    pub mask_strength: f32,
    /// Seed of the drawn points.
    pub seed: u64,
}

impl Default for HandOver {
    fn default() -> Self {
        Self {
            points: 0,
            boxes: true,
            mask: false,
            sampling: SamplingScheme::Uniform,
            point_distance: 2,
            point_confidence: 0.0,
            box_margin: 1.0,
            min_pixels: 10,
            components: None,
            mask_strength: sam_prompt::MASK_STRENGTH,
            seed: 0,
        }
    }
}

impl HandOver {
    /// So many points on each component and beside them, nothing else.
    pub fn points(count: usize) -> Self {
        Self { points: count, boxes: false, ..Self::default() }
    }

    /// The coarse map itself, nothing else.
    pub fn mask() -> Self {
        Self { mask: true, boxes: false, ..Self::default() }
    }

    /// Checks every number.
    ///
    /// # Errors
    /// [`AutoError::Config`] names the first that makes no sense.
    pub fn check(&self) -> Result<(), AutoError> {
        let anything = self.points > 0 || self.boxes || self.mask;
        AutoError::check(anything, "hand_over", || "nothing".to_owned(), "points, boxes or mask")?;
        AutoError::check(self.components != Some(0), "hand_over.components", || "0".to_owned(), "at least 1, or null")?;
        let finite =
            |name, value: f32| AutoError::check(value.is_finite(), name, || value.to_string(), "a finite number");
        finite("hand_over.box_margin", self.box_margin)?;
        let confidence = self.point_confidence;
        let is_share = (0.0..1.0).contains(&confidence);
        AutoError::check(is_share, "hand_over.point_confidence", || confidence.to_string(), "at least 0 and below 1")?;
        let strength = self.mask_strength;
        let is_positive = strength.is_finite() && strength > 0.0;
        AutoError::check(is_positive, "hand_over.mask_strength", || strength.to_string(), "a finite number above 0")
    }

    /// The components of a mask that are worth handing on, largest first.
    pub(crate) fn parts(&self, mask: ArrayView2<'_, bool>) -> Vec<Array2<bool>> {
        let mut parts = component_masks(mask, self.min_pixels.max(1));
        parts.truncate(self.components.unwrap_or(usize::MAX));
        parts
    }

    /// Points and boxes of a mask; `None` where it has no component worth handing on.
    ///
    /// # Shapes
    /// - mask: `[rows, columns]`
    ///
    /// # Errors
    /// [`AutoError::Prompt`] if points cannot be drawn.
    pub fn prompts(&self, mask: ArrayView2<'_, bool>, rng: &mut ChaCha8Rng) -> Result<Option<Prompts>, AutoError> {
        self.prompts_where(mask, &|_| true, rng)
    }

    /// The same, points only where a map is sure of itself.
    pub(crate) fn prompts_where(
        &self,
        mask: ArrayView2<'_, bool>,
        is_sure: &dyn Fn((usize, usize)) -> bool,
        rng: &mut ChaCha8Rng,
    ) -> Result<Option<Prompts>, AutoError> {
        let parts = self.parts(mask);
        if parts.is_empty() {
            return Ok(None);
        }
        let (rows, columns) = mask.dim();
        let widened = |exact: BoundingBox| exact.grown(self.box_margin, rows, columns);
        let bounds = parts.iter().filter(|_| self.boxes).filter_map(|part| bounding_box(part.view()));
        let boxes = bounds.map(widened).collect();
        let sure_of = |pool: Array2<bool>| {
            let sure = Array2::from_shape_fn(pool.dim(), |at| pool[at] && is_sure(at));
            if sure.iter().any(|&sure| sure) { sure } else { pool }
        };
        let sampler = self.sampling.sampler(true);
        let mut points = Vec::new();
        for part in parts.iter().filter(|_| self.points > 0) {
            let core = erode(part.view(), self.point_distance);
            let core = sure_of(if core.iter().any(|&inside| inside) { core } else { part.clone() });
            points.extend(sampler.sample(core.view(), Label::Foreground, self.points, rng)?);
        }
        let outside = dilate(mask, self.point_distance).mapv(|inside| !inside);
        if self.points > 0 && outside.iter().any(|&outside| outside) {
            points.extend(sampler.sample(sure_of(outside).view(), Label::Background, self.points, rng)?);
        }
        Ok(Some(Prompts { points, boxes, ..Prompts::default() }))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use sam_prompt::Point;

    use super::*;

    /// A block of 12 x 12 pixels, another of 5 x 5, and one pixel.
    fn mask() -> Array2<bool> {
        Array2::from_shape_fn((40, 60), |(row, column)| {
            ((10..22).contains(&row) && (5..17).contains(&column))
                || ((30..35).contains(&row) && (40..45).contains(&column))
                || (row, column) == (2, 55)
        })
    }

    fn prompts(config: &HandOver) -> Option<Prompts> {
        config.prompts(mask().view(), &mut ChaCha8Rng::seed_from_u64(3)).expect("a valid mask")
    }

    #[test]
    fn components_get_boxes_and_specks_do_not() {
        let found = prompts(&HandOver { box_margin: 0.0, ..HandOver::default() }).expect("two components");
        let edges: Vec<_> = found.boxes.iter().map(|a| (a.x_min, a.y_min, a.x_max, a.y_max)).collect();
        assert_eq!(edges, [(4.5, 9.5, 16.5, 21.5), (39.5, 29.5, 44.5, 34.5)]);
        let one = HandOver { components: Some(1), ..HandOver::default() };
        assert_eq!(prompts(&one).expect("the largest").boxes.len(), 1);
        assert_eq!(prompts(&HandOver { min_pixels: 145, ..HandOver::default() }), None);
    }

    #[test]
    fn points_keep_their_distance_from_the_border() {
        let found = prompts(&HandOver::points(6)).expect("two components");
        assert!(found.boxes.is_empty());
        let (inside, outside): (Vec<&Point>, Vec<&Point>) =
            found.points.iter().partition(|point| point.label == Label::Foreground);
        assert_eq!((inside.len(), outside.len()), (12, 6));
        let (core, far) = (erode(mask().view(), 2), dilate(mask().view(), 2));
        assert!(inside.iter().all(|point| core[(point.y as usize, point.x as usize)]));
        assert!(outside.iter().all(|point| !far[(point.y as usize, point.x as usize)]));
    }

    #[test]
    fn points_lie_where_the_map_is_sure_if_it_is_anywhere() {
        let config = HandOver::points(6);
        let draw = |is_sure: &dyn Fn((usize, usize)) -> bool| {
            let mut rng = ChaCha8Rng::seed_from_u64(3);
            config
                .prompts_where(mask().view(), is_sure, &mut rng)
                .expect("a valid mask")
                .expect("two components")
                .points
        };
        let left = draw(&|(_, column)| column < 12);
        // Nothing of the smaller component lies there: its points are drawn as if all of it were sure.
        let astray = left.iter().filter(|point| point.x >= 12.0).collect::<Vec<_>>();
        assert_eq!((left.len(), astray.len()), (18, 6));
        assert!(astray.iter().all(|point| point.label == Label::Foreground));
        assert_eq!(draw(&|_| false), draw(&|_| true));
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        for config in [
            HandOver { boxes: false, ..HandOver::default() },
            HandOver { components: Some(0), ..HandOver::default() },
            HandOver { box_margin: f32::NAN, ..HandOver::default() },
            HandOver { mask_strength: 0.0, ..HandOver::default() },
            HandOver { point_confidence: 1.0, ..HandOver::default() },
        ] {
            assert!(matches!(config.check(), Err(AutoError::Config { .. })), "{config:?}");
        }
        assert!(HandOver::default().check().is_ok() && HandOver::mask().check().is_ok());
    }
}
