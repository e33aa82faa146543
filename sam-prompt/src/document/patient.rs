//! Prompts in patient millimetres (RAS+).

use serde::{Deserialize, Serialize};

use super::{DocumentError, object_called};
use crate::{Label, Lasso, PromptError, Scribble, drawing::check_finite};

/// All prompts for one object, in patient millimetres (RAS+, see [`PatientPoint`]).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientPrompts {
    /// Name of the object.
    pub name: String,
    /// Clicks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<PatientPoint>,
    /// Boxes, one for each part of the object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boxes: Vec<PatientBox>,
    /// Strokes inside or outside the object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scribbles: Vec<Scribble<[f64; 3]>>,
    /// Outlines, one for each part of the object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lassos: Vec<Lasso<[f64; 3]>>,
}

/// A click, in patient millimetres.
///
/// Units: millimetres along `[x, y, z]`, which grow to the patient's right, front and head (RAS+, as in NIfTI). DICOM's positions
/// grow to the left and back (LPS+): negate x and y.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientPoint {
    /// Position `[x, y, z]` in RAS+ millimetres.
    pub at: [f64; 3],
    /// Whether the position belongs to the object.
    pub label: Label,
}

/// A box on one slice, in patient millimetres.
///
/// Units: RAS+ millimetres, as in [`PatientPoint`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientBox {
    /// Positions `[x, y, z]` of two opposite corners, in RAS+ millimetres.
    pub corners: [[f64; 3]; 2],
}

impl PatientPrompts {
    /// Checks everything that does not depend on the volume.
    pub(super) fn check(&self) -> Result<(), DocumentError> {
        let wrong = |source| DocumentError::Drawing { place: object_called(&self.name), source };
        self.check_drawings().map_err(wrong)
    }

    fn check_drawings(&self) -> Result<(), PromptError> {
        self.points.iter().try_for_each(|point| check_finite("point", point.at))?;
        self.boxes.iter().flat_map(|part| part.corners).try_for_each(|corner| check_finite("box", corner))?;
        self.scribbles.iter().try_for_each(Scribble::check_form)?;
        self.lassos.iter().try_for_each(Lasso::check_form)
    }
}
