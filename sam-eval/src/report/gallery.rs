//! Pictures of slices with the contours of truth and prediction.

use image::{
    ExtendedColorType, ImageEncoder,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};
use ndarray::{Array2, Array3, ArrayView2, ArrayView3};
use serde::{Deserialize, Serialize};

use super::number;
use crate::{EvalError, error::Cause};

/// A colour, red, green and blue.
type Rgb = [u8; 3];

/// Contour of the ground truth.
pub(super) const TRUTH: Rgb = [80, 220, 100];
/// Contour of the prediction.
pub(super) const FOUND: Rgb = [255, 90, 60];
/// Pictures are enlarged to about this many pixels a side, so that small scans are visible.
const SIDE: usize = 384;
/// Length of the dashes where both contours run along the same pixels.
const DASH: usize = 5;

/// Pictures of cases, shown from the lowest score to the highest.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Gallery {
    /// Heading.
    pub caption: String,
    /// The cases, in any order.
    pub items: Vec<GalleryItem>,
}

/// One case with its slices.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct GalleryItem {
    /// Heading, for example case and structure.
    pub title: String,
    /// Its score; NaN if undefined.
    #[serde(deserialize_with = "number::nan")]
    pub score: f64,
    /// Slices, in the order of the volume.
    pub slices: Vec<GallerySlice>,
}

/// One picture of a case.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GallerySlice {
    /// Heading, for example `slice 41, Dice 0.93`.
    pub label: String,
    /// The picture as a PNG file, for example from [`overlay_png`]; in JSON as base64.
    #[serde(serialize_with = "number::write_base64", deserialize_with = "number::read_base64")]
    pub png: Vec<u8>,
}

impl Gallery {
    /// The cases from the lowest score to the highest; those without a score come first.
    pub(super) fn ordered(&self) -> Vec<&GalleryItem> {
        let mut items: Vec<&GalleryItem> = self.items.iter().collect();
        let score = |item: &GalleryItem| if item.score.is_nan() { f64::NEG_INFINITY } else { item.score };
        items.sort_by(|one, other| score(one).total_cmp(&score(other)));
        items
    }
}

/// Draws a slice with the contours of the ground truth (green) and of the prediction (orange) as a PNG file; where both
/// contours share pixels, their colours alternate.
///
/// The image has 8-bit levels, `[rows, columns, channels]` with 1 or 3 channels; levels are clamped to 0 to 255,
/// and NaN is black. Small images are enlarged by a whole factor, so that pixels stay squares.
///
/// # Errors
/// [`EvalError::Picture`] if the image has no pixels or other channels, or if a mask is not of its size.
pub fn overlay_png(
    image: ArrayView3<'_, f32>,
    truth: Option<ArrayView2<'_, bool>>,
    found: Option<ArrayView2<'_, bool>>,
) -> Result<Vec<u8>, EvalError> {
    let (rows, columns, channels) = image.dim();
    let refused = |mask: Option<&[usize]>| EvalError::Picture {
        image: image.shape().to_vec(),
        mask: mask.map(<[usize]>::to_vec),
    };
    if rows == 0 || columns == 0 || !matches!(channels, 1 | 3) {
        return Err(refused(None));
    }
    if let Some(mask) = [truth, found].into_iter().flatten().find(|mask| mask.dim() != (rows, columns)) {
        return Err(refused(Some(mask.shape())));
    }
    let longest = rows.max(columns);
    let factor = ((SIDE + longest / 2) / longest).max(1);
    let contour = |mask: Option<ArrayView2<'_, bool>>| mask.map(|mask| contour(mask, factor));
    let (truth, found) = (contour(truth), contour(found));
    let pixels = Array3::from_shape_fn((rows * factor, columns * factor, 3), |(row, column, colour)| {
        let upon = |contour: &Option<Array2<bool>>| contour.as_ref().is_some_and(|contour| contour[(row, column)]);
        match (upon(&truth), upon(&found)) {
            (true, true) if ((row + column) / DASH).is_multiple_of(2) => TRUTH[colour],
            (true, false) => TRUTH[colour],
            (_, true) => FOUND[colour],
            (false, false) => image[(row / factor, column / factor, colour.min(channels - 1))].clamp(0.0, 255.0) as u8,
        }
    });
    encode(&pixels)
}

/// The pixels on both sides of an enlarged mask's border; the image's edge does not count as border.
fn contour(mask: ArrayView2<'_, bool>, factor: usize) -> Array2<bool> {
    let (rows, columns) = (mask.nrows() * factor, mask.ncols() * factor);
    let inside = |row: usize, column: usize| mask[(row / factor, column / factor)];
    Array2::from_shape_fn((rows, columns), |(row, column)| {
        let here = inside(row, column);
        (row > 0 && inside(row - 1, column) != here)
            || (row + 1 < rows && inside(row + 1, column) != here)
            || (column > 0 && inside(row, column - 1) != here)
            || (column + 1 < columns && inside(row, column + 1) != here)
    })
}

fn encode(pixels: &Array3<u8>) -> Result<Vec<u8>, EvalError> {
    let (height, width, _) = pixels.dim();
    let bytes: Vec<u8> = pixels.iter().copied().collect();
    let mut png = Vec::new();
    PngEncoder::new_with_quality(&mut png, CompressionType::Default, FilterType::Adaptive)
        .write_image(&bytes, width as u32, height as u32, ExtendedColorType::Rgb8)
        .map_err(|error| EvalError::Render { what: "a picture".to_owned(), cause: Cause::new(error) })?;
    Ok(png)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Array3};

    use super::*;

    fn decoded(png: &[u8]) -> image::RgbImage {
        image::load_from_memory(png).expect("a PNG").into_rgb8()
    }

    fn square(size: usize) -> Array2<bool> {
        let middle = size / 4..size * 3 / 4;
        Array2::from_shape_fn((size, size), |(row, column)| middle.contains(&row) && middle.contains(&column))
    }

    #[test]
    fn contours_lie_on_the_enlarged_slice() -> Result<(), EvalError> {
        let mut image = Array3::from_elem((100, 100, 1), 40.0);
        image[(0, 0, 0)] = f32::NAN;
        image[(0, 1, 0)] = 1e9;
        let (truth, found) = (square(100), Array2::from_elem((100, 100), false));
        let picture = decoded(&overlay_png(image.view(), Some(truth.view()), Some(found.view()))?);
        assert_eq!(picture.dimensions(), (400, 400));
        let at = |x, y| picture.get_pixel(x, y).0;
        assert_eq!([at(0, 0), at(4, 0), at(200, 200)], [[0; 3], [255; 3], [40; 3]]);
        assert_eq!([at(99, 200), at(100, 200)], [TRUTH; 2]); // both sides of the border
        assert_eq!([at(98, 200), at(101, 200)], [[40; 3]; 2]);
        Ok(())
    }

    #[test]
    fn equal_contours_are_both_seen() -> Result<(), EvalError> {
        let image = Array3::zeros((512, 512, 3));
        let mask = square(512);
        let picture = decoded(&overlay_png(image.view(), Some(mask.view()), Some(mask.view()))?);
        let count = |colour: Rgb| picture.pixels().filter(|pixel| pixel.0 == colour).count();
        assert_eq!(picture.dimensions(), (512, 512));
        assert!(count(TRUTH) > 900 && count(FOUND) > 900, "{} and {}", count(TRUTH), count(FOUND));
        Ok(())
    }

    #[test]
    fn refuses_what_it_cannot_draw() {
        let mask = square(8);
        let of = |shape| overlay_png(Array3::zeros(shape).view(), Some(mask.view()), None);
        assert_eq!(of((8, 9, 1)), Err(EvalError::Picture { image: vec![8, 9, 1], mask: Some(vec![8, 8]) }));
        assert_eq!(of((8, 8, 2)), Err(EvalError::Picture { image: vec![8, 8, 2], mask: None }));
        assert_eq!(of((0, 8, 3)), Err(EvalError::Picture { image: vec![0, 8, 3], mask: None }));
    }

    #[test]
    fn the_poorest_comes_first() {
        let item = |score| GalleryItem { score, ..GalleryItem::default() };
        let gallery =
            Gallery { items: [0.9, 0.2, f64::NAN, 0.5].into_iter().map(item).collect(), ..Gallery::default() };
        let scores: Vec<f64> = gallery.ordered().iter().map(|item| item.score).collect();
        assert!(scores[0].is_nan());
        assert_eq!(scores[1..], [0.2, 0.5, 0.9]);
    }
}
