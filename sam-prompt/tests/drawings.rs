//! Properties of drawings: they cover the same pixels as a naive implementation, follow translations and flips of their path, and give
//! distinct points.

use ndarray::{Array2, s};
use proptest::{collection::vec, prelude::*};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sam_prompt::{Label, Lasso, Scribble, component_masks, mask_logits};

/// Tolerance for floats after a few sums and differences.
const ROUNDING: f64 = 1e-3;

type Path = Vec<[f32; 2]>;

/// An image's height and width, and a path inside it with a number of vertices in the given range. Coordinates are multiples of 1/8 pixel,
/// so sums are exact.
fn drawn(vertices: std::ops::Range<usize>) -> impl Strategy<Value = (usize, usize, Path)> {
    (1..24_usize, 1..24_usize).prop_flat_map(move |(height, width)| {
        let eighths = |side: usize| (-4..=8 * side as i32 - 4).prop_map(|eighths| eighths as f32 / 8.0);
        let vertex = (eighths(width), eighths(height)).prop_map(|(x, y)| [x, y]);
        (Just(height), Just(width), vec(vertex, vertices.clone()))
    })
}

fn radius() -> impl Strategy<Value = f32> {
    (0..48_u8).prop_map(|eighths| f32::from(eighths) / 8.0)
}

fn scribble(path: &[[f32; 2]], radius: f32) -> Scribble {
    Scribble { label: Label::Foreground, path: path.to_vec(), radius }
}

fn filled(path: &[[f32; 2]], height: usize, width: usize) -> Array2<bool> {
    Lasso { path: path.to_vec() }.rasterise(height, width).expect("the lasso is in the image")
}

/// Distance from a place to the nearest segment of a path.
fn distance(path: &[[f32; 2]], [x, y]: [f64; 2]) -> f64 {
    let path: Vec<_> = path.iter().map(|vertex| vertex.map(f64::from)).collect();
    let to_vertices = path.iter().map(|[to_x, to_y]| (x - to_x).hypot(y - to_y));
    let to_lines = path.windows(2).filter_map(|ends| {
        let ([a_x, a_y], [b_x, b_y]) = (ends[0], ends[1]);
        let (along_x, along_y) = (b_x - a_x, b_y - a_y);
        let past = |[from_x, from_y]: [f64; 2]| (x - from_x) * along_x + (y - from_y) * along_y;
        let beside = past(ends[0]) > 0.0 && past(ends[1]) < 0.0;
        beside.then(|| ((x - a_x) * along_y - (y - a_y) * along_x).abs() / along_x.hypot(along_y))
    });
    to_vertices.chain(to_lines).fold(f64::INFINITY, f64::min)
}

/// The path with its first vertex appended.
fn closed(path: &[[f32; 2]]) -> Path {
    path.iter().chain(path.first()).copied().collect()
}

fn translated(path: &[[f32; 2]], right: usize, down: usize) -> Path {
    path.iter().map(|[x, y]| [x + right as f32, y + down as f32]).collect()
}

fn mirrored(path: &[[f32; 2]], width: usize) -> Path {
    path.iter().map(|&[x, y]| [width as f32 - 1.0 - x, y]).collect()
}

fn transposed(path: &[[f32; 2]]) -> Path {
    path.iter().map(|&[x, y]| [y, x]).collect()
}

fn pixels(mask: &Array2<bool>) -> usize {
    mask.iter().filter(|&&inside| inside).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn scribbles_cover_what_lies_within_their_radius((height, width, path) in drawn(1..6), radius in radius()) {
        let mask = scribble(&path, radius).rasterise(height, width).expect("the path is in the image");
        let reach = f64::from(radius).max(std::f64::consts::FRAC_1_SQRT_2);
        for ((row, column), &inside) in mask.indexed_iter() {
            let distance = distance(&path, [column as f64, row as f64]);
            // At the edge itself, rounding decides.
            prop_assert!((distance - reach).abs() < 1e-9 || inside == (distance < reach), "({row}, {column}): {distance}");
        }
    }

    #[test]
    fn scribbles_move_and_turn_with_their_path(
        (height, width, path) in drawn(1..6), radius in radius(), (down, right) in (0..9_usize, 0..9_usize),
    ) {
        let cover = |path: Path, height, width| scribble(&path, radius).rasterise(height, width).expect("in the image");
        let mask = cover(path.clone(), height, width);
        let moved = cover(translated(&path, right, down), height + down, width + right);
        prop_assert_eq!(moved.slice(s![down.., right..]), &mask);
        let mirrored = cover(mirrored(&path, width), height, width);
        prop_assert_eq!(mirrored.slice(s![.., ..;-1]), &mask);
        prop_assert_eq!(cover(transposed(&path), width, height).reversed_axes(), mask.view());
        prop_assert_eq!(cover(path.into_iter().rev().collect(), height, width), mask, "a stroke has no direction");
    }

    #[test]
    fn points_lie_on_the_scribble_at_equal_distances((height, width, path) in drawn(1..6), count in 0..9_usize) {
        let scribble = scribble(&path, 0.0);
        let points = scribble.points(count, height, width).expect("the path is in the image");
        let mask = scribble.rasterise(height, width).expect("the path is in the image");
        for point in &points {
            prop_assert_eq!(point.label, scribble.label);
            prop_assert!(distance(&path, [point.x.into(), point.y.into()]) < ROUNDING);
            let nearest = |at: f32, side: usize| (at.round().max(0.0) as usize).min(side - 1);
            prop_assert!(mask[(nearest(point.y, height), nearest(point.x, width))]);
        }
        let still = path.windows(2).map(|ends| distance(&ends[..1], ends[1].map(f64::from))).sum::<f64>() <= 0.0;
        prop_assert_eq!(points.len(), if still { count.min(1) } else { count });
        let back = Scribble { path: path.into_iter().rev().collect(), ..scribble };
        let back = back.points(count, height, width).expect("the path is in the image");
        for (point, other) in points.iter().zip(back.iter().rev()) {
            prop_assert!(f64::from(point.x - other.x).hypot(f64::from(point.y - other.y)) < ROUNDING);
        }
    }

    #[test]
    fn lassos_hold_the_centres_inside((height, width, path) in drawn(3..9)) {
        let mask = filled(&path, height, width);
        let outline = closed(&path);
        let bounds = Lasso { path }.bounding_box().expect("the lasso has vertices");
        for ((row, column), &inside) in mask.indexed_iter() {
            let [x, y] = [column as f64, row as f64];
            prop_assert!(!inside || bounds.contains(x as f32, y as f32));
            if distance(&outline, [x, y]) < 1e-9 {
                continue; // Pixels on the line itself are tested with triangles below.
            }
            let crossed = outline.windows(2).filter(|ends| {
                let ([a_x, a_y], [b_x, b_y]) = (ends[0].map(f64::from), ends[1].map(f64::from));
                (a_y > y) != (b_y > y) && x < a_x + (y - a_y) * (b_x - a_x) / (b_y - a_y)
            });
            prop_assert_eq!(inside, crossed.count() % 2 == 1, "({}, {})", row, column);
        }
    }

    #[test]
    fn triangles_that_share_sides_share_no_pixel_and_leave_none_out((height, width, path) in drawn(4..9)) {
        let (hub, rim) = (path[0], &path[1..]);
        let mut fan = Array2::from_elem((height, width), false);
        for side in closed(rim).windows(2) {
            fan ^= &filled(&[hub, side[0], side[1]], height, width);
        }
        prop_assert_eq!(fan, filled(rim, height, width));
    }

    #[test]
    fn lassos_move_and_turn_with_their_path(
        (height, width, path) in drawn(3..9), (down, right) in (0..9_usize, 0..9_usize), start in 0..9_usize,
    ) {
        let mask = filled(&path, height, width);
        let moved = filled(&translated(&path, right, down), height + down, width + right);
        prop_assert_eq!(moved.slice(s![down.., right..]), &mask);
        let mut turned = path.clone();
        turned.rotate_left(start % path.len());
        turned.reverse();
        prop_assert_eq!(&filled(&turned, height, width), &mask, "neither start nor direction matters");
        let (mirror, transpose) = (filled(&mirrored(&path, width), height, width), filled(&transposed(&path), width, height));
        for ((row, column), &inside) in mask.indexed_iter() {
            // A mirror image swaps left and right, so centres on the line change sides.
            if distance(&closed(&path), [column as f64, row as f64]) > 1e-9 {
                prop_assert_eq!(mirror[(row, width - 1 - column)], inside);
                prop_assert_eq!(transpose[(column, row)], inside);
            }
        }
    }

    #[test]
    fn a_triangle_has_as_many_pixels_as_area((height, width, path) in drawn(3..4)) {
        let [[a_x, a_y], [b_x, b_y], [c_x, c_y]] = [path[0], path[1], path[2]].map(|vertex| vertex.map(f64::from));
        let area = ((b_x - a_x) * (c_y - a_y) - (c_x - a_x) * (b_y - a_y)).abs() / 2.0;
        let perimeter = (b_x - a_x).hypot(b_y - a_y) + (c_x - b_x).hypot(c_y - b_y) + (a_x - c_x).hypot(a_y - c_y);
        // Only pixels that a side crosses can be counted wrong: at most |dx| + |dy| + 1 for each side.
        let amiss = std::f64::consts::SQRT_2 * perimeter + 3.0;
        prop_assert!((pixels(&filled(&path, height, width)) as f64 - area).abs() <= amiss);
    }

    #[test]
    fn lasso_points_are_distinct_inside_and_begin_innermost((height, width, path) in drawn(3..9), count in 1..6_usize, seed: u64) {
        let mask = filled(&path, height, width);
        let found = Lasso { path }.prompts(count, height, width, &mut ChaCha8Rng::seed_from_u64(seed));
        if pixels(&mask) < count {
            prop_assert!(found.is_err());
            return Ok(());
        }
        let prompts = found.expect("there are pixels enough");
        prop_assert!(prompts.check(height, width).is_ok());
        let places: Vec<_> = prompts.points.iter().map(|point| (point.y as usize, point.x as usize)).collect();
        prop_assert_eq!(places.len(), count);
        for (index, place) in places.iter().enumerate() {
            prop_assert!(mask[*place] && !places[..index].contains(place));
        }
        // Pixels beyond the image are outside, so the mask gets a border of them.
        let mut framed = Array2::from_elem((height + 2, width + 2), false);
        framed.slice_mut(s![1..=height, 1..=width]).assign(&mask);
        let squared = |(row, column): (usize, usize)| {
            let outside = framed.indexed_iter().filter(|&(_, &inside)| !inside);
            outside.map(|((y, x), _)| row.abs_diff(y).pow(2) + column.abs_diff(x).pow(2)).min()
        };
        // A path that crosses itself may enclose several parts. The largest comes first, of equally large ones the deepest.
        let parts = component_masks(framed.view(), 1);
        let largest = parts.iter().filter(|part| pixels(part) == pixels(&parts[0]));
        let inside = largest.flat_map(|part| part.indexed_iter().filter(|&(_, &inside)| inside).map(|(place, _)| place));
        let deepest = inside.map(squared).max().expect("there are pixels inside");
        prop_assert_eq!(squared((places[0].0 + 1, places[0].1 + 1)), deepest);
    }

    #[test]
    fn logits_keep_the_area_of_the_mask(
        (height, width, path) in drawn(3..9), scale in 1..4_usize, padding in 0..9_usize, low_res in 1..12_usize,
    ) {
        let mask = filled(&path, height, width);
        let padded = scale * height.max(width) + padding;
        let logits = mask_logits(mask.view(), (scale * height, scale * width), padded, low_res, 4.0).expect("the frame fits");
        prop_assert_eq!(logits.dim(), (low_res, low_res));
        prop_assert!(logits.iter().all(|logit| (-4.0..=4.0).contains(logit)));
        let cell = (padded as f64 / low_res as f64).powi(2);
        let area: f64 = logits.iter().map(|&logit| (f64::from(logit) / 8.0 + 0.5) * cell).sum();
        prop_assert!((area - (pixels(&mask) * scale * scale) as f64).abs() < ROUNDING * (padded * padded) as f64);
        let whole = mask_logits(Array2::from_elem((height, width), true).view(), (padded, padded), padded, low_res, 4.0);
        prop_assert!(whole.expect("the frame fits").iter().all(|logit| (logit - 4.0).abs() < 1e-4));
    }
}
