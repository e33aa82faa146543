//! Target masks for the decoder, on the grid of its low-res logits.

use std::sync::OnceLock;

use burn::tensor::{Tensor, TensorData, backend::Backend};
use ndarray::{Array2, ArrayView2};
use sam_core::Frame;

use crate::{draw::Sample, slice::TrainingSlice};

/// Target of each slice and of each of its components, rasterised when it is first needed.
#[derive(Debug)]
pub(crate) struct Targets<B: Backend> {
    side: usize,
    /// Per slice: the whole outline, then each component; `[1, 1, side, side]`.
    slices: Vec<Vec<OnceLock<Tensor<B, 4>>>>,
}

impl<B: Backend> Targets<B> {
    /// The low-res logits have this many times as many rows and columns as the embedding.
    const UPSCALING: usize = 4;

    pub(crate) fn new(slices: &[TrainingSlice<B>]) -> Self {
        let side = slices.first().map_or(0, |slice| Self::UPSCALING * slice.embedding().features().dims()[2]);
        let empty = |slice: &TrainingSlice<B>| (0..=slice.parts().len()).map(|_| OnceLock::new()).collect();
        Self { side, slices: slices.iter().map(empty).collect() }
    }

    /// The targets of some samples: `[n, 1, side, side]`.
    pub(crate) fn of(&self, samples: &[Sample], slices: &[TrainingSlice<B>], device: &B::Device) -> Tensor<B, 4> {
        let target = |sample: &Sample| {
            let slice = &slices[sample.slice];
            let known = &self.slices[sample.slice][sample.part.map_or(0, |part| part + 1)];
            let rasterise = || {
                let answer = sample.part.map_or(slice.outline(), |part| &slice.parts()[part].mask);
                let values = low_res_target(answer.view(), &slice.embedding().frame(), self.side);
                let values: Vec<f32> = values.into_iter().collect();
                Tensor::from_data(TensorData::new(values, [1, 1, self.side, self.side]), device)
            };
            known.get_or_init(rasterise).clone()
        };
        Tensor::cat(samples.iter().map(target).collect(), 0)
    }
}

/// Resamples an outline to the grid of the low-res logits.
///
/// Each cell holds the fraction of its area that the outline covers, so that small structures do not vanish; the padding is 0.
///
/// # Shapes
/// - outline: `[rows, columns]` of the image; output: `[side, side]`, values in [0, 1]
pub fn low_res_target(outline: ArrayView2<'_, bool>, frame: &Frame, side: usize) -> Array2<f32> {
    let (rows, columns) = outline.dim();
    // Cells per image pixel along each axis.
    let density =
        |resized: usize, original: usize| (resized as f64 / original as f64) * (side as f64 / frame.padded as f64);
    let row_shares = shares(side, rows, density(frame.resized.0, rows));
    let column_shares = shares(side, columns, density(frame.resized.1, columns));
    let along_rows = Array2::from_shape_fn((rows, side), |(row, cell)| {
        column_shares[cell].iter().filter(|&&(column, _)| outline[(row, column)]).map(|&(_, share)| share).sum::<f32>()
    });
    Array2::from_shape_fn((side, side), |(cell_row, cell_column)| {
        row_shares[cell_row].iter().map(|&(row, share)| share * along_rows[(row, cell_column)]).sum()
    })
}

/// For each cell, the pixels that it overlaps and the fraction of the cell that each of them covers.
fn shares(cells: usize, pixels: usize, density: f64) -> Vec<Vec<(usize, f32)>> {
    let overlap = |cell: usize| {
        let (start, end) = (cell as f64 / density, (cell as f64 + 1.0) / density);
        (start as usize..pixels.min(end.ceil() as usize))
            .map(|pixel| (pixel, end.min(pixel as f64 + 1.0) - start.max(pixel as f64)))
            .map(|(pixel, length)| (pixel, (length * density) as f32))
            .collect()
    };
    (0..cells).map(overlap).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn cells_hold_covered_shares_and_padding_is_empty() {
        let outline = array![[true, true, false, false], [true, false, false, false]];
        // 2 x 4 pixels, resized to 4 x 8 in an 8 x 8 input, on a 4 x 4 grid: one cell a pixel, two rows of padding.
        let frame = Frame::new(2, 4, 8);
        let target = low_res_target(outline.view(), &frame, 4);
        let expected = array![[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]];
        assert_eq!(target, expected);
        // On a 2 x 2 grid each cell covers 2 x 2 pixels.
        assert_eq!(low_res_target(outline.view(), &frame, 2), array![[0.75, 0.0], [0.0, 0.0]]);
    }
}
