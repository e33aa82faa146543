//! Orders single images to a volume by their positions.

use std::path::Path;

use super::frame::Frame;
use crate::{
    DataError, DicomError,
    geometry::{cross, dot, norm},
};

/// Directions and spacings are stored with about six digits, so they may differ by this much.
const COSINE_TOLERANCE: f64 = 1e-3;
/// A slice may be off its position by this share of the slice distance, because some scanners round positions to 0.1 mm.
const STEP_TOLERANCE: f64 = 0.1;
/// Two slices are at the same position if they are closer than this share of the usual distance.
const SAME_PLACE: f64 = 0.1;

/// The common geometry of the images of a volume.
#[derive(Debug)]
pub(super) struct Stacking {
    /// Rows and columns.
    pub(super) size: (usize, usize),
    /// Maps voxel indices to mm (RAS).
    pub(super) affine: [[f64; 4]; 4],
}

impl Stacking {
    /// Orders the frames along their common normal and checks that their distances are equal.
    pub(super) fn of(folder: &Path, frames: &mut [Frame]) -> Result<Self, DataError> {
        Self::order(frames).map_err(|source| DataError::Dicom { path: folder.to_path_buf(), source })
    }

    fn order(frames: &mut [Frame]) -> Result<Self, DicomError> {
        let first = frames[0].clone();
        let other = frames.iter().find_map(|frame| Some((frame, difference(&first, frame)?)));
        if let Some((other, what)) = other {
            return Err(DicomError::Differ { first: first.name(), second: other.name(), what });
        }
        let normal = cross(first.directions[0], first.directions[1]);
        let along = |frame: &Frame| dot(normal, frame.position);
        frames.sort_by(|one, other| along(one).total_cmp(&along(other)));
        let length = usual_distance(frames, normal);
        check_distances(frames, normal, length)?;
        let (origin, step) = (frames[0].position, step(frames, normal));
        check_line(frames, step, length)?;
        let [columns, rows] = first.directions;
        let [between_rows, between_columns] = first.spacing;
        // DICOM axes point left and back, the affine's point right and front.
        let row = |axis: usize, sign: f64| {
            [columns[axis] * between_columns, rows[axis] * between_rows, step[axis], origin[axis]]
                .map(|part| sign * part)
        };
        let affine = [row(0, -1.0), row(1, -1.0), row(2, 1.0), [0.0, 0.0, 0.0, 1.0]];
        Ok(Self { size: first.size, affine })
    }
}

/// Checks that all distances between neighbours are close to the usual one.
fn check_distances(sorted: &[Frame], normal: [f64; 3], length: f64) -> Result<(), DicomError> {
    let along = |frame: &Frame| dot(normal, frame.position);
    for pair in sorted.windows(2) {
        let gap = along(&pair[1]) - along(&pair[0]);
        let names = || (pair[0].name(), pair[1].name());
        if gap <= SAME_PLACE * length.max(f64::MIN_POSITIVE) {
            let (first, second) = names();
            return Err(DicomError::SamePlace { first, second });
        }
        if (gap - length).abs() > STEP_TOLERANCE * length {
            let (first, second) = names();
            return Err(DicomError::Gap { first, second, found_mm: gap, expected_mm: length });
        }
    }
    Ok(())
}

/// Checks that the slices are on one straight line.
fn check_line(sorted: &[Frame], step: [f64; 3], length: f64) -> Result<(), DicomError> {
    let origin = sorted[0].position;
    for (index, frame) in sorted.iter().enumerate() {
        let expected = [0, 1, 2].map(|axis| origin[axis] + step[axis] * index as f64);
        let off_mm = norm([0, 1, 2].map(|axis| frame.position[axis] - expected[axis]));
        if off_mm > STEP_TOLERANCE * length {
            return Err(DicomError::OffLine { image: frame.name(), off_mm });
        }
    }
    Ok(())
}

/// The median distance between neighbours, which is robust against single gaps and duplicates.
fn usual_distance(sorted: &[Frame], normal: [f64; 3]) -> f64 {
    let along = |frame: &Frame| dot(normal, frame.position);
    let mut distances: Vec<f64> = sorted.windows(2).map(|pair| along(&pair[1]) - along(&pair[0])).collect();
    let middle = distances.len() / 2;
    if distances.is_empty() { 0.0 } else { *distances.select_nth_unstable_by(middle, f64::total_cmp).1 }
}

/// The vector from one slice to the next: the mean, in which rounding errors cancel. For a single slice, its thickness along the normal.
///
/// With a tilted gantry, slices are not stacked along their normal.
fn step(sorted: &[Frame], normal: [f64; 3]) -> [f64; 3] {
    match sorted {
        [first, .., last] => {
            [0, 1, 2].map(|axis| (last.position[axis] - first.position[axis]) / (sorted.len() - 1) as f64)
        }
        _ => normal.map(|part| part * sorted[0].thickness.unwrap_or(1.0)),
    }
}

/// The attribute in which two frames differ although frames of one volume must agree in it; `None` if there is none.
fn difference(one: &Frame, other: &Frame) -> Option<&'static str> {
    let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).any(|(a, b)| (a - b).abs() > COSINE_TOLERANCE);
    if one.size != other.size {
        Some("size")
    } else if apart(&one.spacing, &other.spacing) {
        Some("pixel spacing")
    } else if apart(one.directions.as_flattened(), other.directions.as_flattened()) {
        Some("orientation")
    } else {
        None
    }
}

impl Frame {
    /// The frame's name for error messages.
    fn name(&self) -> String {
        let file = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if self.of > 1 { format!("frame {} of {file}", self.number + 1) } else { file }
    }
}
