//! Distances between the surfaces of two masks, in millimetres: HD, HD95, ASSD, NSD.

use std::cmp::Reverse;

use ndarray::{ArrayD, ArrayRef, ArrayViewD, Axis, Dimension, Slice, Zip};
use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::distance::squared_distances;
use crate::ranks::percentile;

/// The set of distances from which a percentile is taken. Libraries differ here, so report which one was used for HD95.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PercentileOf {
    /// The larger of the percentiles of the two directions: MONAI (`metrics/hausdorff_distance.py`, 1.6.1). The default: at 100 % it is the
    /// Hausdorff distance, and a good direction cannot hide a bad one.
    #[default]
    EachDirection,
    /// The percentile of the distances of both directions together: medpy (`metric/binary.py`, `hd95`, 0.5.2).
    Pooled,
}

/// The distances between the surfaces of two masks, from which all surface metrics follow.
///
/// The surface of a mask is its elements that have a face-neighbour outside, or lie at the border of the array (scipy's
/// `mask ^ binary_erosion(mask)`, as in medpy and MONAI). The distance of an element is that of its centre to the nearest centre on the
/// other surface.
///
/// An empty mask has no surface, so distances to it are undefined (NaN). DeepMind's surface-distance weights each element by the
/// area of its surface patch; this is not reproduced here.
#[derive(Debug, Clone, PartialEq)]
pub struct SurfaceDistances {
    /// Distances of the prediction's surface elements to the truth's surface, ascending.
    from_prediction: Vec<f64>,
    /// Distances of the truth's surface elements to the prediction's surface, ascending.
    from_truth: Vec<f64>,
    /// Whether both surfaces have elements.
    is_defined: bool,
}

impl SurfaceDistances {
    /// Measures two masks, in parallel. It needs about 16 bytes of memory for each element of the smallest box around both.
    ///
    /// # Shapes
    /// - prediction, truth: the same, of one to any number of dimensions
    /// - spacing: the distance of neighbours along each axis, in millimetres
    ///
    /// # Errors
    /// [`EvalError::ShapeMismatch`] if the shapes differ; [`EvalError::Spacing`] unless there is one finite length above 0 for each axis.
    pub fn between<D: Dimension>(
        prediction: &ArrayRef<bool, D>,
        truth: &ArrayRef<bool, D>,
        spacing: &[f64],
    ) -> Result<Self, EvalError> {
        if prediction.shape() != truth.shape() {
            return Err(EvalError::ShapeMismatch {
                prediction: prediction.shape().to_vec(),
                truth: truth.shape().to_vec(),
            });
        }
        let are_lengths = spacing.iter().all(|length| length.is_finite() && *length > 0.0);
        if spacing.len() != prediction.ndim() || !are_lengths {
            return Err(EvalError::Spacing { axes: prediction.ndim(), spacing: spacing.to_vec() });
        }
        // The metrics do not depend on the order of the axes; memory order is the fastest.
        let mut axes: Vec<usize> = (0..prediction.ndim()).collect();
        axes.sort_by_key(|&axis| Reverse(prediction.strides()[axis].unsigned_abs()));
        let spacing: Vec<f64> = axes.iter().map(|&axis| spacing[axis]).collect();
        let mut prediction = prediction.view().into_dyn().permuted_axes(axes.as_slice());
        let mut truth = truth.view().into_dyn().permuted_axes(axes.as_slice());
        if !crop(&mut prediction, &mut truth) {
            return Ok(Self { from_prediction: Vec::new(), from_truth: Vec::new(), is_defined: false });
        }
        let (prediction, truth) = rayon::join(|| surface(&prediction), || surface(&truth));
        let (from_prediction, from_truth) =
            rayon::join(|| distances(&prediction, &truth, &spacing), || distances(&truth, &prediction, &spacing));
        let is_defined = !from_prediction.is_empty() && !from_truth.is_empty();
        Ok(Self { from_prediction, from_truth, is_defined })
    }

    /// Hausdorff distance: the largest of all distances, in millimetres. NaN if either mask is empty.
    pub fn hausdorff(&self) -> f64 {
        self.hausdorff_percentile(1.0, PercentileOf::EachDirection)
    }

    /// HD95: the 95th percentile of the surface distances, in millimetres. NaN if either mask is empty.
    pub fn hd95(&self, of: PercentileOf) -> f64 {
        self.hausdorff_percentile(0.95, of)
    }

    /// A percentile of the surface distances, in millimetres: the distance that a share of the surface elements does not exceed. It is
    /// interpolated linearly, as numpy does. NaN if either mask is empty, or the share is not in [0, 1].
    pub fn hausdorff_percentile(&self, share: f64, of: PercentileOf) -> f64 {
        if !self.is_defined || !(0.0..=1.0).contains(&share) {
            return f64::NAN;
        }
        match of {
            PercentileOf::EachDirection => {
                percentile(&self.from_prediction, share).max(percentile(&self.from_truth, share))
            }
            PercentileOf::Pooled => {
                let mut pooled = [&self.from_prediction[..], &self.from_truth].concat();
                pooled.sort_unstable_by(f64::total_cmp);
                percentile(&pooled, share)
            }
        }
    }

    /// Average symmetric surface distance: the mean over the elements of both surfaces, in millimetres. NaN if either mask is empty.
    ///
    /// # Source
    /// MONAI `metrics/surface_distance.py` with `symmetric=True`, medpy `metric/binary.py`, `assd`.
    pub fn assd(&self) -> f64 {
        if !self.is_defined {
            return f64::NAN;
        }
        let sum = self.from_prediction.iter().sum::<f64>() + self.from_truth.iter().sum::<f64>();
        sum / self.elements() as f64
    }

    /// Normalised surface Dice (NSD): the share of the elements of both surfaces that are within a tolerance, in millimetres, of the other
    /// surface. In [0, 1]; 0 if one of the masks is empty, NaN if both are.
    ///
    /// # Source
    /// MONAI `metrics/surface_dice.py` with `use_subvoxels=False`: elements are counted, not weighted by area.
    pub fn nsd(&self, tolerance_mm: f64) -> f64 {
        let within = |distances: &[f64]| distances.partition_point(|&distance| distance <= tolerance_mm);
        // 0 of 0 elements is NaN, as intended.
        (within(&self.from_prediction) + within(&self.from_truth)) as f64 / self.elements() as f64
    }

    fn elements(&self) -> usize {
        self.from_prediction.len() + self.from_truth.len()
    }
}

/// Crops both masks to the smallest box that contains both. Returns whether there is such a box: whether either mask has an element.
fn crop(prediction: &mut ArrayViewD<'_, bool>, truth: &mut ArrayViewD<'_, bool>) -> bool {
    for axis in (0..prediction.ndim()).map(Axis) {
        let (predicted, is_true) = rayon::join(|| occupied(prediction, axis), || occupied(truth, axis));
        let held = |at: &usize| predicted[*at] || is_true[*at];
        let mut places = (0..predicted.len()).filter(held);
        let Some(first) = places.next() else { return false };
        let part = Slice::from(first..=places.next_back().unwrap_or(first));
        prediction.slice_axis_inplace(axis, part);
        truth.slice_axis_inplace(axis, part);
    }
    true
}

/// For each index along an axis, whether the mask has an element there.
fn occupied(mask: &ArrayViewD<'_, bool>, axis: Axis) -> Vec<bool> {
    // No early exit within a row: a loop over the whole row is vectorised and faster.
    let in_row = |row: &[bool]| row.iter().fold(false, |any, &inside| any | inside);
    if axis.index() + 1 < mask.ndim() {
        let planes = mask.axis_iter(axis);
        return planes
            .map(|plane| match plane.as_slice() {
                Some(elements) => elements.chunks(1 << 10).any(in_row),
                None => {
                    plane.rows().into_iter().any(|row| row.as_slice().map_or_else(|| row.iter().any(|&it| it), in_row))
                }
            })
            .collect();
    }
    let mut found = vec![false; mask.len_of(axis)];
    for row in mask.rows() {
        match row.as_slice() {
            Some(row) => found.iter_mut().zip(row).for_each(|(found, &inside)| *found |= inside),
            None => found.iter_mut().zip(row).for_each(|(found, &inside)| *found |= inside),
        }
    }
    found
}

/// The elements of a mask that are next to its outside, in standard layout.
fn surface(mask: &ArrayViewD<'_, bool>) -> ArrayD<bool> {
    let mask = mask.as_standard_layout();
    let shape = mask.shape();
    let mut inner = mask.to_owned();
    if let (Some(inner), Some(mask)) = (inner.as_slice_mut(), mask.as_slice()) {
        for (axis, &length) in shape.iter().enumerate() {
            let stride: usize = shape[axis + 1..].iter().product();
            for (inner, mask) in inner.chunks_mut(length * stride).zip(mask.chunks(length * stride)) {
                let last = inner.len() - stride;
                inner.iter_mut().zip(&mask[stride..]).for_each(|(inner, &next)| *inner &= next);
                inner[stride..].iter_mut().zip(mask).for_each(|(inner, &previous)| *inner &= previous);
                inner[..stride].fill(false);
                inner[last..].fill(false);
            }
        }
    }
    Zip::from(&mut inner).and(&mask).for_each(|inner, &inside| *inner = inside && !*inner);
    inner
}

/// The distances of one surface's elements to another surface, ascending.
fn distances(from: &ArrayD<bool>, to: &ArrayD<bool>, spacing: &[f64]) -> Vec<f64> {
    let mut distances: Vec<f64> = squared_distances(from, to, spacing).into_iter().map(f64::sqrt).collect();
    distances.sort_unstable_by(f64::total_cmp);
    distances
}
