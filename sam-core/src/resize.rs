//! Bilinear interpolation as two matrix products.
//!
//! Exact, differentiable and fast on every backend, also where burn's own kernel is missing (CUDA) or has no backward pass (ndarray).

use burn::tensor::{Tensor, TensorData, backend::Backend};
use sam_prompt::interpolation_matrix;

use crate::transform::Frame;

/// Resizes maps bilinearly.
///
/// # Shapes
/// - maps: `[n, channels, h, w]`; output: `[n, channels, height, width]`
pub fn bilinear<B: Backend>(maps: Tensor<B, 4>, height: usize, width: usize) -> Tensor<B, 4> {
    let [_, _, from_height, from_width] = maps.dims();
    let device = maps.device();
    let mut resized = maps;
    if from_width != width {
        resized = resized.matmul(matrix(from_width, width, &device).transpose().unsqueeze());
    }
    if from_height != height {
        resized = matrix(from_height, height, &device).unsqueeze::<4>().matmul(resized);
    }
    resized
}

/// Resizes low-res logits to the image's grid: up to the padded input, cropped, then to the original size.
///
/// Each step is linear along each axis, so all three together are one matrix for the rows and one for the columns.
/// Source: `Sam.postprocess_masks`.
///
/// # Shapes
/// - low-res logits: `[n, masks, side, side]`; output: `[n, masks, rows, columns]`
pub fn postprocess_masks<B: Backend>(low_res: Tensor<B, 4>, frame: &Frame) -> Tensor<B, 4> {
    let side = low_res.dims()[2];
    let device = low_res.device();
    let along = |resized: usize, original: usize| {
        let up = matrix::<B>(side, frame.padded, &device);
        matrix::<B>(resized, original, &device).matmul(up.slice([0..resized, 0..side]))
    };
    let rows = along(frame.resized.0, frame.original.0);
    let columns = along(frame.resized.1, frame.original.1);
    rows.unsqueeze::<4>().matmul(low_res).matmul(columns.transpose().unsqueeze())
}

/// [`interpolation_matrix`] as a tensor `[to, from]`.
pub(crate) fn matrix<B: Backend>(from: usize, to: usize, device: &B::Device) -> Tensor<B, 2> {
    Tensor::from_data(TensorData::new(interpolation_matrix(from, to), [to, from]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_resized_along_both_axes() {
        let device = burn_flex::FlexDevice;
        let maps =
            Tensor::<burn_flex::Flex, 1>::from_floats([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], &device).reshape([1, 1, 2, 3]);
        let same: Vec<f32> = bilinear(maps.clone(), 2, 3).into_data().iter().collect();
        assert_eq!(same, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        // torch.nn.functional.interpolate(maps, (4, 3), mode="bilinear")
        let tall: Vec<f32> = bilinear(maps, 4, 3).into_data().iter().collect();
        assert_eq!(tall, [0.0, 1.0, 2.0, 0.75, 1.75, 2.75, 2.25, 3.25, 4.25, 3.0, 4.0, 5.0]);
    }

    #[test]
    fn masks_come_back_to_where_they_were_stretched_from() {
        // Each cell of the mask holds its centre's position in the image, so the resized mask can be compared with pixel positions.
        let (rows, columns, side) = (30, 120, 16);
        let frame = Frame::stretched(rows, columns, 64);
        let centre = |cell: usize, along: usize| (cell as f32 + 0.5) * along as f32 / side as f32 - 0.5;
        let positions: Vec<f32> = (0..2 * side * side)
            .map(|index| match (index / (side * side), index / side % side, index % side) {
                (0, row, _) => centre(row, rows),
                (_, _, column) => centre(column, columns),
            })
            .collect();
        let low_res = TensorData::new(positions, [1, 2, side, side]);
        let found = postprocess_masks(Tensor::<burn_flex::Flex, 4>::from_data(low_res, &burn_flex::FlexDevice), &frame);
        assert_eq!(found.dims(), [1, 2, rows, columns]);
        let found: Vec<f32> = found.into_data().iter().collect();
        // Near the border, beyond the outermost cell centres, values are constant.
        let (row_margin, column_margin) = (rows / side + 1, columns / side + 1);
        for row in row_margin..rows - row_margin {
            for column in column_margin..columns - column_margin {
                let at = row * columns + column;
                assert!((found[at] - row as f32).abs() < 1e-3, "row {} instead of {row}", found[at]);
                let across = found[rows * columns + at];
                assert!((across - column as f32).abs() < 1e-3, "column {across} instead of {column}");
            }
        }
    }
}
