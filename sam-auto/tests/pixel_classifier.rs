//! The pixel classifier: what inside and outside look like.

use std::collections::BTreeMap;

use ndarray::{Array2, Array3};
use sam_auto::{AutoError, PixelClassifierConfig, ShapePrior};
use sam_testing::{TestResult, tiny::fixed};

use crate::common::{Gone, Images, dice};

const SIDE: usize = 40;

/// A disc of radius 9 whose centre moves sideways by three pixels a slice.
fn disc(slice: usize) -> Array2<bool> {
    let centre = (20.0, 12.0 + 3.0 * slice as f64);
    Array2::from_shape_fn((SIDE, SIDE), |(row, column)| (row as f64 - centre.0).hypot(column as f64 - centre.1) < 9.0)
}

/// Bright where the disc is.
fn image(mask: &Array2<bool>) -> Array3<u8> {
    mask.mapv(|inside| if inside { 170 } else { 60 }).insert_axis(ndarray::Axis(2))
}

/// Where the disc is on the first slice and the last, the classifier follows the image and not the shape in between.
#[test]
fn pixels_are_told_apart_by_what_they_look_like() -> TestResult {
    // The disc rests on the first three slices, so the shape between the outlines is wrong on slice 2.
    let discs = [disc(0), disc(0), disc(0), disc(3), disc(4)];
    let source = Images::new(&fixed(), discs.iter().map(image).collect());
    let outlines: BTreeMap<_, _> = [0, 4].map(|slice| (slice, discs[slice].clone())).into();
    let prior = ShapePrior::new(&outlines)?.slice(2).ok_or("it lies between the outlines")?;
    assert!(dice(&prior.mask(), &discs[2]) < 0.8);
    let config = PixelClassifierConfig::default().with_trees(20);
    let found = config.fit(&source, &outlines, prior.width)?.classify(&source, 2, &prior)?;
    assert!(found.iter().all(|inside| (-1.0..=1.0).contains(inside)));
    let mask = found.mapv(|inside| inside > 0.0);
    assert!(dice(&mask, &discs[2]) > 0.95, "{}", dice(&mask, &discs[2]));
    let again = config.fit(&source, &outlines, prior.width)?.classify(&source, 2, &prior)?;
    assert_eq!(found, again, "the same seed");
    let few = config.with_max_pixels(100).with_seed(1).fit(&source, &outlines, prior.width)?;
    assert_ne!(found, few.classify(&source, 2, &prior)?);
    Ok(())
}

#[test]
fn an_outline_may_cover_a_whole_slice_of_a_few_pixels() -> TestResult {
    let whole = Array2::from_elem((3, 2), true);
    let source = Images::new(&fixed(), vec![image(&whole); 3]);
    let outlines: BTreeMap<_, _> = [(0, whole.clone()), (2, whole.clone())].into();
    let prior = ShapePrior::new(&outlines)?.slice(1).ok_or("it lies between the outlines")?;
    let found = PixelClassifierConfig::default().fit(&source, &outlines, 1.0)?.classify(&source, 1, &prior)?;
    assert!(found.iter().all(|inside| *inside > 0.99), "{found}");
    Ok(())
}

#[test]
fn what_cannot_be_learned_from_is_refused() {
    let outlines: BTreeMap<_, _> = [(1, Array2::from_elem((4, 4), false))].into();
    let source = Images::new(&fixed(), vec![image(&outlines[&1]); 2]);
    let config = PixelClassifierConfig::default();
    assert!(matches!(config.fit(&source, &outlines, 1.0), Err(AutoError::NothingAnnotated)));
    let shown: BTreeMap<_, _> = [(1, Array2::from_elem((4, 4), true))].into();
    let failed = config.fit(&Gone(2), &shown, 1.0).err().map(|error| error.to_string());
    assert!(failed.as_deref().is_some_and(|failed| failed.contains("slice")), "{failed:?}");
    let wrong = [
        config.with_trees(0),
        config.with_trees(usize::MAX),
        config.with_band(f32::NAN),
        config.with_min_band(0.4),
        config.with_min_leaf(0),
        config.with_max_pixels(1),
    ];
    for wrong in wrong {
        assert!(matches!(wrong.fit(&source, &shown, 1.0), Err(AutoError::Config(_))), "{wrong:?}");
    }
}
