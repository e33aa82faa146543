//! Coarse masks without a prompt: PANet and SAP-Net on a SAM's features, by the paper's Table 5.

mod variant;

use std::{cell::RefCell, time::Instant};

use anyhow::{Context, Result};
use burn::tensor::backend::Backend;
use indicatif::ProgressBar;
use sam_auto::{CoarseConfig, CoarseMethod, HandOver, SupportSlice};
use sam_eval::protocol::FewSlices;
use sam_prompt::ndarray::{Array2, Axis, stack};
use sapnet::{SapNetConfig, SupportConfig, largest_components};
use serde::Serialize;

pub use variant::Variant;

use crate::{
    backend::Job,
    disk_cache::DiskCache,
    journal::Journal,
    mask_score::{self, MaskRepeat, MaskScore},
    study::{Run, Study},
    subjects::{Subject, Subjects},
    weights::Weights,
};

/// Every number of the comparison.
#[derive(Debug, Clone, Serialize)]
pub struct CoarseProtocol {
    /// What is compared on.
    #[serde(flatten)]
    pub subjects: Subjects,
    /// What is compared.
    pub variants: Vec<Variant>,
    /// Which slices are annotated and tested.
    pub slices: FewSlices,
    /// One repeat each.
    pub seeds: Vec<u64>,
    /// How many components top-K keeps of a volume.
    pub components: usize,
    /// Numbers of SAP-Net, but for those that a variant decides.
    pub sapnet: SapNetConfig,
}

/// The comparison on one data folder with one checkpoint.
#[derive(Debug)]
pub struct CoarseJob<'a> {
    /// Every number of it.
    pub protocol: &'a CoarseProtocol,
    /// The checkpoint.
    pub weights: &'a Weights,
    /// Where embeddings are kept.
    pub disk: Option<&'a DiskCache>,
}

impl Job for CoarseJob<'_> {
    type Output = Vec<MaskScore>;

    fn run<B: Backend>(self, device: &B::Device) -> Result<Vec<MaskScore>> {
        let journal = RefCell::new(Journal::in_memory());
        let study: Study<'_, B> = Study::open(self.weights, self.disk, &journal, device)?;
        Ok(self.protocol.run(&study)?.into_iter().map(|run| run.score).collect())
    }
}

impl CoarseProtocol {
    /// Compares on all cases of the data.
    ///
    /// # Errors
    /// If a number makes no sense, the data cannot be read, or no case shows a structure on enough slices.
    pub fn run<B: Backend>(&self, study: &Study<'_, B>) -> Result<Vec<Run<MaskScore>>> {
        self.sapnet.check()?;
        mask_score::compare(study, &self.subjects, &self.slices, &self.seeds, self, |repeat, _, bar| {
            SubjectRun { protocol: self, subject: repeat.subject }.repeat(repeat, bar)
        })
    }
}

/// The comparison on one structure of one case.
struct SubjectRun<'a> {
    protocol: &'a CoarseProtocol,
    subject: Subject<'a>,
}

impl SubjectRun<'_> {
    fn repeat<B: Backend>(
        &self,
        MaskRepeat { annotated, test, seed, .. }: &MaskRepeat<'_, B>,
        bar: &ProgressBar,
    ) -> Result<Vec<Run<MaskScore>>> {
        let seed = *seed;
        let mut scores = Vec::new();
        let mut last: Option<(Option<SapNetConfig>, Coarse)> = None;
        for &variant in &self.protocol.variants {
            bar.set_message(format!("seed {seed}, {variant}"));
            let config = variant.config(&SapNetConfig { seed, ..self.protocol.sapnet.clone() });
            let coarse = match last {
                // Top-K differs in what is done with the same masks.
                Some((same, coarse)) if same == config => coarse,
                _ => Coarse::fit(annotated, config.as_ref(), test)?,
            };
            let largest = if variant.keeps_largest() { Some(self.largest(&coarse.masks)?) } else { None };
            let masks = largest.as_ref().unwrap_or(&coarse.masks);
            scores.push(mask_score::run(self.subject, &variant.to_string(), seed, coarse.fit_seconds, masks, test)?);
            last = Some((config, coarse));
        }
        Ok(scores)
    }

    /// Top-K: of a volume in three dimensions, of single images each by itself.
    fn largest(&self, masks: &[Array2<bool>]) -> Result<Vec<Array2<bool>>> {
        let count = self.protocol.components;
        if !self.subject.stack.is_ordered() {
            return Ok(masks.iter().map(|mask| largest_components(mask.view(), count)).collect());
        }
        let views: Vec<_> = masks.iter().map(|mask| mask.view()).collect();
        let volume = stack(Axis(0), &views).context("slices of one volume have one size")?;
        let kept = largest_components(volume.view(), count);
        Ok(kept.outer_iter().map(|mask| mask.to_owned()).collect())
    }
}

/// What a fitted segmenter made of the test slices.
struct Coarse {
    masks: Vec<Array2<bool>>,
    fit_seconds: f64,
}

impl Coarse {
    /// Fits SAP-Net, or PANet without numbers for it, and segments the test slices.
    fn fit<B: Backend>(
        annotated: &[SupportSlice<B>],
        config: Option<&SapNetConfig>,
        test: &[SupportSlice<B>],
    ) -> Result<Self> {
        let started = Instant::now();
        let method = config.map_or_else(
            || CoarseMethod::Panet(SupportConfig::default()),
            |config| CoarseMethod::Sapnet(config.clone()),
        );
        let coarse = CoarseConfig { method, hand_over: HandOver::default() }.fit(annotated)?;
        let fit_seconds = started.elapsed().as_secs_f64();
        let mask = |slice: &SupportSlice<B>| Ok(coarse.map(slice.embedding())?.mapv(|share| share > 0.5));
        Ok(Self { masks: test.iter().map(mask).collect::<Result<_>>()?, fit_seconds })
    }
}
