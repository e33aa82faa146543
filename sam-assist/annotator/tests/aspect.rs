//! Pixels that are not square: along an axis of a scan with unequal spacing.

use std::sync::Arc;

use sam_annotate::{
    AnnotateConfig, Annotations, Annotator, LabelVolume, Scan, SliceAxis, Start, ignore_events,
    ndarray::{Array2, Array3},
    sam_auto::{ShapeConfig, Strategy},
    sam_prompt::PixelAspect,
};
use sam_core::SliceSource;
use sam_data::Volume;

use crate::{Result, tiny::Desk};

/// 0.7 mm x 3 mm x 5 mm, with a tilt.
const AFFINE: [[f64; 4]; 4] =
    [[-0.7, 0.0, 0.0, 3.0], [0.0, 0.0, -5.0, 0.0], [0.0, 3.0, 0.0, 9.0], [0.0, 0.0, 0.0, 1.0]];
const SHAPE: (usize, usize, usize) = (40, 5, 20);

/// A disc of 10 mm around (i 20, `k`).
fn disc(i: usize, k: usize, centre: f64) -> bool {
    (0.7 * (i as f64 - 20.0)).hypot(5.0 * (k as f64 - centre)) <= 10.0
}

#[test]
fn an_annotator_measures_in_the_patient_along_every_axis() -> Result {
    let desk = Desk::new();
    let path = desk.path("thick.nii.gz");
    let voxels = Array3::from_shape_fn(SHAPE, |(i, j, k)| 10.0 * (i % 7) as f32 + j as f32 + k as f32);
    sam_data::write_volume(&path, &Volume::new(voxels, AFFINE))?;
    let mut config = AnnotateConfig::new(Strategy::Shape(ShapeConfig::default()));
    config.learning.iterations = 1;
    let scan = Arc::new(Scan::open(&path, None)?);
    let annotator = Annotator::builder(desk.predictor()?, scan).axis(SliceAxis::J).config(config).build()?;
    // The last axis is along rows, except along k.
    for (axis, (rows, columns)) in [(SliceAxis::I, (3.0, 5.0)), (SliceAxis::J, (0.7, 5.0)), (SliceAxis::K, (0.7, 3.0))]
    {
        let (expected, plane) = (PixelAspect::of_spacing(rows, columns), annotator.plane(axis).spacing());
        let found = annotator.slices(axis)?.pixel_aspect();
        let turned = PixelAspect::of_spacing(columns, rows);
        let near = |other: Option<PixelAspect>| other.is_some_and(|other| (other.rows() - found.rows()).abs() < 1e-4);
        assert!(
            near(PixelAspect::of_spacing(plane.0, plane.1)) && (near(expected) || near(turned)),
            "{axis:?} {found:?}"
        );
    }

    // 45 mm apart: two structures of which one ends and one begins. In pixels, they are near.
    let mut labels = LabelVolume::new(Array3::zeros(SHAPE), AFFINE);
    for (j, centre) in [(0, 5.0), (4, 14.0)] {
        for ((i, k), label) in labels.labels.index_axis_mut(sam_annotate::ndarray::Axis(1), j).indexed_iter_mut() {
            *label = u16::from(disc(i, k, centre));
        }
    }
    let plane = annotator.plane(SliceAxis::J);
    let outline =
        |slice: usize| -> Array2<bool> { plane.extract(labels.labels.view(), slice).mapv(|label| label == 1) };
    let outlines = [0, 4].map(|slice| (slice, outline(slice))).into();
    let aspect = annotator.slices(SliceAxis::J)?.pixel_aspect();
    let expected = ShapeConfig::default().fit(&outlines, aspect)?;
    let square = ShapeConfig::default().fit(&outlines, PixelAspect::SQUARE)?;
    let found = annotator.annotate(&Annotations::new(labels.clone()), Start::Model, &mut ignore_events())?;
    for slice in 1..4 {
        let mask = plane.extract(found.labels.labels.view(), slice).mapv(|label| label == 1);
        let shape = |prior: &sam_annotate::sam_auto::ShapePrior| prior.slice(slice).map(|slice| slice.mask());
        assert_eq!(Some(&mask), shape(&expected).as_ref(), "slice {slice}");
        assert_ne!(Some(mask), shape(&square), "slice {slice}");
    }
    Ok(())
}
