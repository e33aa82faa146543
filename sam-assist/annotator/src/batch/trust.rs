//! Trust of a case: which case a person should look at first.

use serde::{Deserialize, Serialize};

use crate::SliceTrust;

/// How far the mask of a case can be trusted: the Dice to be expected of its ranked slices.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CaseTrust {
    /// The slice with the lowest trust, counted from 0.
    pub worst_index: usize,
    /// Its trust, from 0 to 1. Of several structures, the lowest counts.
    pub worst: f32,
    /// Mean trust of all ranked slices, from 0 to 1.
    pub mean: f32,
}

impl CaseTrust {
    /// The trust of a case, from its slices and their trust, the least trusted first. `None` if there is no such slice.
    ///
    /// ```
    /// use sam_annotate::{SliceTrust, batch::CaseTrust};
    ///
    /// let ranking = [(21, 0.5), (3, 0.75), (4, 1.0)].map(|(index, trust)| SliceTrust::new(index, trust));
    /// let trust = CaseTrust::of(&ranking).expect("three slices");
    /// assert_eq!((trust.worst_index, trust.worst, trust.mean), (21, 0.5, 0.75));
    /// assert_eq!(CaseTrust::of(&[]), None);
    /// ```
    pub fn of(ranking: &[SliceTrust]) -> Option<Self> {
        let worst = ranking.first()?;
        let sum: f64 = ranking.iter().map(|slice| f64::from(slice.trust)).sum();
        Some(Self { worst_index: worst.index, worst: worst.trust, mean: (sum / ranking.len() as f64) as f32 })
    }

    /// The order in which a person should look at cases: the lowest mean first, then the worst slice.
    pub fn compare(&self, other: &Self) -> std::cmp::Ordering {
        self.mean.total_cmp(&other.mean).then(self.worst.total_cmp(&other.worst))
    }
}

/// What the work of a case gives, besides the mask.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct CaseResult {
    /// Trust in the mask, if it was estimated.
    pub trust: Option<CaseTrust>,
}

impl From<()> for CaseResult {
    /// A result without an estimate of trust.
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl From<Option<CaseTrust>> for CaseResult {
    fn from(trust: Option<CaseTrust>) -> Self {
        Self { trust }
    }
}

/// A case that is done, with the trust in its mask.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RankedCase {
    /// Name of the case.
    pub case: String,
    /// Trust in its mask.
    #[serde(flatten)]
    pub trust: CaseTrust,
}
