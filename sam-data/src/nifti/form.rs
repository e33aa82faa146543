//! The forms in which a header says where its voxels lie.

use std::fmt;

use crate::{
    Grid, Volume,
    geometry::{cross, dot, norm},
};

/// An affine from voxel index to mm.
pub(crate) type Affine = [[f64; 4]; 4];

/// A form in which a file says where its voxels lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AffineForm {
    /// The sform: an affine.
    Sform,
    /// The qform: a rotation, voxel sizes and a translation.
    Qform,
    /// Voxel sizes alone, with the volume's centre as the origin, as nibabel reads a header without sform and qform.
    Centred,
    /// Voxel sizes alone, with the first voxel as the origin, as ITK reads a header without sform and qform.
    VoxelSizes,
    /// The form in use with its axes turned to right angles, as ITK does with sheared ones.
    RightAngled,
    /// The affine of a volume without a header.
    Given,
}

impl fmt::Display for AffineForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sform => "sform",
            Self::Qform => "qform",
            Self::Centred => "voxel sizes around the centre",
            Self::VoxelSizes => "voxel sizes from the first voxel",
            Self::RightAngled => "affine with its axes at right angles, as ITK reads sheared ones",
            Self::Given => "affine",
        })
    }
}

/// The forms of a header.
#[derive(Debug, Clone)]
pub(crate) struct Forms {
    /// The form in use.
    pub(crate) form: AffineForm,
    /// The affine in use.
    pub(crate) affine: Affine,
    /// The header's other form.
    pub(crate) other: Option<(AffineForm, Affine)>,
    /// An sform that is not used, and why.
    pub(crate) unusable: Option<String>,
}

impl Forms {
    /// A single form.
    pub(crate) fn new(form: AffineForm, affine: Affine) -> Self {
        Self { form, affine, other: None, unusable: None }
    }

    /// These forms with another one.
    pub(crate) fn with(self, form: AffineForm, affine: Option<Affine>) -> Self {
        Self { other: affine.map(|affine| (form, affine)), ..self }
    }

    /// The forms of a volume. Its grid is in use, even if it is not that of its header.
    pub(super) fn of_volume(volume: &Volume) -> Self {
        let affine = volume.grid.affine;
        let own = volume.header.as_ref().and_then(|header| super::affine::of_header(header).ok());
        own.filter(|forms| forms.affine == affine).unwrap_or_else(|| Self::new(AffineForm::Given, affine))
    }

    /// The grids of all forms; the one in use comes first.
    pub(super) fn grids(&self, shape: [usize; 3]) -> Vec<(AffineForm, Grid)> {
        let right_angled = right_angled(&self.affine).map(|affine| (AffineForm::RightAngled, affine));
        let forms = [Some((self.form, self.affine)), self.other, right_angled].into_iter().flatten();
        forms.filter_map(|(form, affine)| Some((form, Grid::try_new(shape, affine).ok()?))).collect()
    }
}

/// An affine whose axes are at right angles, and as near as possible to those of `affine`: the polar decomposition of its unit vectors, with
/// the same voxel sizes and origin. `None` if the axes are at right angles.
///
/// Source: `nifti_mat44_to_quatern` of `nifti1_io.c`, which ITK uses for an sform.
fn right_angled(affine: &Affine) -> Option<Affine> {
    /// Cosine of the angle between two axes at right angles, after rounding to f32.
    const ROUNDING: f64 = 1e-6;
    let columns = [0, 1, 2].map(|axis| [0, 1, 2].map(|row| affine[row][axis]));
    let sizes = columns.map(norm);
    let units: [[f64; 3]; 3] = std::array::from_fn(|axis| columns[axis].map(|part| part / sizes[axis]));
    if [(0, 1), (0, 2), (1, 2)].into_iter().all(|(a, b)| dot(units[a], units[b]).abs() < ROUNDING) {
        return None;
    }
    let mut nearest = units;
    // Newton's iteration converges quadratically. Axes near one plane need a few more steps.
    for _ in 0..64 {
        nearest = halfway(nearest);
    }
    let mut result = *affine;
    for (axis, column) in nearest.into_iter().enumerate() {
        for (row, part) in column.into_iter().enumerate() {
            result[row][axis] = part * sizes[axis];
        }
    }
    Some(result)
}

/// The mean of a matrix and of the transpose of its inverse, as columns.
fn halfway([x, y, z]: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let volume = dot(x, cross(y, z));
    let inverse = [cross(y, z), cross(z, x), cross(x, y)];
    std::array::from_fn(|axis| {
        std::array::from_fn(|row| f64::midpoint([x, y, z][axis][row], inverse[axis][row] / volume))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sheared_axes_become_right_angled_as_in_itk() {
        // From the folder of a scan whose sform is sheared, and the qform that ITK wrote for it.
        let sheared = [[2.0, 0.0, 0.0, -159.0], [0.0, 2.0, 0.005, -79.0], [0.0, 0.0, 5.0, -27.5], [0.0, 0.0, 0.0, 1.0]];
        let expected = [
            [2.0, 0.0, 0.0, -159.0],
            [0.0, 1.999_999_75, 0.002_500_000_36, -79.0],
            [0.0, -0.000_999_999_67, 5.000_001_76, -27.5],
            [0.0, 0.0, 0.0, 1.0],
        ];
        let found = right_angled(&sheared).expect("sheared");
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        assert_eq!(right_angled(&found), None);
        let mirrored = [[-2.0, 1.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.3, 0.0, 5.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        assert_eq!(right_angled(&right_angled(&mirrored).expect("sheared")), None, "mirrored axes, too");
    }
}
