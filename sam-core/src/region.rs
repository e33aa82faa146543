//! Crops and tiles of an image at the model's full resolution, for small objects.
//!
//! An encoder that reads 256 pixels a side sees a 512-pixel slice at half its resolution. A crop around the prompt is embedded at full
//! resolution, and its mask is pasted into the image's grid.

use burn::tensor::backend::Backend;
use ndarray::{Array3, ArrayView3};
use sam_prompt::{BoundingBox, Label, Point, Prompts};
use serde::{Deserialize, Serialize};

use crate::{CoreError, ImageEmbedding, MaskOutput, MaskPrediction, SamPredictor, axes::within};

/// Logit of all pixels outside the region.
pub const OUTSIDE_LOGIT: f32 = -100.0;

/// A rectangle of whole pixels in an image: a crop or tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
}

impl Region {
    /// A square around prompts, moved and clipped to fit into an image of `height` x `width` pixels.
    ///
    /// Its side is the extent of the foreground points and boxes, enlarged on each side by the factor `margin`, and at least `min_side`
    /// pixels. `None` if there is neither a foreground point nor a box.
    pub fn around(prompts: &Prompts, margin: f32, min_side: usize, height: usize, width: usize) -> Option<Self> {
        let BoundingBox { x_min, y_min, x_max, y_max } = extent(prompts)?;
        let side = (x_max - x_min).max(y_max - y_min) * (1.0 + 2.0 * margin);
        // One pixel more, because both ends may be inside a pixel.
        let side = (side.ceil() as usize).saturating_add(1).max(min_side);
        // Along each axis, the side is limited to the image, and the square is moved into it.
        let place = |low: f32, high: f32, length: usize| {
            let side = side.min(length);
            // Pixel centres are integers, so a square begins half a pixel before its first index.
            let start = (f32::midpoint(low, high) + 0.5 - side as f32 / 2.0).round().max(0.0) as usize;
            (start.min(length - side), side)
        };
        let ((top, height), (left, width)) = (place(y_min, y_max, height), place(x_min, x_max, width));
        Some(Self { top, left, height, width })
    }

    /// Square tiles of `side` pixels that cover an image, row by row; neighbours overlap by at least `overlap` pixels.
    ///
    /// If the image is shorter than `side` along an axis, tiles have the image's length along that axis.
    ///
    /// # Errors
    /// [`CoreError::Tiles`] unless `overlap` is smaller than `side`.
    pub fn tiles(height: usize, width: usize, side: usize, overlap: usize) -> Result<Vec<Self>, CoreError> {
        if overlap >= side {
            return Err(CoreError::Tiles { overlap, side });
        }
        let starts = |length: usize| {
            let last = length.saturating_sub(side);
            let count = last.div_ceil(side - overlap);
            // The tiles are spread evenly.
            (0..=count).map(move |tile| tile * last / count.max(1))
        };
        let tile = |top, left| Self { top, left, height: side.min(height), width: side.min(width) };
        Ok(starts(height).flat_map(|top| starts(width).map(move |left| tile(top, left))).collect())
    }

    /// The smallest distance of a foreground point or box to the region's edge, in pixels.
    ///
    /// It is negative if one is outside the region; `None` if there is neither a foreground point nor a box.
    pub fn depth(&self, prompts: &Prompts) -> Option<f32> {
        let BoundingBox { x_min, y_min, x_max, y_max } = extent(prompts)?;
        let BoundingBox { x_min: left, y_min: top, x_max: right, y_max: bottom } = self.bounds();
        Some((x_min - left).min(right - x_max).min(y_min - top).min(bottom - y_max))
    }

    /// The region as a box in image pixels.
    fn bounds(&self) -> BoundingBox {
        let BoundingBox { x_min, y_min, x_max, y_max } = BoundingBox::of_image(self.height, self.width);
        let (top, left) = (self.top as f32, self.left as f32);
        BoundingBox { x_min: x_min + left, y_min: y_min + top, x_max: x_max + left, y_max: y_max + top }
    }

    /// Converts prompts to the region's own pixels. Background points outside the region are dropped, because they have no effect there.
    fn localised(&self, prompts: &Prompts) -> Prompts {
        let (top, left) = (self.top as f32, self.left as f32);
        let bounds = self.bounds();
        let speaks = |point: &&Point| bounds.contains(point.x, point.y) || point.label == Label::Foreground;
        let moved = |point: &Point| Point { x: point.x - left, y: point.y - top, ..*point };
        let moved_box = |part: &BoundingBox| BoundingBox {
            x_min: part.x_min - left,
            y_min: part.y_min - top,
            x_max: part.x_max - left,
            y_max: part.y_max - top,
        };
        Prompts {
            points: prompts.points.iter().filter(speaks).map(moved).collect(),
            boxes: prompts.boxes.iter().map(moved_box).collect(),
            mask: prompts.mask.clone(),
            tokens: prompts.tokens.clone(),
        }
    }
}

/// The box around all foreground points and boxes.
fn extent(prompts: &Prompts) -> Option<BoundingBox> {
    let clicks = prompts.points.iter().filter(|point| point.label == Label::Foreground);
    let clicks = clicks.map(|&Point { x, y, .. }| BoundingBox { x_min: x, y_min: y, x_max: x, y_max: y });
    clicks.chain(prompts.boxes.iter().copied()).reduce(|a, b| BoundingBox {
        x_min: a.x_min.min(b.x_min),
        y_min: a.y_min.min(b.y_min),
        x_max: a.x_max.max(b.x_max),
        y_max: a.y_max.max(b.y_max),
    })
}

/// An embedded region of an image.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RegionEmbedding<B: Backend> {
    /// Embedding of the region.
    pub embedding: ImageEmbedding<B>,
    /// Position of the region in the image.
    pub region: Region,
    /// Rows and columns of the whole image.
    pub image: (usize, usize),
}

impl<B: Backend> SamPredictor<B> {
    /// Embeds a region of an image at the model's full resolution.
    ///
    /// # Errors
    /// [`CoreError::Region`] if the region is empty or not inside the image; otherwise as [`SamPredictor::embed`].
    pub fn embed_region(&self, image: ArrayView3<'_, u8>, region: Region) -> Result<RegionEmbedding<B>, CoreError> {
        let (height, width, _) = image.dim();
        let Region { top, left, height: rows, width: columns } = region;
        let fits = |start: usize, length: usize, end: usize| length > 0 && length <= end && start <= end - length;
        if !(fits(top, rows, height) && fits(left, columns, width)) {
            return Err(CoreError::Region { region, width, height });
        }
        let embedding = self.embed(image.slice_each_axis(within([top..top + rows, left..left + columns])))?;
        Ok(RegionEmbedding { embedding, region, image: (height, width) })
    }

    /// Embeds an image as overlapping [tiles](Region::tiles).
    ///
    /// # Errors
    /// As [`Region::tiles`] and [`SamPredictor::embed`].
    pub fn embed_tiles(
        &self,
        image: ArrayView3<'_, u8>,
        side: usize,
        overlap: usize,
    ) -> Result<Vec<RegionEmbedding<B>>, CoreError> {
        let tiles = Region::tiles(image.dim().0, image.dim().1, side, overlap)?;
        tiles.into_iter().map(|tile| self.embed_region(image, tile)).collect()
    }

    /// Predicts within a region, from prompts in image pixels. The logits are on the whole image's grid; pixels outside the region get
    /// [`OUTSIDE_LOGIT`].
    ///
    /// Low-res logits and mask prompts are in the region's own frame.
    ///
    /// # Errors
    /// As [`SamPredictor::predict`]; a foreground point or box outside the region counts as outside the image.
    pub fn predict_region(
        &self,
        part: &RegionEmbedding<B>,
        prompts: &Prompts,
        output: MaskOutput,
    ) -> Result<MaskPrediction, CoreError> {
        let local = part.region.localised(prompts);
        let found = self.predict_batch(&[(&part.embedding, &local)], output)?.remove(0);
        let Region { top, left, height, width } = part.region;
        let mut logits = Array3::from_elem((found.logits.dim().0, part.image.0, part.image.1), OUTSIDE_LOGIT);
        let masks = found.logits.dim().0;
        logits.slice_each_axis_mut(within([0..masks, top..top + height, left..left + width])).assign(&found.logits);
        Ok(MaskPrediction { logits, ..found })
    }

    /// Predicts within one tile: the one that contains the prompts with the largest distance to its edge.
    ///
    /// # Errors
    /// [`CoreError::NoPrompt`] without a foreground point or box, or without tiles; otherwise as [`SamPredictor::predict_region`]. An
    /// object that fits into no tile needs larger tiles.
    pub fn predict_tiled(
        &self,
        tiles: &[RegionEmbedding<B>],
        prompts: &Prompts,
        output: MaskOutput,
    ) -> Result<MaskPrediction, CoreError> {
        let depths = tiles.iter().filter_map(|tile| Some((tile, tile.region.depth(prompts)?)));
        let (deepest, _) = depths.max_by(|(_, a), (_, b)| a.total_cmp(b)).ok_or(CoreError::NoPrompt)?;
        self.predict_region(deepest, prompts, output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(x_min: f32, y_min: f32, x_max: f32, y_max: f32) -> Prompts {
        Prompts::from_boxes(vec![BoundingBox { x_min, y_min, x_max, y_max }])
    }

    #[test]
    fn regions_hold_their_prompts_and_lie_in_the_image() {
        for prompts in [boxed(-0.5, -0.5, 4.0, 4.0), boxed(90.0, 70.0, 99.5, 79.5), boxed(2.0, 30.0, 90.0, 50.0)] {
            for margin in [0.0, 0.5, 3.0] {
                let region = Region::around(&prompts, margin, 16, 80, 100).expect("there is a box");
                assert!(region.top + region.height <= 80 && region.left + region.width <= 100, "{region:?}");
                assert!(region.height >= 16 && region.width >= 16);
                assert!(region.depth(&prompts).is_some_and(|depth| depth >= 0.0), "{region:?}");
            }
        }
        assert_eq!(Region::around(&Prompts::default(), 0.5, 16, 80, 100), None);
    }

    #[test]
    fn tiles_cover_the_image() {
        for (height, width) in [(5, 7), (64, 64), (100, 65), (33, 200)] {
            let tiles = Region::tiles(height, width, 64, 16).expect("a valid overlap");
            for row in 0..height {
                for column in 0..width {
                    let holds = |tile: &Region| {
                        (tile.top..tile.top + tile.height).contains(&row)
                            && (tile.left..tile.left + tile.width).contains(&column)
                    };
                    assert!(tiles.iter().any(holds), "({row}, {column}) of {height} x {width}");
                }
            }
            assert!(tiles.iter().all(|tile| tile.top + tile.height <= height && tile.left + tile.width <= width));
            let mut starts: Vec<_> = tiles.iter().map(|tile| tile.left).collect();
            starts.dedup();
            assert!(starts.windows(2).all(|pair| pair[1] < pair[0] || pair[1] - pair[0] <= 48), "{starts:?}");
        }
        assert!(Region::tiles(10, 10, 8, 8).is_err());
    }
}
