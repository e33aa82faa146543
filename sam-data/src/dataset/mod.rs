//! The data sets of the paper, read from disk.
//!
//! [`KnownSet::open`] pairs the scans of a folder with masks, names the label values, and lists the files that it left out, with the
//! reason. Voxels and pixels are only read when a [`Case`] is loaded.

mod known;
mod layout;
mod left_out;
mod preprocessing;

use std::path::Path;

use crate::{Case, DataError, Folder, LabelTable, Structure};

pub use known::KnownSet;
pub use left_out::LeftOut;
pub use preprocessing::{Preprocessing, Provenance, Sourced, SplitUnit};

/// Cases that share a label table.
pub trait Dataset {
    /// The data set's name, used in results.
    fn name(&self) -> &str;

    /// The known set that it is; `None` for other data.
    fn known(&self) -> Option<KnownSet> {
        None
    }

    /// The names of the label values.
    fn table(&self) -> &LabelTable;

    /// All named structures.
    fn structures(&self) -> Vec<Structure> {
        self.table().structures()
    }

    /// All cases that have a mask, sorted by name. [`Case::load`] reads a case, [`Case::stack`] cuts it into slices.
    fn cases(&self) -> &[Case];

    /// Files that belong to no case, with the reason.
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

    /// Always empty: opening a [`Folder`] fails if a scan has no mask.
    fn left_out(&self) -> &[LeftOut] {
        &[]
    }
}

/// A data set of a known layout, or of phantoms.
#[derive(Debug, Clone)]
pub struct Collection {
    pub(crate) name: String,
    pub(crate) known: Option<KnownSet>,
    pub(crate) table: LabelTable,
    pub(crate) cases: Vec<Case>,
    pub(crate) left_out: Vec<LeftOut>,
}

impl Dataset for Collection {
    fn name(&self) -> &str {
        &self.name
    }

    fn known(&self) -> Option<KnownSet> {
        self.known
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
/// [`DataError::Layout`] says what was looked for and what was found.
pub fn open_dataset(folder: impl AsRef<Path>, set: Option<KnownSet>) -> Result<Box<dyn Dataset>, DataError> {
    let folder = folder.as_ref();
    Ok(match set {
        Some(set) => Box::new(set.open(folder)?),
        None => Box::new(Folder::open(folder)?),
    })
}
