//! What a person gains by looking at slices in some order.

use sam_auto::{TrustModel, rank};

use super::MeasuredVolume;

/// In which order slices are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By expected Dice, the lowest first.
    Trust,
    /// By the model's own estimate of its intersection over union, the lowest first; slices without a mask have none and come last.
    PredictedIou,
    /// At random.
    Random,
    /// At random, slices with a mask first.
    RandomFound,
    /// At equal distances.
    EveryNth,
}

impl Order {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Trust, Self::PredictedIou, Self::Random, Self::RandomFound, Self::EveryNth];

    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trust => "ranked by trust",
            Self::PredictedIou => "by predicted IoU alone",
            Self::Random => "random",
            Self::RandomFound => "random, slices with a mask first",
            Self::EveryNth => "every n-th",
        }
    }
}

/// What checking the slices of a volume in one order leads to. A slice that was checked is right.
///
/// The mean is over the slices where the structure is or was found; those that are rightly empty cost a look and gain nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Checks {
    /// Mean Dice after 0, 1, … checked slices; of a random order the expected mean.
    pub dice: Vec<f64>,
}

impl Checks {
    /// Checks a volume's slices; `None` if no slice counts.
    pub fn of(volume: &MeasuredVolume, order: Order, model: &TrustModel) -> Option<Self> {
        let errors: Vec<f64> = volume.slices.iter().map(|slice| slice.dice.map_or(0.0, |dice| 1.0 - dice)).collect();
        let counted = volume.slices.iter().filter(|slice| slice.dice.is_some()).count();
        let gained = match order {
            Order::Trust => in_order(&errors, &by_trust(volume, model)),
            Order::PredictedIou => in_order(&errors, &by_predicted_iou(volume)),
            Order::Random => at_random(&errors, &|_| true),
            Order::RandomFound => at_random(&errors, &|at| volume.found(at)),
            Order::EveryNth => at_equal_distances(&errors),
        };
        let all: f64 = errors.iter().sum();
        let dice = gained.into_iter().map(|gained| 1.0 - (all - gained) / counted as f64).collect();
        (counted > 0).then_some(Self { dice })
    }

    /// Mean Dice after a share of all slices was checked, in whole slices, rounded up.
    pub fn after(&self, share: f64) -> f64 {
        let slices = self.dice.len() - 1;
        self.dice[((share * slices as f64).ceil() as usize).min(slices)]
    }

    /// The share of all error that is gone by then; 1 where there was none.
    pub fn error_found(&self, share: f64) -> f64 {
        let error = 1.0 - self.dice[0];
        if error > 0.0 { (self.after(share) - self.dice[0]) / error } else { 1.0 }
    }

    /// How many slices must be checked to reach a mean Dice.
    pub fn needed(&self, dice: f64) -> usize {
        self.dice.iter().position(|&reached| reached >= dice - 1e-9).unwrap_or(self.dice.len() - 1)
    }
}

/// The error that is gone after 0, 1, … slices in an order.
fn in_order(errors: &[f64], order: &[usize]) -> Vec<f64> {
    let gained = |checked: usize| order[..checked].iter().map(|&at| errors[at]).sum();
    (0..=order.len()).map(gained).collect()
}

/// The error that is expected to be gone after 0, 1, … slices drawn at random, some before all others.
fn at_random(errors: &[f64], is_first: &dyn Fn(usize) -> bool) -> Vec<f64> {
    let (first, rest): (Vec<usize>, Vec<usize>) = (0..errors.len()).partition(|&at| is_first(at));
    let gained = |own: &[usize], checked: usize| {
        let all: f64 = own.iter().map(|&at| errors[at]).sum();
        if own.is_empty() { 0.0 } else { all * checked.min(own.len()) as f64 / own.len() as f64 }
    };
    let both = |checked: usize| gained(&first, checked) + gained(&rest, checked.saturating_sub(first.len()));
    (0..=errors.len()).map(both).collect()
}

/// The error that is gone after 0, 1, … slices at equal distances, chosen anew for each number.
fn at_equal_distances(errors: &[f64]) -> Vec<f64> {
    let count = errors.len();
    let gained = |checked: usize| (0..checked).map(|part| errors[(2 * part + 1) * count / (2 * checked)]).sum();
    (0..=count).map(gained).collect()
}

/// Places in the list of slices, the least trusted first.
fn by_trust(volume: &MeasuredVolume, model: &TrustModel) -> Vec<usize> {
    let signals = volume.slices.iter().enumerate().map(|(at, slice)| (at, slice.signals.clone())).collect();
    rank(model, &signals).into_iter().map(|slice| slice.slice).collect()
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
    use crate::trust::MeasuredSlice;

    /// Slices by Dice, predicted IoU and overlap with the neighbours; without a predicted IoU nothing was found.
    fn volume(slices: &[(Option<f64>, Option<f32>, f32)]) -> MeasuredVolume {
        let slice = |(slice, &(dice, predicted, neighbours)): (usize, &(Option<f64>, Option<f32>, f32))| {
            let signals = TrustSignals::new(predicted.is_some()).with(Signal::Neighbours, neighbours);
            let signals = predicted.map_or(signals.clone(), |iou| signals.with(Signal::PredictedIou, iou));
            MeasuredSlice { slice, signals, dice, wrong_pixels: 0 }
        };
        MeasuredVolume {
            dataset: "abdomen".to_owned(),
            subject: "1: liver".to_owned(),
            method: "walk".to_owned(),
            seed: 0,
            slices: slices.iter().enumerate().map(slice).collect(),
            left_out: Vec::new(),
        }
    }

    /// By the neighbours alone.
    fn model() -> TrustModel {
        let weights = LinearTrust { bias: 0.0, weights: [(Signal::Neighbours, 1.0)].into() };
        TrustModel { found: weights.clone(), empty: weights, ..TrustModel::default() }
    }

    fn checks(order: Order) -> Checks {
        // Rightly empty, poor, good, wrongly empty.
        let slices =
            [(None, None, 0.9), (Some(0.5), Some(0.8), 0.2), (Some(0.9), Some(0.7), 0.5), (Some(0.0), None, 0.1)];
        Checks::of(&volume(&slices), order, &model()).expect("three slices count")
    }

    fn are(found: &Checks, errors: [f64; 5]) -> bool {
        found.dice.iter().zip(errors).all(|(dice, error)| (dice - (1.0 - error / 3.0)).abs() < 1e-9)
    }

    #[test]
    fn each_order_gains_what_its_first_slices_lost() {
        assert!(are(&checks(Order::Trust), [1.6, 0.6, 0.1, 0.0, 0.0]));
        assert!(are(&checks(Order::PredictedIou), [1.6, 1.5, 1.0, 1.0, 0.0]));
        assert!(are(&checks(Order::Random), [1.6, 1.2, 0.8, 0.4, 0.0]));
        assert!(are(&checks(Order::RandomFound), [1.6, 1.3, 1.0, 0.5, 0.0]));
        // One: slice 2; two: 1 and 3; three: 0, 2, 3.
        assert!(are(&checks(Order::EveryNth), [1.6, 1.5, 0.1, 0.5, 0.0]));
    }

    #[test]
    fn shares_are_rounded_up_to_whole_slices() {
        let found = checks(Order::Trust);
        assert!((found.after(0.1) - 0.8).abs() < 1e-9 && (found.after(0.5) - (1.0 - 0.1 / 3.0)).abs() < 1e-9);
        assert!((found.error_found(0.25) - 1.0 / 1.6).abs() < 1e-9 && (found.error_found(1.0) - 1.0).abs() < 1e-9);
        assert_eq!((found.needed(0.4), found.needed(0.9), found.needed(1.0)), (0, 2, 3));
    }

    #[test]
    fn where_no_slice_counts_there_is_nothing_to_gain() {
        assert_eq!(Checks::of(&volume(&[(None, None, 1.0)]), Order::Trust, &model()), None);
        let perfect = Checks::of(&volume(&[(Some(1.0), Some(0.9), 1.0)]), Order::Trust, &model()).expect("one counts");
        assert!((perfect.error_found(0.1) - 1.0).abs() < 1e-9 && perfect.needed(0.9) == 0);
    }
}
