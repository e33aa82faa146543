//! One module for each section of the page; `paper` holds the paper's numbers, and `tables` the tables and plots that sections share.

pub(crate) mod few_slices;
pub(crate) mod fig10;
pub(crate) mod fig12;
pub(crate) mod fig14;
pub(crate) mod fig7;
pub(crate) mod fig9;
mod gallery;
pub(crate) mod next_slice;
mod paper;
pub(crate) mod table2;
pub(crate) mod table3;
pub(crate) mod table4;
pub(crate) mod table5;
mod tables;
pub(crate) mod trust;
