//! Slices as they are named on the command line.

use std::{collections::BTreeSet, fmt, str::FromStr};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

/// Slices by their numbers, counted from 0: `12,40-44`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SliceList(BTreeSet<usize>);

impl SliceList {
    /// More slices than any scan has are a slip of the finger.
    const MOST: usize = 100_000;

    /// The slices, rising.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().copied()
    }

    /// Whether a slice is among them.
    pub fn contains(&self, slice: usize) -> bool {
        self.0.contains(&slice)
    }

    /// Refuses slices that a scan does not have.
    ///
    /// # Errors
    /// Names the option and the slice.
    pub fn check(&self, option: &str, scan: &str, count: usize) -> Result<()> {
        for slice in self.iter() {
            ensure!(slice < count, "{option} names slice {slice}, but {scan} has {count}, from 0 to {}", count - 1);
        }
        Ok(())
    }
}

impl FromIterator<usize> for SliceList {
    fn from_iter<I: IntoIterator<Item = usize>>(slices: I) -> Self {
        Self(slices.into_iter().collect())
    }
}

impl FromStr for SliceList {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut slices = BTreeSet::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |word: &str| -> Result<usize> {
                let number = word.trim().parse().ok().filter(|&number| number < Self::MOST);
                number.with_context(|| format!("expected slices such as 12,40-44, found \"{part}\""))
            };
            let (first, last) = (number(first)?, number(last)?);
            ensure!(first <= last, "expected the lower slice first, found \"{part}\"");
            slices.extend(first..=last);
        }
        Ok(Self(slices))
    }
}

impl fmt::Display for SliceList {
    /// Neighbours are joined: `12,40-44`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for slice in self.iter() {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == slice => *last = slice,
                _ => runs.push((slice, slice)),
            }
        }
        let show = |(first, last)| if first == last { format!("{first}") } else { format!("{first}-{last}") };
        f.write_str(&runs.into_iter().map(show).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges_are_read_and_shown_alike() {
        let parse = |text: &str| text.parse::<SliceList>();
        let slices = parse("40-44, 12,41").expect("slices");
        assert_eq!(slices.iter().collect::<Vec<_>>(), [12, 40, 41, 42, 43, 44]);
        assert_eq!(slices.to_string(), "12,40-44");
        assert_eq!(parse("").expect("none"), SliceList::default());
        assert_eq!(parse(&slices.to_string()).expect("as shown"), slices);
        for text in ["4-", "-4", "a", "9-3", "1.5", "0-99999999999"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn slices_that_there_are_not_are_named() {
        let slices: SliceList = [3, 12].into_iter().collect();
        assert!(slices.check("--accept", "scan.nii.gz", 13).is_ok());
        let error = slices.check("--accept", "scan.nii.gz", 12).expect_err("12 slices, from 0 on").to_string();
        assert_eq!(error, "--accept names slice 12, but scan.nii.gz has 12, from 0 to 11");
    }
}
