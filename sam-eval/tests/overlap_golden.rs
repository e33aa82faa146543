//! Dice and IoU against reference scores; `goldens/subset.py` says where they come from.

use std::error::Error;

use ndarray::{ArrayD, IxDyn};
use safetensors::SafeTensors;
use sam_eval::{EmptyPolicy, dice, iou};

/// Both sides divide the same two integers in double precision; this leaves room for printing only.
const TOLERANCE: f64 = 1e-6;

#[derive(serde::Deserialize)]
struct Expected {
    case: usize,
    dice: Option<f64>,
    iou: Option<f64>,
}

#[test]
fn agrees_with_the_reference() -> Result<(), Box<dyn Error>> {
    let masks = SafeTensors::deserialize(include_bytes!("goldens/masks.safetensors"))?;
    let expected: Vec<Expected> = serde_json::from_str(include_str!("goldens/expected.json"))?;
    assert_eq!(masks.len(), 2 * expected.len());
    for Expected { case, dice: expected_dice, iou: expected_iou } in expected {
        let prediction = mask(&masks, &format!("case{case:02}.pred"))?;
        let truth = mask(&masks, &format!("case{case:02}.gt"))?;
        close(dice(&prediction, &truth, EmptyPolicy::Nan)?, expected_dice, case);
        close(iou(&prediction, &truth, EmptyPolicy::Nan)?, expected_iou, case);
    }
    Ok(())
}

fn mask(masks: &SafeTensors<'_>, name: &str) -> Result<ArrayD<bool>, Box<dyn Error>> {
    let tensor = masks.tensor(name)?;
    let elements = tensor.data().iter().map(|&byte| byte != 0).collect();
    Ok(ArrayD::from_shape_vec(IxDyn(tensor.shape()), elements)?)
}

fn close(got: f64, expected: Option<f64>, case: usize) {
    match expected {
        Some(expected) => assert!((got - expected).abs() < TOLERANCE, "case {case}: {got} instead of {expected}"),
        None => assert!(got.is_nan(), "case {case}: {got} though both masks are empty"),
    }
}
