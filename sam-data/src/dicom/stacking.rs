//! Orders single images to a volume by their positions.

use std::path::Path;

use super::frame::Frame;
use crate::{
    DataError, DicomError,
    geometry::{cross, dot, norm},
};

/// Directions and spacings are stored with about six digits, so they may differ by this much.
const COSINE_TOLERANCE: f64 = 1e-3;
/// A slice may be off its position by this share of the slice distance.
const STEP_TOLERANCE: f64 = 0.1;
/// Two slices are at the same position if they are closer than this share of the usual distance.
const SAME_PLACE: f64 = 0.1;
/// Slices are missing in a distance larger than this multiple of the usual one.
const MISSING: f64 = 1.5;
/// Rounding explains a position only if its last digit is at most this share of the slice distance: else a missing slice could pass for it.
const COARSEST: f64 = 0.5;
/// Rounding errors of sums and products, relative to the last digit.
const SLACK: f64 = 1e-6;
/// Slices are sheared from this sine of the angle on, if the last slice is moved sideways by more than a tenth of a pixel, too.
const SHEARED: f64 = 1e-3;

/// The common geometry of the images of a volume.
#[derive(Debug)]
pub(super) struct Stacking {
    /// Rows and columns.
    pub(super) size: (usize, usize),
    /// Maps voxel indices to mm (RAS).
    pub(super) affine: [[f64; 4]; 4],
    /// The angle in degrees between the stack and the normal of its slices, as with a tilted gantry; `None` if the slices are not sheared.
    pub(super) shear: Option<f64>,
}

impl Stacking {
    /// Orders the frames along their common normal and checks that their distances are equal.
    pub(super) fn of(folder: &Path, frames: &mut [Frame]) -> Result<Self, DataError> {
        Self::order(frames).map_err(|source| DataError::Dicom { path: folder.to_path_buf(), source })
    }

    fn order(frames: &mut [Frame]) -> Result<Self, DicomError> {
        place(frames);
        let first = frames[0].clone();
        let other = frames.iter().find_map(|frame| Some((frame, difference(&first, frame)?)));
        if let Some((other, what)) = other {
            return Err(DicomError::Differ { first: first.name(), second: other.name(), what });
        }
        let normal = cross(first.directions[0], first.directions[1]);
        let normal = normal.map(|part| part / norm(normal).max(f64::MIN_POSITIVE));
        let along = |frame: &Frame| dot(normal, frame.position);
        frames.sort_by(|one, other| along(one).total_cmp(&along(other)));
        check_distances(frames, normal)?;
        let (origin, step) = (frames[0].position, step(frames, normal));
        check_line(frames, normal, step)?;
        let [columns, rows] = first.directions;
        let [between_rows, between_columns] = first.spacing;
        // DICOM axes point left and back, the affine's point right and front.
        let row = |axis: usize, sign: f64| {
            [columns[axis] * between_columns, rows[axis] * between_rows, step[axis], origin[axis]]
                .map(|part| sign * part)
        };
        let affine = [row(0, -1.0), row(1, -1.0), row(2, 1.0), [0.0, 0.0, 0.0, 1.0]];
        Ok(Self { size: first.size, affine, shear: shear(frames, normal, step) })
    }
}

/// Places frames that state no position: one above the other, in the order of their Instance Numbers, at the distance that the user gave.
fn place(frames: &mut [Frame]) {
    if frames.iter().any(|frame| frame.is_placed) {
        return;
    }
    frames.sort_by_cached_key(|frame| (frame.instance_number, frame.path.clone(), frame.number));
    for (index, frame) in frames.iter_mut().enumerate() {
        frame.position = [0.0, 0.0, index as f64 * frame.thickness.unwrap_or(1.0)];
    }
}

/// Checks that no two slices are at one place, and that none is missing between two.
fn check_distances(sorted: &[Frame], normal: [f64; 3]) -> Result<(), DicomError> {
    let length = usual_distance(sorted, normal);
    let most = MISSING * length + 0.5 * unit_along(sorted, normal).min(COARSEST * length);
    for pair in sorted.windows(2) {
        let found_mm = gap(pair, normal);
        let (first, second) = (pair[0].name(), pair[1].name());
        if found_mm <= SAME_PLACE * length.max(f64::MIN_POSITIVE) {
            return Err(DicomError::SamePlace { first, second });
        }
        if found_mm > most {
            return Err(DicomError::Gap { first, second, found_mm, expected_mm: length });
        }
    }
    Ok(())
}

/// Checks that the slices are on one straight line at equal distances: within a share of the distance, or within the rounding of the
/// positions' texts.
fn check_line(sorted: &[Frame], normal: [f64; 3], step: [f64; 3]) -> Result<(), DicomError> {
    let length = dot(normal, step);
    let origin = sorted[0].position;
    let off = |(index, frame): (usize, &Frame)| {
        [0, 1, 2].map(|axis| frame.position[axis] - origin[axis] - step[axis] * index as f64)
    };
    let offs = sorted.iter().enumerate().map(off);
    let worst = sorted.iter().zip(offs).max_by(|(_, one), (_, other)| norm(*one).total_cmp(&norm(*other)));
    let Some((frame, off)) = worst.filter(|(_, off)| norm(*off) > STEP_TOLERANCE * length) else { return Ok(()) };
    if is_rounded(sorted, normal, length) {
        return Ok(());
    }
    let along = dot(normal, off);
    let length = usual_distance(sorted, normal);
    let uneven = sorted.windows(2).max_by(|one, other| {
        let off = |pair: &[Frame]| (gap(pair, normal) - length).abs();
        off(one).total_cmp(&off(other))
    });
    match uneven {
        Some(pair) if 2.0 * along * along > dot(off, off) => {
            let (first, second) = (pair[0].name(), pair[1].name());
            Err(DicomError::Gap { first, second, found_mm: gap(pair, normal), expected_mm: length })
        }
        _ => Err(DicomError::OffLine { image: frame.name(), off_mm: norm(off) }),
    }
}

/// Whether there is a straight line with equal steps from which each position differs by rounding to its last digit alone.
fn is_rounded(sorted: &[Frame], normal: [f64; 3], length: f64) -> bool {
    let units = units(sorted);
    let fits = |axis: usize| {
        // Texts without a decimal point may be exact, so they have to be strictly within.
        let half = 0.5 * units[axis] * if units[axis] < 1.0 { 1.0 + SLACK } else { 1.0 - SLACK };
        let (mut least, mut most) = (f64::NEG_INFINITY, f64::INFINITY);
        for (from, one) in sorted.iter().enumerate() {
            for (steps, other) in sorted[from..].iter().enumerate().skip(1) {
                let way = other.position[axis] - one.position[axis];
                least = least.max((way - 2.0 * half) / steps as f64);
                most = most.min((way + 2.0 * half) / steps as f64);
            }
        }
        least <= most
    };
    unit_along(sorted, normal) <= COARSEST * length && (0..3).all(fits)
}

/// The value of one in the last digit of each coordinate. Writers may leave out zeros at the end, so the most digits that occur are those
/// of all.
fn units(sorted: &[Frame]) -> [f64; 3] {
    [0, 1, 2].map(|axis| sorted.iter().map(|frame| frame.units[axis]).fold(f64::INFINITY, f64::min))
}

/// How much a position along the normal changes if one is added to the last digit of each coordinate.
fn unit_along(sorted: &[Frame], normal: [f64; 3]) -> f64 {
    units(sorted).iter().zip(normal).map(|(unit, part)| part.abs() * unit).sum()
}

fn gap(pair: &[Frame], normal: [f64; 3]) -> f64 {
    dot(normal, pair[1].position) - dot(normal, pair[0].position)
}

/// The median distance between neighbours, which is robust against single gaps and duplicates.
fn usual_distance(sorted: &[Frame], normal: [f64; 3]) -> f64 {
    let mut distances: Vec<f64> = sorted.windows(2).map(|pair| gap(pair, normal)).collect();
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

/// The angle in degrees between the step and the normal, if it moves the last slice sideways by more than a tenth of a pixel.
fn shear(sorted: &[Frame], normal: [f64; 3], step: [f64; 3]) -> Option<f64> {
    let (along, length) = (dot(normal, step), norm(step));
    let sideways = norm([0, 1, 2].map(|axis| step[axis] - along * normal[axis]));
    let rounding = norm(units(sorted));
    let pixel = sorted[0].spacing[0].min(sorted[0].spacing[1]);
    let moved = sideways * (sorted.len() - 1) as f64;
    let is_sheared = sideways > SHEARED * length && moved > (0.1 * pixel).max(rounding);
    is_sheared.then(|| sideways.atan2(along).to_degrees())
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
