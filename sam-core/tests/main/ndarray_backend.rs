//! burn-ndarray gives the same results as burn-flex, although it lacks some operations and supports fewer dimensions.

use burn::tensor::{Tensor, backend::Backend};
use burn_ndarray::{NdArray, NdArrayDevice};
use ndarray::{Array2, Array3};
use sam_core::{Frame, ImageEmbedding, MaskOutput, MaskPrediction};
use sam_prompt::{BoundingBox, Label, Point, Prompts};
use sam_testing::{TestResult, golden};

fn predict<B: Backend>() -> TestResult<Vec<MaskPrediction>> {
    let predictor = golden::predictor::<B>();
    let image = Array3::from_shape_fn((90, 117, 1), |(row, column, _)| ((row * column) % 256) as u8);
    let embedding = predictor.embed(image.view())?;
    let click = Prompts::from_points(vec![Point { x: 30.0, y: 20.0, label: Label::Foreground }]);
    let part = BoundingBox { x_min: 5.0, y_min: 8.0, x_max: 40.0, y_max: 50.0 };
    let all = Prompts {
        boxes: vec![part],
        mask: Some(Array2::from_shape_fn((32, 32), |(row, column)| row as f32 - column as f32)),
        ..click.clone()
    };
    Ok(predictor.predict_batch(&[(&embedding, &click), (&embedding, &all)], MaskOutput::Multi)?)
}

#[test]
fn ndarray_answers_as_flex_does() -> TestResult {
    for (found, expected) in predict::<NdArray>()?.iter().zip(predict::<sam_testing::B>()?) {
        assert_eq!(found.logits.dim(), (3, 90, 117));
        let largest = |values: &Array3<f32>| values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let (off, spread) = (largest(&(&found.logits - &expected.logits)), largest(&expected.logits));
        // Sums are in another order, through a whole model.
        assert!(off < 1e-3 * spread, "{off} of {spread}");
    }
    Ok(())
}

#[test]
fn ndarray_has_no_f16_and_rounds_to_it_all_the_same() -> TestResult {
    let features = Tensor::<NdArray, 1>::from_floats([1.0, -0.1, 2049.0, 1.0 / 3.0], &NdArrayDevice::default());
    let embedding = ImageEmbedding::new(features.reshape([1, 2, 1, 2]), Frame::new(90, 117, 128))?;
    let rounded = embedding.rounded_to_f16().features().to_data().to_vec::<f32>()?;
    assert_eq!(rounded, [1.0, -0.099_975_586, 2048.0, 0.333_251_95]);
    Ok(())
}
