//! Metrics and statistics against reference scores, and their properties for any masks and scores.

mod api;
mod goldens;
mod instances;
mod interaction;
mod overlap_properties;
mod results;
mod statistics;
mod surface_properties;
