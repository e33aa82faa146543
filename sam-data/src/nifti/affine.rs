//! Reads a header's affine, and converts a rotation to the header's quaternion.

use super::issue::HeaderIssue;
use crate::SourceHeader;

/// The affine of a header: the sform, else the qform, else one made from the voxel sizes. nibabel has the same precedence.
///
/// The `nifti` crate has this only for NIfTI-1 and with a linear algebra library, and it panics if a voxel size is negative. Such sizes are
/// repaired here as in nibabel.
pub(super) fn of_header(header: &SourceHeader) -> Result<[[f64; 4]; 4], HeaderIssue> {
    let version = header.version();
    let affine = if header.integer(version.sform_code, 0) > 0 {
        let row = |row: usize| header.reals(version.srow, 4 * row);
        [row(0), row(1), row(2), BOTTOM]
    } else if header.integer(version.qform_code, 0) > 0 {
        qform(header)?
    } else {
        base(header)
    };
    if affine.iter().flatten().all(|value| value.is_finite()) {
        return Ok(affine);
    }
    Err(HeaderIssue {
        expected: "an affine of finite numbers",
        found: format!("{:?}; set spacing and orientation anew", &affine[..3]),
    })
}

const BOTTOM: [f64; 4] = [0.0, 0.0, 0.0, 1.0];
/// A quaternion may be longer than 1 by this much because of rounding.
const LENGTH_TOLERANCE: f64 = 1e-3;

/// The size of a voxel along an axis, in mm, repaired as in nibabel: 1 if it is 0, else without its sign.
fn voxel_size(header: &SourceHeader, axis: usize) -> f64 {
    match header.real(header.version().pixdim, axis + 1) {
        0.0 => 1.0,
        size => size.abs(),
    }
}

/// The base affine of nibabel: the first axis points to the left, the volume's centre is the origin.
fn base(header: &SourceHeader) -> [[f64; 4]; 4] {
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

/// The affine of the qform: the rotation of a unit quaternion, scaled and translated. Source: `nifti1.h`, method 2.
///
/// A quaternion that is longer than 1 because of rounding is normalised, as in `nifti1_io.c`; nibabel refuses it.
#[allow(clippy::many_single_char_names, reason = "the standard's names")]
fn qform(header: &SourceHeader) -> Result<[[f64; 4]; 4], HeaderIssue> {
    let version = header.version();
    let stored: [f64; 3] = header.reals(version.quatern, 0);
    let length = stored.iter().map(|part| part * part).sum::<f64>();
    if length > 1.0 + LENGTH_TOLERANCE {
        return Err(HeaderIssue {
            expected: "a qform whose quaternion is not longer than 1",
            found: format!("{stored:?}; set the scan's orientation anew"),
        });
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
                let read = of_header(&header).expect("a unit quaternion");
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
}
