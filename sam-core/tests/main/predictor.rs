//! The predictor beyond agreement with segment-anything: batches, refinement, regions, precision, and rejected inputs.

use burn::tensor::{Tensor, TensorData, Tolerance};
use ndarray::{Array2, Array3, Axis, Zip, s};
use sam_core::{
    CoreError, Frame, ImageEmbedding, MaskOutput, MaskPrediction, OUTSIDE_LOGIT, Precision, ProjectedImage, Region,
};
use sam_prompt::{BoundingBox, Label, Point, PromptBatch, PromptError, Prompts};
use sam_testing::{
    B, DEVICE, TestResult,
    golden::{config, predictor},
};

/// A smooth image of three bumps.
pub(crate) fn image(rows: usize, columns: usize) -> Array3<u8> {
    Array3::from_shape_fn((rows, columns, 1), |(row, column, _)| {
        let (y, x) = (row as f32 / rows as f32, column as f32 / columns as f32);
        (128.0 + 60.0 * (9.0 * x).sin() + 60.0 * (7.0 * y + 3.0 * x).cos()).round() as u8
    })
}

pub(crate) fn click(x: f32, y: f32) -> Prompts {
    Prompts::from_points(vec![Point { x, y, label: Label::Foreground }])
}

pub(crate) fn boxed(x_min: f32, y_min: f32, x_max: f32, y_max: f32) -> Prompts {
    Prompts::from_boxes(vec![BoundingBox { x_min, y_min, x_max, y_max }])
}

fn assert_same(found: &MaskPrediction, expected: &MaskPrediction, what: &str) {
    let close = |found: &Array3<f32>, expected: &Array3<f32>| {
        found.dim() == expected.dim() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4)
    };
    assert!(close(&found.logits, &expected.logits), "logits of {what}");
    assert!(close(&found.low_res, &expected.low_res), "low-res logits of {what}");
    assert!(found.iou.iter().zip(&expected.iou).all(|(a, b)| (a - b).abs() < 1e-4), "IoU of {what}");
}

#[test]
fn a_batch_answers_as_each_request_alone() -> TestResult {
    let predictor = predictor::<B>();
    let (wide, tall) = (image(90, 117), image(64, 40));
    let embeddings = predictor.embed_batch(&[wide.view(), tall.view()])?;
    let mask = Some(Array2::from_shape_fn((32, 32), |(row, column)| (row as f32 - column as f32) / 4.0));
    let several = Prompts {
        boxes: [boxed(5.0, 8.0, 40.0, 50.0), boxed(60.0, 20.0, 110.0, 85.0)].map(|p| p.boxes[0]).to_vec(),
        ..click(20.0, 30.0)
    };
    let masked = Prompts { mask: mask.clone(), ..click(30.0, 30.0) };
    // Each composition of prompts occurs twice, not adjacent, so that predictions must be sorted back into the order of the requests.
    let requests: Vec<(&ImageEmbedding<B>, Prompts)> = vec![
        (&embeddings[0], click(30.0, 20.0)),
        (&embeddings[1], boxed(3.0, 4.0, 30.0, 60.0)),
        (&embeddings[0], several),
        (&embeddings[1], click(10.0, 60.0)),
        (&embeddings[0], masked),
        (&embeddings[0], click(100.0, 80.0)),
        (&embeddings[0], boxed(1.0, 1.0, 9.0, 9.0)),
    ];
    let borrowed: Vec<_> = requests.iter().map(|(embedding, prompts)| (*embedding, prompts)).collect();
    for output in [MaskOutput::Single, MaskOutput::Multi] {
        let found = predictor.predict_batch(&borrowed, output)?;
        assert_eq!(found.len(), requests.len());
        for (index, ((embedding, prompts), found)) in requests.iter().zip(&found).enumerate() {
            let alone = match output {
                MaskOutput::Single => predictor.predict(embedding, prompts)?,
                MaskOutput::Multi => predictor.predict_multi(embedding, prompts)?,
            };
            assert_same(found, &alone, &format!("request {index}"));
            let (rows, columns) = embedding.frame().original;
            assert_eq!(found.logits.dim(), (found.iou.len(), rows, columns));
        }
    }
    assert!(predictor.predict_batch(&[], MaskOutput::Single)?.is_empty());
    assert!(predictor.embed_batch(&[])?.is_empty());
    let empty = Prompts::default();
    let bad =
        predictor.predict_batch(&[(&embeddings[0], &click(1.0, 1.0)), (&embeddings[0], &empty)], MaskOutput::Single);
    assert!(matches!(bad, Err(CoreError::NoPrompt)));
    Ok(())
}

#[test]
fn images_of_a_batch_are_embedded_as_alone() -> TestResult {
    let predictor = predictor::<B>();
    let images = [image(90, 117), image(64, 40), image(128, 128)];
    let together = predictor.embed_batch(&images.each_ref().map(|image| image.view()))?;
    for (image, found) in images.iter().zip(together) {
        let alone = predictor.embed(image.view())?;
        assert_eq!(found.frame(), alone.frame());
        assert!((found.features().clone() - alone.features().clone()).abs().max().into_scalar() < 1e-4);
    }
    let nothing = Array3::zeros((0, 3, 1));
    assert!(matches!(predictor.embed_batch(&[images[0].view(), nothing.view()]), Err(CoreError::Image { .. })));
    Ok(())
}

#[test]
fn refining_feeds_the_best_mask_back() -> TestResult {
    let predictor = predictor::<B>();
    let embedding = predictor.embed(image(90, 117).view())?;
    let first = predictor.predict_multi(&embedding, &click(30.0, 20.0))?;
    let fed_back = first.low_res.slice(s![first.best(), .., ..]).to_owned();
    let expected = predictor.predict(&embedding, &Prompts { mask: Some(fed_back), ..click(30.0, 20.0) })?;
    let found = predictor.refine(&embedding, &click(30.0, 20.0), &first)?;
    assert_same(&found, &expected, "the refined mask");
    assert_ne!(found.logits, predictor.predict(&embedding, &click(30.0, 20.0))?.logits, "it makes a difference");
    Ok(())
}

#[test]
fn external_tokens_are_read_by_the_decoder() -> TestResult {
    let predictor = predictor::<B>();
    let embedding = predictor.embed(image(90, 117).view())?;
    let tokens = |width| Some(Array2::from_shape_fn((2, width), |(token, channel)| (token + channel) as f32 / 9.0));
    let with = |tokens| Prompts { tokens, ..click(30.0, 20.0) };
    let plain = predictor.predict(&embedding, &with(None))?;
    let told = predictor.predict(&embedding, &with(tokens(32)))?;
    assert_ne!(plain.logits, told.logits);
    let alone = predictor.predict(&embedding, &Prompts { tokens: tokens(32), ..Prompts::default() })?;
    assert_eq!(alone.logits.dim(), (1, 90, 117));
    let narrow = predictor.predict(&embedding, &with(tokens(31)));
    assert!(matches!(narrow, Err(CoreError::Prompt(PromptError::TokenWidth { expected: 32, found: 31 }))));
    Ok(())
}

#[test]
fn a_region_is_seen_by_itself_and_put_back_in_place() -> TestResult {
    let predictor = predictor::<B>();
    let whole = image(90, 117);
    let region = Region { top: 13, left: 40, height: 37, width: 50 };
    let part = predictor.embed_region(whole.view(), region)?;
    let found = predictor.predict_region(&part, &click(60.0, 30.0), MaskOutput::Multi)?;

    let cropped = predictor.embed(whole.slice(s![13..50, 40..90, ..]))?;
    let expected = predictor.predict_multi(&cropped, &click(20.0, 17.0))?;
    assert_eq!(found.logits.slice(s![.., 13..50, 40..90]), expected.logits);
    let mut beside = found.logits.clone();
    beside.slice_mut(s![.., 13..50, 40..90]).fill(OUTSIDE_LOGIT);
    assert!(beside.iter().all(|&logit| logit <= OUTSIDE_LOGIT), "nothing is found outside");

    // A background click outside the region has no effect there; a foreground click outside is an error.
    let mut prompts = click(60.0, 30.0);
    prompts.points.push(Point { x: 2.0, y: 2.0, label: Label::Background });
    assert_eq!(predictor.predict_region(&part, &prompts, MaskOutput::Multi)?, found);
    let elsewhere = predictor.predict_region(&part, &click(2.0, 2.0), MaskOutput::Single);
    assert!(matches!(elsewhere, Err(CoreError::Prompt(PromptError::OutsideImage { .. }))));
    for bad in [Region { top: 60, ..region }, Region { height: 0, ..region }, Region { left: usize::MAX, ..region }] {
        assert!(matches!(predictor.embed_region(whole.view(), bad), Err(CoreError::Region { .. })), "{bad:?}");
    }
    Ok(())
}

#[test]
fn the_tile_in_which_a_prompt_lies_deepest_answers() -> TestResult {
    let predictor = predictor::<B>();
    let whole = image(90, 117);
    let tiles = predictor.embed_tiles(whole.view(), 60, 20)?;
    let prompts = boxed(80.0, 50.0, 100.0, 70.0);
    let found = predictor.predict_tiled(&tiles, &prompts, MaskOutput::Single)?;
    let last = tiles.last().expect("an image has a tile");
    assert_eq!(found, predictor.predict_region(last, &prompts, MaskOutput::Single)?);
    let wide = predictor.predict_tiled(&tiles, &boxed(5.0, 5.0, 110.0, 80.0), MaskOutput::Single);
    assert!(matches!(wide, Err(CoreError::Prompt(PromptError::OutsideImage { .. }))), "it fits into no tile");
    assert!(matches!(predictor.predict_tiled(&[], &prompts, MaskOutput::Single), Err(CoreError::NoPrompt)));
    Ok(())
}

#[test]
fn half_precision_moves_logits_a_little() -> TestResult {
    let full = predictor::<B>();
    let whole = image(90, 117);
    let prompts = boxed(10.0, 10.0, 80.0, 70.0);
    let expected = full.predict(&full.embed(whole.view())?, &prompts)?;
    let spread = expected.logits.iter().fold(0.0_f32, |largest, logit| largest.max(logit.abs()));
    let off = |precision| -> TestResult<f32> {
        let half = full.clone().with_encoder_precision(precision)?;
        let found = half.predict(&half.embed(whole.view())?, &prompts)?;
        let differences = found.logits.iter().zip(&expected.logits).map(|(a, b)| (a - b).abs());
        Ok(differences.fold(0.0, f32::max) / spread)
    };
    // A unit in the last place of f16 is 2^-11; four random blocks and the decoder amplify it about forty times.
    let f16 = off(Precision::F16)?;
    assert!(f16 > 0.0 && f16 < 0.04, "f16: {f16}");
    // A unit in the last place of bf16 is 2^-8, eight times as much.
    let bf16 = off(Precision::Bf16)?;
    assert!(bf16 > 0.0 && bf16 < 8.0 * 0.04, "bf16: {bf16}");
    assert!(off(Precision::F32)? < 1e-6);
    // Lost bits cannot be restored.
    let half = full.with_encoder_precision(Precision::F16)?.with_encoder_precision(Precision::F16)?;
    assert_eq!(half.encoder_precision(), Precision::F16);
    let back = half.with_encoder_precision(Precision::F32);
    assert!(matches!(back, Err(CoreError::Rounded { found: Precision::F16, wanted: Precision::F32 })));
    Ok(())
}

#[test]
fn of_several_boxes_the_best_masks_are_joined() -> TestResult {
    let predictor = predictor::<B>();
    let embedding = predictor.embed(image(90, 117).view())?;
    let parts = [boxed(10.0, 10.0, 40.0, 70.0), boxed(60.0, 20.0, 110.0, 80.0)];
    let both = Prompts::from_boxes(parts.iter().flat_map(|part| part.boxes.clone()).collect());
    let found = predictor.predict_multi(&embedding, &both)?;
    let alone = parts.iter().map(|part| predictor.predict_multi(&embedding, part)).collect::<Result<Vec<_>, _>>()?;
    let best = |of: &MaskPrediction| of.logits.index_axis(Axis(0), of.best()).to_owned();
    let expected = Zip::from(&best(&alone[0])).and(&best(&alone[1])).map_collect(|&a, &b| a.max(b));
    assert_eq!(found.logits.dim().0, 1);
    let difference = found.logits.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference < 1e-3, "{difference}");
    let iou = alone.iter().map(|part| part.iou[part.best()]).sum::<f32>() / 2.0;
    assert!((found.iou[0] - iou).abs() < 1e-4);
    Ok(())
}

#[test]
fn learned_parts_take_the_place_of_the_models_own() -> TestResult {
    let predictor = predictor::<B>();
    let embedding = predictor.embed(image(90, 117).view())?;
    let expected = predictor.predict(&embedding, &click(30.0, 20.0))?;
    let same = predictor
        .with_prompt_encoder(predictor.sam().prompt_encoder.clone())
        .with_mask_decoder(predictor.sam().mask_decoder.clone());
    assert_same(&same.predict(&embedding, &click(30.0, 20.0))?, &expected, "the same parts again");

    let other = config().init::<B>(&DEVICE);
    let changed = predictor.with_prompt_encoder(other.prompt_encoder);
    assert_ne!(changed.predict(&embedding, &click(30.0, 20.0))?.low_res, expected.low_res);
    let changed = predictor.with_mask_decoder(other.mask_decoder);
    assert_ne!(changed.predict(&embedding, &click(30.0, 20.0))?.low_res, expected.low_res);

    let values = Array2::from_shape_fn((2, 32), |(token, channel)| (token + channel) as f32 / 9.0);
    let tokens = Tensor::from_data(TensorData::new(values.iter().copied().collect(), [2, 32]), &DEVICE);
    let told = Prompts { tokens: Some(values), ..click(30.0, 20.0) };
    let found = predictor.with_tokens(tokens)?.predict(&embedding, &click(30.0, 20.0))?;
    assert_same(&found, &predictor.predict(&embedding, &told)?, "tokens of the model and of the prompt");
    Ok(())
}

#[test]
fn an_image_projected_before_is_decoded_as_any_other() -> TestResult {
    let predictor = predictor::<B>();
    let sam = predictor.sam();
    let embedding = predictor.embed(image(90, 117).view())?;
    let prompts = PromptBatch::new(&[(&click(30.0, 20.0), embedding.frame().scale())], &DEVICE)?;
    let embedded = sam.prompt_encoder.forward(&prompts)?;
    let decoder = &sam.mask_decoder;
    let image = decoder.project(embedding.features().clone(), predictor.positions());
    let found = decoder.decode(ProjectedImage::cat(&[&image]), predictor.positions(), embedded, MaskOutput::Single);
    let expected = sam.decode(embedding.features().clone(), &prompts, MaskOutput::Single)?;
    found.low_res.into_data().assert_approx_eq::<f32>(&expected.low_res.into_data(), Tolerance::absolute(1e-4));
    Ok(())
}

#[test]
fn several_boxes_are_joined_by_their_maximum() -> TestResult {
    let predictor = predictor::<B>();
    let embedding = predictor.embed(image(90, 117).view())?;
    let parts = [boxed(5.0, 8.0, 40.0, 50.0), boxed(60.0, 20.0, 110.0, 85.0), boxed(30.0, 60.0, 55.0, 80.0)];
    let boxes = parts.iter().flat_map(|part| part.boxes.clone()).collect();
    let joined = predictor.predict(&embedding, &Prompts::from_boxes(boxes))?;
    let parts = parts.map(|part| predictor.predict(&embedding, &part));
    let mut largest = Array3::from_elem(joined.logits.dim(), f32::NEG_INFINITY);
    let mut iou = 0.0;
    for part in parts {
        let part = part?;
        largest.zip_mut_with(&part.logits, |largest, &logit| *largest = largest.max(logit));
        iou += part.iou[0] / 3.0;
    }
    // Rounding depends on the number of masks decoded at once.
    assert!(joined.logits.iter().zip(&largest).all(|(joined, largest)| (joined - largest).abs() < 1e-4));
    assert!((joined.iou[0] - iou).abs() < 1e-5, "predicted quality is the mean of the parts'");
    Ok(())
}

#[test]
fn prompts_of_no_use_are_errors() -> TestResult {
    let predictor = predictor::<B>();
    let embedding = predictor.embed(image(90, 117).view())?;
    assert!(matches!(predictor.predict(&embedding, &Prompts::default()), Err(CoreError::NoPrompt)));
    for (x, y) in [(118.0, 5.0), (5.0, 91.0), (-2.0, 5.0), (f32::NAN, 5.0), (5.0, f32::INFINITY)] {
        let found = predictor.predict(&embedding, &click(x, y));
        assert!(matches!(found, Err(CoreError::Prompt(PromptError::OutsideImage { .. }))), "({x}, {y})");
    }
    let found = predictor.predict_multi(&embedding, &boxed(5.0, 5.0, 200.0, 10.0));
    assert!(matches!(found, Err(CoreError::Prompt(PromptError::OutsideImage { .. }))));
    let mask = Some(Array2::zeros((90, 117)));
    let found = predictor.predict(&embedding, &Prompts { mask, ..Prompts::default() });
    assert!(matches!(found, Err(CoreError::Prompt(PromptError::MaskSize { expected_height: 32, .. }))));
    Ok(())
}

#[test]
fn images_of_no_use_are_errors() -> TestResult {
    let predictor = predictor::<B>();
    for shape in [(0, 5, 3), (5, 0, 1), (5, 5, 0), (5, 5, 2), (5, 5, 4), (120, 3, 3), (3, 3, 1), (3, 90, 117)] {
        let found = predictor.embed(Array3::zeros(shape).view());
        let Err(error @ CoreError::Image { .. }) = found else { return Err(format!("{shape:?}: {found:?}").into()) };
        assert!(error.to_string().contains("[rows, columns, channels]"), "{error}");
    }
    Ok(())
}

#[test]
fn tokens_and_embeddings_of_another_model_are_errors() -> TestResult {
    let predictor = predictor::<B>();
    let tokens = |width| Tensor::<B, 2>::zeros([2, width], &DEVICE);
    let found = predictor.with_tokens(tokens(31)).map(drop);
    assert!(matches!(found, Err(CoreError::Prompt(PromptError::TokenWidth { expected: 32, found: 31 }))));
    let frame = Frame::new(90, 117, 128);
    let features = |shape| Tensor::<B, 4>::zeros(shape, &DEVICE);
    for shape in [[1, 31, 8, 8], [1, 32, 8, 9], [1, 32, 16, 16]] {
        let found = predictor.predict(&ImageEmbedding::new(features(shape), frame)?, &click(5.0, 5.0));
        assert!(matches!(found, Err(CoreError::Embedding { .. })), "{shape:?}");
    }
    assert!(matches!(ImageEmbedding::new(features([2, 32, 8, 8]), frame), Err(CoreError::Embedding { .. })));
    let nowhere = Frame { resized: (0, 9), ..frame };
    assert!(matches!(ImageEmbedding::new(features([1, 32, 8, 8]), nowhere), Err(CoreError::Embedding { .. })));
    Ok(())
}

#[test]
fn an_ensemble_answers_with_the_mean() -> TestResult {
    let predictor = predictor::<B>();
    let embedding = predictor.embed(image(90, 117).view())?;
    let other = predictor.with_mask_decoder(config().init::<B>(&DEVICE).mask_decoder);
    let alone = [&predictor, &other].map(|member| member.predict(&embedding, &click(30.0, 20.0)));
    let [first, second] = alone;
    let found = predictor.with_ensemble(vec![other]).predict(&embedding, &click(30.0, 20.0))?;
    let mean = (first?.low_res + second?.low_res) / 2.0;
    assert!(found.low_res.iter().zip(&mean).all(|(a, b)| (a - b).abs() < 1e-5));
    Ok(())
}
