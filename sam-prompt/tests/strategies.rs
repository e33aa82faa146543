//! Random masks, labels and boxes for property tests, and helpers that all tests share.

use ndarray::{Array2, Axis, s};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sam_prompt::{BoundingBox, BoxJitter, JitterRange, Label, Point};

/// Tolerance for floats after a few sums and differences.
pub(crate) const ROUNDING: f32 = 1e-3;

/// A small number of cases, because each case tests a mask of every kind.
pub(crate) fn few_cases() -> ProptestConfig {
    ProptestConfig::with_cases(24)
}

pub(crate) fn seeded(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub(crate) fn pixels(mask: &Array2<bool>) -> usize {
    mask.iter().filter(|&&inside| inside).count()
}

pub(crate) fn place(point: &Point) -> (usize, usize) {
    (point.y as usize, point.x as usize)
}

pub(crate) fn is_in(mask: &Array2<bool>, point: &Point) -> bool {
    mask[place(point)]
}

/// The mask of the pixels that have a point, and the number of points that share a pixel with an earlier one.
pub(crate) fn places(points: &[Point], dim: (usize, usize)) -> (Array2<bool>, usize) {
    let mut taken = Array2::from_elem(dim, false);
    let repeated = points.iter().filter(|point| std::mem::replace(&mut taken[place(point)], true)).count();
    (taken, repeated)
}

/// The mask on a larger canvas.
pub(crate) fn padded(mask: &Array2<bool>, (up, left): (usize, usize), (down, right): (usize, usize)) -> Array2<bool> {
    let (rows, columns) = mask.dim();
    let mut canvas = Array2::from_elem((up + rows + down, left + columns + right), false);
    canvas.slice_mut(s![up..up + rows, left..left + columns]).assign(mask);
    canvas
}

/// The mask flipped vertically, flipped horizontally, and transposed.
pub(crate) fn flips(mask: &Array2<bool>) -> [Array2<bool>; 3] {
    let (mut upside_down, mut mirrored) = (mask.clone(), mask.clone());
    upside_down.invert_axis(Axis(0));
    mirrored.invert_axis(Axis(1));
    [upside_down, mirrored, mask.t().to_owned()]
}

/// One mask of each kind, all of the same size: empty, full, one pixel, a ring, the border, a side, two discs, and noise with many
/// components.
pub(crate) fn each_mask() -> impl Strategy<Value = [Array2<bool>; 8]> {
    (1..18_usize, 1..18_usize).prop_flat_map(|(rows, columns)| {
        let pixel = (0..rows, 0..columns);
        let noise = proptest::collection::vec(proptest::bool::weighted(0.3), rows * columns);
        (pixel.clone(), pixel, 1..7_usize, noise).prop_map(move |(here, there, radius, noise)| {
            let make = |inside: &dyn Fn(usize, usize) -> bool| {
                Array2::from_shape_fn((rows, columns), |(row, column)| inside(row, column))
            };
            let squared = |row: usize, column: usize, centre: (usize, usize)| {
                row.abs_diff(centre.0).pow(2) + column.abs_diff(centre.1).pow(2)
            };
            [
                make(&|_, _| false),
                make(&|_, _| true),
                make(&|row, column| (row, column) == here),
                make(&|row, column| ((radius - 1).pow(2)..=(radius + 1).pow(2)).contains(&squared(row, column, here))),
                make(&|row, column| row == 0 || column == 0 || row + 1 == rows || column + 1 == columns),
                make(&|row, column| row <= here.0 && column >= there.1),
                make(&|row, column| {
                    squared(row, column, here) <= radius.pow(2) || squared(row, column, there) <= (radius / 2).pow(2)
                }),
                make(&|row, column| noise[row * columns + column]),
            ]
        })
    })
}

/// The masks of [`each_mask`] except the empty one.
pub(crate) fn each_mask_with_pixels() -> impl Strategy<Value = Vec<Array2<bool>>> {
    each_mask().prop_map(|masks| masks.into_iter().filter(|mask| pixels(mask) > 0).collect())
}

pub(crate) fn any_label() -> impl Strategy<Value = Label> {
    prop_oneof![Just(Label::Foreground), Just(Label::Background)]
}

/// An image's height and width, and a box inside it.
pub(crate) fn box_in_image() -> impl Strategy<Value = ((usize, usize), BoundingBox)> {
    (1..80_usize, 1..80_usize).prop_flat_map(|(height, width)| {
        let within = |side: usize| -0.5..=side as f32 - 0.5;
        let edge = |side: usize| (within(side), within(side));
        (edge(height), edge(width)).prop_map(move |((y, other_y), (x, other_x))| {
            let exact = BoundingBox {
                x_min: x.min(other_x),
                y_min: y.min(other_y),
                x_max: x.max(other_x),
                y_max: y.max(other_y),
            };
            ((height, width), exact)
        })
    })
}

pub(crate) fn any_jitter() -> impl Strategy<Value = BoxJitter> {
    let range = prop_oneof![
        (0.0..40.0_f32).prop_map(JitterRange::Pixels),
        (0.0..2.0_f32).prop_map(JitterRange::SideFraction),
        (0.0..0.5_f32).prop_map(JitterRange::ImageFraction),
        Just(JitterRange::Pixels(0.0)),
    ];
    (range, any::<bool>()).prop_map(|(range, outward_only)| BoxJitter { range, outward_only })
}
