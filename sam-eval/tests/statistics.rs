//! Wilcoxon's test, bootstrap intervals and correlations against scipy, and properties that hold for any scores.

use proptest::collection::vec;
use proptest::prelude::*;
use sam_eval::{
    BootstrapConfig, Calibration, EvalError, Wilcoxon, WilcoxonMethod, bootstrap, bootstrap_mean, failures, holm,
};

/// Both sides compute in double precision, but with different approximations of the normal distribution's tails.
const TOLERANCE: f64 = 1e-9;

fn of_differences(differences: impl IntoIterator<Item = f64>) -> Wilcoxon {
    Wilcoxon::of(differences.into_iter().map(|difference| (difference, 0.0)))
}

/// 1 to n, some negative: no ties.
fn distinct(n: i32) -> impl Iterator<Item = f64> {
    (1..=n).map(|i| f64::from(if i * i % 7 == 1 { -i } else { i }))
}

#[test]
fn wilcoxon_is_that_of_scipy() {
    use WilcoxonMethod::{Exact, Normal};
    let equal: Vec<f64> = [1, 1, -2, 2, 3, -3, 4, 5, 6, 7, 8, 8, -9].map(f64::from).to_vec();
    let one_more: Vec<f64> = equal.iter().copied().chain([10.0]).collect();
    let tied = (0..60).map(|i| f64::from(if i * i % 7 == 1 { -(i / 3 + 1) } else { i / 3 + 1 })).collect();
    let balanced = (1..53).map(|i| f64::from(if i % 4 < 2 { i } else { -i })).collect();
    // scipy 1.17.1: wilcoxon(d); for the normal distribution wilcoxon(d, correction=True, method="asymptotic").
    let cases: [(Vec<f64>, WilcoxonMethod, f64, f64); 8] = [
        ([1, -1, 2, 3, 3, -4, 5, 6, 6, 7].map(f64::from).to_vec(), Exact, 7.5, 0.042_968_75),
        (vec![0.0, 0.0, 1.0, 2.0, -3.0, 4.0, 5.0], Exact, 3.0, 0.3125),
        (equal, Exact, 22.0, 0.108_154_296_875),
        (one_more, Normal, 22.0, 0.059_409_228_641_815_89),
        (distinct(50).collect(), Exact, 393.0, 0.017_575_449_774_248_852),
        (distinct(51).collect(), Normal, 393.0, 0.011_532_045_456_992_391),
        (tied, Normal, 523.0, 0.003_940_965_121_407_475_5),
        (balanced, Normal, 689.0, 1.0),
    ];
    for (differences, method, statistic, p_value) in cases {
        let test = of_differences(differences.iter().copied());
        assert_eq!((test.method, test.n + test.zeros), (method, differences.len()), "{differences:?}");
        assert!((test.statistic() - statistic).abs() < TOLERANCE, "{test:?}");
        assert!(test.p_value.is_some_and(|p| (p - p_value).abs() < TOLERANCE), "{test:?} instead of {p_value}");
    }
    // wilcoxon(x, y)
    let x = [0.91, 0.88, 0.75, 0.95, 0.82, 0.70, 0.66];
    let y = [0.85, 0.80, 0.77, 0.85, 0.70, 0.55, 0.69];
    assert_eq!(Wilcoxon::of(x.into_iter().zip(y)).p_value, Some(0.078_125));
}

#[test]
fn pairs_without_a_score_or_a_difference_are_counted() {
    let test = Wilcoxon::of([(0.5, 0.5), (f64::NAN, 0.5), (0.5, f64::NAN), (f64::INFINITY, f64::INFINITY)]);
    assert_eq!((test.n, test.zeros, test.undefined, test.p_value), (0, 1, 3, None));
}

#[test]
fn correlations_are_those_of_scipy() -> Result<(), EvalError> {
    let pairs = [(0.1, 0.3), (0.3, 0.1), (0.6, 0.5), (1.1, 0.8), (0.95, 0.8), (0.6, 0.7)];
    let calibration = Calibration::of(pairs, Calibration::DEFAULT_BINS)?;
    // scipy 1.17.1: pearsonr(p, t), spearmanr(p, t)
    assert!(calibration.pearson.is_some_and(|pearson| (pearson - 0.872_471_931_242_153_7).abs() < TOLERANCE));
    assert!(calibration.spearman.is_some_and(|spearman| (spearman - 0.911_764_705_882_352_9).abs() < TOLERANCE));
    Ok(())
}

#[test]
fn bootstrap_is_that_of_scipy_up_to_its_draws() -> Result<(), EvalError> {
    let scores = [0.81, 0.85, 0.9, 0.78, 0.88, 0.4, 0.93, 0.86];
    let config = BootstrapConfig { resamples: 50_000, ..BootstrapConfig::default() };
    // scipy 1.17.1: bootstrap((scores,), mean, method="percentile", n_resamples=200000, rng=0)
    let interval = bootstrap_mean(scores, &config)?;
    let near = |got: Option<f64>, expected: f64, by: f64| got.is_some_and(|got| (got - expected).abs() < by);
    assert!(near(interval.low, 0.6775, 0.005) && near(interval.high, 0.8825, 0.005), "{interval:?}");
    // The same interval for the median, confidence_level=0.9. Medians take few distinct values, so the random draws do not matter.
    let median = |sample: &[f64]| {
        let mut sample = sample.to_vec();
        sample.sort_by(f64::total_cmp);
        f64::midpoint(sample[3], sample[4])
    };
    let interval = bootstrap(&scores, median, &BootstrapConfig { level: 0.9, ..config })?;
    assert!(near(interval.low, 0.795, TOLERANCE) && near(interval.high, 0.89, TOLERANCE), "{interval:?}");
    Ok(())
}

#[test]
fn what_says_nothing_of_its_spread_has_no_interval() -> Result<(), EvalError> {
    let config = BootstrapConfig::default();
    let one = bootstrap_mean([0.5, f64::NAN], &config)?;
    assert_eq!((one.estimate, one.low, one.high, one.n, one.undefined), (Some(0.5), None, None, 1, 1));
    assert_eq!(bootstrap_mean([], &config)?.estimate, None);
    let undefined = bootstrap(&[1.0, 2.0], |_| f64::NAN, &config)?;
    assert_eq!((undefined.low, undefined.undefined_resamples), (None, config.resamples));
    for refused in [
        BootstrapConfig { resamples: 0, ..config },
        BootstrapConfig { level: 1.0, ..config },
        BootstrapConfig { level: f64::NAN, ..config },
    ] {
        assert!(matches!(bootstrap_mean([0.5, 0.6], &refused), Err(EvalError::Config(_))));
    }
    Ok(())
}

/// Differences, including ties and zeros.
fn differences() -> impl Strategy<Value = Vec<f64>> {
    vec((-6..7_i32).prop_map(f64::from), 0..12)
}

proptest! {
    #[test]
    fn the_exact_test_tries_all_signs(differences in differences()) {
        let test = of_differences(differences.iter().copied());
        let sizes: Vec<f64> = differences.iter().map(|d| d.abs()).filter(|&size| size > 0.0).collect();
        let rank = |size: f64| {
            let (below, upto) = (sizes.iter().filter(|&&s| s < size).count(), sizes.iter().filter(|&&s| s <= size).count());
            (below + 1 + upto) as f64 / 2.0
        };
        let sum = |pattern: usize| -> f64 {
            sizes.iter().enumerate().filter(|(at, _)| pattern >> at & 1 == 1).map(|(_, &size)| rank(size)).sum()
        };
        let patterns = 1 << sizes.len();
        let extreme = (0..patterns).filter(|&pattern| sum(pattern) <= test.statistic() + TOLERANCE).count();
        let expected = (2.0 * extreme as f64 / patterns as f64).min(1.0);
        prop_assert!(test.p_value.map_or(sizes.is_empty(), |p| (p - expected).abs() < TOLERANCE));
    }

    #[test]
    fn swapping_the_methods_swaps_the_sums(differences in vec(-1.0..1.0_f64, 0..80)) {
        let (test, swapped) =
            (of_differences(differences.iter().copied()), of_differences(differences.iter().map(|difference| -difference)));
        prop_assert_eq!(test.p_value, swapped.p_value);
        prop_assert_eq!((test.positive_ranks, test.negative_ranks), (swapped.negative_ranks, swapped.positive_ranks));
        let n = test.n as f64;
        prop_assert!((test.positive_ranks + test.negative_ranks - n * (n + 1.0) / 2.0).abs() < TOLERANCE);
        prop_assert!(test.p_value.is_none_or(|p| (0.0..=1.0).contains(&p)));
    }

    #[test]
    fn holm_raises_and_keeps_the_order(p_values in vec(0.0..=1.0_f64, 0..8)) {
        let given: Vec<Option<f64>> = p_values.iter().copied().map(Some).collect();
        let adjusted: Vec<f64> = holm(&given)?.into_iter().flatten().collect();
        prop_assert_eq!(adjusted.len(), p_values.len());
        for (p, raised) in p_values.iter().zip(&adjusted) {
            prop_assert!(p <= raised && *raised <= (p * p_values.len() as f64).max(*raised).min(1.0));
            for (other, also) in p_values.iter().zip(&adjusted) {
                prop_assert!(p > other || raised <= also);
            }
        }
    }

    #[test]
    fn an_interval_lies_among_the_scores_and_widens_with_its_level(scores in vec(0.0..=1.0_f64, 2..20), seed in any::<u64>()) {
        let of = |level| bootstrap_mean(scores.iter().copied(), &BootstrapConfig { resamples: 200, level, seed });
        let (narrow, wide) = (of(0.5)?, of(0.95)?);
        prop_assert_eq!(of(0.95)?, wide);
        let bounds = |of: sam_eval::ConfidenceInterval| of.low.zip(of.high).expect("at least two scores");
        let ((low, high), (lowest, highest)) = (bounds(narrow), bounds(wide));
        prop_assert!(lowest <= low && low <= high && high <= highest);
        let range = |of: fn(f64, f64) -> f64| scores.iter().copied().reduce(of).expect("at least two scores");
        prop_assert!(lowest >= range(f64::min) - TOLERANCE && highest <= range(f64::max) + TOLERANCE);
    }

    #[test]
    fn calibration_errors_are_ordered(pairs in vec((-0.1..1.1_f64, 0.0..=1.0_f64), 1..40), bins in 1_usize..20) {
        let calibration = Calibration::of(pairs.iter().copied(), bins)?;
        let error = |error: Option<f64>| error.expect("at least one pair");
        let (bias, within_bins, each) = (
            error(calibration.bias).abs(),
            error(calibration.expected_calibration_error),
            error(calibration.mean_absolute_error),
        );
        prop_assert!(bias <= within_bins + TOLERANCE && within_bins <= each + TOLERANCE);
        prop_assert_eq!(calibration.bins.iter().map(|bin| bin.count).sum::<usize>(), pairs.len());
        let is_correlation = |value: Option<f64>| value.is_none_or(|value| (-1.0..=1.0).contains(&value));
        prop_assert!(is_correlation(calibration.pearson) && is_correlation(calibration.spearman));
        // Increasing maps do not change ranks.
        let stretched = Calibration::of(pairs.iter().map(|&(predicted, truth)| (predicted * 2.0 + 1.0, truth.exp())), bins)?;
        let rank = calibration.spearman.zip(stretched.spearman);
        prop_assert!(rank.is_none_or(|(first, second)| (first - second).abs() < 1e-6));
    }

    #[test]
    fn failures_are_all_there_worst_first(scores in vec(prop_oneof![9 => 0.0..=1.0_f64, 1 => Just(f64::NAN)], 0..20), below in 0.0..=1.0_f64) {
        let found = failures(scores.iter().copied().enumerate(), below);
        prop_assert!(found.failed.is_sorted_by(|first, second| first.1 <= second.1));
        prop_assert_eq!(found.failed.len(), scores.iter().filter(|&&score| score < below).count());
        prop_assert!(found.failed.iter().all(|&(at, score)| scores[at].to_bits() == score.to_bits()));
        prop_assert_eq!(found.undefined.len(), scores.iter().filter(|score| score.is_nan()).count());
        prop_assert_eq!(found.tested, scores.len());
    }
}
