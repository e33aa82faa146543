//! All tests of the crate's interface, in one program: linking takes longer than running most of them.
//!
//! Two are programs of their own: `memory`, whose counter counts for all threads, and `fuzz`, which has options.

mod datasets;
#[cfg(feature = "dicom")]
mod dicom;
mod geometry;
mod grids;
mod nifti_roundtrip;
mod phantoms;
mod real_data;
mod resample;
mod volume_reader;
mod wrong_input;

#[cfg(feature = "dicom")]
use peak_alloc::PeakAlloc;
use sam_prompt::error_chain as chain;

/// Measures how much memory damaged files are given.
#[cfg(feature = "dicom")]
#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// A folder of public data sets, which the tests that need it are run with.
fn data_folder() -> std::path::PathBuf {
    let folder = std::env::var_os("SAM_MED_DATA");
    folder.expect("set SAM_MED_DATA to a folder of public data sets, as `real_data` describes them").into()
}
