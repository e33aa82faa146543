//! Statistics of differences: confidence intervals, a paired test, and its correction for multiple comparisons.

mod bootstrap;
mod wilcoxon;

pub use self::bootstrap::{BootstrapConfig, ConfidenceInterval, bootstrap, bootstrap_mean};
pub use self::wilcoxon::{Wilcoxon, WilcoxonMethod};
use crate::{ConfigError, EvalError};

/// Adjusts the p-values of several comparisons by Holm's method; the order is kept. Every comparison whose adjusted p-value is at most α is
/// significant at the family-wise level α, whatever the dependence between the comparisons.
///
/// Comparisons without a p-value stay without one and are not counted.
///
/// # Errors
/// [`EvalError::Config`] if a p-value is not in [0, 1].
///
/// # Source
/// S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979; as
/// `statsmodels.stats.multitest.multipletests(method="holm")`.
pub fn holm(p_values: &[Option<f64>]) -> Result<Vec<Option<f64>>, EvalError> {
    let mut defined: Vec<(usize, f64)> = p_values.iter().enumerate().filter_map(|(at, p)| Some((at, (*p)?))).collect();
    for (_, p) in &defined {
        ConfigError::check((0.0..=1.0).contains(p), "p-value", || p.to_string(), "a number in [0, 1]")?;
    }
    defined.sort_by(|(_, first), (_, second)| first.total_cmp(second));
    let mut adjusted = vec![None; p_values.len()];
    let mut largest = 0.0_f64;
    for (rank, &(at, p)) in defined.iter().enumerate() {
        largest = largest.max((p * (defined.len() - rank) as f64).min(1.0));
        adjusted[at] = Some(largest);
    }
    Ok(adjusted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holm_is_that_of_statsmodels() -> Result<(), EvalError> {
        // statsmodels 0.15.0: multipletests([0.04, 0.01, 0.03, 0.005, 0.5], method="holm")[1]
        let adjusted = holm(&[Some(0.04), None, Some(0.01), Some(0.03), Some(0.005), Some(0.5)])?;
        let expected = [Some(0.09), None, Some(0.04), Some(0.09), Some(0.025), Some(0.5)];
        for (got, expected) in adjusted.iter().zip(expected) {
            assert!(got.zip(expected).map_or(got.is_none() && expected.is_none(), |(a, b)| (a - b).abs() < 1e-12));
        }
        assert_eq!(holm(&[])?, []);
        Ok(())
    }

    #[test]
    fn what_is_no_probability_is_refused() {
        assert!(matches!(holm(&[Some(1.5)]), Err(EvalError::Config(ConfigError { name: "p-value", .. }))));
        assert!(holm(&[Some(f64::NAN)]).is_err());
    }
}
