//! Outlines that a person drew on a scan.

use std::collections::BTreeMap;

use sam_data::LabelVolume;

use crate::{EmptySlices, MinOutline, SliceList};

/// Outlines that a person drew on a scan, to be learned from.
///
/// A structure is annotated on the slices on which it is outlined, and on those on which the person says that it is absent: slices listed as
/// empty, and, if outlined slices are complete, slices that are outlined for other structures. There its mask stays as it is. On all other
/// slices it is looked for, also beside the outlines of other structures.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Annotations {
    /// Labels on the scan's grid: 0 where nothing is outlined.
    pub labels: LabelVolume,
    /// Slices that show none of the structures according to the person, or not one of them.
    pub empty: EmptySlices,
    /// Whether every structure is outlined on each slice that has an outline, so that a structure without one is absent there.
    pub complete: bool,
    /// Smaller outlines do not count.
    pub min_outline: MinOutline,
    /// Slices whose outlines were found by a model and accepted by the person. Learning draws them less often:
    /// [`AnnotateConfig::accepted_weight`](crate::AnnotateConfig::accepted_weight).
    pub accepted: SliceList,
    /// Names of the structures, by label value. A structure without a name is called `label 1` and so on.
    pub names: BTreeMap<u16, String>,
}

impl Annotations {
    /// Annotations of structures without names.
    pub fn new(labels: LabelVolume) -> Self {
        Self {
            labels,
            empty: EmptySlices::default(),
            complete: false,
            min_outline: MinOutline::default(),
            accepted: SliceList::default(),
            names: BTreeMap::new(),
        }
    }

    /// Sets the slices that show none of the structures, counted from 0. Two of them help generators to find where a structure ends.
    #[must_use]
    pub fn with_empty(mut self, slices: impl IntoIterator<Item = usize>) -> Self {
        self.empty.all = slices.into_iter().collect();
        self
    }

    /// Sets the slices that do not show the structure of a label value, counted from 0.
    #[must_use]
    pub fn with_empty_of(mut self, value: u16, slices: impl IntoIterator<Item = usize>) -> Self {
        self.empty.of.insert(value, slices.into_iter().collect());
        self
    }

    /// Sets the slices that show none of the structures, or not one of them.
    #[must_use]
    pub fn with_empty_slices(self, empty: EmptySlices) -> Self {
        Self { empty, ..self }
    }

    /// Sets whether every structure is outlined on each slice that has an outline.
    #[must_use]
    pub fn with_complete(self, complete: bool) -> Self {
        Self { complete, ..self }
    }

    /// Sets how small an outline may be.
    #[must_use]
    pub fn with_min_outline(self, min_outline: MinOutline) -> Self {
        Self { min_outline, ..self }
    }

    /// Sets the slices whose outlines were found by a model and accepted by the person, counted from 0.
    #[must_use]
    pub fn with_accepted(self, slices: impl IntoIterator<Item = usize>) -> Self {
        Self { accepted: slices.into_iter().collect(), ..self }
    }

    /// Sets the names of the structures, by label value. Values without an outline may be named for later rounds.
    #[must_use]
    pub fn with_names(self, names: impl IntoIterator<Item = (u16, String)>) -> Self {
        Self { names: names.into_iter().filter(|&(value, _)| value != 0).collect(), ..self }
    }

    /// The name of a label value, or `label 1` and so on if it has none.
    pub fn name(&self, value: u16) -> String {
        structure_name(&self.names, value)
    }

    /// Every structure that is outlined or named.
    pub fn structures(&self) -> BTreeMap<u16, String> {
        let values = self.labels.values().into_iter().chain(self.names.keys().copied());
        values.map(|value| (value, self.name(value))).collect()
    }
}

/// The name of a label value, or `label 1` and so on if it has none.
pub fn structure_name(names: &BTreeMap<u16, String>, value: u16) -> String {
    names.get(&value).cloned().unwrap_or_else(|| format!("label {value}"))
}

/// The structures as messages list them: `1 (liver), 2 (spleen)`.
pub(crate) fn list_structures(structures: &BTreeMap<u16, String>) -> String {
    let named = structures.iter().map(|(value, name)| format!("{value} ({name})"));
    named.collect::<Vec<_>>().join(", ")
}
