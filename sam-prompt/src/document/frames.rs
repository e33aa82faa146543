//! Conversion between patient millimetres and pixels of slices.

use std::collections::BTreeMap;

use super::{
    CutAxis, DocumentError, ObjectPrompts, PatientBox, PatientPoint, PatientPrompts, PromptDocument, SlicePrompts,
};
use crate::{BoundingBox, Lasso, Point, Scribble};

/// The position of a volume's slices in the patient, for conversions between millimetres and pixels.
///
/// Units: positions `[x, y, z]` in patient millimetres (RAS+), pixels `[x, y]` as in [`Point`].
pub trait SliceGeometry {
    /// The slice nearest to a position, and the pixel there; `None` if every slice is farther away than half a slice.
    fn pixel(&self, position: [f64; 3]) -> Option<(usize, [f32; 2])>;

    /// The position of a pixel, or `None` if there is no such slice.
    fn position(&self, slice: usize, pixel: [f32; 2]) -> Option<[f64; 3]>;
}

impl PromptDocument {
    /// Converts the document to pixels of the slices along `axis` that `geometry` describes.
    ///
    /// # Errors
    /// [`DocumentError::OtherAxis`] if the document is in pixels of slices along another axis, [`DocumentError::OffSlices`] for the first
    /// position that is on no slice, [`DocumentError::SeveralSlices`] for the first box or drawing that spans several slices, and those of
    /// [`PromptDocument::check`].
    pub fn into_pixels(self, axis: CutAxis, geometry: &impl SliceGeometry) -> Result<Self, DocumentError> {
        self.check()?;
        self.check_axis(axis)?;
        let Self::Millimetres { objects } = self else { return Ok(self) };
        let on_slices = |prompts: &PatientPrompts| Placed { object: &prompts.name, geometry }.on_slices(prompts);
        let document = Self::Pixels { axis, objects: objects.iter().map(on_slices).collect::<Result<_, _>>()? };
        document.check()?;
        Ok(document)
    }

    /// Converts the document from pixels of the slices along `axis` that `geometry` describes to patient millimetres.
    ///
    /// # Errors
    /// [`DocumentError::OtherAxis`] if the document is in pixels of slices along another axis, [`DocumentError::NoSlice`] for the first
    /// slice that the volume does not have, [`DocumentError::MaskInMillimetres`] for the first mask, and those of
    /// [`PromptDocument::check`].
    pub fn into_millimetres(self, axis: CutAxis, geometry: &impl SliceGeometry) -> Result<Self, DocumentError> {
        self.check()?;
        self.check_axis(axis)?;
        let Self::Pixels { objects, .. } = self else { return Ok(self) };
        let in_patient = |prompts: &ObjectPrompts| Placed { object: &prompts.name, geometry }.in_patient(prompts);
        let document = Self::Millimetres { objects: objects.iter().map(in_patient).collect::<Result<_, _>>()? };
        document.check()?;
        Ok(document)
    }

    fn check_axis(&self, expected: CutAxis) -> Result<(), DocumentError> {
        match *self {
            Self::Pixels { axis: found, .. } if found != expected => Err(DocumentError::OtherAxis { found, expected }),
            _ => Ok(()),
        }
    }
}

/// An object's prompts and the geometry of their volume.
struct Placed<'a, G> {
    object: &'a str,
    geometry: &'a G,
}

impl<G: SliceGeometry> Placed<'_, G> {
    /// Converts prompts to pixels, grouped by slice.
    fn on_slices(&self, prompts: &PatientPrompts) -> Result<ObjectPrompts, DocumentError> {
        let mut slices = BTreeMap::new();
        for &PatientPoint { at, label } in &prompts.points {
            let (slice, [x, y]) = self.pixel("point", at)?;
            on(&mut slices, slice).points.push(Point { x, y, label });
        }
        for PatientBox { corners } in &prompts.boxes {
            let (slice, corners) = self.pixels("box", corners)?;
            // The axis determines which corner is the upper left one.
            on(&mut slices, slice).boxes.extend(Lasso { path: corners }.bounding_box());
        }
        for Scribble { label, path, radius } in &prompts.scribbles {
            let (slice, path) = self.pixels("scribble", path)?;
            let radius = (f64::from(*radius) / self.pixel_side(slice)?) as f32;
            on(&mut slices, slice).scribbles.push(Scribble { label: *label, path, radius });
        }
        for Lasso { path } in &prompts.lassos {
            let (slice, path) = self.pixels("lasso", path)?;
            on(&mut slices, slice).lassos.push(Lasso { path });
        }
        Ok(ObjectPrompts { name: self.object.to_owned(), slices: slices.into_values().collect() })
    }

    /// Converts prompts on slices to millimetres.
    fn in_patient(&self, prompts: &ObjectPrompts) -> Result<PatientPrompts, DocumentError> {
        let mut patient = PatientPrompts { name: self.object.to_owned(), ..PatientPrompts::default() };
        prompts.slices.iter().try_for_each(|slice| self.add_slice(slice, &mut patient))?;
        Ok(patient)
    }

    fn add_slice(&self, prompts: &SlicePrompts, patient: &mut PatientPrompts) -> Result<(), DocumentError> {
        let slice = prompts.slice;
        if prompts.mask.is_some() {
            return Err(DocumentError::MaskInMillimetres { object: self.object.to_owned(), slice });
        }
        for &Point { x, y, label } in &prompts.points {
            patient.points.push(PatientPoint { at: self.position(slice, [x, y])?, label });
        }
        for &BoundingBox { x_min, y_min, x_max, y_max } in &prompts.boxes {
            let corners = [self.position(slice, [x_min, y_min])?, self.position(slice, [x_max, y_max])?];
            patient.boxes.push(PatientBox { corners });
        }
        for Scribble { label, path, radius } in &prompts.scribbles {
            let radius = (f64::from(*radius) * self.pixel_side(slice)?) as f32;
            patient.scribbles.push(Scribble { label: *label, path: self.positions(slice, path)?, radius });
        }
        for Lasso { path } in &prompts.lassos {
            patient.lassos.push(Lasso { path: self.positions(slice, path)? });
        }
        Ok(())
    }

    fn pixel(&self, what: &'static str, position: [f64; 3]) -> Result<(usize, [f32; 2]), DocumentError> {
        let off_slices = || DocumentError::OffSlices { object: self.object.to_owned(), what, position };
        self.geometry.pixel(position).ok_or_else(off_slices)
    }

    /// The pixels of a path, and the one slice they are on.
    fn pixels(&self, what: &'static str, path: &[[f64; 3]]) -> Result<(usize, Vec<[f32; 2]>), DocumentError> {
        let located = path.iter().map(|&position| self.pixel(what, position));
        let (slices, pixels): (Vec<_>, Vec<_>) = located.collect::<Result<_, _>>()?;
        let first = slices.first().copied().unwrap_or_default();
        match slices.into_iter().find(|&other| other != first) {
            Some(other) => Err(DocumentError::SeveralSlices { object: self.object.to_owned(), what, first, other }),
            None => Ok((first, pixels)),
        }
    }

    fn position(&self, slice: usize, pixel: [f32; 2]) -> Result<[f64; 3], DocumentError> {
        let no_slice = || DocumentError::NoSlice { object: self.object.to_owned(), slice };
        self.geometry.position(slice, pixel).ok_or_else(no_slice)
    }

    fn positions(&self, slice: usize, path: &[[f32; 2]]) -> Result<Vec<[f64; 3]>, DocumentError> {
        path.iter().map(|&pixel| self.position(slice, pixel)).collect()
    }

    /// Side of a pixel in millimetres. For anisotropic pixels, the geometric mean of the two spacings, because pen strokes are round on the
    /// screen.
    fn pixel_side(&self, slice: usize) -> Result<f64, DocumentError> {
        let corner = self.position(slice, [0.0, 0.0])?;
        let length_to = |pixel| -> Result<f64, DocumentError> {
            let end = self.position(slice, pixel)?;
            Ok(corner.iter().zip(end).map(|(from, to)| (to - from).powi(2)).sum::<f64>().sqrt())
        };
        Ok((length_to([1.0, 0.0])? * length_to([0.0, 1.0])?).sqrt())
    }
}

fn on(slices: &mut BTreeMap<usize, SlicePrompts>, slice: usize) -> &mut SlicePrompts {
    slices.entry(slice).or_insert_with(|| SlicePrompts { slice, ..SlicePrompts::default() })
}
