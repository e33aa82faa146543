//! Reads a header's affine, and converts a rotation to the header's quaternion.

use super::form::{Affine, AffineForm, Forms};
use crate::{Grid, GridError, SourceHeader};

/// The affines of a header in mm. The sform is used, else the qform, else one made from the voxel sizes. nibabel has the same precedence,
/// but uses an sform without an inverse.
///
/// # Errors
/// [`GridError::NoForm`] if a form is given, and none has an inverse; as [`Grid::check`] for bad voxel sizes.
pub(super) fn of_header(header: &SourceHeader) -> Result<Forms, GridError> {
    let version = header.version();
    let is_given = |code| header.integer(code, 0) > 0;
    let sform = is_given(version.sform_code).then(|| usable(in_mm(header, sform(header)), "sform"));
    let qform =
        is_given(version.qform_code).then(|| qform(header).and_then(|affine| usable(in_mm(header, affine), "qform")));
    match (sform, qform) {
        (Some(Ok(sform)), qform) => {
            Ok(Forms::new(AffineForm::Sform, sform).with(AffineForm::Qform, qform.and_then(Result::ok)))
        }
        (None, Some(Ok(qform))) => Ok(Forms::new(AffineForm::Qform, qform)),
        (Some(Err(unusable)), Some(Ok(qform))) => {
            Ok(Forms { unusable: Some(unusable), ..Forms::new(AffineForm::Qform, qform) })
        }
        (None, None) => {
            let [centred, corner] = [centred(header), corner(header)].map(|affine| in_mm(header, affine));
            Grid::try_new([1; 3], centred)?;
            Ok(Forms::new(AffineForm::Centred, centred).with(AffineForm::VoxelSizes, Some(corner)))
        }
        (sform, qform) => {
            let found = |form: Option<Result<Affine, String>>, name: &str| match form {
                Some(Err(unusable)) => unusable,
                _ => format!("no {name}"),
            };
            Err(GridError::NoForm { sform: found(sform, "sform"), qform: found(qform, "qform") })
        }
    }
}

const BOTTOM: [f64; 4] = [0.0, 0.0, 0.0, 1.0];
/// A quaternion may be longer than 1 by this much because of rounding.
const LENGTH_TOLERANCE: f64 = 1e-3;

/// An affine that has an inverse, or what is wrong with it.
fn usable(affine: Affine, name: &str) -> Result<Affine, String> {
    let flaw = match Grid::try_new([1; 3], affine) {
        Ok(_) => return Ok(affine),
        Err(GridError::NotFinite { .. }) => "with numbers that are not finite",
        Err(_) => "without an inverse",
    };
    Err(format!("an {name} {flaw}, {:?}", &affine[..3]))
}

/// An affine in the header's unit of length, in mm. The low three bits of `xyzt_units` are the unit; an unknown one is mm.
/// Source: `nifti1.h`, `XYZT_TO_SPACE`.
fn in_mm(header: &SourceHeader, mut affine: Affine) -> Affine {
    const METRE: i64 = 1;
    const MICROMETRE: i64 = 3;
    let convert: fn(f64) -> f64 = match header.integer(header.version().xyzt_units, 0) & 7 {
        METRE => |length| length * 1e3,
        MICROMETRE => |length| length / 1e3,
        _ => return affine,
    };
    affine[..3].iter_mut().flatten().for_each(|length| *length = convert(*length));
    affine
}

/// The three rows of the sform.
fn sform(header: &SourceHeader) -> Affine {
    let row = |row: usize| header.reals(header.version().srow, 4 * row);
    [row(0), row(1), row(2), BOTTOM]
}

/// The size of a voxel along an axis, in mm, repaired as in nibabel: 1 if it is 0, else without its sign.
fn voxel_size(header: &SourceHeader, axis: usize) -> f64 {
    match header.real(header.version().pixdim, axis + 1) {
        0.0 => 1.0,
        size => size.abs(),
    }
}

/// nibabel's affine of a header without forms: the first axis points to the left, the volume's centre is the origin.
fn centred(header: &SourceHeader) -> Affine {
    let dim = header.version().dim;
    let mut affine = [[0.0; 4], [0.0; 4], [0.0; 4], BOTTOM];
    for (axis, row) in affine.iter_mut().take(3).enumerate() {
        let (count, size) = if (axis as i64) < header.integer(dim, 0) {
            (header.real(dim, axis + 1), voxel_size(header, axis))
        } else {
            (1.0, 1.0)
        };
        let step = if axis == 0 { -size } else { size };
        row[axis] = step;
        row[3] = -step * (count - 1.0) / 2.0;
    }
    affine
}

/// The affine of a header without forms by the standard and by ITK: the axes point to the right, anterior and superior, the first voxel is
/// the origin. Source: `nifti1.h`, method 1.
fn corner(header: &SourceHeader) -> Affine {
    let mut affine = [[0.0; 4], [0.0; 4], [0.0; 4], BOTTOM];
    for (axis, row) in affine.iter_mut().take(3).enumerate() {
        row[axis] = voxel_size(header, axis);
    }
    affine
}

/// The affine of the qform: the rotation of a unit quaternion, scaled and translated. Source: `nifti1.h`, method 2.
///
/// A quaternion that is longer than 1 because of rounding is normalised, as in `nifti1_io.c`; nibabel refuses it.
#[allow(clippy::many_single_char_names, reason = "the standard's names")]
fn qform(header: &SourceHeader) -> Result<Affine, String> {
    let version = header.version();
    let stored: [f64; 3] = header.reals(version.quatern, 0);
    let length = stored.iter().map(|part| part * part).sum::<f64>();
    if length > 1.0 + LENGTH_TOLERANCE {
        return Err(format!("a qform whose quaternion is longer than 1, {stored:?}"));
    }
    let [b, c, d] = stored.map(|part| part / length.max(1.0).sqrt());
    let a = (1.0 - length).max(0.0).sqrt();
    let rotation = [
        [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
        [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
        [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ];
    let handedness = if header.real(version.pixdim, 0) < 0.0 { -1.0 } else { 1.0 };
    let sizes = [voxel_size(header, 0), voxel_size(header, 1), voxel_size(header, 2) * handedness];
    let offset: [f64; 3] = header.reals(version.qoffset, 0);
    let row = |row: usize| {
        let [x, y, z] = rotation[row];
        [x * sizes[0], y * sizes[1], z * sizes[2], offset[row]]
    };
    Ok([row(0), row(1), row(2), BOTTOM])
}

/// A rotation in the form that the header stores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rotation {
    /// The last three components of a unit quaternion whose first component is not negative.
    pub(super) quaternion: [f64; 3],
    /// -1 if the voxel axes are left-handed, else 1.
    pub(super) handedness: f64,
}

/// The rotation of an affine; `None` if its axes are not at right angles, because a qform cannot represent that.
pub(super) fn rotation(affine: &[[f64; 4]; 4], spacing: [f64; 3]) -> Option<Rotation> {
    let mut axes = [0, 1, 2].map(|axis| [0, 1, 2].map(|row| affine[row][axis] / spacing[axis]));
    let dot = |a: [f64; 3], b: [f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let cross =
        |a: [f64; 3], b: [f64; 3]| [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    let right_angled = [(0, 1), (0, 2), (1, 2)].into_iter().all(|(a, b)| dot(axes[a], axes[b]).abs() < 1e-5);
    if !right_angled {
        return None;
    }
    let handedness = dot(cross(axes[0], axes[1]), axes[2]).signum();
    axes[2] = axes[2].map(|part| part * handedness);
    // Each of 4a², 4b², 4c², 4d² follows from the diagonal. Dividing by the largest of them is numerically safe.
    let r = |row: usize, column: usize| axes[column][row];
    let (x, y, z) = (r(0, 0), r(1, 1), r(2, 2));
    let candidates = [
        [1.0 + x + y + z, r(2, 1) - r(1, 2), r(0, 2) - r(2, 0), r(1, 0) - r(0, 1)],
        [r(2, 1) - r(1, 2), 1.0 + x - y - z, r(0, 1) + r(1, 0), r(0, 2) + r(2, 0)],
        [r(0, 2) - r(2, 0), r(0, 1) + r(1, 0), 1.0 - x + y - z, r(1, 2) + r(2, 1)],
        [r(1, 0) - r(0, 1), r(0, 2) + r(2, 0), r(1, 2) + r(2, 1), 1.0 - x - y + z],
    ];
    let largest = (0..4).max_by(|&a, &b| candidates[a][a].total_cmp(&candidates[b][b]))?;
    let multiple = candidates[largest];
    let length = multiple.iter().map(|part| part * part).sum::<f64>().sqrt();
    let sign = if multiple[0] < 0.0 { -1.0 } else { 1.0 };
    Some(Rotation { quaternion: [1, 2, 3].map(|part| sign * multiple[part] / length), handedness })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::nifti::fields::{NIFTI_1, NIFTI_2, Version};

    fn with_qform(version: &Version, quaternion: [f64; 3]) -> SourceHeader {
        let mut header = SourceHeader { bytes: vec![0; version.length], extensions: Vec::new(), little_endian: true };
        header.put(version.qform_code, 0, 1.0);
        for (part, value) in quaternion.into_iter().enumerate() {
            header.put(version.quatern, part, value);
        }
        header
    }

    proptest! {
        #[test]
        fn a_rotation_is_read_as_it_was_stored(
            angles in prop::array::uniform3(-3.2_f64..3.2),
            spacing in prop::array::uniform3(0.2_f32..6.0),
            mirrored: bool,
        ) {
            let turn = |angle: f64, (a, b): (usize, usize), rows: [[f64; 3]; 3]| {
                let mut turned = rows;
                for column in 0..3 {
                    turned[a][column] = angle.cos() * rows[a][column] - angle.sin() * rows[b][column];
                    turned[b][column] = angle.sin() * rows[a][column] + angle.cos() * rows[b][column];
                }
                turned
            };
            let mut rows = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, if mirrored { -1.0 } else { 1.0 }]];
            for (angle, plane) in angles.into_iter().zip([(0, 1), (0, 2), (1, 2)]) {
                rows = turn(angle, plane, rows);
            }
            let sizes = spacing.map(f64::from);
            let row = |row: usize| [rows[row][0] * sizes[0], rows[row][1] * sizes[1], rows[row][2] * sizes[2], 7.0];
            let affine = [row(0), row(1), row(2), BOTTOM];
            let stored = rotation(&affine, sizes).expect("right angles");
            // f32 has seven digits, and the square root that recovers the first component loses half of them; f64 has sixteen.
            for (version, tolerance) in [(&NIFTI_1, 5e-3), (&NIFTI_2, 1e-6)] {
                let mut header = with_qform(version, stored.quaternion);
                header.put(version.pixdim, 0, stored.handedness);
                for (axis, size) in sizes.into_iter().enumerate() {
                    header.put(version.pixdim, axis + 1, size);
                    header.put(version.qoffset, axis, 7.0);
                }
                let read = of_header(&header).expect("a unit quaternion").affine;
                for (expected, found) in affine.iter().flatten().zip(read.iter().flatten()) {
                    prop_assert!((expected - found).abs() < tolerance, "{affine:?} {read:?}");
                }
            }
        }
    }

    #[test]
    fn sheared_axes_have_no_rotation_and_long_quaternions_are_refused() {
        let sheared = [[1.0, 0.2, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], BOTTOM];
        assert_eq!(rotation(&sheared, [1.0, 1.04_f64.sqrt(), 1.0]), None);
        assert!(of_header(&with_qform(&NIFTI_1, [1.1, 0.0, 0.0])).is_err());
    }

    #[test]
    fn the_unit_of_length_is_honoured() {
        for version in [&NIFTI_1, &NIFTI_2] {
            // The fourth and higher bits are the unit of time.
            for (units, expected) in
                [(0, 25.0), (1, 25_000.0), (2, 25.0), (3, 0.025), (4, 25.0), (8, 25.0), (11, 0.025)]
            {
                let mut header = with_qform(version, [0.0; 3]);
                header.put(version.xyzt_units, 0, f64::from(units));
                (1..4).for_each(|axis| header.put(version.pixdim, axis, 25.0));
                (0..3).for_each(|axis| header.put(version.qoffset, axis, 25.0));
                let affine = of_header(&header).expect("a qform").affine;
                for value in [affine[0][0], affine[2][2], affine[1][3]] {
                    assert!((value - expected).abs() < 1e-12, "{units}: {affine:?}");
                }
            }
        }
    }
}
