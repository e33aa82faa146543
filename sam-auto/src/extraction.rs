//! Extracts prompts from a rough mask.

use ndarray::{Array2, ArrayView2};
use rand::Rng;
use sam_prompt::{
    BoundingBox, ConfigError, Label, Prompts, Replacement, SamplingScheme, bounding_box, component_masks, dilate, erode,
};
use serde::{Deserialize, Serialize};

use crate::AutoError;

/// Configuration of prompt extraction: which prompts are extracted from a rough mask, and how.
///
/// The default is a box around each component. On real scans, boxes are better on average than points, and better than points, box and mask
/// together. Points are better where a map is rough, because they tolerate a wrong border. The paper uses points, and boxes for nuclei
/// only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PromptExtraction {
    /// Number of points drawn inside each component; as many are drawn outside all components. 0 for none.
    pub points: usize,
    /// Whether each component gets a box.
    pub boxes: bool,
    /// Whether a coarse map becomes a mask prompt, as low-res logits. Masks without probabilities give no mask prompt.
    pub mask: bool,
    /// How points are sampled.
    pub sampling: SamplingScheme,
    /// Minimum distance of points from the border of the mask on both sides, in pixels.
    pub point_distance: usize,
    /// Points are drawn only where a coarse map is more certain than this, from 0 (any pixel of the likelier class) to below 1. If no pixel
    /// is that certain, points are drawn anywhere. Masks without probabilities count as certain everywhere.
    pub point_confidence: f32,
    /// Margin of boxes, in pixels: each side is moved outwards by this much.
    pub box_margin: f32,
    /// Minimum size of a component, in pixels. Smaller components are ignored. If none is left, the mask shows no structure.
    pub min_pixels: usize,
    /// Maximum number of components, largest first, for structures of a known number. `None` for all components.
    pub components: Option<usize>,
    /// Logits of a mask prompt are clamped to this distance of zero.
    pub mask_strength: f32,
    /// Random seed of the points.
    pub seed: u64,
}

sam_assist::__setters!(PromptExtraction {
    with_points => points: usize,
    with_boxes => boxes: bool,
    with_mask => mask: bool,
    with_sampling => sampling: SamplingScheme,
    with_point_distance => point_distance: usize,
    with_point_confidence => point_confidence: f32,
    with_box_margin => box_margin: f32,
    with_min_pixels => min_pixels: usize,
    with_components => components: Option<usize>,
    with_mask_strength => mask_strength: f32,
    with_seed => seed: u64,
});

impl Default for PromptExtraction {
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

impl PromptExtraction {
    /// Points only: this many inside each component, and as many outside.
    pub fn points(count: usize) -> Self {
        Self { points: count, boxes: false, ..Self::default() }
    }

    /// Mask prompt only: the coarse map.
    pub fn mask() -> Self {
        Self { mask: true, boxes: false, ..Self::default() }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] names the first one that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let anything = self.points > 0 || self.boxes || self.mask;
        ConfigError::check(anything, "extraction", || "nothing".to_owned(), "points, boxes or mask")?;
        ConfigError::check(
            self.components != Some(0),
            "extraction.components",
            || "0".to_owned(),
            "at least 1, or null",
        )?;
        let finite =
            |name, value: f32| ConfigError::check(value.is_finite(), name, || value.to_string(), "a finite number");
        finite("extraction.box_margin", self.box_margin)?;
        let confidence = self.point_confidence;
        let is_share = (0.0..1.0).contains(&confidence);
        ConfigError::check(
            is_share,
            "extraction.point_confidence",
            || confidence.to_string(),
            "at least 0 and below 1",
        )?;
        ConfigError::check_positive("extraction.mask_strength", self.mask_strength)
    }

    /// The components of a mask that are prompted for, largest first.
    pub(crate) fn parts(&self, mask: ArrayView2<'_, bool>) -> Vec<Array2<bool>> {
        let mut parts = component_masks(mask, self.min_pixels.max(1));
        parts.truncate(self.components.unwrap_or(usize::MAX));
        parts
    }

    /// Extracts points and boxes from a mask. Returns `None` if no component has at least [`PromptExtraction::min_pixels`] pixels.
    ///
    /// # Shapes
    /// - mask: `[rows, columns]`
    ///
    /// # Errors
    /// [`AutoError::Prompt`] if points cannot be drawn.
    pub fn prompts(&self, mask: ArrayView2<'_, bool>, rng: &mut dyn Rng) -> Result<Option<Prompts>, AutoError> {
        self.prompts_where(mask, &|_| true, rng)
    }

    /// Extracts points and boxes. Points are drawn only where `is_certain` holds, unless it holds nowhere.
    pub(crate) fn prompts_where(
        &self,
        mask: ArrayView2<'_, bool>,
        is_certain: &dyn Fn((usize, usize)) -> bool,
        rng: &mut dyn Rng,
    ) -> Result<Option<Prompts>, AutoError> {
        let parts = self.parts(mask);
        if parts.is_empty() {
            return Ok(None);
        }
        let (rows, columns) = mask.dim();
        let widened = |exact: BoundingBox| exact.grown(self.box_margin, rows, columns);
        let bounds = parts.iter().filter(|_| self.boxes).filter_map(|part| bounding_box(part.view()));
        let boxes = bounds.map(widened).collect();
        let certain_part = |pool: Array2<bool>| {
            let certain = Array2::from_shape_fn(pool.dim(), |at| pool[at] && is_certain(at));
            if certain.iter().any(|&certain| certain) { certain } else { pool }
        };
        let sampler = self.sampling.sampler(Replacement::With);
        let mut points = Vec::new();
        for part in parts.iter().filter(|_| self.points > 0) {
            let core = erode(part.view(), self.point_distance);
            let core = certain_part(if core.iter().any(|&inside| inside) { core } else { part.clone() });
            points.extend(sampler.sample(core.view(), Label::Foreground, self.points, rng)?);
        }
        let outside = dilate(mask, self.point_distance).mapv(|inside| !inside);
        if self.points > 0 && outside.iter().any(|&outside| outside) {
            points.extend(sampler.sample(certain_part(outside).view(), Label::Background, self.points, rng)?);
        }
        Ok(Some(Prompts { points, boxes, ..Prompts::default() }))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use sam_prompt::Point;

    use super::*;

    /// A block of 12 x 12 pixels, a block of 5 x 5 pixels, and one pixel.
    fn mask() -> Array2<bool> {
        Array2::from_shape_fn((40, 60), |(row, column)| {
            ((10..22).contains(&row) && (5..17).contains(&column))
                || ((30..35).contains(&row) && (40..45).contains(&column))
                || (row, column) == (2, 55)
        })
    }

    fn prompts(config: &PromptExtraction) -> Option<Prompts> {
        config.prompts(mask().view(), &mut ChaCha8Rng::seed_from_u64(3)).expect("a valid mask")
    }

    #[test]
    fn components_get_boxes_and_specks_do_not() {
        let found =
            prompts(&PromptExtraction { box_margin: 0.0, ..PromptExtraction::default() }).expect("two components");
        let edges: Vec<_> = found.boxes.iter().map(|a| (a.x_min, a.y_min, a.x_max, a.y_max)).collect();
        assert_eq!(edges, [(4.5, 9.5, 16.5, 21.5), (39.5, 29.5, 44.5, 34.5)]);
        let one = PromptExtraction { components: Some(1), ..PromptExtraction::default() };
        assert_eq!(prompts(&one).expect("the largest").boxes.len(), 1);
        assert_eq!(prompts(&PromptExtraction { min_pixels: 145, ..PromptExtraction::default() }), None);
    }

    #[test]
    fn points_keep_their_distance_from_the_border() {
        let found = prompts(&PromptExtraction::points(6)).expect("two components");
        assert!(found.boxes.is_empty());
        let (inside, outside): (Vec<&Point>, Vec<&Point>) =
            found.points.iter().partition(|point| point.label == Label::Foreground);
        assert_eq!((inside.len(), outside.len()), (12, 6));
        let (core, far) = (erode(mask().view(), 2), dilate(mask().view(), 2));
        assert!(inside.iter().all(|point| core[(point.y as usize, point.x as usize)]));
        assert!(outside.iter().all(|point| !far[(point.y as usize, point.x as usize)]));
    }

    #[test]
    fn points_lie_where_the_map_is_certain_if_it_is_so_anywhere() {
        let config = PromptExtraction::points(6);
        let draw = |is_certain: &dyn Fn((usize, usize)) -> bool| {
            let mut rng = ChaCha8Rng::seed_from_u64(3);
            config
                .prompts_where(mask().view(), is_certain, &mut rng)
                .expect("a valid mask")
                .expect("two components")
                .points
        };
        let left = draw(&|(_, column)| column < 12);
        // The smaller component has no pixel there, so its points are drawn from all of it.
        let astray = left.iter().filter(|point| point.x >= 12.0).collect::<Vec<_>>();
        assert_eq!((left.len(), astray.len()), (18, 6));
        assert!(astray.iter().all(|point| point.label == Label::Foreground));
        assert_eq!(draw(&|_| false), draw(&|_| true));
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for config in [
            PromptExtraction { boxes: false, ..PromptExtraction::default() },
            PromptExtraction { components: Some(0), ..PromptExtraction::default() },
            PromptExtraction { box_margin: f32::NAN, ..PromptExtraction::default() },
            PromptExtraction { mask_strength: 0.0, ..PromptExtraction::default() },
            PromptExtraction { point_confidence: 1.0, ..PromptExtraction::default() },
        ] {
            assert!(config.check().is_err(), "{config:?}");
        }
        assert!(PromptExtraction::default().check().is_ok() && PromptExtraction::mask().check().is_ok());
    }
}
