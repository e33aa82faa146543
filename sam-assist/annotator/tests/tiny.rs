//! The annotator of a small scan, and of a tiny model of random weights.

use std::{ops::Deref, sync::Arc};

use sam_annotate::{Annotations, Annotator, AnnotatorBuilder, Flex, Precision, SamPredictor, Scan, Weights};
use sam_testing::DEVICE;

use crate::Result;

/// A scan and a model in a folder.
pub(crate) struct Desk(sam_testing::scan::Desk);

impl Desk {
    pub(crate) fn new() -> Self {
        Self(sam_testing::scan::Desk::new())
    }

    pub(crate) fn predictor(&self) -> Result<SamPredictor<Flex>> {
        let weights = Weights::open(self.path("tiny.safetensors"))?;
        Ok(weights.predictor(&DEVICE, Precision::F32)?)
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

    /// The structure outlined on its first and last slice.
    pub(crate) fn annotations(&self) -> Annotations {
        Annotations::new(self.outlines(&[self.shown[0], self.shown[self.shown.len() - 1]]))
    }
}

impl Deref for Desk {
    type Target = sam_testing::scan::Desk;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
