//! The order in which slices should be reviewed.

use std::path::Path;

use sam_annotate::SliceTrust;
use serde::{Deserialize, Serialize};

use crate::{RankingError, ReviewError};

/// A slice of a ranking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RankedSlice {
    /// The slice, counted from 0. In a file of a person it is called `index`; earlier versions called it `slice`.
    #[serde(rename(serialize = "slice", deserialize = "index"), alias = "slice")]
    pub slice: usize,
    /// How far its mask can be trusted, from 0 to 1; `None` if that is unknown.
    pub trust: Option<f64>,
    /// What lowers its trust most, for people; `None` if it is not known.
    #[serde(default)]
    pub reason: Option<String>,
}

impl RankedSlice {
    /// A slice, and how far its mask can be trusted, from 0 to 1, if that is known.
    pub fn new(slice: usize, trust: Option<f64>) -> Self {
        Self { slice, trust, reason: None }
    }

    /// Its trust, if that is known.
    pub(crate) fn known_trust(&self) -> Option<SliceTrust> {
        let reason = self.reason.clone().unwrap_or_default();
        Some(SliceTrust::new(self.slice, self.trust? as f32).with_reason(reason))
    }

    /// Sets what lowers its trust most.
    #[must_use]
    pub fn with_reason(self, reason: Option<String>) -> Self {
        Self { reason, ..self }
    }
}

/// Slices in the order in which they should be looked at, each once.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Ranking(Vec<RankedSlice>);

impl Ranking {
    /// All slices in scan order, for scans without a ranking.
    pub fn in_order(count: usize) -> Self {
        Self((0..count).map(|slice| RankedSlice::new(slice, None)).collect())
    }

    /// A ranking of these slices, in this order; `count` is the number of slices of the scan.
    ///
    /// # Errors
    /// If a slice is named twice or does not exist, or if a trust is not in [0, 1].
    pub fn new(ranked: Vec<RankedSlice>, count: usize) -> Result<Self, RankingError> {
        let mut is_named = vec![false; count];
        for &RankedSlice { slice, trust, .. } in &ranked {
            let named = is_named.get_mut(slice).ok_or(RankingError::NoSuchSlice { slice, count })?;
            if std::mem::replace(named, true) {
                return Err(RankingError::Twice { slice });
            }
            if let Some(trust) = trust.filter(|trust| !(0.0..=1.0).contains(trust)) {
                return Err(RankingError::Trust { slice, trust });
            }
        }
        Ok(Self(ranked))
    }

    /// Reads `[{"index": 3, "trust": 0.2}, ...]`; indices are counted from 0. The slices that need review most come first. Other fields are
    /// ignored.
    ///
    /// # Errors
    /// If the file cannot be read or is not a ranking, and under the conditions of [`Ranking::new`].
    pub fn read(path: impl AsRef<Path>, count: usize) -> Result<Self, ReviewError> {
        let path = path.as_ref();
        let text = sam_files::read_text(path).map_err(|error| RankingError::Read(error.source));
        let ranking = text.and_then(|text| Self::parse(&text, count));
        ranking.map_err(|source| ReviewError::RankingFile { path: path.to_path_buf(), source })
    }

    fn parse(text: &str, count: usize) -> Result<Self, RankingError> {
        Self::new(serde_json::from_str(text).map_err(RankingError::Json)?, count)
    }

    /// The slices; those to review first come first.
    pub fn slices(&self) -> &[RankedSlice] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ranking_keeps_its_order_and_anything_else_is_refused() {
        let text = r#"[{"index": 3, "trust": 0.2, "reason": "jump"}, {"slice": 0, "trust": null}]"#;
        let ranking = Ranking::parse(text, 4).expect("a ranking");
        assert_eq!(ranking.slices().iter().map(|ranked| ranked.slice).collect::<Vec<_>>(), [3, 0]);
        assert_eq!((ranking.slices()[0].trust, ranking.slices()[0].reason.as_deref()), (Some(0.2), Some("jump")));
        for (text, part) in [
            ("{}", "expected a ranking"),
            (r#"[{"slice": 4, "trust": 0.2}]"#, "slice 5 (index 4), but the scan has 4 slices"),
            (r#"[{"slice": 1}, {"slice": 1}]"#, "twice"),
            (r#"[{"slice": 1, "trust": 1.5}]"#, "1.5"),
        ] {
            let error = Ranking::parse(text, 4).expect_err("no ranking").to_string();
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(Ranking::in_order(3).slices().len(), 3);
    }
}
