//! All that stays the same from round to round: the scan, the model, and how it is asked.

use anyhow::Result;
use sam_data::{LabelTable, SliceAxis, SlicePlane, Window};

use super::{Annotated, AnnotationJob, Options, Start};
use crate::{
    disk_cache::DiskCache,
    scan::Scan,
    session::{Annotations, RoundConfig},
    stack::Stack,
    trust::TrustConfig,
    weights::Weights,
};

/// A scan and a model.
#[derive(Debug)]
pub(super) struct Work<'a> {
    pub(super) options: &'a Options,
    pub(super) scan: Scan,
    pub(super) weights: Weights,
    pub(super) disk: Option<DiskCache>,
}

/// How the scan is looked at.
#[derive(Debug)]
pub(super) struct View {
    pub(super) axis: SliceAxis,
    pub(super) window: Window,
    pub(super) names: LabelTable,
}

impl<'a> Work<'a> {
    /// Reads the scan, and finds the model.
    pub(super) fn open(options: &'a Options) -> Result<Self> {
        let scan = options.scan.read()?;
        options.save_card.as_deref().map_or(Ok(()), crate::cards::check_output)?;
        let weights = options.model.locate()?;
        let disk = options.cache.open(&weights)?;
        Ok(Self { options, scan, weights, disk })
    }

    /// How the scan is cut along an axis.
    pub(super) fn plane(&self, axis: SliceAxis) -> SlicePlane {
        SlicePlane::new(&self.scan.volume.grid, axis)
    }

    /// Every number of a round with this seed.
    pub(super) fn config(&self, seed: u64) -> Result<RoundConfig> {
        let prompting = self.options.auto.prompting(seed)?;
        let learning = prompting.learning(seed, usize::from(self.options.members));
        Ok(RoundConfig { learning, prompting, trust: TrustConfig::new(seed) })
    }

    /// The scan as the network sees it, with what is outlined on it.
    pub(super) fn stack(&self, annotations: &Annotations, view: &View) -> Result<Stack> {
        let (name, volume) = (self.options.scan.name(), self.scan.volume.clone());
        Stack::of_volume(name, volume, annotations.labels.clone(), view.axis, &view.window)
    }

    /// Learns, and segments all slices that the person has not annotated.
    pub(super) fn segment(
        &self,
        stack: &Stack,
        annotations: &Annotations,
        names: &LabelTable,
        plane: &SlicePlane,
        config: &RoundConfig,
        start: Start<'_>,
    ) -> Result<Annotated> {
        self.options.backend.run(AnnotationJob {
            stack,
            plane,
            annotations: &annotations.labels,
            empty: &annotations.empty,
            names,
            weights: &self.weights,
            disk: self.disk.as_ref(),
            learning: &config.learning,
            start,
            prompting: &config.prompting,
            trust: &config.trust,
            save_card: self.options.save_card.as_deref(),
        })
    }
}
