//! Metrics of labelled instances: detection, aggregated Jaccard index and panoptic quality.

mod detection;

use std::cmp::Reverse;
use std::collections::{BTreeMap, btree_map::Keys};

use ndarray::{ArrayRef, Dimension, Zip};

pub use self::detection::Detection;
use crate::overlap::ratio;
use crate::{ConfigError, EmptyPolicy, EvalError};

/// The objects of two labelled images, their areas and their overlaps.
///
/// A labelled image has the label of an object in each element and the default value (0) in the background. Labels need not be
/// consecutive, nor be the same in both images. Elements with the same label are one object, even if they are not connected; to
/// separate the components of a boolean mask, label them with `sam_prompt::components`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceOverlaps {
    /// Number of elements of each predicted object, by ascending label.
    prediction_areas: Vec<u64>,
    /// Number of elements of each true object, by ascending label.
    truth_areas: Vec<u64>,
    /// The pairs of objects that share elements, by true object, then by predicted object.
    pairs: Vec<Pair>,
}

/// A true and a predicted object that overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pair {
    truth: usize,
    prediction: usize,
    both: u64,
    either: u64,
}

impl Pair {
    fn iou(&self) -> f64 {
        self.both as f64 / self.either as f64
    }
}

impl InstanceOverlaps {
    /// Counts the overlaps of the objects of two images; both may be arrays or views, in any memory order.
    ///
    /// # Shapes
    /// - prediction, truth: the same, of any dimension
    ///
    /// # Errors
    /// [`EvalError::ShapeMismatch`] if the shapes differ.
    pub fn between<P, T, D>(prediction: &ArrayRef<P, D>, truth: &ArrayRef<T, D>) -> Result<Self, EvalError>
    where
        P: Copy + Ord + Default,
        T: Copy + Ord + Default,
        D: Dimension,
    {
        if prediction.shape() != truth.shape() {
            return Err(EvalError::ShapeMismatch {
                prediction: prediction.shape().to_vec(),
                truth: truth.shape().to_vec(),
            });
        }
        let mut shared: BTreeMap<(T, P), u64> = BTreeMap::new();
        // Neighbours mostly have the same labels, so one look-up counts a whole run of equal pairs.
        let (mut run, mut length) = ((T::default(), P::default()), 0);
        Zip::from(truth).and(prediction).for_each(|&truth, &prediction| {
            if run != (truth, prediction) {
                *shared.entry(run).or_default() += length;
                (run, length) = ((truth, prediction), 0);
            }
            length += 1;
        });
        *shared.entry(run).or_default() += length;

        let (mut truths, mut predictions) = (BTreeMap::new(), BTreeMap::new());
        for (&(truth, prediction), &count) in &shared {
            if truth != T::default() {
                *truths.entry(truth).or_default() += count;
            }
            if prediction != P::default() {
                *predictions.entry(prediction).or_default() += count;
            }
        }
        let (truth_at, prediction_at) = (places(truths.keys()), places(predictions.keys()));
        let pairs = shared.iter().filter_map(|(&(truth, prediction), &both)| {
            let (truth_at, prediction_at) = (*truth_at.get(&truth)?, *prediction_at.get(&prediction)?);
            let either = truths[&truth] + predictions[&prediction] - both;
            Some(Pair { truth: truth_at, prediction: prediction_at, both, either })
        });
        Ok(Self {
            pairs: pairs.collect(),
            prediction_areas: predictions.into_values().collect(),
            truth_areas: truths.into_values().collect(),
        })
    }

    /// Number of predicted objects.
    pub fn predicted(&self) -> usize {
        self.prediction_areas.len()
    }

    /// Number of true objects.
    pub fn truths(&self) -> usize {
        self.truth_areas.len()
    }

    /// Matches predicted to true objects, one to one: those whose intersection over union is **above** `threshold`.
    ///
    /// At 0.5 or above, each object has at most one possible match. Below 0.5 an object may have several: pairs are then matched in
    /// descending order of intersection over union; ties are ordered by the true label, then by the predicted label. This greedy matching
    /// does not always give the largest possible number of matches, which the Hungarian method finds (MONAI, Cellpose), but it never drops
    /// the best pair.
    ///
    /// # Errors
    /// [`EvalError::Config`] if the threshold is not in [0, 1).
    ///
    /// # Source
    /// A. Kirillov et al., "Panoptic segmentation", CVPR 2019, section 4.1, with threshold 0.5. MONAI does the same; Cellpose also counts
    /// pairs *at* the threshold.
    pub fn detection(&self, threshold: f64) -> Result<Detection, EvalError> {
        let is_threshold = (0.0..1.0).contains(&threshold);
        ConfigError::check(is_threshold, "threshold of IoU", || threshold.to_string(), "a number in [0, 1)")?;
        let mut candidates: Vec<&Pair> = self.pairs.iter().filter(|pair| pair.iou() > threshold).collect();
        candidates.sort_by(|first, second| second.iou().total_cmp(&first.iou()));
        let (mut is_found, mut is_used) = (vec![false; self.truths()], vec![false; self.predicted()]);
        let (mut true_positive, mut iou_sum) = (0, 0.0);
        for pair in candidates {
            if !is_found[pair.truth] && !is_used[pair.prediction] {
                (is_found[pair.truth], is_used[pair.prediction]) = (true, true);
                true_positive += 1;
                iou_sum += pair.iou();
            }
        }
        Ok(Detection {
            true_positive,
            false_positive: self.predicted() as u64 - true_positive,
            false_negative: self.truths() as u64 - true_positive,
            iou_sum,
        })
    }

    /// Aggregated Jaccard index (AJI), in [0, 1]; the value of `policy` if neither image has an object, 0 if one of them has none.
    ///
    /// Each true object takes the predicted object with the largest intersection over union; among equals, the one with the lowest label.
    /// AJI is the sum of these intersections, divided by the sum of their unions, of the areas of missed objects, and of the areas of
    /// predicted objects that no true object took. A predicted object that covers two true ones may be taken by both; it then counts in
    /// both unions.
    ///
    /// AJI+ matches one to one (Hungarian method), and Cellpose's `aggregated_jaccard_index` also divides by the union of all foreground:
    /// both differ from this value.
    ///
    /// # Source
    /// N. Kumar et al., "A dataset and a technique for generalized nuclear segmentation for computational pathology", IEEE TMI 36(7),
    /// 2017, algorithm 1; `get_fast_aji` of HoVer-Net (`metrics/stats_utils.py`) agrees.
    pub fn aggregated_jaccard(&self, policy: EmptyPolicy) -> f64 {
        let mut is_used = vec![false; self.predicted()];
        let (mut both, mut either) = (0, 0);
        let mut pairs = self.pairs.as_slice();
        for (truth, &area) in self.truth_areas.iter().enumerate() {
            let (own, rest) = pairs.split_at(pairs.partition_point(|pair| pair.truth == truth));
            pairs = rest;
            // Cross-multiplied, so that equal ratios compare as equal. Among equals `max_by` takes the last, which is the lowest label
            // here.
            let larger = |first: &&Pair, second: &&Pair| {
                let (first_share, second_share) = (
                    u128::from(first.both) * u128::from(second.either),
                    u128::from(second.both) * u128::from(first.either),
                );
                first_share.cmp(&second_share).then(Reverse(first.prediction).cmp(&Reverse(second.prediction)))
            };
            match own.iter().max_by(larger) {
                Some(best) => {
                    is_used[best.prediction] = true;
                    both += best.both;
                    either += best.either;
                }
                None => either += area,
            }
        }
        let unused = self.prediction_areas.iter().zip(is_used).filter(|&(_, is_used)| !is_used);
        ratio(both, either + unused.map(|(area, _)| area).sum::<u64>(), policy)
    }
}

/// The position of each label among the labels in use.
fn places<L: Copy + Ord>(labels: Keys<'_, L, u64>) -> BTreeMap<L, usize> {
    labels.enumerate().map(|(at, &label)| (label, at)).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, array};

    use super::*;

    fn overlaps(prediction: &[u16], truth: &[u16]) -> InstanceOverlaps {
        InstanceOverlaps::between(&Array1::from(prediction.to_vec()), &Array1::from(truth.to_vec()))
            .expect("one length")
    }

    fn is(got: f64, expected: f64) -> bool {
        (got - expected).abs() < 1e-12
    }

    #[test]
    fn objects_are_matched_one_to_one_above_the_threshold() -> Result<(), EvalError> {
        // IoU: 3/4 of the first pair, 2/4 of the second; the last predicted object overlaps nothing.
        let overlaps = overlaps(&[5, 5, 5, 0, 7, 7, 7, 0, 9], &[1, 1, 1, 1, 0, 2, 2, 2, 0]);
        let found = overlaps.detection(0.5)?;
        assert_eq!((found.true_positive, found.false_positive, found.false_negative), (1, 2, 1));
        assert!(is(found.precision(EmptyPolicy::Nan), 1.0 / 3.0) && is(found.recall(EmptyPolicy::Nan), 0.5));
        assert!(is(found.f1(EmptyPolicy::Nan), 0.4) && is(found.segmentation_quality(EmptyPolicy::Nan), 0.75));
        assert!(is(found.panoptic_quality(EmptyPolicy::Nan), 0.3));
        assert_eq!(overlaps.detection(0.49)?.true_positive, 2);
        assert_eq!(overlaps.detection(0.75)?.true_positive, 0);
        assert!(overlaps.detection(0.75)?.segmentation_quality(EmptyPolicy::One).is_nan());
        Ok(())
    }

    #[test]
    fn below_a_half_the_best_pairs_come_first() -> Result<(), EvalError> {
        // One prediction over two objects (IoU 3/7 and 2/8), and another one next to the first (IoU 2/7).
        let overlaps = overlaps(&[2, 2, 1, 1, 1, 1, 1, 0], &[1, 1, 1, 1, 1, 2, 2, 2]);
        let found = overlaps.detection(0.1)?;
        assert_eq!((found.true_positive, found.false_positive, found.false_negative), (1, 1, 1));
        assert!(is(found.iou_sum, 3.0 / 7.0));
        Ok(())
    }

    #[test]
    fn a_prediction_over_two_objects_counts_twice_in_the_aggregated_index() {
        let overlaps = overlaps(&[4, 4, 4, 4, 0, 6], &[1, 1, 2, 2, 3, 0]);
        // True objects 1 and 2 both take prediction 4 (2 of 4 elements each); object 3 is missed; prediction 6 is left over.
        assert!(is(overlaps.aggregated_jaccard(EmptyPolicy::Nan), 4.0 / (4.0 + 4.0 + 1.0 + 1.0)));
        // Equal IoU: the lower label is taken; the other prediction is left over.
        let tie =
            super::InstanceOverlaps::between(&array![2_u32, 3, 3, 0], &array![1_u16, 1, 1, 0]).expect("one shape");
        assert!(is(tie.aggregated_jaccard(EmptyPolicy::Nan), 2.0 / (3.0 + 1.0)));
        let tie =
            super::InstanceOverlaps::between(&array![9_u32, 3, 0, 0], &array![1_u16, 1, 0, 0]).expect("one shape");
        assert!(is(tie.aggregated_jaccard(EmptyPolicy::Nan), 1.0 / (2.0 + 1.0)));
    }

    #[test]
    fn what_is_not_there_is_a_matter_of_policy() -> Result<(), EvalError> {
        let nothing = overlaps(&[0, 0], &[0, 0]);
        for policy in [EmptyPolicy::One, EmptyPolicy::Zero] {
            let found = nothing.detection(0.5)?;
            assert!(is(nothing.aggregated_jaccard(policy), policy.score()));
            for score in [found.f1(policy), found.precision(policy), found.segmentation_quality(policy)] {
                assert!(is(score, policy.score()));
            }
            assert!(is(found.panoptic_quality(policy), policy.score()) && is(found.recall(policy), policy.score()));
        }
        assert!(nothing.aggregated_jaccard(EmptyPolicy::Nan).is_nan());
        let missed = overlaps(&[0, 0], &[0, 3]);
        let found = missed.detection(0.0)?;
        assert!(is(missed.aggregated_jaccard(EmptyPolicy::One), 0.0) && is(found.f1(EmptyPolicy::One), 0.0));
        assert!(found.precision(EmptyPolicy::One).is_nan() && is(found.recall(EmptyPolicy::One), 0.0));
        assert!(is(found.panoptic_quality(EmptyPolicy::One), 0.0));
        Ok(())
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let result = InstanceOverlaps::between(&array![1_u8, 2], &array![1_u8, 2, 3]);
        assert_eq!(result, Err(EvalError::ShapeMismatch { prediction: vec![2], truth: vec![3] }));
        for threshold in [1.0, -0.1, f64::INFINITY] {
            let result = overlaps(&[1], &[1]).detection(threshold);
            let refused = ConfigError::new("threshold of IoU", threshold.to_string(), "a number in [0, 1)");
            assert_eq!(result, Err(EvalError::Config(refused)));
        }
        assert!(overlaps(&[1], &[1]).detection(f64::NAN).is_err());
    }
}
