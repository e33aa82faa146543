//! Grids whose voxels lie on voxels of another grid: in another order, or on a part of it.

use std::fmt;

use ndarray::{Array3, ArrayView3, Axis, ShapeBuilder, Slice};

use crate::{
    Grid,
    geometry::{TOLERANCE, largest},
};

/// The orders of three axes; the first keeps them.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
/// Indices beyond this belong to no grid that is near the scan.
const FARTHEST: f64 = 1e9;

/// Where the voxels of a label map lie among those of a scan. The map is a part of the scan along each axis, or covers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lattice {
    /// For each axis of the scan, the axis of the map that runs along it.
    axes: [usize; 3],
    /// For each axis of the scan, whether that axis of the map runs against it.
    flipped: [bool; 3],
    /// For each axis of the scan, the smallest index that the map covers. Negative if the map begins before the scan.
    first: [i64; 3],
    /// For each axis of the scan, the number of voxels of the map.
    sides: [usize; 3],
    /// The shape of the scan.
    shape: [usize; 3],
}

impl Lattice {
    /// Finds where a map's voxels lie among those of the scan, and how far from them, as a share of a voxel's side. `None` if they lie between the scan's voxels, by more than a tenth of a
    /// voxel's side anywhere, or if map and scan overlap only in part.
    pub(crate) fn find(scan: &Grid, map: &Grid) -> Option<(Self, f64)> {
        ORDERS.into_iter().find_map(|axes| Self::of_order(scan, map, axes))
    }

    fn of_order(scan: &Grid, map: &Grid, axes: [usize; 3]) -> Option<(Self, f64)> {
        let begin = scan.index(map.world([0.0; 3]))?;
        let end = scan.index(map.world(map.shape.map(|side| (side - 1) as f64)))?;
        if !begin.iter().chain(&end).all(|index| index.abs() < FARTHEST) {
            return None;
        }
        let sides = axes.map(|axis| map.shape[axis]);
        let flipped = [0, 1, 2].map(|axis| sides[axis] > 1 && end[axis] < begin[axis]);
        let low = |axis: usize| if flipped[axis] { end[axis] } else { begin[axis] };
        let lattice =
            Self { axes, flipped, first: [0, 1, 2].map(|axis| low(axis).round() as i64), sides, shape: scan.shape };
        let apart = |corner: [f64; 3]| {
            let (expected, found) = (lattice.index(corner), scan.index(map.world(corner)));
            found.map_or(f64::INFINITY, |found| largest([0, 1, 2].map(|axis| found[axis] - expected[axis])))
        };
        let apart = largest(map.corners().map(apart));
        (apart <= TOLERANCE && (0..3).all(|axis| lattice.is_nested(axis))).then_some((lattice, apart))
    }

    /// The scan's index of a voxel of the map.
    fn index(&self, voxel: [f64; 3]) -> [f64; 3] {
        [0, 1, 2].map(|axis| {
            let along = voxel[self.axes[axis]];
            let from_first = if self.flipped[axis] { (self.sides[axis] - 1) as f64 - along } else { along };
            self.first[axis] as f64 + from_first
        })
    }

    /// Whether the map is a part of the scan along an axis, or covers it.
    fn is_nested(&self, axis: usize) -> bool {
        let (first, behind) = (self.first[axis], self.first[axis] + self.sides[axis] as i64);
        let side = self.shape[axis] as i64;
        (first >= 0 && behind <= side) || (first <= 0 && behind >= side)
    }

    /// Whether the map has the scan's voxels in the scan's order.
    pub(crate) fn is_identity(&self) -> bool {
        !self.is_turned() && self.first == [0; 3] && self.sides == self.shape
    }

    /// Whether the map's axes run another way than the scan's.
    pub(crate) fn is_turned(&self) -> bool {
        self.axes != ORDERS[0] || self.flipped != [false; 3]
    }

    /// The scan's index at which the map begins, and its sides along the scan's axes, if the map does not cover just the scan.
    pub(crate) fn part(&self) -> Option<([i64; 3], [usize; 3])> {
        (self.first != [0; 3] || self.sides != self.shape).then_some((self.first, self.sides))
    }

    /// Turns labels of the map and puts them into the scan's array. Voxels of the scan outside the map are 0.
    ///
    /// # Errors
    /// The number of labelled voxels outside the scan, if there are any.
    pub(crate) fn place(&self, labels: Array3<u16>) -> Result<Array3<u16>, usize> {
        if self.is_identity() {
            return Ok(labels);
        }
        let mut turned = labels.view().permuted_axes(self.axes);
        for axis in (0..3).filter(|&axis| self.flipped[axis]) {
            turned.invert_axis(Axis(axis));
        }
        let labelled = |labels: &ArrayView3<'_, u16>| labels.iter().filter(|&&label| label != 0).count();
        let everywhere = labelled(&turned);
        let mut placed = Array3::zeros(self.shape.f());
        let mut inside = placed.view_mut();
        for axis in 0..3 {
            // Where the common voxels begin in the map and in the scan, and how many there are.
            let (map, scan) = ((-self.first[axis]).max(0) as usize, self.first[axis].max(0) as usize);
            let count = (self.sides[axis] - map).min(self.shape[axis] - scan);
            turned.slice_axis_inplace(Axis(axis), Slice::from(map..map + count));
            inside.slice_axis_inplace(Axis(axis), Slice::from(scan..scan + count));
        }
        let outside = everywhere - labelled(&turned);
        if outside > 0 {
            return Err(outside);
        }
        inside.assign(&turned);
        Ok(placed)
    }
}

impl fmt::Display for Lattice {
    /// Completes the sentence "its voxels ...".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_turned(), self.part()) {
            (false, None) => f.write_str("have the scan's order"),
            (true, None) => f.write_str("are turned"),
            (false, Some((first, _))) => write!(f, "begin at its index {first:?}"),
            (true, Some((first, _))) => write!(f, "are turned and begin at its index {first:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AFFINE: [[f64; 4]; 4] =
        [[0.9, -0.3, 0.2, -80.0], [0.3, 0.9, 0.1, 33.0], [-0.1, 0.2, 4.0, 700.0], [0.0, 0.0, 0.0, 1.0]];

    fn scan() -> Grid {
        Grid::new([6, 5, 4], AFFINE)
    }

    /// The grid of a map whose voxel `[0, 0, 0]` is the scan's `corner`, and whose axes are steps in voxels of the scan.
    fn map(shape: [usize; 3], corner: [f64; 3], steps: [[f64; 3]; 3]) -> Grid {
        let scan = scan();
        let [origin, ends @ ..] = [[0.0; 3], steps[0], steps[1], steps[2]]
            .map(|step| scan.world([0, 1, 2].map(|axis| corner[axis] + step[axis])));
        let row = |row: usize| {
            let step = |axis: usize| ends[axis][row] - origin[row];
            [step(0), step(1), step(2), origin[row]]
        };
        Grid::new(shape, [row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]])
    }

    const STRAIGHT: [[f64; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

    #[test]
    fn voxels_between_voxels_and_partial_overlaps_are_refused() {
        let find = |shape, corner, steps| Some(Lattice::find(&scan(), &map(shape, corner, steps))?.0);
        assert!(find([6, 5, 4], [0.0; 3], STRAIGHT).is_some_and(|found| found.is_identity()));
        assert!(find([6, 5, 4], [0.09, 0.0, -0.09], STRAIGHT).is_some_and(|found| found.is_identity()));
        assert_eq!(find([6, 5, 4], [0.11, 0.0, 0.0], STRAIGHT), None, "more than a tenth of a voxel");
        assert_eq!(find([3, 5, 4], [0.5, 0.0, 0.0], STRAIGHT), None);
        assert_eq!(find([3, 5, 4], [0.0; 3], [[2.0, 0.0, 0.0], STRAIGHT[1], STRAIGHT[2]]), None, "every second voxel");
        assert_eq!(find([6, 5, 4], [1.0, 0.0, 0.0], STRAIGHT), None, "the same shape, but elsewhere");
        assert_eq!(find([3, 5, 4], [4.0, 0.0, 0.0], STRAIGHT), None, "partly outside");
        assert_eq!(find([2, 2, 2], [40.0, 0.0, 0.0], STRAIGHT), None, "far away");
        // The step along an axis with one voxel does not matter.
        let slice = find([6, 5, 1], [0.0, 0.0, 2.0], [STRAIGHT[0], STRAIGHT[1], [0.0, 0.1, 0.3]]);
        assert_eq!(slice.and_then(|found| found.part()), Some(([0, 0, 2], [6, 5, 1])));
    }

    #[test]
    fn a_map_that_reaches_beyond_the_scan_may_be_labelled_only_inside() {
        let grid = map([8, 5, 4], [-1.0, 0.0, 0.0], STRAIGHT);
        let (found, _) = Lattice::find(&scan(), &grid).expect("on the scan's voxels");
        let mut labels = Array3::zeros((8, 5, 4));
        labels[(1, 2, 3)] = 7;
        let placed = found.place(labels.clone()).expect("labelled inside");
        assert_eq!((placed.dim(), placed[(0, 2, 3)], placed.sum()), ((6, 5, 4), 7, 7));
        labels[(0, 0, 0)] = 1;
        assert_eq!(found.place(labels), Err(1));
    }

    proptest! {
        /// A part of a scan's labels, flipped and with its axes in another order, returns to its place.
        #[test]
        fn parts_in_any_order_return_to_their_place(
            order in 0_usize..6,
            flips: [bool; 3],
            from in prop::array::uniform3(0_usize..4),
            sides in prop::array::uniform3(1_usize..7),
            noise in prop::array::uniform3(-0.05_f64..0.05),
        ) {
            let scan = scan();
            let sides = [0, 1, 2].map(|axis| sides[axis].min(scan.shape[axis] - from[axis]));
            let order = ORDERS[order];
            let label = |[i, j, k]: [usize; 3]| (1 + i + 10 * j + 100 * k) as u16;
            // The scan's index of a voxel of the map.
            let there = |voxel: [usize; 3]| {
                let mut index = from;
                for (axis, &along) in order.iter().enumerate() {
                    index[along] += if flips[axis] { sides[along] - 1 - voxel[axis] } else { voxel[axis] };
                }
                index
            };
            let shape = order.map(|along| sides[along]);
            let labels = Array3::from_shape_fn(shape, |(i, j, k)| label(there([i, j, k])));
            let corner = there([0; 3]).map(|index| index as f64);
            let steps = [0, 1, 2].map(|axis| {
                let mut step = [0.0; 3];
                step[order[axis]] = if flips[axis] { -1.0 } else { 1.0 };
                step
            });
            let grid = map(shape, [0, 1, 2].map(|axis| corner[axis] + noise[axis]), steps);
            let (found, apart) = Lattice::find(&scan, &grid).expect("on the scan's voxels");
            prop_assert!(apart < 0.051, "{apart}");
            let placed = found.place(labels).expect("inside the scan");
            for ((i, j, k), &found) in placed.indexed_iter() {
                let is_inside = [i, j, k].iter().zip(from).zip(sides).all(|((&at, from), side)| (from..from + side).contains(&at));
                prop_assert_eq!(found, if is_inside { label([i, j, k]) } else { 0 });
            }
        }
    }
}
