//! A small scan with known labels.

use std::{fs, ops::Deref, path::PathBuf};

use ndarray::{Array2, Array3};
use sam_data::{LabelVolume, Phantom, PhantomConfig, SliceAxis, SlicePlane};
use tempfile::TempDir;

use crate::golden;

/// A phantom of eight slices, and its largest structure.
#[derive(Debug)]
pub struct SmallScan {
    /// The scan, with labels of all its structures.
    pub phantom: Phantom,
    /// The slice plane.
    pub plane: SlicePlane,
    /// The label value of the structure.
    pub value: u16,
    /// Slices that contain the structure.
    pub shown: Vec<usize>,
    /// Slices without the structure.
    pub bare: Vec<usize>,
}

impl SmallScan {
    /// Generates the scan from a seed.
    pub fn new(seed: u64) -> Self {
        let phantom = PhantomConfig::default().with_shape([40, 36, 8]).with_seed(seed).generate();
        let plane = SlicePlane::new(&phantom.volume.grid, SliceAxis::K);
        let labels = phantom.labels.labels.view();
        let count = |&value: &u16| labels.iter().filter(|&&label| label == value).count();
        let value = phantom.labels.values().into_iter().max_by_key(count).expect("a phantom has structures");
        let has_label = |&slice: &usize| plane.extract(labels, slice).iter().any(|&label| label == value);
        let (shown, bare) = (0..plane.count()).partition(has_label);
        Self { phantom, plane, value, shown, bare }
    }

    /// The true labels of the structure on a slice.
    pub fn truth(&self, slice: usize) -> Array2<u16> {
        let labels = self.slice(&self.phantom.labels, slice);
        labels.mapv(|label| if label == self.value { label } else { 0 })
    }

    /// A label map with the structure outlined on some slices.
    pub fn outlines(&self, slices: &[usize]) -> LabelVolume {
        let mut labels = Array3::zeros(self.phantom.volume.voxels.dim());
        for &slice in slices {
            self.plane.insert(&mut labels, slice, self.truth(slice).view());
        }
        LabelVolume::new(labels, self.phantom.volume.grid.affine)
    }

    /// A slice of a label map of the scan.
    pub fn slice(&self, labels: &LabelVolume, slice: usize) -> Array2<u16> {
        self.plane.extract(labels.labels.view(), slice)
    }
}

/// A temporary folder with the scan of seed 0 (`scan.nii.gz`) and the model of [`golden::weights`] (`tiny.safetensors`).
#[derive(Debug)]
pub struct Desk {
    folder: TempDir,
    scan: SmallScan,
}

impl Desk {
    /// Creates the folder and its files; dropping the desk removes them.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let desk = Self { folder, scan: SmallScan::new(0) };
        sam_data::write_volume(desk.path("scan.nii.gz"), &desk.phantom.volume).expect("a writable folder");
        fs::write(desk.path("tiny.safetensors"), golden::serialised(&golden::weights())).expect("a writable folder");
        desk
    }

    /// The path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Default for Desk {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Desk {
    type Target = SmallScan;

    fn deref(&self) -> &SmallScan {
        &self.scan
    }
}
