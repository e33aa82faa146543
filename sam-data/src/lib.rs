//! Reads medical volumes, cuts them into slices, and writes masks back.
//!
//! Geometry is preserved: voxels stay in file order, slices are turned for viewing by exact flips, and a mask is written with the header of
//! its image. The crate uses no network and no deep-learning library.
//!
//! - [`Scan`]: reads a NIfTI file or a DICOM series, writes label maps on its grid, and has an identity.
//! - [`Stack`]: the slices of a volume, or the images of a data set, as a model sees them.
//! - [`read_volume`], [`read_labels`], [`write_labels`]: NIfTI as `.nii`, `.nii.gz` or header pair.
//! - `read_dicom`, `write_segmentation`: DICOM series and DICOM SEG (feature `dicom`).
//! - [`VolumeReader`]: reads single slices of a volume that does not have to fit into memory.
//! - [`Volume::resampled`], [`LabelVolume::resampled`]: resampling to another [`Grid`], such as one from [`Grid::with_spacing`].
//! - [`Grid`] and [`SlicePlane`]: the positions of voxels in the patient, and how slices are cut and put back.
//! - [`Window`]: intensity windows from HU or MR intensities to 8-bit levels.
//! - [`Case`]: a scan or an image of a data set, with its labels.
//! - [`read_image`], [`write_mask`], [`write_binary_mask`]: PNG, TIFF and JPEG.
//! - [`LabelTable`] and [`Folder`]: names of structures, and folders of scans with masks.
//! - [`Dataset`] and [`KnownSet`]: the data sets of the paper in their published folder layout, and their [`Preprocessing`].
//! - [`Split`]: splits of cases into training and test sets.
//! - [`PhantomKind`]: synthetic CT, MR, ultrasound and histology, for tests and demos without data.
//!
//! ```
//! use sam_data::{PhantomConfig, SliceAxis, SlicePlane, Window};
//!
//! let phantom = PhantomConfig::default().with_shape([64, 48, 16]).generate();
//! let plane = SlicePlane::new(&phantom.volume.grid, SliceAxis::Axial);
//! let window = Window::Abdomen.resolve(phantom.volume.voxels.view())?;
//! let levels = window.apply(plane.extract(phantom.volume.voxels.view(), 8).view());
//! assert_eq!(levels.dim(), plane.size());
//! # Ok::<(), sam_data::DataError>(())
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::unwrap_used))]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

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
mod lattice;
mod matlab;
mod named;
mod nifti;
mod note;
mod outlined_axis;
mod phantom;
mod resample;
mod scan;
mod signature;
mod slice;
mod split;
mod stack;
mod volume;
mod window;

pub use case::{Case, LoadedCase};
pub use dataset::{
    Collection, Dataset, KnownSet, LeftOut, Preprocessing, Provenance, Sourced, SplitUnit, open_dataset,
};
#[cfg(feature = "dicom")]
pub use dicom::{
    DicomFolderReport, DicomNote, DicomSeries, Segment, SegmentationNote, SkipReason, SkippedFile,
    check_segmentation_output, read_dicom, read_dicom_observed, write_segmentation,
};
pub use error::{
    DataError, GridError, ImageError, LabelTableError, LayoutError, MatlabError, PlacementError, ResampleError,
    WindowError,
};
#[cfg(feature = "dicom")]
pub use error::{DicomError, SegmentationError, SeriesSummary};
pub use folder::Folder;
pub use geometry::{Grid, GridField, GridMismatch};
pub use image::{read_image, read_levels, read_mask, write_binary_mask, write_grey, write_mask, write_rgb};
pub use labels::{LabelTable, Structure};
pub use ndarray;
pub use nifti::{
    AffineForm, NiftiNote, NonFinite, ReadOptions, VolumeReader, check_output, nifti_files, read_labels, read_volume,
    read_volume_noted, read_volume_with, write_labels, write_labels_on, write_volume,
};
pub use note::ScanNote;
pub use outlined_axis::{AmbiguousAxis, AxisReason, OutlinedAxis};
pub use phantom::{Phantom, PhantomConfig, PhantomKind};
pub use sam_files;
pub use sam_prompt;
pub use scan::{Scan, ScanConfig, ScanIdentity};
pub use slice::{SliceAxis, SlicePlane};
pub use split::{CaseId, Fold, Split};
pub use stack::{Slice, Stack};
pub use volume::{LabelVolume, SourceHeader, Volume};
pub use window::{ResolvedWindow, Window};
