//! The file format of prompts.

mod error;
mod frames;
mod patient;
mod runs;
mod slices;

use std::collections::HashSet;

pub use error::DocumentError;
pub use frames::SliceGeometry;
pub use patient::{PatientBox, PatientPoint, PatientPrompts};
pub use runs::DrawnMask;
use serde::{Deserialize, Serialize};
pub use slices::{ObjectPrompts, SlicePrompts};

/// The schema version that is read and written.
const VERSION: u64 = 1;

/// Prompts for any number of objects in a volume or image, stored as JSON.
///
/// # Schema
/// The document is an object with `version`, which is 1, and `prompts`, which holds either `pixels` or `millimetres`. Empty lists
/// may be left out; other fields are not allowed. Labels are `"foreground"` or `"background"`.
///
/// `pixels` are those of a viewer: `axis` names the axis of the slices ([`CutAxis`]), and each of `objects` has a `name` and
/// `slices`. A slice has its `index`, counted from 0 (earlier versions call it `slice`), and
/// - `points`: `{"x", "y", "label"}`; whole numbers are pixel centres, `x` is the column and `y` the row;
/// - `boxes`: `{"x_min", "y_min", "x_max", "y_max"}`, both corners included, in the same pixels;
/// - `scribbles`: `{"label", "path": [[x, y], ...], "radius"}`, see [`Scribble`](crate::Scribble);
/// - `lassos`: `{"path": [[x, y], ...]}` of three vertices or more, see [`Lasso`](crate::Lasso);
/// - `mask`: `{"rows", "columns", "runs"}`, a drawn mask. Runs count pixels in scan order, alternately outside and inside, starting
///   outside; see [`DrawnMask`].
///
/// ```
/// # let text = r#"
/// {
///   "version": 1,
///   "prompts": {
///     "pixels": {
///       "axis": "axial",
///       "objects": [
///         {
///           "name": "liver",
///           "slices": [
///             {
///               "index": 41,
///               "points": [{"x": 120, "y": 88.5, "label": "foreground"}],
///               "boxes": [{"x_min": 90, "y_min": 60, "x_max": 180, "y_max": 140}],
///               "scribbles": [{"label": "background", "path": [[20, 30], [25, 38]], "radius": 2}],
///               "lassos": [{"path": [[95, 70], [170, 72], [130, 130]]}],
///               "mask": {"rows": 3, "columns": 4, "runs": [5, 2, 5]}
///             }
///           ]
///         }
///       ]
///     }
///   }
/// }
/// # "#;
/// # let document = sam_prompt::PromptDocument::from_json(text)?;
/// # assert!(matches!(document, sam_prompt::PromptDocument::Pixels { .. }));
/// # Ok::<(), sam_prompt::DocumentError>(())
/// ```
///
/// `millimetres` are positions in the patient, independent of slices: `[x, y, z]`, growing to the patient's right, front and head
/// (RAS+, as in NIfTI). Each of `objects` has a `name`, and `points`, `boxes` of two opposite `corners`, `scribbles` and `lassos`;
/// each drawing lies on one slice. Radii are in millimetres too. There are no masks, because they consist of pixels.
///
/// ```
/// # let text = r#"
/// {
///   "version": 1,
///   "prompts": {
///     "millimetres": {
///       "objects": [
///         {
///           "name": "liver",
///           "points": [{"at": [-31.5, 12, 840.25], "label": "foreground"}],
///           "boxes": [{"corners": [[-60, -20, 840], [20, 55, 840]]}],
///           "scribbles": [{"label": "foreground", "path": [[-30, 10, 840], [-28, 14, 840]], "radius": 1.5}],
///           "lassos": [{"path": [[-50, 0, 840], [0, 0, 840], [-20, 40, 840]]}]
///         }
///       ]
///     }
///   }
/// }
/// # "#;
/// # let document = sam_prompt::PromptDocument::from_json(text)?;
/// # assert_eq!(sam_prompt::PromptDocument::from_json(&document.to_json()?)?, document);
/// # Ok::<(), sam_prompt::DocumentError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum PromptDocument {
    /// In pixels of slices.
    Pixels {
        /// The axis of the slices.
        axis: CutAxis,
        /// The objects; names are unique.
        objects: Vec<ObjectPrompts>,
    },
    /// In patient millimetres (RAS+).
    Millimetres {
        /// The objects; names are unique.
        objects: Vec<PatientPrompts>,
    },
}

/// The axis along which the slices of a document are taken, and with it their orientation on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CutAxis {
    /// From foot to head.
    Axial,
    /// From back to front.
    Coronal,
    /// From side to side.
    Sagittal,
    /// Along the first voxel index.
    I,
    /// Along the second voxel index.
    J,
    /// Along the third voxel index.
    K,
    /// A single image, which is slice 0.
    Image,
}

impl CutAxis {
    /// The name in the document.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Axial => "axial",
            Self::Coronal => "coronal",
            Self::Sagittal => "sagittal",
            Self::I => "i",
            Self::J => "j",
            Self::K => "k",
            Self::Image => "image",
        }
    }
}

/// The root object of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Versioned<T> {
    version: u64,
    prompts: T,
}

impl PromptDocument {
    /// Reads a document.
    ///
    /// # Errors
    /// [`DocumentError::Version`] for an unknown version, [`DocumentError::Json`] for text that does not follow the schema, and the errors
    /// of [`PromptDocument::check`].
    pub fn from_json(text: &str) -> Result<Self, DocumentError> {
        // Reads the version first, because another version may have a different schema.
        #[derive(Deserialize)]
        struct Header {
            version: u64,
        }
        let Header { version } = serde_json::from_str(text)?;
        if version != VERSION {
            return Err(DocumentError::Version { found: version, expected: VERSION });
        }
        let Versioned { prompts, .. } = serde_json::from_str::<Versioned<Self>>(text)?;
        prompts.check()?;
        Ok(prompts)
    }

    /// Writes the document in one line. Reading it back gives exactly the same numbers.
    ///
    /// # Errors
    /// Those of [`PromptDocument::check`]: an invalid document is not written.
    pub fn to_json(&self) -> Result<String, DocumentError> {
        self.check()?;
        Ok(serde_json::to_string(&Versioned { version: VERSION, prompts: self })?)
    }

    /// Checks everything that does not depend on the image.
    ///
    /// # Errors
    /// [`DocumentError::Repeated`] if two objects have the same name or an object has a slice twice; [`DocumentError::Drawing`] for a
    /// coordinate or radius that is not finite, a negative radius, an inverted box or a path too short; [`DocumentError::MaskSize`]
    /// for a mask larger than any slice.
    pub fn check(&self) -> Result<(), DocumentError> {
        match self {
            Self::Pixels { objects, .. } => {
                distinct(objects.iter().map(|object| object_called(&object.name)))?;
                objects.iter().try_for_each(ObjectPrompts::check)
            }
            Self::Millimetres { objects } => {
                distinct(objects.iter().map(|object| object_called(&object.name)))?;
                objects.iter().try_for_each(PatientPrompts::check)
            }
        }
    }
}

fn object_called(name: &str) -> String {
    format!("object `{name}`")
}

/// Checks that all places are distinct.
fn distinct(places: impl Iterator<Item = String>) -> Result<(), DocumentError> {
    let mut known = HashSet::new();
    for place in places {
        if let Some(place) = known.replace(place) {
            return Err(DocumentError::Repeated { place });
        }
    }
    Ok(())
}
