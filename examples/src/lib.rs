//! The command lines of the tables and figures.
//!
//! What is measured is in `sam-experiments`; the model's options, backends and progress bars are `sam-med`'s.

#![forbid(unsafe_code)]

mod experiments;
mod table1;

pub use experiments::run;
pub use table1::table1_datasets;
