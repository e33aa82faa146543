//! The commands, one per file, each with its `Options` and its `run`.

pub mod annotate;
pub mod automatic;
pub mod batch;
pub mod cards;
pub mod coarse;
pub mod convert;
pub mod embed;
pub mod evaluate;
mod kept;
pub mod parity;
pub mod predict;
pub mod quickstart;
pub mod resample;
pub mod review;
pub mod shell;
