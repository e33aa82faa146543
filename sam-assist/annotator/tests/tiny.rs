//! A small scan, and a tiny model of random weights.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use safetensors::SafeTensors;
use sam_annotate::{
    Annotations, Annotator, AnnotatorBuilder, Flex, LabelVolume, Precision, SamPredictor, Scan, Weights,
    ndarray::{Array2, Array3},
};
use sam_data::{Phantom, PhantomConfig, SliceAxis, SlicePlane};
use tempfile::TempDir;

use crate::Result;

/// A scan of eight slices in a folder of its own, and a model.
pub(crate) struct Desk {
    folder: TempDir,
    pub(crate) phantom: Phantom,
    pub(crate) plane: SlicePlane,
    pub(crate) value: u16,
    /// Slices that show the structure.
    pub(crate) shown: Vec<usize>,
    /// Slices that do not.
    pub(crate) bare: Vec<usize>,
}

impl Desk {
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let phantom = PhantomConfig::default().with_shape([40, 36, 8]).generate();
        sam_data::write_volume(folder.path().join("scan.nii.gz"), &phantom.volume)?;
        fs::write(folder.path().join("tiny.safetensors"), weights()?)?;
        let plane = SlicePlane::new(&phantom.volume.grid, SliceAxis::K);
        let count = |&value: &u16| phantom.labels.labels.iter().filter(|&&label| label == value).count();
        let value = phantom.labels.values().into_iter().max_by_key(count).ok_or("a phantom has structures")?;
        let has_label =
            |&slice: &usize| plane.extract(phantom.labels.labels.view(), slice).iter().any(|&label| label == value);
        let (shown, bare) = (0..plane.count()).partition(has_label);
        Ok(Self { folder, phantom, plane, value, shown, bare })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn predictor(&self) -> Result<SamPredictor<Flex>> {
        let weights = Weights::open(self.path("tiny.safetensors"))?;
        Ok(weights.predictor(&sam_annotate::burn_flex::FlexDevice, Precision::F32)?)
    }

    pub(crate) fn scan(&self) -> Result<Arc<Scan>> {
        Ok(Arc::new(Scan::open(self.path("scan.nii.gz"), None)?))
    }

    pub(crate) fn builder(&self) -> Result<AnnotatorBuilder<Flex>> {
        Ok(Annotator::builder(self.predictor()?, self.scan()?))
    }

    pub(crate) fn annotator(&self) -> Result<Annotator<Flex>> {
        Ok(self.builder()?.build()?)
    }

    /// The true labels of the structure on a slice.
    pub(crate) fn truth(&self, slice: usize) -> Array2<u16> {
        let labels = self.plane.extract(self.phantom.labels.labels.view(), slice);
        labels.mapv(|label| if label == self.value { label } else { 0 })
    }

    /// A label map with the structure outlined on some slices.
    pub(crate) fn outlines(&self, slices: &[usize]) -> LabelVolume {
        let mut labels = Array3::zeros(self.phantom.volume.voxels.dim());
        for &slice in slices {
            self.plane.insert(&mut labels, slice, self.truth(slice).view());
        }
        LabelVolume::new(labels, self.phantom.volume.grid.affine)
    }

    /// The structure outlined on its first and last slice.
    pub(crate) fn annotations(&self) -> Annotations {
        Annotations::new(self.outlines(&[self.shown[0], self.shown[self.shown.len() - 1]]))
    }

    pub(crate) fn slice(&self, labels: &LabelVolume, slice: usize) -> Array2<u16> {
        self.plane.extract(labels.labels.view(), slice)
    }
}

/// The model of sam-core's tests, whose weights lie in two files because of their size.
pub(crate) fn weights() -> Result<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sam-core/tests/goldens");
    let read = |name: &str| fs::read(folder.join(name)).map_err(|error| format!("{name}: {error}"));
    let parts = [read("sam_tiny_encoder.safetensors")?, read("sam_tiny_rest.safetensors")?];
    let parts = parts.iter().map(|part| SafeTensors::deserialize(part)).collect::<Result<Vec<_>, _>>()?;
    let tensors: Vec<_> = parts.iter().flat_map(SafeTensors::tensors).collect();
    Ok(safetensors::serialize(tensors, None)?)
}
