//! Prompts in patient millimetres.

use serde::{Deserialize, Serialize};

use super::{DocumentError, object_called};
use crate::{Label, Lasso, PromptError, Scribble, drawing::check_finite};

/// What is said about one object in patient millimetres.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientPrompts {
    /// What the object is called.
    pub name: String,
    /// Clicks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<PatientPoint>,
    /// Boxes, one for each part of the object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boxes: Vec<PatientBox>,
    /// Strokes over the object or beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scribbles: Vec<Scribble<[f64; 3]>>,
    /// Outlines, one for each part of the object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lassos: Vec<Lasso<[f64; 3]>>,
}

/// A click in patient millimetres.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientPoint {
    /// Position `[x, y, z]`.
    pub at: [f64; 3],
    /// Whether the place belongs to the object.
    pub label: Label,
}

/// A box on one slice, in patient millimetres.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientBox {
    /// Positions `[x, y, z]` of two opposite corners.
    pub corners: [[f64; 3]; 2],
}

impl PatientPrompts {
    /// All that can be wrong without knowing the volume.
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
