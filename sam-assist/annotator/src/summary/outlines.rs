//! The outlines of each structure on each slice.

use std::collections::BTreeMap;

use sam_data::{LabelVolume, SlicePlane};
use sam_prompt::{
    components,
    ndarray::{Array2, Array3},
};
use serde::Serialize;

use super::{MinOutline, SlicePlace};

/// The outline of a structure on a slice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Outline {
    /// The slice.
    #[serde(flatten)]
    pub place: SlicePlace,
    /// Number of its parts that do not touch each other, not at a corner either.
    pub components: usize,
    /// Number of its voxels.
    pub voxels: usize,
    /// Its area in mm2.
    pub area_mm2: f64,
}

/// All outlines of a label map, by label value and slice.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Outlines {
    outlines: BTreeMap<u16, BTreeMap<usize, Outline>>,
    /// Area of a voxel on a slice.
    voxel_mm2: f64,
}

/// Number of pixels of a label on a slice, and its first and last row and column.
struct Extent {
    voxels: usize,
    rows: (usize, usize),
    columns: (usize, usize),
}

impl Extent {
    /// The mask of the label within these rows and columns.
    fn mask(&self, slice: &Array2<u16>, value: u16) -> Array2<bool> {
        let size = |(first, last): (usize, usize)| last + 1 - first;
        let is_inside = |(row, column): (usize, usize)| slice[(self.rows.0 + row, self.columns.0 + column)] == value;
        Array2::from_shape_fn((size(self.rows), size(self.columns)), is_inside)
    }
}

impl Outlines {
    /// The outlines of a label map on slices of a plane.
    pub(crate) fn of(labels: &LabelVolume, plane: &SlicePlane) -> Self {
        let (rows, columns) = plane.spacing();
        let mut outlines = Self { outlines: BTreeMap::new(), voxel_mm2: rows * columns };
        for index in 0..plane.count() {
            let slice = plane.extract(labels.labels.view(), index);
            for (value, extent) in extents(&slice) {
                let (_, components) = components(extent.mask(&slice, value).view());
                let outline = Outline {
                    place: SlicePlace::new(index, plane),
                    components,
                    voxels: extent.voxels,
                    area_mm2: extent.voxels as f64 * outlines.voxel_mm2,
                };
                outlines.outlines.entry(value).or_default().insert(index, outline);
            }
        }
        outlines
    }

    /// The outlines that count, and those that are too small.
    pub(crate) fn split(&self, least: MinOutline) -> (Self, Self) {
        let of = |is_wanted: &dyn Fn(bool) -> bool| {
            let mut part = Self { outlines: BTreeMap::new(), voxel_mm2: self.voxel_mm2 };
            for (&value, outlines) in &self.outlines {
                let largest = outlines.values().map(|outline| outline.voxels).max().unwrap_or(0);
                let is_too_small = |outline: &Outline| least.is_too_small(outline.voxels, largest, self.voxel_mm2);
                let wanted = outlines.iter().filter(|(_, outline)| is_wanted(is_too_small(outline)));
                let wanted: BTreeMap<_, _> = wanted.map(|(&index, &outline)| (index, outline)).collect();
                if !wanted.is_empty() {
                    part.outlines.insert(value, wanted);
                }
            }
            part
        };
        (of(&|is_too_small| !is_too_small), of(&|is_too_small| is_too_small))
    }

    /// The outlines of a label value, slice by slice.
    pub(crate) fn of_value(&self, value: u16) -> Vec<Outline> {
        self.outlines.get(&value).map(|outlines| outlines.values().copied().collect()).unwrap_or_default()
    }

    /// Each label value and its outlines.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, &Outline)> {
        self.outlines.iter().flat_map(|(&value, outlines)| outlines.values().map(move |outline| (value, outline)))
    }

    /// Whether a slice has an outline of any structure.
    pub(crate) fn is_outlined(&self, index: usize) -> bool {
        self.outlines.values().any(|outlines| outlines.contains_key(&index))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.outlines.is_empty()
    }
}

/// The extent of each label of a slice.
fn extents(slice: &Array2<u16>) -> BTreeMap<u16, Extent> {
    let mut extents: BTreeMap<u16, Extent> = BTreeMap::new();
    for ((row, column), &label) in slice.indexed_iter().filter(|&(_, &label)| label != 0) {
        let new = || Extent { voxels: 0, rows: (row, row), columns: (column, column) };
        let extent = extents.entry(label).or_insert_with(new);
        extent.voxels += 1;
        extent.rows = (extent.rows.0.min(row), extent.rows.1.max(row));
        extent.columns = (extent.columns.0.min(column), extent.columns.1.max(column));
    }
    extents
}

/// Removes outlines from a label map.
pub(crate) fn remove(labels: &mut Array3<u16>, outlines: &Outlines, plane: &SlicePlane) {
    for (value, outline) in outlines.iter() {
        let mut slice = plane.extract(labels.view(), outline.place.index);
        slice.mapv_inplace(|label| if label == value { 0 } else { label });
        plane.insert(labels, outline.place.index, slice.view());
    }
}
