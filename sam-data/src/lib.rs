//! Medical volumes to slices, and masks back to volumes.
//!
//! Geometry is sacred here: voxels stay in file order, slices are turned for viewing by exact flips, and a mask leaves with the very
//! header its image came with. The crate knows no network and no deep-learning library.
//!
//! - [`read_volume`], [`read_labels`], [`write_labels`]: NIfTI, `.nii`, `.nii.gz` and header pairs.
//! - [`read_dicom`], [`write_segmentation`]: a DICOM series in, DICOM SEG out (feature `dicom`).
//! - [`VolumeReader`]: slices of a volume that need not fit into memory.
//! - [`Volume::resampled`], [`LabelVolume::resampled`]: onto another [`Grid`], such as one [`Grid::with_spacing`].
//! - [`Grid`] and [`SlicePlane`]: where voxels lie in the patient, and how a slice is cut and put back.
//! - [`Window`]: from HU or MR intensities to the 8-bit levels that networks are trained on.
//! - [`Case`] and [`Slices`]: a scan or an image with its labels, cut when a slice is asked for.
//! - [`LabelTable`] and [`Folder`]: names of structures, and folders of scans with masks.
//! - [`Dataset`] and [`KnownSet`]: the paper's data sets as they lie on disk after unpacking, and their [`Preprocessing`].
//! - [`Split`]: which cases are learned from and which are tested.
//! - [`PhantomKind`]: synthetic CT, MR, ultrasound and histology, for runs without any data.
//!
//! ```
//! use sam_data::{PhantomConfig, SliceAxis, SlicePlane, Window};
//!
//! let phantom = PhantomConfig { shape: [64, 48, 16], ..PhantomConfig::default() }.generate();
//! let plane = SlicePlane::new(&phantom.volume.grid, SliceAxis::Axial);
//! let window = Window::Abdomen.resolve(phantom.volume.voxels.view())?;
//! let slice = window.apply(plane.extract(phantom.volume.voxels.view(), 8).view());
//! assert_eq!(slice.dim(), plane.size());
//! assert!(slice.iter().all(|level| (0.0..=255.0).contains(level)));
//! # Ok::<(), sam_data::DataError>(())
//! ```

#![forbid(unsafe_code)]

mod atomic;
mod case;
mod dataset;
#[cfg(feature = "dicom")]
mod dicom;
mod error;
mod files;
mod folder;
mod geometry;
mod image;
mod labels;
mod matlab;
mod nifti;
mod phantom;
mod resample;
mod slice;
mod slices;
mod split;
mod volume;
mod window;

pub use atomic::{check_folder, write_atomically};
pub use case::{Case, LoadedCase};
pub use dataset::{Collection, Dataset, Division, KnownSet, LeftOut, Marked, Preprocessing, Provenance, open_dataset};
#[cfg(feature = "dicom")]
pub use dicom::{DicomSeries, Segment, read_dicom, write_segmentation};
pub use error::DataError;
pub use folder::Folder;
pub use geometry::{Grid, GridField, GridMismatch};
pub use image::{read_image, read_mask, write_mask, write_rgb};
pub use labels::{LabelTable, Structure};
pub use ndarray;
pub use nifti::{
    NonFinite, ReadOptions, VolumeReader, check_output, nifti_files, read_labels, read_volume, read_volume_with,
    write_labels, write_labels_on, write_volume,
};
pub use phantom::{Phantom, PhantomConfig, PhantomKind};
pub use slice::{SliceAxis, SlicePlane};
pub use slices::{Slice, Slices};
pub use split::{CaseId, Fold, Split};
pub use volume::{LabelVolume, SourceHeader, Volume};
pub use window::{ResolvedWindow, Window};
