//! All tests of the public API in one program, because linking takes longer than running most of them.
//!
//! Two tests are separate programs: `memory`, because its counter counts all threads, and `fuzz`, which has command-line options.

mod built;
mod datasets;
#[cfg(feature = "dicom")]
mod dicom;
mod geometry;
mod grids;
mod label_grids;
mod nifti_roundtrip;
mod nifti_variants;
mod phantoms;
mod real_data;
mod resample;
mod volume_reader;
mod wrong_input;

#[cfg(feature = "dicom")]
use peak_alloc::PeakAlloc;

/// Measures the memory that reading damaged files uses.
#[cfg(feature = "dicom")]
#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The folder of public data sets for the tests that need one.
fn data_folder() -> std::path::PathBuf {
    let folder = std::env::var_os("SAM_MED_DATA");
    folder.expect("set SAM_MED_DATA to a folder of public data sets, as `real_data` describes them").into()
}
