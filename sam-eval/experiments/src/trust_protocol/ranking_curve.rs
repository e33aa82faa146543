//! The gain in Dice from reviewing a volume's slices in some order.

use sam_auto::{TrustModel, rank};

use super::{MeasuredSlice, MeasuredVolume};

/// Assumed seconds to accept a slice.
const ACCEPT: f64 = 3.0;
/// Assumed seconds to correct a mask.
const CORRECT: f64 = 12.0;
/// Assumed seconds to outline a structure anew.
const OUTLINE: f64 = 30.0;
/// From this Dice on, a mask is accepted as it is.
const GOOD: f64 = 0.95;
/// Below this Dice, a mask is outlined anew.
const POOR: f64 = 0.5;

/// The order in which slices are reviewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewOrder {
    /// By expected Dice, the lowest first.
    Trust,
    /// By the error that trust expects, divided by the seconds that it expects: most error per second first.
    GainPerSecond,
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
    pub const ALL: [Self; 7] = [
        Self::Trust,
        Self::GainPerSecond,
        Self::PredictedIou,
        Self::Random,
        Self::RandomFound,
        Self::EveryNth,
        Self::TrueDice,
    ];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trust => "ranked by trust",
            Self::GainPerSecond => "by expected gain per second",
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
    /// Seconds of work until then, assumed: 3 to accept a slice, 12 to correct a mask, 30 to outline a structure where the mask is poor (Dice
    /// below 0.5) or missing. For a random order, the expected seconds.
    pub seconds: Vec<f64>,
}

impl RankingCurve {
    /// The curve of a volume's slices; `None` if no slice counts.
    pub fn of(volume: &MeasuredVolume, order: ReviewOrder, model: &TrustModel) -> Option<Self> {
        let errors: Vec<f64> = volume.slices.iter().map(|slice| slice.dice.map_or(0.0, |dice| 1.0 - dice)).collect();
        let counted = volume.slices.iter().filter(|slice| slice.dice.is_some()).count();
        let costs: Vec<f64> = volume.slices.iter().map(seconds_of).collect();
        // The sum of a value over the first 0, 1, … slices.
        let sums = |values: &[f64]| match order {
            ReviewOrder::Trust => in_order(values, &by_trust(volume, model)),
            ReviewOrder::GainPerSecond => in_order(values, &by_gain_per_second(volume, model)),
            ReviewOrder::PredictedIou => in_order(values, &by_predicted_iou(volume)),
            ReviewOrder::Random => at_random(values, &|_| true),
            ReviewOrder::RandomFound => at_random(values, &|at| volume.found(at)),
            ReviewOrder::EveryNth => at_equal_distances(values),
            ReviewOrder::TrueDice => in_order(values, &by_error(&errors)),
        };
        let all: f64 = errors.iter().sum();
        let dice = sums(&errors).into_iter().map(|gained| 1.0 - (all - gained) / counted as f64).collect();
        (counted > 0).then(|| Self { dice, seconds: sums(&costs) })
    }

    /// Mean Dice after so many seconds of work.
    pub fn after_seconds(&self, seconds: f64) -> f64 {
        let done = self.seconds.iter().rposition(|&spent| spent <= seconds);
        self.dice[done.unwrap_or(0)]
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

/// Seconds of work on a slice.
fn seconds_of(slice: &MeasuredSlice) -> f64 {
    match slice.dice {
        Some(dice) if dice < POOR => OUTLINE,
        Some(dice) if dice < GOOD => CORRECT,
        _ => ACCEPT,
    }
}

/// The sum of a value over the first 0, 1, … slices in an order.
fn in_order(values: &[f64], order: &[usize]) -> Vec<f64> {
    let gained = |reviewed: usize| order[..reviewed].iter().map(|&at| values[at]).sum();
    (0..=order.len()).map(gained).collect()
}

/// The expected sum of a value over 0, 1, … slices drawn at random, of which some come before all others.
fn at_random(values: &[f64], is_first: &dyn Fn(usize) -> bool) -> Vec<f64> {
    let (first, rest): (Vec<usize>, Vec<usize>) = (0..values.len()).partition(|&at| is_first(at));
    let gained = |own: &[usize], checked: usize| {
        let all: f64 = own.iter().map(|&at| values[at]).sum();
        if own.is_empty() { 0.0 } else { all * checked.min(own.len()) as f64 / own.len() as f64 }
    };
    let both = |checked: usize| gained(&first, checked) + gained(&rest, checked.saturating_sub(first.len()));
    (0..=values.len()).map(both).collect()
}

/// The sum of a value over 0, 1, … equidistant slices, which are chosen separately for each count.
fn at_equal_distances(values: &[f64]) -> Vec<f64> {
    let count = values.len();
    let gained = |checked: usize| (0..checked).map(|part| values[(2 * part + 1) * count / (2 * checked)]).sum();
    (0..=count).map(gained).collect()
}

/// Positions in the list of slices; the least trusted come first.
fn by_trust(volume: &MeasuredVolume, model: &TrustModel) -> Vec<usize> {
    let signals = volume.slices.iter().enumerate().map(|(at, slice)| (at, slice.signals.clone())).collect();
    rank(model, &signals).into_iter().map(|slice| slice.slice).collect()
}

/// Positions in the list of slices; those with most expected error per expected second come first.
fn by_gain_per_second(volume: &MeasuredVolume, model: &TrustModel) -> Vec<usize> {
    let gain = |at: usize| {
        let trust = f64::from(model.expected_dice(&volume.slices[at].signals));
        let work = if volume.found(at) && trust >= POOR { CORRECT } else { OUTLINE };
        (1.0 - trust) / (ACCEPT * trust + work * (1.0 - trust))
    };
    let mut order: Vec<usize> = (0..volume.slices.len()).collect();
    order.sort_by(|&a, &b| gain(b).total_cmp(&gain(a)));
    order
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
        // To correct a mask takes less time than to outline a structure.
        assert!(are(&curve(ReviewOrder::GainPerSecond), [1.6, 1.1, 1.0, 0.0, 0.0]));
        assert!(are(&curve(ReviewOrder::PredictedIou), [1.6, 1.5, 1.0, 1.0, 0.0]));
        assert!(are(&curve(ReviewOrder::Random), [1.6, 1.2, 0.8, 0.4, 0.0]));
        assert!(are(&curve(ReviewOrder::RandomFound), [1.6, 1.3, 1.0, 0.5, 0.0]));
        // One slice: 2; two: 1 and 3; three: 0, 2 and 3.
        assert!(are(&curve(ReviewOrder::EveryNth), [1.6, 1.5, 0.1, 0.5, 0.0]));
        assert!(are(&curve(ReviewOrder::TrueDice), [1.6, 0.6, 0.1, 0.0, 0.0]));
    }

    #[test]
    fn work_takes_longer_on_poor_masks() {
        let found = curve(ReviewOrder::Trust);
        // Wrongly empty, poor, good, correctly empty.
        assert_eq!(found.seconds, [0.0, 30.0, 42.0, 54.0, 57.0]);
        for (seconds, done) in [(0.0, 0), (29.0, 0), (30.0, 1), (53.0, 2), (1000.0, 4)] {
            assert!((found.after_seconds(seconds) - found.dice[done]).abs() < 1e-9, "after {seconds} s");
        }
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
