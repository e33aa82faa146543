//! The gain in Dice from reviewing a volume's slices in some order.

use sam_auto::{TrustModel, rank};

use super::MeasuredVolume;

/// The order in which slices are reviewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewOrder {
    /// By expected Dice, the lowest first.
    Trust,
    /// By the model's own estimate of its intersection over union, the lowest first; slices without a mask come last.
    PredictedIou,
    /// At random.
    Random,
    /// At random, but slices with a mask first.
    RandomFound,
    /// At equal distances.
    EveryNth,
    /// By their true Dice, the lowest first, which nobody knows: the bound of every order.
    TrueDice,
}

impl ReviewOrder {
    /// All orders.
    pub const ALL: [Self; 6] =
        [Self::Trust, Self::PredictedIou, Self::Random, Self::RandomFound, Self::EveryNth, Self::TrueDice];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trust => "ranked by trust",
            Self::PredictedIou => "by predicted IoU alone",
            Self::Random => "random",
            Self::RandomFound => "random, slices with a mask first",
            Self::EveryNth => "every n-th",
            Self::TrueDice => "by true Dice (bound)",
        }
    }
}

/// Mean Dice of a volume by the number of slices reviewed in one order. A reviewed slice counts as correct.
///
/// The mean is over the slices that show the structure or have a mask. Reviewing a slice that is correctly empty gains nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct RankingCurve {
    /// Mean Dice after 0, 1, … reviewed slices; for a random order, the expected mean.
    pub dice: Vec<f64>,
}

impl RankingCurve {
    /// The curve of a volume's slices; `None` if no slice counts.
    pub fn of(volume: &MeasuredVolume, order: ReviewOrder, model: &TrustModel) -> Option<Self> {
        let errors: Vec<f64> = volume.slices.iter().map(|slice| slice.dice.map_or(0.0, |dice| 1.0 - dice)).collect();
        let counted = volume.slices.iter().filter(|slice| slice.dice.is_some()).count();
        let gained = match order {
            ReviewOrder::Trust => in_order(&errors, &by_trust(volume, model)),
            ReviewOrder::PredictedIou => in_order(&errors, &by_predicted_iou(volume)),
            ReviewOrder::Random => at_random(&errors, &|_| true),
            ReviewOrder::RandomFound => at_random(&errors, &|at| volume.found(at)),
            ReviewOrder::EveryNth => at_equal_distances(&errors),
            ReviewOrder::TrueDice => in_order(&errors, &by_error(&errors)),
        };
        let all: f64 = errors.iter().sum();
        let dice = gained.into_iter().map(|gained| 1.0 - (all - gained) / counted as f64).collect();
        (counted > 0).then_some(Self { dice })
    }

    /// Mean Dice after reviewing a share of all slices, rounded up to whole slices.
    pub fn after(&self, share: f64) -> f64 {
        let slices = self.dice.len() - 1;
        self.dice[((share * slices as f64).ceil() as usize).min(slices)]
    }

    /// The share of the total error that is corrected after reviewing a share of all slices; 1 if there was no error.
    pub fn error_found(&self, share: f64) -> f64 {
        let error = 1.0 - self.dice[0];
        if error > 0.0 { (self.after(share) - self.dice[0]) / error } else { 1.0 }
    }

    /// The number of slices that must be reviewed to reach a mean Dice.
    pub fn needed(&self, dice: f64) -> usize {
        self.dice.iter().position(|&mean| mean >= dice - 1e-9).unwrap_or(self.dice.len() - 1)
    }
}

/// The error that is corrected after 0, 1, … reviewed slices in an order.
fn in_order(errors: &[f64], order: &[usize]) -> Vec<f64> {
    let gained = |reviewed: usize| order[..reviewed].iter().map(|&at| errors[at]).sum();
    (0..=order.len()).map(gained).collect()
}

/// The expected error that is corrected after 0, 1, … slices drawn at random, of which some come before all others.
fn at_random(errors: &[f64], is_first: &dyn Fn(usize) -> bool) -> Vec<f64> {
    let (first, rest): (Vec<usize>, Vec<usize>) = (0..errors.len()).partition(|&at| is_first(at));
    let gained = |own: &[usize], checked: usize| {
        let all: f64 = own.iter().map(|&at| errors[at]).sum();
        if own.is_empty() { 0.0 } else { all * checked.min(own.len()) as f64 / own.len() as f64 }
    };
    let both = |checked: usize| gained(&first, checked) + gained(&rest, checked.saturating_sub(first.len()));
    (0..=errors.len()).map(both).collect()
}

/// The error that is corrected after 0, 1, … equidistant slices, which are chosen separately for each count.
fn at_equal_distances(errors: &[f64]) -> Vec<f64> {
    let count = errors.len();
    let gained = |checked: usize| (0..checked).map(|part| errors[(2 * part + 1) * count / (2 * checked)]).sum();
    (0..=count).map(gained).collect()
}

/// Positions in the list of slices; the least trusted come first.
fn by_trust(volume: &MeasuredVolume, model: &TrustModel) -> Vec<usize> {
    let signals = volume.slices.iter().enumerate().map(|(at, slice)| (at, slice.signals.clone())).collect();
    rank(model, &signals).into_iter().map(|slice| slice.slice).collect()
}

fn by_error(errors: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..errors.len()).collect();
    order.sort_by(|&a, &b| errors[b].total_cmp(&errors[a]));
    order
}

fn by_predicted_iou(volume: &MeasuredVolume) -> Vec<usize> {
    let mut order: Vec<usize> = (0..volume.slices.len()).collect();
    order.sort_by(|&a, &b| volume.predicted_iou(a).total_cmp(&volume.predicted_iou(b)));
    order
}

#[cfg(test)]
mod tests {
    use sam_auto::{LinearTrust, Signal, TrustSignals};

    use super::*;
    use crate::MeasuredSlice;

    /// Slices by Dice, predicted IoU and overlap with the neighbours; a slice without a predicted IoU has no mask.
    fn volume(slices: &[(Option<f64>, Option<f32>, f32)]) -> MeasuredVolume {
        let slice = |(slice, &(dice, predicted, neighbours)): (usize, &(Option<f64>, Option<f32>, f32))| {
            let signals = TrustSignals::new(predicted.is_some()).with(Signal::Neighbours, neighbours);
            let signals = predicted.map_or(signals.clone(), |iou| signals.with(Signal::PredictedIou, iou));
            MeasuredSlice { slice, signals, dice, wrong_pixels: 0 }
        };
        MeasuredVolume {
            dataset: "abdomen".to_owned(),
            subject: "1: liver".to_owned(),
            outlines: 5,
            seed: 0,
            slices: slices.iter().enumerate().map(slice).collect(),
        }
    }

    /// A trust model that uses only the overlap with the neighbours.
    fn model() -> TrustModel {
        let weights = LinearTrust::new(0.0, [(Signal::Neighbours, 1.0)]);
        TrustModel::default().with_found(weights.clone()).with_empty(weights)
    }

    fn curve(order: ReviewOrder) -> RankingCurve {
        // Correctly empty, poor, good, wrongly empty.
        let slices =
            [(None, None, 0.9), (Some(0.5), Some(0.8), 0.2), (Some(0.9), Some(0.7), 0.5), (Some(0.0), None, 0.1)];
        RankingCurve::of(&volume(&slices), order, &model()).expect("three slices count")
    }

    fn are(found: &RankingCurve, errors: [f64; 5]) -> bool {
        found.dice.iter().zip(errors).all(|(dice, error)| (dice - (1.0 - error / 3.0)).abs() < 1e-9)
    }

    #[test]
    fn each_order_gains_the_error_of_its_first_slices() {
        assert!(are(&curve(ReviewOrder::Trust), [1.6, 0.6, 0.1, 0.0, 0.0]));
        assert!(are(&curve(ReviewOrder::PredictedIou), [1.6, 1.5, 1.0, 1.0, 0.0]));
        assert!(are(&curve(ReviewOrder::Random), [1.6, 1.2, 0.8, 0.4, 0.0]));
        assert!(are(&curve(ReviewOrder::RandomFound), [1.6, 1.3, 1.0, 0.5, 0.0]));
        // One slice: 2; two: 1 and 3; three: 0, 2 and 3.
        assert!(are(&curve(ReviewOrder::EveryNth), [1.6, 1.5, 0.1, 0.5, 0.0]));
        assert!(are(&curve(ReviewOrder::TrueDice), [1.6, 0.6, 0.1, 0.0, 0.0]));
    }

    #[test]
    fn shares_are_rounded_up_to_whole_slices() {
        let found = curve(ReviewOrder::Trust);
        assert!((found.after(0.1) - 0.8).abs() < 1e-9 && (found.after(0.5) - (1.0 - 0.1 / 3.0)).abs() < 1e-9);
        assert!((found.error_found(0.25) - 1.0 / 1.6).abs() < 1e-9 && (found.error_found(1.0) - 1.0).abs() < 1e-9);
        assert_eq!((found.needed(0.4), found.needed(0.9), found.needed(1.0)), (0, 2, 3));
    }

    #[test]
    fn without_a_slice_that_counts_there_is_no_curve() {
        assert_eq!(RankingCurve::of(&volume(&[(None, None, 1.0)]), ReviewOrder::Trust, &model()), None);
        let perfect = RankingCurve::of(&volume(&[(Some(1.0), Some(0.9), 1.0)]), ReviewOrder::Trust, &model())
            .expect("one counts");
        assert!((perfect.error_found(0.1) - 1.0).abs() < 1e-9 && perfect.needed(0.9) == 0);
    }
}
