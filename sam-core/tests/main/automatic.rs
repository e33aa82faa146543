//! Compares automatic mask generation with segment-anything; `goldens/generate_automatic.py` made the references.

use std::ops::ControlFlow;

use ndarray::{Array2, Array3, ArrayView2, Axis, s};
use sam_core::{
    CoreError, MaskPrediction,
    automatic::{
        AutomaticConfig, CropBox, RunLengths, SmallRegions, crop_boxes, non_maximum_suppression, point_grid,
        remove_small_regions,
    },
};
use sam_prompt::{
    BoundingBox,
    progress::{Progress, ignore_progress},
};
use sam_testing::{
    B, TestResult,
    golden::{self, Golden, path},
};
use serde::Deserialize;

/// The content of `amg.json`.
#[derive(Deserialize)]
struct Reference {
    point_grid_sides: Vec<usize>,
    crop_boxes: Vec<Crops>,
    masks: Vec<Mask>,
    stability: Vec<Stability>,
    small_regions: Vec<Small>,
    nms: Vec<Nms>,
}

#[derive(Deserialize)]
struct Crops {
    size: [usize; 2],
    n_layers: usize,
    overlap_ratio: f64,
    boxes: Vec<[usize; 4]>,
    layers: Vec<usize>,
}

#[derive(Deserialize)]
struct Mask {
    name: String,
    rle: RunLengths,
    coco_counts: String,
    area: usize,
}

#[derive(Deserialize)]
struct Stability {
    mask_threshold: f32,
    threshold_offset: f32,
    scores: Vec<Option<f32>>,
}

#[derive(Deserialize)]
struct Small {
    mode: String,
    area_thresh: usize,
    tensor: String,
}

#[derive(Deserialize)]
struct Nms {
    name: String,
    iou_threshold: f32,
    keep: Vec<usize>,
}

fn reference() -> TestResult<(Reference, Golden)> {
    let text = std::fs::read_to_string(path("amg.json"))?;
    Ok((serde_json::from_str(&text)?, Golden::read("amg")?))
}

/// A tensor by its name, as an array.
fn array3(golden: &Golden, name: &str) -> TestResult<Array3<f32>> {
    let (shape, values) = golden.values(name)?;
    Ok(Array3::from_shape_vec((shape[0], shape[1], shape[2]), values)?)
}

fn inside(mask: ArrayView2<'_, f32>) -> Array2<bool> {
    mask.mapv(|value| value > 0.0)
}

#[test]
fn grids_and_crops_like_official() -> TestResult {
    let (reference, golden) = reference()?;
    for side in reference.point_grid_sides {
        let found = point_grid(side).into_iter().flat_map(|(x, y)| [x as f32, y as f32]);
        golden.close_values(&format!("point_grid.{side}"), found)?;
    }
    for crops in reference.crop_boxes {
        let [height, width] = crops.size;
        let found = crop_boxes(height, width, crops.n_layers, crops.overlap_ratio);
        let expected: Vec<_> = crops
            .boxes
            .iter()
            .zip(&crops.layers)
            .map(|(&[left, top, right, bottom], &layer)| CropBox { left, top, right, bottom, layer })
            // On images of one or two pixels, the official generator has crops without pixels, which it cannot embed.
            .filter(|crop| crop.left < crop.right && crop.top < crop.bottom)
            .collect();
        assert_eq!(found, expected, "{height} x {width}, {} layers", crops.n_layers);
    }
    Ok(())
}

#[test]
fn run_lengths_like_official() -> TestResult {
    let (reference, golden) = reference()?;
    let masks = array3(&golden, "masks")?;
    assert_eq!(masks.dim().0, reference.masks.len());
    for (expected, mask) in reference.masks.iter().zip(masks.outer_iter()) {
        let mask = inside(mask);
        let found = RunLengths::encode(mask.view());
        assert_eq!(found, expected.rle, "{}", expected.name);
        assert_eq!(found.compressed(), expected.coco_counts, "{}", expected.name);
        assert_eq!(found.area(), expected.area, "{}", expected.name);
        assert_eq!(found.decode(), mask, "{}", expected.name);
    }
    Ok(())
}

#[test]
fn stability_like_official() -> TestResult {
    let (reference, golden) = reference()?;
    for expected in reference.stability {
        let logits = array3(&golden, "stability.logits")? - expected.mask_threshold;
        let prediction = MaskPrediction::new(logits.clone(), logits.clone(), vec![0.0; logits.dim().0]);
        for (found, expected) in prediction.stability(expected.threshold_offset).iter().zip(&expected.scores) {
            match expected {
                Some(expected) => assert!((found - expected).abs() < 1e-6, "{found} instead of {expected}"),
                None => assert!(found.is_nan(), "{found} instead of NaN"),
            }
        }
    }
    Ok(())
}

#[test]
fn small_regions_like_official() -> TestResult {
    let (reference, golden) = reference()?;
    let masks = array3(&golden, "regions.masks")?;
    for small in reference.small_regions {
        let which = if small.mode == "holes" { SmallRegions::Holes } else { SmallRegions::Islands };
        let expected = array3(&golden, &small.tensor)?;
        for (index, (mask, expected)) in masks.outer_iter().zip(expected.outer_iter()).enumerate() {
            let mask = inside(mask);
            let found = remove_small_regions(mask.view(), small.area_thresh, which);
            assert_eq!(found.unwrap_or(mask), inside(expected), "{} of mask {index}", small.tensor);
        }
    }
    Ok(())
}

#[test]
fn suppression_like_official() -> TestResult {
    let (reference, golden) = reference()?;
    for nms in reference.nms {
        let (_, boxes) = golden.values(&format!("nms.{}.boxes", nms.name))?;
        let (_, scores) = golden.values(&format!("nms.{}.scores", nms.name))?;
        let boxes: Vec<_> = boxes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&[x_min, y_min, x_max, y_max]| BoundingBox { x_min, y_min, x_max, y_max })
            .collect();
        assert_eq!(non_maximum_suppression(&boxes, &scores, nms.iou_threshold), nms.keep, "{}", nms.name);
    }
    Ok(())
}

/// A config that keeps all masks of a random model.
fn indiscriminate() -> AutomaticConfig {
    AutomaticConfig::default()
        .with_points_per_side(3)
        .with_pred_iou_threshold(f32::NEG_INFINITY)
        .with_stability_threshold(0.0)
        .with_crop_layers(1)
        .with_min_region_area(9)
}

#[test]
fn masks_lie_on_the_whole_image_also_from_crops() -> TestResult {
    let predictor = golden::predictor::<B>();
    let image = Array3::from_shape_fn((90, 117, 1), |(row, column, _)| (((row * 7) ^ (column * 3)) % 256) as u8);
    let mut crops = Vec::new();
    let found = indiscriminate().generate(&predictor, image.view(), &mut |progress: &Progress| {
        crops.push((progress.done, progress.total));
        ControlFlow::Continue(())
    })?;
    let found = found.ok_or("nobody stopped it")?;
    assert_eq!(crops, [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]);
    assert!(!found.is_empty());
    for mask in &found {
        let pixels = mask.mask();
        assert_eq!(pixels.dim(), (90, 117));
        assert_eq!(pixels.iter().filter(|&&inside| inside).count(), mask.area);
        let crop = mask.crop;
        let outside = pixels.indexed_iter().filter(|(_, inside)| **inside).find(|&((row, column), _)| {
            !(crop.top..crop.bottom).contains(&row) || !(crop.left..crop.right).contains(&column)
        });
        // Filled holes never leave the crop, because the background outside it reaches the image's border.
        assert_eq!(outside, None, "{crop:?}");
        assert!((crop.left as f64..crop.right as f64).contains(&mask.point.0));
        assert!((crop.top as f64..crop.bottom as f64).contains(&mask.point.1));
    }
    // Without crops, the generator gives the same masks as the predictor.
    let whole = indiscriminate().with_crop_layers(0).with_min_region_area(0).with_box_nms_threshold(1.0);
    let found = whole.generate(&predictor, image.view(), &mut ignore_progress())?.ok_or("nobody stopped it")?;
    let embedding = predictor.embed(image.view())?;
    for mask in found {
        let click =
            sam_prompt::Point { x: mask.point.0 as f32, y: mask.point.1 as f32, label: sam_prompt::Label::Foreground };
        let prompts = sam_prompt::Prompts::from_points(vec![click]);
        let prediction = predictor.predict_multi(&embedding, &prompts)?;
        let same = |logits: ArrayView2<'_, f32>| inside(logits) == mask.mask();
        assert!(prediction.logits.axis_iter(Axis(0)).any(same));
        assert!(prediction.logits.slice(s![.., 0, 0]).len() == 3);
    }
    Ok(())
}

#[test]
fn configurations_of_no_sense_are_errors() {
    let predictor = golden::predictor::<B>();
    let image = Array3::from_elem((20, 20, 1), 100);
    let good = AutomaticConfig::default();
    for bad in [
        good.clone().with_points_per_side(0),
        good.clone().with_points_per_batch(0),
        good.clone().with_crop_downscale(0),
        good.clone().with_crop_layers(40),
        good.clone().with_crop_overlap(f64::NAN),
        // No click is left in the second layer; 2^64 overflows.
        good.clone().with_crop_downscale(6).with_crop_layers(2),
        good.clone().with_crop_downscale(1 << 32).with_crop_layers(2),
        good.clone().with_pred_iou_threshold(f32::NAN),
        good.clone().with_stability_threshold(f32::NAN),
        good.clone().with_stability_offset(f32::NAN),
        good.clone().with_box_nms_threshold(f32::NAN),
        good.clone().with_crop_nms_threshold(f32::NAN),
    ] {
        let found = bad.generate(&predictor, image.view(), &mut ignore_progress());
        assert!(matches!(found, Err(CoreError::Config(_))), "{bad:?}");
    }
}

#[test]
fn a_search_is_stopped_after_any_batch_and_finds_nothing() -> TestResult {
    let predictor = golden::predictor::<B>();
    let image = Array3::from_elem((60, 60, 1), 100);
    // 9 clicks in batches of 2 are 5 batches for each crop; without layers there is one crop.
    let small = indiscriminate().with_points_per_batch(2);
    for (config, total) in [(small.clone().with_crop_layers(0), 5), (small, 25)] {
        for stop_after in [1, 2, 4] {
            let mut seen = Vec::new();
            let found = config.generate(&predictor, image.view(), &mut |progress: &Progress| {
                seen.push((progress.done, progress.total));
                if progress.done == stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            let expected: Vec<_> = (1..=stop_after).map(|done| (done, total)).collect();
            assert_eq!((found, seen), (None, expected));
        }
    }
    Ok(())
}
