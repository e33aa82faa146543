//! Lists of slices as text, counted from 1: `12,40-44`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use sam_data::SlicePlane;
use sam_prompt::SliceNumber;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::summary::{self, SlicePlace};

/// List of slices.
///
/// Its text, `12,40-44`, is for people and counts slices from 1 ([`SliceNumber`]). Everything else, JSON too, has indices, counted from 0.
///
/// ```
/// use sam_annotate::SliceList;
///
/// let slices: SliceList = "1,40-42".parse()?;
/// assert_eq!(slices.iter().collect::<Vec<_>>(), [0, 39, 40, 41]);
/// assert_eq!(slices.to_string(), "1,40-42");
/// # Ok::<(), sam_annotate::ParseSliceListError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SliceList(BTreeSet<usize>);

/// A text that is not a list of slices.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "expected slices such as 12,40-44, counted from 1, the lower one first and at most {}, found {found:?}",
    SliceList::MAX
)]
pub struct ParseSliceListError {
    /// The part that cannot be read.
    pub found: String,
}

impl SliceList {
    /// Largest slice number. No scan has as many slices, so a larger number is a typing error.
    const MAX: usize = 100_000;

    /// The indices of the slices, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().copied()
    }

    /// Whether the slice with this index is in the list.
    pub fn contains(&self, index: usize) -> bool {
        self.0.contains(&index)
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of slices.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The list as text, with the place of each slice or range in mm: `12 (-30.0 mm), 40-44 (54.0 to 66.0 mm)`.
    pub fn with_millimetres(&self, plane: &SlicePlane) -> String {
        let places: Vec<_> = self.iter().map(|index| SlicePlace::new(index, plane)).collect();
        summary::runs(&places)
    }

    /// The first and last index of each run of neighbours.
    fn runs(&self) -> Vec<(usize, usize)> {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for index in self.iter() {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == index => *last = index,
                _ => runs.push((index, index)),
            }
        }
        runs
    }
}

/// A run of neighbours, as text.
struct Run(usize, usize);

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, last] = [self.0, self.1].map(SliceNumber::of_index);
        if first == last { write!(f, "{first}") } else { write!(f, "{first}-{last}") }
    }
}

impl FromIterator<usize> for SliceList {
    /// From indices, counted from 0.
    fn from_iter<I: IntoIterator<Item = usize>>(indices: I) -> Self {
        Self(indices.into_iter().collect())
    }
}

impl Extend<usize> for SliceList {
    fn extend<I: IntoIterator<Item = usize>>(&mut self, indices: I) {
        self.0.extend(indices);
    }
}

impl FromStr for SliceList {
    type Err = ParseSliceListError;

    fn from_str(text: &str) -> Result<Self, ParseSliceListError> {
        let mut slices = BTreeSet::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let index = |word: &str| word.parse().map(SliceNumber::index).ok().filter(|&index| index < Self::MAX);
            match (index(first), index(last)) {
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
        let runs = self.runs().into_iter().map(|(first, last)| Run(first, last).to_string());
        f.write_str(&runs.collect::<Vec<_>>().join(","))
    }
}

/// Slices on which a person says that structures are absent.
///
/// As text, counted from 1: `3,60` for all structures, `2:3,60` for the structure of label value 2. Several groups are separated by `;`:
/// `1:7;2:3,60`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmptySlices {
    /// Slices that show none of the structures.
    pub all: SliceList,
    /// Slices that do not show one structure, by its label value.
    pub of: BTreeMap<u16, SliceList>,
}

/// A text that is not a list of empty slices.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseEmptySlicesError {
    /// The part before the colon is not a label value.
    #[error("expected a label value from 1 to 65535 before the colon, such as 2:3,60, found {found:?}")]
    Label {
        /// The text before the colon.
        found: String,
    },
    /// No slice follows the colon.
    #[error("expected slices after the colon, such as {value}:3,60, found none")]
    NoSlices {
        /// The label value before the colon.
        value: u16,
    },
    /// The slices cannot be read.
    #[error(transparent)]
    Slices(#[from] ParseSliceListError),
}

impl EmptySlices {
    /// Adds the slices of another list.
    pub fn extend(&mut self, other: &Self) {
        self.all.extend(other.all.iter());
        for (&value, slices) in &other.of {
            self.of.entry(value).or_default().extend(slices.iter());
        }
    }

    /// Whether no slice is listed.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.of.is_empty()
    }
}

impl FromStr for EmptySlices {
    type Err = ParseEmptySlicesError;

    fn from_str(text: &str) -> Result<Self, ParseEmptySlicesError> {
        let mut empty = Self::default();
        for group in text.split(';') {
            let Some((label, slices)) = group.split_once(':') else {
                empty.all.extend(group.parse::<SliceList>()?.iter());
                continue;
            };
            let value = label.trim().parse().ok().filter(|&value| value != 0);
            let value = value.ok_or_else(|| ParseEmptySlicesError::Label { found: label.to_owned() })?;
            let slices: SliceList = slices.parse()?;
            if slices.is_empty() {
                return Err(ParseEmptySlicesError::NoSlices { value });
            }
            empty.of.entry(value).or_default().extend(slices.iter());
        }
        Ok(empty)
    }
}

impl fmt::Display for EmptySlices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = (!self.all.is_empty()).then(|| self.all.to_string());
        let of = self.of.iter().map(|(value, slices)| format!("{value}:{slices}"));
        f.write_str(&all.into_iter().chain(of).collect::<Vec<_>>().join(";"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sam_data::{Grid, SliceAxis};

    use super::*;

    #[test]
    fn numbers_and_ranges_are_read_and_written_alike() {
        let parse = |text: &str| text.parse::<SliceList>();
        let slices = parse("40-44, 12,41").expect("slices");
        assert_eq!(slices.iter().collect::<Vec<_>>(), [11, 39, 40, 41, 42, 43]);
        assert_eq!(slices.to_string(), "12,40-44");
        assert_eq!(parse(""), Ok(SliceList::default()));
        for text in ["4-", "-4", "a", "9-3", "1.5", "1-99999999999", "0", "0-3"] {
            let error = parse(text).expect_err("no slices");
            assert_eq!(error, ParseSliceListError { found: text.to_owned() });
            assert!(error.to_string().contains("counted from 1"), "{error}");
        }
    }

    #[test]
    fn empty_slices_are_of_all_structures_or_of_one() {
        let empty: EmptySlices = "3,60; 2:4-5;2:9".parse().expect("empty slices");
        assert_eq!(empty.all.iter().collect::<Vec<_>>(), [2, 59]);
        assert_eq!(empty.of[&2].iter().collect::<Vec<_>>(), [3, 4, 8]);
        assert_eq!(empty.to_string(), "3,60;2:4-5,9");
        for (text, part) in
            [("0:3", "label value"), ("liver:3", "label value"), ("2:", "2:3,60"), ("2:0", "counted from 1")]
        {
            let error = text.parse::<EmptySlices>().expect_err("no empty slices").to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn millimetres_stand_beside_the_numbers() {
        let affine = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.5, -10.0], [0.0, 0.0, 0.0, 1.0]];
        let plane = SlicePlane::new(&Grid::new([4, 4, 8], affine), SliceAxis::K);
        let slices: SliceList = "1,3-5".parse().expect("slices");
        assert_eq!(slices.with_millimetres(&plane), "1 (-10.0 mm), 3-5 (-5.0 to 0.0 mm)");
    }

    proptest! {
        #[test]
        fn a_list_is_read_back_from_its_text(indices in prop::collection::btree_set(0_usize..SliceList::MAX, 0..20)) {
            let slices: SliceList = indices.into_iter().collect();
            prop_assert_eq!(slices.to_string().parse::<SliceList>(), Ok(slices));
        }

        #[test]
        fn empty_slices_are_read_back_from_their_text(
            all in prop::collection::btree_set(0_usize..300, 0..5),
            of in prop::collection::btree_map(1_u16.., prop::collection::btree_set(0_usize..300, 1..5), 0..4),
        ) {
            let of = of.into_iter().map(|(value, slices)| (value, slices.into_iter().collect())).collect();
            let empty = EmptySlices { all: all.into_iter().collect(), of };
            prop_assert_eq!(empty.to_string().parse::<EmptySlices>(), Ok(empty));
        }
    }
}
