//! What the program understood of the annotations, before it learns.

mod min_outline;
mod outlines;
#[cfg(test)]
mod tests;
mod text;

use std::{borrow::Cow, collections::BTreeSet};

use sam_data::{AxisReason, SliceAxis, SlicePlane};
use sam_prompt::ndarray::Array3;
use serde::Serialize;

pub use self::{
    min_outline::{MinOutline, ParseMinOutlineError},
    outlines::Outline,
};
pub(crate) use self::{
    outlines::{Outlines, remove},
    text::{questioned, runs},
};
use crate::{AnnotateError, Annotations, annotations::list_structures};

/// What the program understood of the annotations: the axis, and for each structure where it is outlined, and where it is absent.
///
/// It is reported before anything is learned ([`Event::Understood`](crate::Event::Understood)), and stands in the record beside the mask.
/// Its text is for people, and counts slices from 1; its JSON has indices, counted from 0.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AnnotationSummary {
    /// The axis along which the scan is cut into slices.
    pub axis: AxisSummary,
    /// The structures, in the order of their label values.
    pub structures: Vec<StructureSummary>,
}

/// The axis along which the scan is cut into slices, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AxisSummary {
    /// The voxel index: `I`, `J` or `K`.
    pub axis: SliceAxis,
    /// The closest axis in the patient.
    pub orientation: SliceAxis,
    /// Why this axis.
    pub reason: AxisReason,
    /// Number of slices.
    pub slices: usize,
}

/// What the program understood of one structure.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StructureSummary {
    /// Its label value.
    pub value: u16,
    /// Its name.
    pub name: String,
    /// The slices on which it is outlined.
    pub outlined: Vec<Outline>,
    /// Outlines far smaller than the others. They do not count: the structure is looked for on these slices.
    pub too_small: Vec<Outline>,
    /// The slices on which it is absent.
    pub absent: Vec<AbsentSlice>,
    /// Slices that are outlined for other structures alone. The structure is looked for there.
    pub open: Vec<SlicePlace>,
    /// Whether all its outlines together are a few voxels, while others are whole: it may be the label of a slip.
    pub is_doubtful: bool,
}

/// A slice, and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SlicePlace {
    /// The slice, counted from 0.
    pub index: usize,
    /// Where it lies, in mm along the patient axis closest to the cut axis (RAS+): [`SlicePlane::millimetres`].
    pub mm: f64,
}

/// A slice on which a structure is absent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AbsentSlice {
    /// The slice.
    #[serde(flatten)]
    pub place: SlicePlace,
    /// Why the structure is absent.
    pub reason: AbsentReason,
}

/// Why a structure counts as absent on a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AbsentReason {
    /// The person said so.
    SaidEmpty,
    /// Other structures are outlined on the slice, and the person said that outlined slices are complete.
    Complete,
}

/// A summary, and the labels that count.
pub(crate) struct Understood<'a> {
    pub(crate) summary: AnnotationSummary,
    /// The labels without outlines that are too small.
    pub(crate) labels: Cow<'a, Array3<u16>>,
}

impl StructureSummary {
    /// The slices on which the structure is annotated, in ascending order: outlined, or absent.
    pub fn annotated(&self) -> BTreeSet<usize> {
        let outlined = self.outlined.iter().map(|outline| outline.place.index);
        outlined.chain(self.absent.iter().map(|absent| absent.place.index)).collect()
    }
}

impl SlicePlace {
    pub(crate) fn new(index: usize, plane: &SlicePlane) -> Self {
        Self { index, mm: plane.millimetres(index) }
    }
}

impl Annotations {
    /// What is understood of the annotations on slices of this plane.
    ///
    /// # Errors
    /// [`AnnotateError::NoSuchSlice`], [`AnnotateError::NoSuchStructure`], [`AnnotateError::OutlinedAndEmpty`] and
    /// [`AnnotateError::OutlinedAndAbsent`] if the lists of empty slices do not fit the labels; [`AnnotateError::AllTooSmall`] if no outline of
    /// a structure counts.
    ///
    /// # Panics
    /// If the labels do not have the shape of the plane's grid.
    pub fn summary(&self, plane: &SlicePlane, reason: AxisReason) -> Result<AnnotationSummary, AnnotateError> {
        Ok(self.understood(plane, reason)?.summary)
    }

    pub(crate) fn understood(&self, plane: &SlicePlane, reason: AxisReason) -> Result<Understood<'_>, AnnotateError> {
        let all = Outlines::of(&self.labels, plane);
        self.check_empty(plane, &all)?;
        let (kept, too_small) = all.split(self.min_outline);
        let mut structures = Vec::new();
        for value in self.labels.values() {
            let (outlined, too_small) = (kept.of_value(value), too_small.of_value(value));
            if outlined.is_empty() {
                let (structure, least) = (self.name(value), self.min_outline);
                return Err(AnnotateError::AllTooSmall { structure, least });
            }
            structures.push(self.structure(value, outlined, too_small, &kept, plane));
        }
        doubt(&mut structures);
        let mut labels = Cow::Borrowed(&self.labels.labels);
        if !too_small.is_empty() {
            remove(labels.to_mut(), &too_small, plane);
        }
        let axis = [SliceAxis::I, SliceAxis::J, SliceAxis::K][plane.axis()];
        let axis = AxisSummary { axis, orientation: plane.orientation(), reason, slices: plane.count() };
        Ok(Understood { summary: AnnotationSummary { axis, structures }, labels })
    }

    fn structure(
        &self,
        value: u16,
        outlined: Vec<Outline>,
        too_small: Vec<Outline>,
        all: &Outlines,
        plane: &SlicePlane,
    ) -> StructureSummary {
        let (mut absent, mut open) = (Vec::new(), Vec::new());
        let empty_of = self.empty.of.get(&value);
        let is_said_empty =
            |index: usize| self.empty.all.contains(index) || empty_of.is_some_and(|slices| slices.contains(index));
        let is_drawn = |index: usize| outlined.iter().chain(&too_small).any(|outline| outline.place.index == index);
        for index in (0..plane.count()).filter(|&index| !is_drawn(index)) {
            let here = SlicePlace::new(index, plane);
            let is_outlined = all.is_outlined(index);
            if is_said_empty(index) {
                absent.push(AbsentSlice { place: here, reason: AbsentReason::SaidEmpty });
            } else if is_outlined && self.complete {
                absent.push(AbsentSlice { place: here, reason: AbsentReason::Complete });
            } else if is_outlined {
                open.push(here);
            }
        }
        StructureSummary { value, name: self.name(value), outlined, too_small, absent, open, is_doubtful: false }
    }

    /// Refuses lists of empty slices that name what does not exist, or that the labels contradict.
    fn check_empty(&self, plane: &SlicePlane, all: &Outlines) -> Result<(), AnnotateError> {
        let count = plane.count();
        let check = |slice: usize| {
            if slice < count { Ok(()) } else { Err(AnnotateError::NoSuchSlice { slice, count }) }
        };
        for slice in self.empty.all.iter() {
            check(slice)?;
            if all.is_outlined(slice) {
                return Err(AnnotateError::OutlinedAndEmpty { slice });
            }
        }
        for (&value, slices) in &self.empty.of {
            let outlined = all.of_value(value);
            if outlined.is_empty() && !self.names.contains_key(&value) {
                let structures = list_structures(&self.structures());
                return Err(AnnotateError::NoSuchStructure { value, structures });
            }
            for slice in slices.iter() {
                check(slice)?;
                if outlined.iter().any(|outline| outline.place.index == slice) {
                    return Err(AnnotateError::OutlinedAndAbsent { slice, structure: self.name(value) });
                }
            }
        }
        Ok(())
    }
}

/// Marks structures of a few voxels, if others are whole.
fn doubt(structures: &mut [StructureSummary]) {
    let largest = |structure: &StructureSummary| structure.outlined.iter().map(|outline| outline.voxels).max();
    let most = structures.iter().filter_map(largest).max().unwrap_or(0);
    for structure in structures {
        let total: usize = structure.outlined.iter().map(|outline| outline.voxels).sum();
        structure.is_doubtful = MinOutline::Auto.is_too_small(total, most, 1.0) && total <= 3;
    }
}
