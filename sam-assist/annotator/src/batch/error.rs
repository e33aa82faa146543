//! Errors of batches.

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::session::BoxError;

/// Why a batch cannot be read, run or merged. A failed case is not an error of the batch: the record of the case holds the reason.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The table of cases cannot be read.
    #[error("cannot read the table of cases {}; expected CSV, the first line with the names of the columns", path.display())]
    Table {
        /// The table.
        path: PathBuf,
        /// Why not.
        #[source]
        source: csv::Error,
    },
    /// The table lacks a column that every batch needs.
    #[error("the table of cases {} has no column \"{column}\"", path.display())]
    MissingColumn {
        /// The table.
        path: PathBuf,
        /// The column.
        column: &'static str,
    },
    /// The table has no case.
    #[error("the table of cases {} has no case; add a line for each scan below the names of the columns", path.display())]
    NoCases {
        /// The table.
        path: PathBuf,
    },
    /// A line of the table is invalid.
    #[error("line {line} of {} cannot be used", path.display())]
    Line {
        /// The table.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// Why not.
        #[source]
        source: BoxError,
    },
    /// A case has no value in a column that every batch needs.
    #[error("line {line} of {} has nothing in the column \"{column}\"", path.display())]
    MissingCell {
        /// The table.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// The column.
        column: &'static str,
    },
    /// Two cases would write the same mask.
    #[error("lines {first} and {second} of {} write the same mask, {}; give each its own", table.display(), mask.display())]
    SameMask {
        /// The table.
        table: PathBuf,
        /// The mask.
        mask: PathBuf,
        /// A line.
        first: u64,
        /// The other one.
        second: u64,
    },
    /// Two cases have the same name, so messages and tables could not tell them apart.
    #[error("lines {first} and {second} of {} have the same name, {name}; give each case its own in the column \"case\"", table.display())]
    SameName {
        /// The table.
        table: PathBuf,
        /// The name.
        name: String,
        /// A line.
        first: u64,
        /// The other one.
        second: u64,
    },
    /// The folder of records cannot be created.
    #[error("cannot create the folder of records {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A case cannot be claimed.
    #[error("cannot lock {}; the folder of records must be on a file system that can lock files", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A record cannot be read.
    #[error("the record {} cannot be read; delete it, and the case is done again", path.display())]
    Record {
        /// The record.
        path: PathBuf,
        /// Why not.
        #[source]
        source: BoxError,
    },
    /// A record, or the table of all, cannot be written.
    #[error("the results of the batch cannot be written")]
    Write(#[source] BoxError),
    /// The merged table has an unknown file extension.
    #[error("{} cannot be written: end the name in .csv or .json", path.display())]
    Ending {
        /// The file.
        path: PathBuf,
    },
}
