//! Which slices to look at first.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// A slice to look at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// Number of the slice, from 0.
    pub slice: usize,
    /// How far its mask can be trusted, from 0 to 1; `None` where nobody knows.
    pub trust: Option<f64>,
}

/// Slices in the order in which they should be looked at, each once.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Ranking(Vec<Ranked>);

impl Ranking {
    /// All slices in their own order, for want of better knowledge.
    pub fn in_order(count: usize) -> Self {
        Self((0..count).map(|slice| Ranked { slice, trust: None }).collect())
    }

    /// The slices in this order.
    ///
    /// # Errors
    /// If one is named twice, or the scan has it not; if trust is no share.
    pub fn new(ranked: Vec<Ranked>, count: usize) -> Result<Self> {
        let mut is_named = vec![false; count];
        for Ranked { slice, trust } in &ranked {
            let named = is_named.get_mut(*slice);
            let named = named.with_context(|| format!("it names slice {slice}, but the scan has {count}, from 0"))?;
            ensure!(!*named, "it names slice {slice} twice");
            *named = true;
            let is_share = trust.is_none_or(|trust| (0.0..=1.0).contains(&trust));
            ensure!(is_share, "trust in slice {slice} is {}, not within 0 to 1", trust.unwrap_or(f64::NAN));
        }
        Ok(Self(ranked))
    }

    /// Reads `[{"slice": 3, "trust": 0.2}, ...]`, those that need a look most first. Other fields are left alone.
    ///
    /// # Errors
    /// If the file cannot be read, is something else, or names a slice twice or one that the scan has not.
    pub fn read(path: &Path, count: usize) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text, count).with_context(|| path.display().to_string())
    }

    fn parse(text: &str, count: usize) -> Result<Self> {
        let ranked: Vec<Ranked> =
            serde_json::from_str(text).context("expected a ranking such as [{\"slice\": 3, \"trust\": 0.2}]")?;
        Self::new(ranked, count)
    }

    /// The slices, those to look at first first.
    pub fn slices(&self) -> &[Ranked] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rankings_are_read_in_their_order_and_others_refused_in_words() {
        let text = r#"[{"slice": 3, "trust": 0.2, "reason": "jump"}, {"slice": 0, "trust": null}]"#;
        let ranking = Ranking::parse(text, 4).expect("a ranking");
        assert_eq!(ranking.slices().iter().map(|ranked| ranked.slice).collect::<Vec<_>>(), [3, 0]);
        assert_eq!(ranking.slices()[0].trust, Some(0.2));
        for (text, part) in [
            ("{}", "expected a ranking"),
            (r#"[{"slice": 4, "trust": 0.2}]"#, "slice 4, but the scan has 4"),
            (r#"[{"slice": 1}, {"slice": 1}]"#, "twice"),
            (r#"[{"slice": 1, "trust": 1.5}]"#, "1.5"),
        ] {
            let error = format!("{:#}", Ranking::parse(text, 4).expect_err("no ranking"));
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(Ranking::in_order(3).slices().len(), 3);
    }
}
