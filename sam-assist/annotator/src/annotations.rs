//! Outlines that a person drew on a scan.

use std::collections::BTreeMap;

use sam_data::LabelVolume;

/// Outlines that a person drew on a scan, to be learned from.
///
/// A slice with any label, or in the list of empty slices, is annotated for all structures: it stays as it is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Annotations {
    /// Labels on the scan's grid: 0 where nothing is outlined.
    pub labels: LabelVolume,
    /// Slices that show none of the structures according to the person, counted from 0.
    pub empty: Vec<usize>,
    /// Names of the structures, by label value. A structure without a name is called `label 1` and so on.
    pub names: BTreeMap<u16, String>,
}

impl Annotations {
    /// Annotations of structures without names.
    pub fn new(labels: LabelVolume) -> Self {
        Self { labels, empty: Vec::new(), names: BTreeMap::new() }
    }

    /// Sets the slices that show none of the structures. Two of them help generators to find where a structure ends.
    #[must_use]
    pub fn with_empty(self, empty: impl IntoIterator<Item = usize>) -> Self {
        Self { empty: empty.into_iter().collect(), ..self }
    }

    /// Sets the names of the structures, by label value. Values without an outline may be named for later rounds.
    #[must_use]
    pub fn with_names(self, names: impl IntoIterator<Item = (u16, String)>) -> Self {
        Self { names: names.into_iter().filter(|&(value, _)| value != 0).collect(), ..self }
    }

    /// The name of a label value, or `label 1` and so on if it has none.
    pub fn name(&self, value: u16) -> String {
        self.names.get(&value).cloned().unwrap_or_else(|| format!("label {value}"))
    }

    /// Every structure that is outlined or named.
    pub fn structures(&self) -> BTreeMap<u16, String> {
        let values = self.labels.values().into_iter().chain(self.names.keys().copied());
        values.map(|value| (value, self.name(value))).collect()
    }
}
