//! Between an image and the square that a SAM's features cover.

use anyhow::Result;
use burn::tensor::{Bool, Tensor, TensorData, backend::Backend};
use sam_core::Frame;
use sam_prompt::ndarray::Array2;
use sapnet::BilinearResize;

/// Masks on the grid of the model's input: the object, and what is not it; the padding is neither.
///
/// # Shapes
/// - output: `[n, padded, padded]` each
pub(super) fn masks<B: Backend>(
    truths: &[Array2<bool>],
    frames: &[Frame],
    device: &B::Device,
) -> [Tensor<B, 3, Bool>; 2] {
    [true, false].map(|wanted| {
        let mask = |(truth, frame): (&Array2<bool>, &Frame)| {
            let side = frame.padded;
            let values = (0..side * side).map(|at| at_model_pixel(truth, frame, at / side, at % side) == Some(wanted));
            Tensor::from_data(TensorData::new(values.collect::<Vec<bool>>(), [1, side, side]), device)
        };
        Tensor::cat(truths.iter().zip(frames).map(mask).collect(), 0)
    })
}

/// What lies under the centre of a pixel of the model's input; nothing in the padding.
fn at_model_pixel(truth: &Array2<bool>, frame: &Frame, row: usize, column: usize) -> Option<bool> {
    let (rows, columns) = frame.resized;
    let nearest = |at: usize, resized: usize, original: usize| (2 * at + 1) * original / (2 * resized);
    (row < rows && column < columns)
        .then(|| truth[(nearest(row, rows, truth.nrows()), nearest(column, columns, truth.ncols()))])
}

/// A coarse mask as one of the image: the padding is cut off, the rest resized.
///
/// # Shapes
/// - probabilities: `[1, padded, padded]`
/// - output: `[rows, columns]` of the image
pub(super) fn to_image<B: Backend>(probabilities: Tensor<B, 3>, frame: &Frame) -> Result<Array2<bool>> {
    let ((height, width), (rows, columns)) = (frame.resized, frame.original);
    let resize = BilinearResize::new([height, width], [rows, columns], &probabilities.device());
    let inside = probabilities.narrow(1, 0, height).narrow(2, 0, width);
    let values = resize.forward(inside.unsqueeze_dim(1)).greater_elem(0.5).into_data().iter::<bool>().collect();
    Ok(Array2::from_shape_vec((rows, columns), values)?)
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn_flex::{Flex, FlexDevice};

    use super::*;

    #[test]
    fn a_mask_goes_to_the_model_and_comes_back() -> Result<()> {
        let truth = Array2::from_shape_fn((40, 100), |(row, column)| (10..30).contains(&row) && column > 60);
        let frame = Frame::new(40, 100, 50);
        let [object, background] = masks::<Flex>(std::slice::from_ref(&truth), &[frame], &FlexDevice);
        let annotated = object.clone().int().sum().into_scalar() + background.int().sum().into_scalar();
        assert_eq!(annotated, 20 * 50);
        let back = to_image(object.float(), &frame)?;
        let wrong = back.iter().zip(&truth).filter(|(found, truth)| found != truth).count();
        // One pixel of the image along the object's border of some 100 pixels.
        assert!(wrong < 100, "{wrong} pixels differ");
        Ok(())
    }
}
