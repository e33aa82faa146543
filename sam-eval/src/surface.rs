//! How far apart the surfaces of two masks lie, in millimetres: HD, HD95, ASSD, NSD.

use ndarray::{ArrayD, ArrayRef, ArrayViewD, Axis, Dimension, Slice, Zip};
use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::distance::squared_distances;
use crate::ranks::percentile;

/// From which distances a percentile is taken. Libraries differ, and so do their HD95: say which one you report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PercentileOf {
    /// The larger of the percentiles of both directions: MONAI (`metrics/hausdorff_distance.py`, 1.6.1). The default, since it is the
    /// Hausdorff distance at 100 % and never forgives one direction for the other.
    #[default]
    EachDirection,
    /// The percentile of both directions' distances together: medpy (`metric/binary.py`, `hd95`, 0.5.2).
    Pooled,
}

/// The distances between the surfaces of two masks, from which all surface metrics follow.
///
/// The surface of a mask is its elements that have a face-neighbour outside, or lie at the border of the array (scipy's
/// `mask ^ binary_erosion(mask)`, as in medpy and MONAI). The distance of an element is that of its centre to the nearest centre on the
/// other surface.
///
/// Where a mask is empty it has no surface: distances to it are undefined, NaN. DeepMind's surface-distance weighs each element by the
/// area of its piece of a surface through the corners; that is not reproduced here.
#[derive(Debug, Clone, PartialEq)]
pub struct SurfaceDistances {
    /// Of each element of the prediction's surface to the truth's, rising.
    from_prediction: Vec<f64>,
    /// The other way round.
    from_truth: Vec<f64>,
    /// Whether both surfaces have elements.
    is_defined: bool,
}

impl SurfaceDistances {
    /// Measures two masks.
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
        let (mut prediction, mut truth) = (prediction.view().into_dyn(), truth.view().into_dyn());
        // Outside of what both hold there is nothing to measure.
        for axis in (0..prediction.ndim()).map(Axis) {
            let held = |mask: &ArrayViewD<'_, bool>, at: usize| mask.index_axis(axis, at).iter().any(|&inside| inside);
            let mut places = (0..prediction.len_of(axis)).filter(|&at| held(&prediction, at) || held(&truth, at));
            let Some(first) = places.next() else {
                return Ok(Self { from_prediction: Vec::new(), from_truth: Vec::new(), is_defined: false });
            };
            let last = places.next_back().unwrap_or(first);
            let part = Slice::from(first..=last);
            prediction.slice_axis_inplace(axis, part);
            truth.slice_axis_inplace(axis, part);
        }
        let (prediction, truth) = (surface(&prediction), surface(&truth));
        let (from_prediction, from_truth) =
            (distances(&prediction, &truth, spacing), distances(&truth, &prediction, spacing));
        let is_defined = !from_prediction.is_empty() && !from_truth.is_empty();
        Ok(Self { from_prediction, from_truth, is_defined })
    }

    /// Hausdorff distance: the largest of all distances, in millimetres. NaN if either mask is empty.
    pub fn hausdorff(&self) -> f64 {
        self.hausdorff_percentile(1.0, PercentileOf::EachDirection)
    }

    /// HD95: 95 % of the surface lies no farther away, in millimetres. NaN if either mask is empty.
    pub fn hd95(&self, of: PercentileOf) -> f64 {
        self.hausdorff_percentile(0.95, of)
    }

    /// The distance that a share of the surface's elements does not exceed, in millimetres; interpolated linearly between elements, as
    /// numpy does. NaN if either mask is empty, or the share is not in [0, 1].
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

    /// Normalised surface Dice: the share of both surfaces' elements that lie within a tolerance, in millimetres, of the other. In [0, 1]; 0 if
    /// one of the masks is empty, NaN if both are.
    ///
    /// # Source
    /// MONAI `metrics/surface_dice.py` with `use_subvoxels=False`: elements are counted, not weighed by area.
    pub fn nsd(&self, tolerance_mm: f64) -> f64 {
        let within = |distances: &[f64]| distances.partition_point(|&distance| distance <= tolerance_mm);
        // 0 of 0 elements is NaN, as it should be.
        (within(&self.from_prediction) + within(&self.from_truth)) as f64 / self.elements() as f64
    }

    fn elements(&self) -> usize {
        self.from_prediction.len() + self.from_truth.len()
    }
}

/// The elements of a mask that are next to its outside.
fn surface(mask: &ArrayViewD<'_, bool>) -> ArrayD<bool> {
    let mut inner = mask.to_owned();
    for axis in (0..mask.ndim()).map(Axis) {
        let last = mask.len_of(axis) - 1;
        for (of, from) in [(Slice::from(1..), Slice::from(..last)), (Slice::from(..last), Slice::from(1..))] {
            let neighbours = mask.slice_axis(axis, from);
            Zip::from(inner.slice_axis_mut(axis, of)).and(neighbours).for_each(|inner, &inside| *inner &= inside);
        }
        inner.index_axis_mut(axis, 0).fill(false);
        inner.index_axis_mut(axis, last).fill(false);
    }
    Zip::from(&mut inner).and(mask).for_each(|inner, &inside| *inner = inside && !*inner);
    inner
}

/// The distances of one surface's elements to another surface, rising.
fn distances(from: &ArrayD<bool>, to: &ArrayD<bool>, spacing: &[f64]) -> Vec<f64> {
    let squared = squared_distances(to, spacing);
    let of_surface = from.iter().zip(&squared).filter(|&(&on_surface, _)| on_surface);
    let mut distances: Vec<f64> = of_surface.map(|(_, squared)| squared.sqrt()).collect();
    distances.sort_unstable_by(f64::total_cmp);
    distances
}
