//! Pictures of results: slices with the contours of truth and prediction, and prompts.

use sam_prompt::{
    Label, Prompts, dilate, erode,
    ndarray::{Array2, Array3, ArrayView2, Axis},
};

/// A colour, red, green and blue.
type Rgb = [u8; 3];

/// Contour of the ground truth.
const TRUTH: Rgb = [80, 220, 100];
/// Contour of the prediction.
const FOUND: Rgb = [255, 90, 60];
/// Foreground clicks.
const FOREGROUND: Rgb = [70, 160, 255];
/// Background clicks.
const BACKGROUND: Rgb = [255, 220, 60];
/// Pictures are enlarged to at least this many pixels a side, so that small scans are visible.
const SMALLEST_SIDE: usize = 384;

/// One panel: a slice with contours and prompts drawn on it.
#[derive(Debug, Clone)]
pub struct Panel {
    pixels: Array3<u8>,
    factor: usize,
}

impl Panel {
    /// A slice of 8-bit levels, `[rows, columns, channels]`, enlarged by a whole factor.
    pub fn new(slice: &Array3<u8>) -> Self {
        let (rows, columns, channels) = slice.dim();
        let factor = SMALLEST_SIDE.div_ceil(rows.max(columns).max(1)).max(1);
        let pixels = Array3::from_shape_fn((rows * factor, columns * factor, 3), |(row, column, colour)| {
            slice[(row / factor, column / factor, colour.min(channels - 1))]
        });
        Self { pixels, factor }
    }

    /// Draws the contour of the ground truth.
    #[must_use]
    pub fn truth(self, mask: ArrayView2<'_, bool>) -> Self {
        self.contour(mask, TRUTH)
    }

    /// Draws the contour of the prediction.
    #[must_use]
    pub fn found(self, mask: ArrayView2<'_, bool>) -> Self {
        self.contour(mask, FOUND)
    }

    /// Draws points and boxes.
    #[must_use]
    pub fn prompts(mut self, prompts: &Prompts) -> Self {
        let factor = self.factor;
        // Whole-number coordinates are pixel centres.
        let scale = |value: f32| ((value + 0.5) * factor as f32) as usize;
        for part in &prompts.boxes {
            let (left, right, top, bottom) =
                (scale(part.x_min), scale(part.x_max), scale(part.y_min), scale(part.y_max));
            for column in left..=right {
                self.dot(top, column, 0, FOREGROUND);
                self.dot(bottom, column, 0, FOREGROUND);
            }
            for row in top..=bottom {
                self.dot(row, left, 0, FOREGROUND);
                self.dot(row, right, 0, FOREGROUND);
            }
        }
        for point in &prompts.points {
            let colour = if point.label == Label::Foreground { FOREGROUND } else { BACKGROUND };
            self.dot(scale(point.y), scale(point.x), 4, [0, 0, 0]);
            self.dot(scale(point.y), scale(point.x), 3, colour);
        }
        self
    }

    fn contour(mut self, mask: ArrayView2<'_, bool>, colour: Rgb) -> Self {
        let (rows, columns, _) = self.pixels.dim();
        let large =
            Array2::from_shape_fn((rows, columns), |(row, column)| mask[(row / self.factor, column / self.factor)]);
        let outer = dilate(large.view(), 1);
        let inner = erode(large.view(), 1);
        for ((row, column), _) in outer.indexed_iter().filter(|&(at, &inside)| inside && !inner[at]) {
            self.dot(row, column, 0, colour);
        }
        self
    }

    /// Draws a filled square; the part outside the picture is cut off.
    fn dot(&mut self, row: usize, column: usize, radius: usize, colour: Rgb) {
        let (rows, columns, _) = self.pixels.dim();
        for y in row.saturating_sub(radius)..(row + radius + 1).min(rows) {
            for x in column.saturating_sub(radius)..(column + radius + 1).min(columns) {
                (0..3).for_each(|channel| self.pixels[(y, x, channel)] = colour[channel]);
            }
        }
    }
}

/// Panels in a grid of `columns`, with a thin gap: `[rows, columns, 3]`.
pub fn grid(panels: &[Panel], columns: usize) -> Array3<u8> {
    const GAP: usize = 6;
    let height = panels.iter().map(|panel| panel.pixels.dim().0).max().unwrap_or(0);
    let width = panels.iter().map(|panel| panel.pixels.dim().1).max().unwrap_or(0);
    let columns = columns.clamp(1, panels.len().max(1));
    let rows = panels.len().div_ceil(columns);
    let mut image =
        Array3::from_elem((rows * (height + GAP) - GAP.min(rows * GAP), columns * (width + GAP) - GAP, 3), 24);
    for (index, panel) in panels.iter().enumerate() {
        let (top, left) = (index / columns * (height + GAP), index % columns * (width + GAP));
        let (rows, columns, _) = panel.pixels.dim();
        let mut place = image.slice_each_axis_mut(|axis| match axis.axis {
            Axis(0) => (top..top + rows).into(),
            Axis(1) => (left..left + columns).into(),
            _ => (..).into(),
        });
        place.assign(&panel.pixels);
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_slices_are_enlarged_and_panels_stand_in_rows() {
        let slice = Array3::from_elem((96, 48, 1), 7);
        let square = Array2::from_shape_fn((96, 48), |(row, column)| (20..40).contains(&row) && column < 20);
        let panel = Panel::new(&slice).found(square.view());
        assert_eq!(panel.pixels.dim(), (384, 192, 3));
        let image = grid(&[panel.clone(), panel.clone(), panel], 2);
        assert_eq!(image.dim(), (2 * 384 + 6, 2 * 192 + 6, 3));
        let orange = image.lanes(Axis(2)).into_iter().filter(|pixel| pixel.to_vec() == FOUND).count();
        assert!(orange > 0 && orange % 3 == 0, "{orange} pixels of the contour in three panels");
    }
}
