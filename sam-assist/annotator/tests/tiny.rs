//! The annotator of a small scan, and of a tiny model of random weights.

use std::{
    ops::{ControlFlow, Deref},
    sync::Arc,
};

use sam_annotate::{
    AnnotateConfig, Annotations, Annotator, AnnotatorBuilder, Event, Flex, Precision, SamPredictor, Scan, Weights,
    progress::Stage,
    sam_auto::{FusionConfig, PixelClassifierConfig, Strategy},
};
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

impl Desk {
    /// The first slice with the structure, one in the middle, and the last.
    pub(crate) fn three_slices(&self) -> [usize; 3] {
        let shown = &self.shown;
        [shown[0], shown[shown.len() / 2], shown[shown.len() - 1]]
    }
}

/// A fusion with a small classifier.
pub(crate) fn fusion() -> FusionConfig {
    FusionConfig::default().with_classifier(PixelClassifierConfig::default().with_trees(5))
}

/// A quick configuration: that fusion, and few iterations.
pub(crate) fn config() -> AnnotateConfig {
    let mut config = AnnotateConfig::new(Strategy::Fusion(fusion()));
    (config.learning.iterations, config.learning.warm_iterations) = (4, 2);
    config
}

/// Receives events, and finds out how many units of work a stage has.
pub(crate) fn units_of(stage: Stage, units: &mut usize) -> impl FnMut(&Event) -> ControlFlow<()> + Send {
    move |event| {
        if let Event::Progress { progress, .. } = event
            && progress.stage == stage
        {
            *units = progress.total;
        }
        ControlFlow::Continue(())
    }
}

impl Deref for Desk {
    type Target = sam_testing::scan::Desk;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
