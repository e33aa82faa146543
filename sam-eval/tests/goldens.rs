//! Overlap and surface metrics against reference scores; `goldens/subset.py` states their source.

use std::error::Error;

use ndarray::{ArrayD, IxDyn};
use safetensors::SafeTensors;
use sam_eval::{EmptyPolicy, PercentileOf, SurfaceDistances, dice, iou};

/// Both sides divide the same two integers in double precision; only the printed digits can differ.
const OVERLAP_TOLERANCE: f64 = 1e-6;
/// The reference computes in single precision, in millimetres.
const SURFACE_TOLERANCE: f64 = 1e-5;

#[derive(serde::Deserialize)]
struct Expected {
    case: usize,
    dice: Option<f64>,
    iou: Option<f64>,
    spacing: Vec<f64>,
    medpy_hd: Option<f64>,
    medpy_hd95: Option<f64>,
    medpy_assd: Option<f64>,
    monai_hd: Option<f64>,
    monai_hd95: Option<f64>,
    monai_assd: Option<f64>,
    monai_nsd_t1: Option<f64>,
    monai_nsd_t2: Option<f64>,
}

#[test]
fn agrees_with_the_reference() -> Result<(), Box<dyn Error>> {
    let masks = SafeTensors::deserialize(include_bytes!("goldens/masks.safetensors"))?;
    let all: Vec<Expected> = serde_json::from_str(include_str!("goldens/expected.json"))?;
    assert_eq!(masks.len(), 2 * all.len());
    for expected in all {
        let case = expected.case;
        let prediction = mask(&masks, &format!("case{case:02}.pred"))?;
        let truth = mask(&masks, &format!("case{case:02}.gt"))?;
        close(dice(&prediction, &truth, EmptyPolicy::Nan)?, expected.dice, OVERLAP_TOLERANCE, case, "Dice");
        close(iou(&prediction, &truth, EmptyPolicy::Nan)?, expected.iou, OVERLAP_TOLERANCE, case, "IoU");

        let surface = SurfaceDistances::between(&prediction, &truth, &expected.spacing)?;
        for (metric, got, expected) in [
            ("medpy's HD", surface.hausdorff(), expected.medpy_hd),
            ("medpy's HD95", surface.hd95(PercentileOf::Pooled), expected.medpy_hd95),
            ("medpy's ASSD", surface.assd(), expected.medpy_assd),
            ("MONAI's HD", surface.hausdorff(), expected.monai_hd),
            ("MONAI's HD95", surface.hd95(PercentileOf::EachDirection), expected.monai_hd95),
            ("MONAI's ASSD", surface.assd(), expected.monai_assd),
        ] {
            close(got, expected, SURFACE_TOLERANCE, case, metric);
        }
        // The reference has no value if a mask is empty; our NSD is then 0 if one mask is empty, and NaN if both are.
        let both_empty = expected.dice.is_none();
        for (tolerance, expected) in [(1.0, expected.monai_nsd_t1), (2.0, expected.monai_nsd_t2)] {
            let expected = expected.or((!both_empty).then_some(0.0));
            close(surface.nsd(tolerance), expected, SURFACE_TOLERANCE, case, "NSD");
        }
    }
    Ok(())
}

fn mask(masks: &SafeTensors<'_>, name: &str) -> Result<ArrayD<bool>, Box<dyn Error>> {
    let tensor = masks.tensor(name)?;
    let elements = tensor.data().iter().map(|&byte| byte != 0).collect();
    Ok(ArrayD::from_shape_vec(IxDyn(tensor.shape()), elements)?)
}

/// The tolerance is relative for distances above one millimetre, because the reference rounds to 24 bits.
fn close(got: f64, expected: Option<f64>, tolerance: f64, case: usize, metric: &str) {
    match expected {
        Some(expected) => {
            let near = (got - expected).abs() < tolerance * expected.abs().max(1.0);
            assert!(near, "case {case}, {metric}: {got} instead of {expected}");
        }
        None => assert!(got.is_nan(), "case {case}, {metric}: {got} though a mask is empty"),
    }
}
