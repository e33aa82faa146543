use super::*;
use crate::mask_stats::dice;

/// A square pixel is cut into this many columns.
const CUT: usize = 4;

/// Discs of a row, a column and a radius, on square pixels.
fn discs(found: &[(f32, f32, f32)]) -> Array2<bool> {
    Array2::from_shape_fn((64, 64), |(row, column)| {
        found.iter().any(|&(down, right, radius)| (row as f32 - down).hypot(column as f32 - right) <= radius)
    })
}

/// The same mask, with each column cut into several.
fn cut(mask: &Array2<bool>) -> Array2<bool> {
    Array2::from_shape_fn((mask.nrows(), CUT * mask.ncols()), |(row, column)| mask[(row, column / CUT)])
}

/// The Dice of the shape on cut pixels with the cut shape, for each slice between the outlines.
fn agreement(outlines: &BTreeMap<usize, Array2<bool>>, aspect: PixelAspect) -> Vec<f64> {
    let square = ShapePrior::new(outlines).expect("outlines");
    let there = outlines.iter().map(|(&slice, mask)| (slice, cut(mask))).collect();
    let there = ShapeConfig::default().fit(&there, aspect).expect("outlines");
    let last = *outlines.keys().last().expect("outlines");
    let between = (0..last).filter(|slice| !outlines.contains_key(slice));
    let masks = between.map(|slice| (square.slice(slice), there.slice(slice)));
    masks.map(|(square, there)| dice(&cut(&square.expect("between").mask()), &there.expect("between").mask())).collect()
}

/// The outlines of structures that move and grow, that split, and that lose a part.
fn structures() -> [BTreeMap<usize, Array2<bool>>; 3] {
    let moves = [(0, vec![(20.0, 22.0, 9.0)]), (6, vec![(34.0, 26.0, 14.0)]), (10, vec![(36.0, 40.0, 11.0)])];
    let splits = [(0, vec![(30.0, 31.0, 16.0)]), (6, vec![(30.0, 19.0, 8.0), (30.0, 44.0, 9.0)])];
    let ends = [(0, vec![(20.0, 20.0, 14.0), (49.0, 48.0, 12.0)]), (6, vec![(22.0, 20.0, 14.0)])];
    [moves.to_vec(), splits.to_vec(), ends.to_vec()]
        .map(|outlines| outlines.into_iter().map(|(slice, found)| (slice, discs(&found))).collect())
}

#[test]
fn the_shape_does_not_depend_on_how_columns_are_cut() {
    let aspect = PixelAspect::of_spacing(CUT as f64, 1.0).expect("positive numbers");
    let mean = |found: &[f64]| found.iter().sum::<f64>() / found.len() as f64;
    for outlines in structures() {
        let (right, ignored) = (agreement(&outlines, aspect), agreement(&outlines, PixelAspect::SQUARE));
        assert!(right.iter().all(|&dice| dice > 0.96) && mean(&right) > 0.975, "{right:?}");
        assert!(mean(&right) > mean(&ignored), "{right:?} {ignored:?}");
    }
}

#[test]
fn parts_are_matched_by_their_true_distance() {
    // Ten rows apart are far where rows are thick, and near where they are thin.
    let outlines: BTreeMap<_, _> = [(0, discs(&[(20.0, 30.0, 3.0)])), (4, discs(&[(30.0, 30.0, 3.0)]))].into();
    let is_moved = |rows: f64| {
        let aspect = PixelAspect::of_spacing(rows, 1.0).expect("positive numbers");
        ShapeConfig::default().fit(&outlines, aspect).expect("outlines").slice(2).expect("between").mask()[(25, 30)]
    };
    assert_eq!([is_moved(0.25), is_moved(1.0), is_moved(4.0)], [true, true, false]);
}
