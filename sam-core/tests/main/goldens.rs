//! Compares every part with segment-anything; `goldens/subset.py` describes the reference tensors.

use std::any::Any;

use burn::tensor::Tensor;
use ndarray::{Array2, Array3, ArrayView3, Axis, s};
use sam_core::{
    Frame, ImageEmbedding, MaskOutput, Preprocess, Sam, SamPredictor,
    image_encoder::{AnyImageEncoder, relative_positions, window_partition, window_unpartition},
    postprocess_masks,
};
use sam_prompt::{BoundingBox, Label, Point, PromptBatch, Prompts};
use sam_testing::{
    B, DEVICE, TestResult,
    golden::{Golden, config, open, sam, weights},
};

/// Combinations of prompts in the reference tensors.
const COMBINATIONS: [&str; 6] = ["points", "boxes", "masks", "points_boxes", "points_masks", "points_boxes_masks"];

/// The reference tensors keep every third row and column of the predictor's large maps.
const THINNED: usize = 3;

#[test]
fn image_encoder_like_official() -> TestResult {
    let golden = Golden::read("encoder")?;
    let sam = sam::<B>();
    let encoder: &dyn Any = &*sam.image_encoder;
    let Some(AnyImageEncoder::Vit(encoder)) = encoder.downcast_ref::<AnyImageEncoder<B>>() else {
        return Err("a ViT was loaded as another".into());
    };

    let mut tokens: Tensor<B, 4> = golden.tensor("enc.after_pos_embed")?;
    let first = &encoder.blocks[0];
    // 8 x 8 tokens in windows of 3: the last windows are padded.
    let windows = window_partition(first.norm1.forward(tokens.clone()), 3);
    golden.close("enc.block0.attn_windowed", first.attn.forward(windows))?;
    golden.close("enc.block0", first.forward(tokens.clone()))?;
    for block in &encoder.blocks {
        tokens = block.forward(tokens);
    }
    golden.close("enc.neck", encoder.neck.forward(tokens.permute([0, 3, 1, 2])))
}

#[test]
fn whole_image_encoder_like_official() -> TestResult {
    let golden = Golden::read("predictor")?;
    let (input, _) = config().preprocess.apply(raw_image(&golden)?.view())?;
    let pixels: Vec<f32> = input.iter().copied().collect();
    let input = Tensor::<B, 1>::from_floats(pixels.as_slice(), &DEVICE).reshape([1, 3, 128, 128]);
    golden.close("pred.features", sam::<B>().image_encoder.forward(input))
}

#[test]
fn windows_join_to_the_map_they_were_cut_from() {
    for (height, width, window) in [(8_usize, 8_usize, 3), (5, 7, 4), (6, 6, 3), (2, 3, 5)] {
        let map = Tensor::<B, 4>::random([2, height, width, 4], burn::tensor::Distribution::Default, &DEVICE);
        let windows = window_partition(map.clone(), window);
        let count = 2 * height.div_ceil(window) * width.div_ceil(window);
        assert_eq!(windows.dims(), [count, window, window, 4]);
        window_unpartition(windows, height, width).into_data().assert_eq(&map.into_data(), true);
    }
}

#[test]
fn relative_positions_like_official() -> TestResult {
    let golden = Golden::read("encoder")?;
    let table: Tensor<B, 2> = golden.tensor("relpos.table")?;
    for (name, queries, keys) in [("same", 8, 8), ("interp_q5_k5", 5, 5), ("interp_q20_k20", 20, 20), ("q6_k3", 6, 3)] {
        golden.close(&format!("relpos.{name}"), relative_positions(table.clone(), queries, keys))?;
    }
    Ok(())
}

#[test]
fn prompt_encoder_like_official() -> TestResult {
    let golden = Golden::read("prompt_encoder")?;
    let (_folder, checkpoint) = open(&weights())?;
    let encoder = checkpoint.load_prompt_encoder::<B>(&config(), &DEVICE)?;
    golden.close("dense_pe", encoder.dense_pe())?;
    for name in COMBINATIONS {
        let embedded = encoder.forward(&golden.batch(name)?)?;
        match embedded.sparse {
            Some(sparse) => golden.close(&format!("{name}.sparse"), sparse)?,
            None => assert_eq!(name, "masks", "points and boxes have tokens"),
        }
        if name.contains("masks") {
            golden.close("masks.dense", embedded.dense)?;
        } else {
            assert_eq!(embedded.dense.dims(), [2, 32, 1, 1]);
            golden.close("boxes.dense", embedded.dense.slice([0..1]).expand([1, 32, 8, 8]))?;
        }
    }
    Ok(())
}

#[test]
fn mask_decoder_like_official() -> TestResult {
    let golden = Golden::read("mask_decoder")?;
    let sam = sam::<B>();
    let features: Tensor<B, 4> = Golden::read("encoder")?.tensor("enc.neck")?;
    let prompts = Golden::read("prompt_encoder")?;
    for (name, output, output_name) in [
        ("points", MaskOutput::Single, "single"),
        ("points", MaskOutput::Multi, "multi"),
        ("boxes", MaskOutput::Single, "single"),
        ("points_boxes_masks", MaskOutput::Single, "single"),
        ("points_boxes_masks", MaskOutput::Multi, "multi"),
    ] {
        let masks = sam.decode(features.clone(), &prompts.batch(name)?, output)?;
        golden.close(&format!("{name}.{output_name}.low_res"), masks.low_res)?;
        golden.close(&format!("{name}.{output_name}.iou"), masks.iou)?;
    }
    Ok(())
}

#[test]
fn decodes_each_prompt_as_if_it_were_alone() -> TestResult {
    let sam = sam::<B>();
    let features: Tensor<B, 4> = Golden::read("encoder")?.tensor("enc.neck")?;
    let prompts = Golden::read("prompt_encoder")?;
    let both = sam.decode(features.clone(), &prompts.batch("boxes")?, MaskOutput::Single)?;
    let alone = PromptBatch::from_tokens(&prompts.boxes()?[1..], None, &DEVICE)?;
    let alone = sam.decode(features, &alone, MaskOutput::Single)?;
    let tolerance = burn::tensor::Tolerance::<f32>::absolute(1e-4);
    alone.low_res.into_data().assert_approx_eq(&both.low_res.slice([1..2]).into_data(), tolerance);
    Ok(())
}

/// The image of the reference tensors: `[rows, columns, 3]`.
fn raw_image(golden: &Golden) -> TestResult<Array3<u8>> {
    let (shape, values) = golden.values("raw_image_u8")?;
    Ok(Array3::from_shape_vec((shape[0], shape[1], shape[2]), values)?.mapv(|level| level as u8))
}

/// The rows and columns of maps `[maps, rows, columns]` that the reference tensors keep.
fn thinned(maps: ArrayView3<'_, f32>) -> Vec<f32> {
    maps.slice(s![.., ..;THINNED, ..;THINNED]).iter().copied().collect()
}

#[test]
fn images_are_prepared_like_official() -> TestResult {
    let golden = Golden::read("predictor")?;
    let preprocess = Preprocess::sam(128);
    let image = raw_image(&golden)?;
    let frame = Frame::new(image.dim().0, image.dim().1, preprocess.image_size);
    let resized = preprocess.resize(image.view(), frame.resized);
    let (_, expected) = golden.values("apply_image_pil")?;
    assert!(resized.iter().map(|&level| f32::from(level)).eq(expected), "Pillow's bytes are met exactly");

    let (input, found) = preprocess.apply(image.view())?;
    assert_eq!(found, frame);
    golden.close_values("preprocessed", thinned(input.view()))?;
    for case in 0..4 {
        let name = format!("preprocess_shape_case{case}");
        let (_, sides) = golden.values(&name)?;
        let frame = Frame::new(sides[0] as usize, sides[1] as usize, 1024);
        assert_eq!(frame.resized, (sides[2] as usize, sides[3] as usize), "{name}");
    }
    let (scale_x, scale_y) = frame.scale();
    for name in ["coords", "boxes"] {
        let (_, coordinates) = golden.values(name)?;
        let scaled = coordinates.chunks_exact(2).flat_map(|at| [at[0] * scale_x, at[1] * scale_y]);
        golden.close_values(&format!("{name}_out"), scaled)?;
    }
    Ok(())
}

#[test]
fn masks_are_brought_back_like_official() -> TestResult {
    let golden = Golden::read("predictor")?;
    let masks = postprocess_masks::<B>(golden.tensor("postprocess.in_low_res")?, &Frame::new(90, 117, 128));
    assert_eq!(masks.dims(), [1, 1, 90, 117]);
    let values: Vec<f32> = masks.into_data().iter::<f32>().collect();
    golden.close_values("postprocess.out", thinned(Array3::from_shape_vec((1, 90, 117), values)?.view()))
}

#[test]
fn area_filter_like_opencv_to_the_bit() -> TestResult {
    let golden = Golden::read("resize")?;
    for case in 0..6 {
        let (shape, values) = golden.values(&format!("{case}.from"))?;
        let image = Array3::from_shape_vec((shape[0], shape[1], shape[2]), values)?.mapv(|level| level as u8);
        let (shape, expected) = golden.values(&format!("{case}.to"))?;
        let found = Preprocess::lite_medsam(256).resize(image.view(), (shape[0], shape[1]));
        assert_eq!(found.shape(), shape);
        assert!(found.iter().zip(expected).all(|(&found, expected)| found == expected as u8), "case {case}");
    }
    Ok(())
}

#[test]
fn bilinear_and_bicubic_filters_like_pillow_to_the_bit() -> TestResult {
    let golden = Golden::read("resize_pillow")?;
    for case in 0..6 {
        let (shape, values) = golden.values(&format!("{case}.from"))?;
        let image = Array3::from_shape_vec((shape[0], shape[1], shape[2]), values)?.mapv(|level| level as u8);
        for (name, preprocess) in [("bilinear", Preprocess::sam(64)), ("bicubic", Preprocess::medsam(64))] {
            let (shape, expected) = golden.values(&format!("{case}.{name}"))?;
            let found = preprocess.resize(image.view(), (shape[0], shape[1]));
            assert_eq!(found.shape(), shape);
            assert!(found.iter().zip(expected).all(|(&found, expected)| found == expected as u8), "case {case} {name}");
        }
    }
    Ok(())
}

#[test]
fn predicts_like_official() -> TestResult {
    let golden = Golden::read("predictor")?;
    let predictor = SamPredictor::new(sam::<B>(), config().preprocess);
    let embedding = predictor.embed(raw_image(&golden)?.view())?;
    golden.close("pred.features", embedding.features().clone())?;
    // Uses the reference embedding, so that errors of the encoder are not counted twice.
    let embedding = ImageEmbedding::new(golden.tensor("pred.features")?, embedding.frame())?;

    let ((_, coordinates), (_, labels), (_, edges)) =
        (golden.values("pred.point_coords")?, golden.values("pred.point_labels")?, golden.values("pred.box")?);
    let label = |label: f32| if label > 0.0 { Label::Foreground } else { Label::Background };
    let points: Vec<Point> = coordinates
        .chunks_exact(2)
        .zip(labels)
        .map(|(at, value)| Point { x: at[0], y: at[1], label: label(value) })
        .collect();
    let part = BoundingBox { x_min: edges[0], y_min: edges[1], x_max: edges[2], y_max: edges[3] };
    let single = |points: &[Point], boxes: &[BoundingBox], mask: Option<Array2<f32>>| {
        predictor.predict(
            &embedding,
            &Prompts { points: points.to_vec(), boxes: boxes.to_vec(), mask, ..Prompts::default() },
        )
    };
    let multi = predictor.predict_multi(&embedding, &Prompts::from_points(points.clone()))?;
    // The mask prompt is the best of the reference's own masks, as in the official script.
    let (shape, low_res) = golden.values("pred.points_multi.low_res")?;
    let low_res = Array3::from_shape_vec((shape[0], shape[1], shape[2]), low_res)?;
    let best = low_res.index_axis(Axis(0), multi.best()).to_owned();
    for (name, prediction) in [
        ("points_multi", multi),
        ("points_single", single(&points, &[], None)?),
        ("box_single", single(&[], &[part], None)?),
        ("points_box_single", single(&points, &[part], None)?),
        ("points_maskinput_single", single(&points, &[], Some(best))?),
    ] {
        assert_eq!(prediction.logits.dim(), (prediction.iou.len(), 90, 117));
        golden.close_values(&format!("pred.{name}.logits"), thinned(prediction.logits.view()))?;
        golden.close_values(&format!("pred.{name}.low_res"), prediction.low_res.iter().copied())?;
        golden.close_values(&format!("pred.{name}.iou"), prediction.iou.iter().copied())?;
        let best = prediction.logits.index_axis(Axis(0), prediction.best()).mapv(|logit| logit > 0.0);
        assert_eq!(prediction.mask(), best);
    }
    Ok(())
}

#[test]
fn clones_of_a_random_model_are_the_same_model() -> TestResult {
    let sam: Sam<B> = config().init(&DEVICE);
    let features: Tensor<B, 4> = Golden::read("encoder")?.tensor("enc.neck")?;
    let batch = Golden::read("prompt_encoder")?.batch("points")?;
    let clone = sam.clone().decode(features.clone(), &batch, MaskOutput::Single)?;
    let original = sam.decode(features, &batch, MaskOutput::Single)?;
    clone.low_res.into_data().assert_eq(&original.low_res.into_data(), true);
    Ok(())
}
