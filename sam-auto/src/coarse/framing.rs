//! Conversion between an image and the square input of the model.

use burn::tensor::{Bool, Tensor, TensorData, backend::Backend};
use ndarray::Array2;
use sam_core::Frame;
use sapnet::BilinearResize;

/// Masks on the grid of the model's input, of the structure and of the background. The padding is in neither mask.
///
/// # Shapes
/// - output: `[n, padded, padded]` each
pub(super) fn masks<'a, B: Backend>(
    outlines: impl Iterator<Item = (&'a Array2<bool>, Frame)> + Clone,
    device: &B::Device,
) -> [Tensor<B, 3, Bool>; 2] {
    [true, false].map(|wanted| {
        let mask = |(outline, frame): (&Array2<bool>, Frame)| {
            let side = frame.padded;
            let values =
                (0..side * side).map(|at| at_model_pixel(outline, &frame, at / side, at % side) == Some(wanted));
            Tensor::from_data(TensorData::new(values.collect::<Vec<bool>>(), [1, side, side]), device)
        };
        Tensor::cat(outlines.clone().map(mask).collect(), 0)
    })
}

/// The outline at the centre of a pixel of the model's input; `None` in the padding.
fn at_model_pixel(outline: &Array2<bool>, frame: &Frame, row: usize, column: usize) -> Option<bool> {
    let (rows, columns) = frame.resized;
    let nearest = |at: usize, resized: usize, original: usize| (2 * at + 1) * original / (2 * resized);
    (row < rows && column < columns)
        .then(|| outline[(nearest(row, rows, outline.nrows()), nearest(column, columns, outline.ncols()))])
}

/// Converts a map of the model's input to a map of the image: cuts off the padding and resizes the rest.
///
/// # Shapes
/// - map: `[1, padded, padded]`
/// - output: `[rows, columns]` of the image
pub(super) fn to_image<B: Backend>(map: Tensor<B, 3>, frame: &Frame) -> Array2<f32> {
    let ((height, width), (rows, columns)) = (frame.resized, frame.original);
    let resize = BilinearResize::new([height, width], [rows, columns], &map.device());
    let inside = map.narrow(1, 0, height).narrow(2, 0, width);
    to_array(resize.forward(inside.unsqueeze_dim(1)).squeeze_dim(1))
}

/// The only map of a tensor `[1, rows, columns]`.
pub(super) fn to_array<B: Backend>(map: Tensor<B, 3>) -> Array2<f32> {
    let [_, rows, columns] = map.dims();
    let values: Vec<f32> = map.into_data().iter::<f32>().collect();
    Array2::from_shape_fn((rows, columns), |(row, column)| values[row * columns + column])
}

#[cfg(test)]
mod tests {
    use burn_flex::{Flex, FlexDevice};

    use super::*;

    #[test]
    fn a_mask_goes_to_the_model_and_comes_back() {
        let truth = Array2::from_shape_fn((40, 100), |(row, column)| (10..30).contains(&row) && column > 60);
        let frame = Frame::new(40, 100, 50);
        let [object, background] = masks::<Flex>(std::iter::once((&truth, frame)), &FlexDevice);
        let annotated = object.clone().int().sum().into_scalar() + background.int().sum().into_scalar();
        assert_eq!(annotated, 20 * 50);
        let back = to_image(object.float(), &frame).mapv(|share| share > 0.5);
        let wrong = back.iter().zip(&truth).filter(|(found, truth)| found != truth).count();
        // At most one pixel of the image along the object's border of some 100 pixels.
        assert!(wrong < 100, "{wrong} pixels differ");
    }
}
