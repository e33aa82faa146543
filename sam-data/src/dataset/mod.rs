//! The paper's data sets as they lie on disk.
//!
//! Whoever has one of them points at its folder: [`KnownSet::open`] pairs scans with masks, names the label values, and lists what it
//! left out and why. All data are read when a [`Case`] is loaded, none before.

mod known;
mod layout;
mod left_out;

use std::path::Path;

use crate::{Case, DataError, Folder, LabelTable};

pub use known::KnownSet;
pub use left_out::LeftOut;

/// Cases that share a label table.
pub trait Dataset {
    /// Its name, for results.
    fn name(&self) -> &str;

    /// What the label values mean.
    fn table(&self) -> &LabelTable;

    /// All cases with a mask, by name.
    fn cases(&self) -> &[Case];

    /// What lies there and is no case.
    fn left_out(&self) -> &[LeftOut];
}

impl Dataset for Folder {
    fn name(&self) -> &str {
        Self::name(self)
    }

    fn table(&self) -> &LabelTable {
        Self::table(self)
    }

    fn cases(&self) -> &[Case] {
        Self::cases(self)
    }

    /// Nothing: a folder whose scan has no mask is refused.
    fn left_out(&self) -> &[LeftOut] {
        &[]
    }
}

/// A data set of a known layout.
#[derive(Debug, Clone)]
pub struct Collection {
    name: String,
    table: LabelTable,
    cases: Vec<Case>,
    left_out: Vec<LeftOut>,
}

impl Dataset for Collection {
    fn name(&self) -> &str {
        &self.name
    }

    fn table(&self) -> &LabelTable {
        &self.table
    }

    fn cases(&self) -> &[Case] {
        &self.cases
    }

    fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }
}

/// Opens a folder as a known set, or as a plain [`Folder`] where none is named.
///
/// # Errors
/// [`DataError::Layout`] says what was looked for, and what was found.
pub fn open_dataset(folder: &Path, set: Option<KnownSet>) -> Result<Box<dyn Dataset>, DataError> {
    Ok(match set {
        Some(set) => Box::new(set.open(folder)?),
        None => Box::new(Folder::open(folder)?),
    })
}
