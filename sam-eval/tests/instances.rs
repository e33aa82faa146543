//! Metrics of labelled images: against reference scores (`goldens/instances.py` states their source), and properties that hold for any two
//! images.

use std::collections::BTreeSet;
use std::error::Error;

use ndarray::{Array2, Ix2, s};
use proptest::collection::vec;
use proptest::prelude::*;
use safetensors::SafeTensors;
use sam_eval::{Detection, EmptyPolicy, EvalError, InstanceOverlaps, iou};

const ROUNDING: f64 = 1e-9;
/// MONAI counts in single precision, and adds 1e-6 to its denominators.
const SINGLE: f64 = 1e-5;

#[derive(serde::Deserialize)]
struct Expected {
    case: usize,
    aji: f64,
    monai: Vec<Monai>,
}

#[derive(serde::Deserialize)]
struct Monai {
    threshold: f64,
    counts: [f64; 4],
    pq_sq_rq: [f64; 3],
}

#[test]
fn agrees_with_the_reference() -> Result<(), Box<dyn Error>> {
    let images = SafeTensors::deserialize(include_bytes!("goldens/instances.safetensors"))?;
    let all: Vec<Expected> = serde_json::from_str(include_str!("goldens/instances.json"))?;
    assert_eq!(images.len(), 2 * all.len());
    for Expected { case, aji, monai } in all {
        let image = |kind| -> Result<Array2<u8>, Box<dyn Error>> {
            let tensor = images.tensor(&format!("case{case:02}.{kind}"))?;
            Ok(Array2::from_shape_vec((tensor.shape()[0], tensor.shape()[1]), tensor.data().to_vec())?)
        };
        let overlaps = InstanceOverlaps::between(&image("pred")?, &image("gt")?)?;
        let got = overlaps.aggregated_jaccard(EmptyPolicy::Nan);
        assert!((got - aji).abs() < ROUNDING, "case {case}: AJI {got} instead of {aji}");
        for Monai { threshold, counts, pq_sq_rq } in monai {
            let found = overlaps.detection(threshold)?;
            let got = [found.true_positive, found.false_positive, found.false_negative].map(|count| count as f64);
            assert!(is_near(&got, &counts[..3], ROUNDING), "case {case}: {got:?} instead of {counts:?}");
            let zero_if_undefined = |score: f64| if score.is_nan() { 0.0 } else { score };
            let qualities = [
                found.panoptic_quality(EmptyPolicy::Nan),
                zero_if_undefined(found.segmentation_quality(EmptyPolicy::Nan)),
                found.f1(EmptyPolicy::Nan),
                found.iou_sum,
            ];
            let expected = [&pq_sq_rq[..], &counts[3..]].concat();
            assert!(is_near(&qualities, &expected, SINGLE), "case {case}: {qualities:?} instead of {expected:?}");
        }
    }
    Ok(())
}

fn is_near(got: &[f64], expected: &[f64], by: f64) -> bool {
    got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < by)
}

type Image = Array2<u16>;

/// Two images of up to four objects each, often none.
fn pair() -> impl Strategy<Value = (Image, Image)> {
    let label = || prop_oneof![2 => Just(0_u16), 3 => 0..5_u16];
    (1_usize..7, 1_usize..7).prop_flat_map(move |(rows, columns)| {
        let image = move || {
            (any::<bool>(), vec(label(), rows * columns)).prop_map(move |(is_empty, labels)| {
                let labels = if is_empty && labels[0] == 0 { vec![0; labels.len()] } else { labels };
                Array2::from_shape_vec((rows, columns), labels).expect("as many as the shape says")
            })
        };
        (image(), image())
    })
}

fn between(prediction: &Image, truth: &Image) -> InstanceOverlaps {
    InstanceOverlaps::between(prediction, truth).expect("images of one shape")
}

fn labels(image: &Image) -> BTreeSet<u16> {
    image.iter().copied().filter(|&label| label > 0).collect()
}

fn same(first: f64, second: f64) -> bool {
    first.is_nan() && second.is_nan() || (first - second).abs() < ROUNDING
}

fn all(found: Detection) -> [f64; 5] {
    let policy = EmptyPolicy::Nan;
    [
        found.precision(policy),
        found.recall(policy),
        found.f1(policy),
        found.segmentation_quality(policy),
        found.panoptic_quality(policy),
    ]
}

proptest! {
    #[test]
    fn agrees_with_masks_one_by_one((prediction, truth) in pair(), threshold in 0.5..1.0_f64) {
        let (predicted, truths) = (labels(&prediction), labels(&truth));
        let mask = |image: &Image, label: u16| image.mapv(|other| other == label);
        let of_pair = |p: u16, t: u16| iou::<Ix2>(&mask(&prediction, p), &mask(&truth, t), EmptyPolicy::Nan);
        let mut matched = Vec::new();
        let (mut both, mut either, mut used) = (0, 0, BTreeSet::new());
        for &t in &truths {
            let mut best = (0.0, None);
            for &p in &predicted {
                let score = of_pair(p, t)?;
                matched.extend((score > threshold).then_some(score));
                if score > best.0 + 1e-12 {
                    best = (score, Some(p));
                }
            }
            let count = |is_in: fn(bool, bool) -> bool| {
                prediction.iter().zip(&truth).filter(|&(&p, &other)| is_in(Some(p) == best.1, other == t)).count()
            };
            both += count(|p, t| p && t);
            either += count(|p, t| p || t);
            used.extend(best.1);
        }
        let unused = prediction.iter().filter(|&label| *label > 0 && !used.contains(label)).count();
        let overlaps = between(&prediction, &truth);
        let found = overlaps.detection(threshold)?;
        prop_assert_eq!(found.true_positive as usize, matched.len());
        prop_assert!(same(found.iou_sum, matched.iter().sum()));
        prop_assert_eq!((overlaps.predicted(), overlaps.truths()), (predicted.len(), truths.len()));
        let index = both as f64 / (either + unused) as f64;
        prop_assert!(same(overlaps.aggregated_jaccard(EmptyPolicy::Nan), index));
    }

    #[test]
    fn scores_are_bounded_and_fall_with_the_threshold((prediction, truth) in pair(), low in 0.0..1.0_f64, high in 0.0..1.0_f64) {
        let overlaps = between(&prediction, &truth);
        let (low, high) = (overlaps.detection(low.min(high))?, overlaps.detection(low.max(high))?);
        prop_assert!(high.true_positive <= low.true_positive && high.iou_sum <= low.iou_sum + ROUNDING);
        for score in all(low).into_iter().chain([overlaps.aggregated_jaccard(EmptyPolicy::Nan)]) {
            prop_assert!(score.is_nan() || (-ROUNDING..=1.0 + ROUNDING).contains(&score));
        }
        let [_, _, f1, segmentation, panoptic] = all(low);
        prop_assert!(panoptic.is_nan() || panoptic <= f1 + ROUNDING);
        prop_assert!(segmentation.is_nan() || same(segmentation * f1, panoptic));
    }

    #[test]
    fn swapping_the_images_swaps_precision_and_recall((prediction, truth) in pair(), threshold in 0.5..1.0_f64) {
        let found = all(between(&prediction, &truth).detection(threshold)?);
        let [recall, precision, rest @ ..] = all(between(&truth, &prediction).detection(threshold)?);
        let swapped = [precision, recall, rest[0], rest[1], rest[2]];
        prop_assert!(found.into_iter().zip(swapped).all(|(first, second)| same(first, second)));
    }

    #[test]
    fn neither_place_nor_axes_nor_numbers_matter((prediction, truth) in pair(), threshold in 0.5..1.0_f64, shift in 0_usize..4) {
        let expected = between(&prediction, &truth);
        let moved = |image: &Image| {
            let mut larger = Array2::zeros((12, 12));
            larger.slice_mut(s![shift..shift + image.nrows(), 3 - shift..3 - shift + image.ncols()]).assign(image);
            larger
        };
        prop_assert_eq!(&between(&moved(&prediction), &moved(&truth)), &expected);
        let turned = InstanceOverlaps::between(&prediction.t(), &truth.t())?;
        prop_assert_eq!(&turned, &expected);
        // Another order of the labels changes nothing except the choice among equals.
        let renumbered = InstanceOverlaps::between(&prediction.mapv(|label| i64::from(label) * -7), &truth)?;
        let (first, second) = (all(renumbered.detection(threshold)?), all(expected.detection(threshold)?));
        prop_assert!(first.into_iter().zip(second).all(|(first, second)| same(first, second)));
    }

    #[test]
    fn an_image_agrees_with_itself((image, _) in pair()) {
        let overlaps = between(&image, &image);
        let scores = all(overlaps.detection(0.99)?).into_iter().chain([overlaps.aggregated_jaccard(EmptyPolicy::One)]);
        prop_assert!(scores.into_iter().all(|score| same(score, 1.0) || labels(&image).is_empty()));
    }

    #[test]
    fn counts_of_images_add_up((first, second) in pair(), threshold in 0.0..1.0_f64) {
        let one = between(&first, &second).detection(threshold)?;
        let twice: Detection = [one, one].into_iter().sum();
        prop_assert!(all(one).into_iter().zip(all(twice)).all(|(first, second)| same(first, second)));
    }
}

#[test]
fn one_object_is_a_mask() -> Result<(), EvalError> {
    let (prediction, truth) = (ndarray::arr2(&[[true, true, false]]), ndarray::arr2(&[[false, true, true]]));
    let overlaps = InstanceOverlaps::between(&prediction, &truth)?;
    assert!(same(overlaps.aggregated_jaccard(EmptyPolicy::Nan), iou(&prediction, &truth, EmptyPolicy::Nan)?));
    Ok(())
}
