//! Structures that are added to a session or renamed, read from what the person returns.

use std::collections::{BTreeMap, BTreeSet};

use sam_files::sanitize;

use super::{DecisionError, decisions::IndexedLabels};
use crate::structure_name;

/// A structure that is added to a session or renamed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedStructure {
    /// Its label value.
    pub label: u16,
    /// Its name so far; `None` if it is added.
    pub before: Option<String>,
    /// Its new name.
    pub name: String,
}

/// The structures that are added or renamed, by the names that are given and the label values that were drawn.
pub(super) fn named(
    known: &BTreeMap<u16, String>,
    given: &BTreeMap<u16, String>,
    drawn: &[IndexedLabels],
) -> Result<Vec<NamedStructure>, DecisionError> {
    let values: BTreeSet<u16> = drawn.iter().flat_map(|(_, labels)| labels.iter().copied()).collect();
    let unnamed = values.into_iter().filter(|label| *label != 0 && !known.contains_key(label));
    let mut names: BTreeMap<u16, String> = unnamed.map(|label| (label, structure_name(known, label))).collect();
    names.extend(given.iter().map(|(&label, name)| (label, sanitize(name))));
    names.retain(|label, name| known.get(label) != Some(name));
    let mut all = known.clone();
    all.extend(names.clone());
    for (&label, name) in &names {
        if let Some((&other, _)) = all.iter().find(|&(&other, known)| other != label && known == name) {
            let labels = [label.min(other), label.max(other)];
            return Err(DecisionError::SameName { name: name.clone(), labels });
        }
    }
    let structure = |(label, name)| NamedStructure { label, before: known.get(&label).cloned(), name };
    Ok(names.into_iter().map(structure).collect())
}
