//! Lists of slices as text: `12,40-44`.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::Serialize;
use thiserror::Error;

/// List of slices, counted from 0. As text: `12,40-44`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SliceList(BTreeSet<usize>);

/// A text that is not a list of slices.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected slices such as 12,40-44, the lower one first and below {}, found {found:?}", SliceList::MAX)]
pub struct ParseSliceListError {
    /// The part that cannot be read.
    pub found: String,
}

impl SliceList {
    /// Largest slice number. No scan has as many slices, so a larger number is a typing error.
    const MAX: usize = 100_000;

    /// The slices in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().copied()
    }

    /// Whether a slice is in the list.
    pub fn contains(&self, slice: usize) -> bool {
        self.0.contains(&slice)
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of slices.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl FromIterator<usize> for SliceList {
    fn from_iter<I: IntoIterator<Item = usize>>(slices: I) -> Self {
        Self(slices.into_iter().collect())
    }
}

impl FromStr for SliceList {
    type Err = ParseSliceListError;

    fn from_str(text: &str) -> Result<Self, ParseSliceListError> {
        let mut slices = BTreeSet::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |word: &str| word.trim().parse::<usize>().ok().filter(|&number| number < Self::MAX);
            match (number(first), number(last)) {
                (Some(first), Some(last)) if first <= last => slices.extend(first..=last),
                _ => return Err(ParseSliceListError { found: part.to_owned() }),
            }
        }
        Ok(Self(slices))
    }
}

impl fmt::Display for SliceList {
    /// Joins neighbours: `12,40-44`.
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
    fn numbers_and_ranges_are_read_and_written_alike() {
        let parse = |text: &str| text.parse::<SliceList>();
        let slices = parse("40-44, 12,41").expect("slices");
        assert_eq!(slices.iter().collect::<Vec<_>>(), [12, 40, 41, 42, 43, 44]);
        assert_eq!(slices.to_string(), "12,40-44");
        assert_eq!(parse(""), Ok(SliceList::default()));
        assert_eq!(parse(&slices.to_string()), Ok(slices));
        for text in ["4-", "-4", "a", "9-3", "1.5", "0-99999999999"] {
            assert_eq!(parse(text), Err(ParseSliceListError { found: text.to_owned() }));
        }
    }
}
