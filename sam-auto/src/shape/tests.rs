use ndarray::Axis;
use proptest::prelude::*;

use super::*;

const SIZE: usize = 40;

/// Discs: row, column and radius.
type Discs = Vec<(f32, f32, f32)>;

fn mask(discs: &[(f32, f32, f32)]) -> Array2<bool> {
    Array2::from_shape_fn((SIZE, SIZE), |(row, column)| {
        discs.iter().any(|&(down, right, radius)| (row as f32 - down).hypot(column as f32 - right) <= radius)
    })
}

fn discs() -> impl Strategy<Value = Discs> {
    // Away from the border, so that they can be moved.
    prop::collection::vec((13.0..27.0_f32, 13.0..27.0_f32, 1.0..6.0_f32), 1..4)
}

/// Discs, and the distance from the slice before.
type Steps = Vec<(usize, Discs)>;

fn steps() -> impl Strategy<Value = Steps> {
    prop::collection::vec((2..5_usize, discs()), 1..5)
}

/// Outlined slices, with at least one slice between them.
fn outlines(steps: &Steps) -> BTreeMap<usize, Array2<bool>> {
    let mut slice = 0;
    let place = |(step, discs): &(usize, Discs)| {
        slice += step;
        (slice, mask(discs))
    };
    steps.iter().map(place).collect()
}

/// Square pixels, and longer ones.
fn aspects() -> impl Strategy<Value = PixelAspect> {
    (1.0..8.0_f64)
        .prop_flat_map(|longer| prop::sample::select(vec![(1.0, 1.0), (longer, 1.0), (1.0, longer)]))
        .prop_map(|(rows, columns)| PixelAspect::of_spacing(rows, columns).expect("positive numbers"))
}

fn fit(outlines: &BTreeMap<usize, Array2<bool>>, aspect: PixelAspect) -> ShapePrior {
    ShapeConfig::default().fit(outlines, aspect).expect("outlines")
}

/// The slices that differ between two priors by more than rounding, if `second` is moved back by `back`.
fn compare(
    first: &ShapePrior,
    second: &ShapePrior,
    aspect: PixelAspect,
    back: impl Fn(&Array2<f32>) -> Array2<f32>,
) -> Result<(), TestCaseError> {
    for slice in 0..25 {
        let (first, second) = (first.slice(slice), second.slice(slice));
        prop_assert_eq!(first.is_some(), second.is_some(), "slice {}", slice);
        let Some((first, second)) = first.zip(second) else { continue };
        prop_assert_eq!(first.width.to_bits(), second.width.to_bits());
        let second = back(&second.signed);
        // The pixels beside the edge are compared: farther away, the values beyond the image's border count.
        let pixels =
            if aspect.is_square() { first.signed.clone() } else { sam_prompt::signed_distance(first.mask().view()) };
        for (at, &distance) in first.signed.indexed_iter().filter(|&(at, _)| pixels[at].abs() < 1.0) {
            prop_assert!(
                (distance - second[at]).abs() < 0.01,
                "slice {}, {:?}: {} and {}",
                slice,
                at,
                distance,
                second[at]
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn outlines_are_returned_exactly(steps in steps()) {
        let outlines = outlines(&steps);
        let prior = ShapePrior::new(&outlines).expect("outlines");
        for (&slice, outline) in &outlines {
            let found = prior.slice(slice).expect("an outline");
            prop_assert_eq!((&found.mask(), found.width), (outline, 0.0));
        }
    }

    #[test]
    fn equal_outlines_stay_between_them(discs in discs(), count in 2..5_usize, gap in 2..5_usize) {
        let outline = mask(&discs);
        let outlines = (0..count).map(|number| (number * gap, outline.clone())).collect();
        let prior = ShapePrior::new(&outlines).expect("outlines");
        for slice in 0..=(count - 1) * gap {
            prop_assert_eq!(&prior.slice(slice).expect("between").mask(), &outline);
        }
    }

    #[test]
    fn a_moved_structure_gives_the_moved_shape(
        steps in steps(),
        down in 0..6_usize,
        right in 0..6_usize,
        aspect in aspects(),
    ) {
        let outlines = outlines(&steps);
        let moved = |mask: &Array2<bool>| {
            let inside = |(row, column): (usize, usize)| mask[(row.checked_sub(down)?, column.checked_sub(right)?)].then_some(());
            Array2::from_shape_fn(mask.dim(), |at| inside(at).is_some())
        };
        let there = outlines.iter().map(|(&slice, mask)| (slice, moved(mask))).collect();
        let back = |signed: &Array2<f32>| {
            let place = |index: usize, by: usize| (index + by).min(SIZE - 1);
            Array2::from_shape_fn(signed.dim(), |(row, column)| signed[(place(row, down), place(column, right))])
        };
        compare(&fit(&outlines, aspect), &fit(&there, aspect), aspect, back)?;
    }

    #[test]
    fn a_mirrored_structure_gives_the_mirrored_shape(steps in steps(), by_rows: bool, aspect in aspects()) {
        let outlines = outlines(&steps);
        let axis = Axis(usize::from(by_rows));
        let mirrored = |(&slice, mask): (&usize, &Array2<bool>)| {
            let mut mirrored = mask.clone();
            mirrored.invert_axis(axis);
            (slice, mirrored)
        };
        let there = outlines.iter().map(mirrored).collect();
        let back = |signed: &Array2<f32>| {
            let mut back = signed.clone();
            back.invert_axis(axis);
            back
        };
        compare(&fit(&outlines, aspect), &fit(&there, aspect), aspect, back)?;
    }
}

fn prior(outlines: &[(usize, Discs)]) -> ShapePrior {
    ShapePrior::new(&outlines.iter().map(|(slice, discs)| (*slice, mask(discs))).collect()).expect("outlines")
}

fn areas(prior: &ShapePrior, slices: std::ops::Range<usize>) -> Vec<usize> {
    slices.map(|slice| prior.slice(slice).map_or(0, |slice| sam_prompt::mask_area(slice.mask().view()))).collect()
}

#[test]
fn a_part_moves_along_with_its_outlines() {
    let prior = prior(&[(2, vec![(12.0, 10.0, 4.0)]), (6, vec![(12.0, 24.0, 4.0)])]);
    let middle = prior.slice(4).expect("between").mask();
    let expected = mask(&[(12.0, 17.0, 4.0)]);
    assert_eq!(
        sam_prompt::mask_iou(middle.view(), expected.view()),
        Ok(1.0),
        "the outlines do not overlap, but are near"
    );
    // Both radii are about 4, and the outlines 4 slices apart: 4 / sqrt(4), and halfway a half of sqrt(4).
    let width = prior.slice(4).expect("between").width;
    assert!((width - 2.0).abs() < 0.05, "{width}");
}

#[test]
fn the_width_of_the_edge_follows_the_structure_and_not_the_pixels() {
    let widths = |scale: f32, step: usize| {
        let outlines = [(0, vec![(20.0, 20.0, 5.0 * scale)]), (2 * step, vec![(20.0, 20.0, 4.0 * scale)])];
        let prior = prior(&outlines);
        (prior.slice(step).expect("between").width, prior.radius())
    };
    let (small, radius) = widths(1.0, 1);
    for (scale, step) in [(2.0, 1), (1.0, 4), (3.0, 8)] {
        let (found, found_radius) = widths(scale, step);
        // The share of the radius is the same, up to the pixels at the rims of small discs.
        assert!((found / found_radius - small / radius).abs() < 1e-5, "{scale} {step}");
    }
    assert_eq!(widths(0.1, 1).0.to_bits(), LEAST_WIDTH.to_bits());
}

#[test]
fn parts_split_and_end_halfway() {
    let split = prior(&[(0, vec![(20.0, 20.0, 8.0)]), (4, vec![(20.0, 14.0, 3.0), (20.0, 27.0, 3.0)])]);
    let (_, count) = sam_prompt::components(split.slice(3).expect("between").mask().view());
    assert_eq!(count, 2);
    let ending = prior(&[(0, vec![(10.0, 10.0, 3.0), (30.0, 30.0, 3.0)]), (4, vec![(10.0, 10.0, 3.0)])]);
    let far = |slice: usize| ending.slice(slice).expect("between").mask()[(30, 30)];
    assert_eq!([far(0), far(1), far(2), far(3)], [true, true, false, false]);
    // A slice that was marked as empty ends the whole structure halfway.
    let emptied = prior(&[(0, vec![(20.0, 20.0, 6.0)]), (4, vec![])]);
    assert_eq!(areas(&emptied, 2..8), [0; 6]);
    assert!(areas(&emptied, 1..2)[0] > 0);
}

#[test]
fn the_area_follows_its_trend_for_half_a_gap() {
    let shrinking = prior(&[(10, vec![(20.0, 20.0, 10.0)]), (16, vec![(20.0, 20.0, 8.0)])]);
    let found = areas(&shrinking, 16..21);
    let step = (areas(&shrinking, 10..11)[0] - found[0]) as f32 / 6.0;
    for (distance, &area) in found.iter().enumerate().take(4) {
        // The outermost ring of the disc has 48 pixels of one depth.
        assert!((area as f32 - (found[0] as f32 - step * distance as f32)).abs() <= 30.0, "{found:?}");
    }
    assert_eq!(found[4], 0, "more than half a gap away");
    // The wider end does not grow.
    assert_eq!(
        areas(&shrinking, 6..10),
        [0, areas(&shrinking, 10..11)[0], areas(&shrinking, 10..11)[0], areas(&shrinking, 10..11)[0]]
    );
    // One outline has no trend: its neighbours alone are filled.
    let one = prior(&[(3, vec![(20.0, 20.0, 5.0)])]);
    let shown: Vec<_> = areas(&one, 0..7).into_iter().map(|area| area > 0).collect();
    assert_eq!(shown, [false, false, true, true, true, false, false]);
}

#[test]
fn nearer_outlines_need_not_end_the_structure_sooner() {
    let outlines = [4, 5, 6].map(|slice| (slice, mask(&[(20.0, 20.0, 6.0)]))).into();
    let shown = |config: ShapeConfig| {
        let prior = config.fit(&outlines, PixelAspect::SQUARE).expect("outlines");
        (0..12).filter(|&slice| prior.slice(slice).is_some()).collect::<Vec<_>>()
    };
    assert_eq!(shown(ShapeConfig::default()), [3, 4, 5, 6, 7]);
    assert_eq!(shown(ShapeConfig::default().with_min_reach(3.0)), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn nothing_outlined_and_other_sizes_are_refused() {
    let empty = Array2::from_elem((4, 4), false);
    for outlines in [BTreeMap::new(), BTreeMap::from([(0, empty.clone())])] {
        assert!(matches!(ShapePrior::new(&outlines), Err(AutoError::NothingAnnotated)));
    }
    let outlines = BTreeMap::from([(0, empty.mapv(|_| true)), (2, Array2::from_elem((4, 5), true))]);
    assert!(matches!(ShapePrior::new(&outlines), Err(AutoError::NotAVolume { index: 2, .. })));
}
