//! Where the slices of a scan lie in the patient, for prompts in millimetres.

use sam_data::{Grid, SliceAxis, SlicePlane};
use sam_prompt::{CutAxis, SliceGeometry};

/// A scan's grid and the cut through it.
#[derive(Debug)]
pub struct Cut<'a> {
    /// The scan's grid.
    pub grid: &'a Grid,
    /// The cut.
    pub plane: &'a SlicePlane,
}

impl SliceGeometry for Cut<'_> {
    fn pixel(&self, position: [f64; 3]) -> Option<(usize, [f32; 2])> {
        let [slice, row, column] = self.plane.place(self.grid.index(position)?);
        let nearest = slice.round();
        let exists = (slice - nearest).abs() <= 0.5 && (0.0..self.plane.count() as f64).contains(&nearest);
        exists.then_some((nearest as usize, [column as f32, row as f32]))
    }

    fn position(&self, slice: usize, [x, y]: [f32; 2]) -> Option<[f64; 3]> {
        let exists = slice < self.plane.count();
        exists.then(|| self.grid.world(self.plane.voxel(slice as f64, f64::from(y), f64::from(x))))
    }
}

/// The cut that a document speaks of; `None` for an image by itself.
pub const fn slice_axis(axis: CutAxis) -> Option<SliceAxis> {
    match axis {
        CutAxis::Axial => Some(SliceAxis::Axial),
        CutAxis::Coronal => Some(SliceAxis::Coronal),
        CutAxis::Sagittal => Some(SliceAxis::Sagittal),
        CutAxis::I => Some(SliceAxis::I),
        CutAxis::J => Some(SliceAxis::J),
        CutAxis::K => Some(SliceAxis::K),
        CutAxis::Image => None,
    }
}

/// The cut as documents name it: by the voxel axis that it runs along.
pub const fn cut_axis(plane_axis: usize) -> CutAxis {
    match plane_axis {
        0 => CutAxis::I,
        1 => CutAxis::J,
        _ => CutAxis::K,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_and_millimetres_lead_to_each_other() {
        let affine = [[-0.8, 0.1, 0.0, 90.0], [0.1, -0.8, 0.3, 40.0], [0.0, 0.2, 5.0, -60.0], [0.0, 0.0, 0.0, 1.0]];
        let grid = Grid::new([40, 30, 12], affine);
        let plane = SlicePlane::new(&grid, SliceAxis::Axial);
        let cut = Cut { grid: &grid, plane: &plane };
        let position = cut.position(7, [12.5, 20.0]).expect("there is a slice 7");
        let (slice, [x, y]) = cut.pixel(position).expect("it lies on the slice");
        assert_eq!(slice, 7);
        assert!((x - 12.5).abs() < 1e-4 && (y - 20.0).abs() < 1e-4, "({x}, {y})");
        assert_eq!(cut.position(12, [0.0, 0.0]), None);
        // Beyond the last slice by more than half of one.
        let above = cut.position(11, [5.0, 5.0]).map(|[x, y, z]| [x, y, z + 3.0]).expect("there is a slice 11");
        assert_eq!(cut.pixel(above), None);
    }
}
