//! Signed distances of a component, which can be moved.

use ndarray::{Array2, ArrayView2, Slice};
use sam_prompt::{PixelAspect, signed_distance_with};

/// Signed distances to the edge of a mask, on its image and some pixels beyond. A mask that touches the image's border goes on
/// beyond it.
#[derive(Debug, Clone)]
pub(super) struct Field {
    signed: Array2<f32>,
    /// Number of pixels beyond each border.
    beyond: usize,
}

impl Field {
    pub(super) fn new(mask: ArrayView2<'_, bool>, beyond: usize, aspect: PixelAspect) -> Self {
        let (rows, columns) = mask.dim();
        let nearest = |index: usize, length: usize| index.saturating_sub(beyond).min(length.saturating_sub(1));
        let wide = Array2::from_shape_fn((rows + 2 * beyond, columns + 2 * beyond), |(row, column)| {
            mask[(nearest(row, rows), nearest(column, columns))]
        });
        Self { signed: signed_distance_with(wide.view(), aspect), beyond }
    }

    /// The distances on the image.
    pub(super) fn in_place(&self) -> ArrayView2<'_, f32> {
        self.signed.slice_each_axis(|axis| Slice::from(self.beyond..axis.len - self.beyond))
    }

    /// The distances on the image after the mask's point `from` has moved to `to`, and the mask has grown `scale` times around it, with
    /// bilinear interpolation.
    pub(super) fn placed(&self, from: (f32, f32), to: (f32, f32), scale: (f32, f32)) -> Array2<f32> {
        let unchanged = |scale: f32| (scale - 1.0).abs() < f32::EPSILON;
        if from == to && unchanged(scale.0) && unchanged(scale.1) {
            return self.in_place().to_owned();
        }
        let (rows, columns) = self.size();
        let (down, right) = (self.sources(rows, from.0, to.0, scale.0), self.sources(columns, from.1, to.1, scale.1));
        let scale = (scale.0 * scale.1).sqrt();
        Array2::from_shape_fn((rows, columns), |(row, column)| {
            let ((top, bottom, fall), (left, far, along)) = (down[row], right[column]);
            let mix = |first: f32, second: f32, share: f32| first + share * (second - first);
            let at = |row: usize, column: usize| self.signed[(row, column)];
            scale * mix(mix(at(top, left), at(top, far), along), mix(at(bottom, left), at(bottom, far), along), fall)
        })
    }

    /// For each pixel along an axis of the image: the two pixels that it comes from, and the second one's share.
    fn sources(&self, length: usize, from: f32, to: f32, scale: f32) -> Vec<(usize, usize, f32)> {
        let last = (length + 2 * self.beyond).saturating_sub(1) as f32;
        let source = |index: usize| {
            let position = (from + (index as f32 - to) / scale + self.beyond as f32).clamp(0.0, last);
            (position.floor() as usize, position.ceil() as usize, position.fract())
        };
        (0..length).map(source).collect()
    }

    /// Rows and columns of the image.
    fn size(&self) -> (usize, usize) {
        let (rows, columns) = self.signed.dim();
        (rows - 2 * self.beyond, columns - 2 * self.beyond)
    }
}
