//! Coarse masks without a prompt: PANet and SAP-Net on a SAM's features, by the paper's Table 5.

mod split;
mod variant;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use burn::tensor::backend::Backend;
use indicatif::ProgressBar;
use sam_auto::{CoarseConfig, CoarseMethod, HandOver, SupportSlice};
use sam_core::{Checkpoint, SamPredictor};
use sam_data::{SliceAxis, Structure, Window};
use sam_prompt::ndarray::{Array2, Axis, stack};
use sapnet::{SapNetConfig, SupportConfig, largest_components};
use serde::Serialize;

pub use split::Split;
pub use variant::Variant;

use crate::{
    backend::Job, data_options::DataOptions, disk_cache::DiskCache, embeddings::Embeddings, mask_score::MaskScore,
    progress, stack::Stack, weights::Weights,
};

/// Every number of the comparison.
#[derive(Debug, Clone, Serialize)]
pub struct CoarseProtocol {
    /// Where the data lie.
    #[serde(flatten)]
    pub data: DataOptions,
    /// Which structures, as given.
    pub structures: String,
    /// The intensity window.
    pub window: Window,
    /// The axis along which slices are cut.
    pub axis: SliceAxis,
    /// What is compared.
    pub variants: Vec<Variant>,
    /// Which slices are annotated and tested.
    pub split: Split,
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
        let protocol = self.protocol;
        protocol.sapnet.check()?;
        let predictor: SamPredictor<B> = Checkpoint::open(&self.weights.path)?.predictor(device)?;
        let dataset = protocol.data.open()?;
        let structures = dataset.table().parse_structures(&protocol.structures)?;
        let mut scores = Vec::new();
        for stack in Stack::of_cases(dataset.cases(), protocol.axis, &protocol.window)? {
            let mut embeddings = Embeddings::new(&predictor, &stack, self.disk);
            for structure in &structures {
                let subject = Subject { protocol, stack: &stack, structure };
                scores.extend(subject.run(&mut embeddings).with_context(|| subject.name())?);
            }
        }
        ensure!(
            !scores.is_empty(),
            "no case of {} shows any of the structures \"{}\" on more than {} slices",
            protocol.data,
            protocol.structures,
            protocol.split.annotated
        );
        Ok(scores)
    }
}

/// One structure of one case.
struct Subject<'a> {
    protocol: &'a CoarseProtocol,
    stack: &'a Stack,
    structure: &'a Structure,
}

impl Subject<'_> {
    fn name(&self) -> String {
        format!("{}: {}", self.stack.name, self.structure.name)
    }

    fn run<B: Backend>(&self, embeddings: &mut Embeddings<'_, B>) -> Result<Vec<MaskScore>> {
        let protocol = self.protocol;
        let Some(shown) = protocol.split.survey(self.stack.len(), |index| self.mask(index)) else {
            eprintln!("Left out: {} is on {} slices or fewer", self.name(), protocol.split.annotated);
            return Ok(Vec::new());
        };
        let bar = progress::bar(self.name(), protocol.seeds.len() * protocol.variants.len());
        let mut scores = Vec::new();
        for &seed in &protocol.seeds {
            let chosen = protocol.split.choose(&shown, seed);
            bar.set_message("embedding");
            let annotated = self.load(&chosen.annotated, embeddings)?;
            let test = self.load(&chosen.test, embeddings)?;
            scores.extend(self.repeat(&annotated, &test, seed, &bar)?);
        }
        bar.finish_and_clear();
        Ok(scores)
    }

    fn mask(&self, index: usize) -> Array2<bool> {
        self.stack.mask(index, &self.structure.values)
    }

    /// Slices with the truth on them: annotated, or to be tested.
    fn load<B: Backend>(&self, slices: &[usize], embeddings: &mut Embeddings<'_, B>) -> Result<Vec<SupportSlice<B>>> {
        let load = |&index: &usize| Ok(SupportSlice::new(index, embeddings.get(index)?, self.mask(index))?);
        slices.iter().map(load).collect()
    }

    fn repeat<B: Backend>(
        &self,
        annotated: &[SupportSlice<B>],
        test: &[SupportSlice<B>],
        seed: u64,
        bar: &ProgressBar,
    ) -> Result<Vec<MaskScore>> {
        let truths: Vec<_> = test.iter().map(|slice| slice.outline().clone()).collect();
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
            scores.push(MaskScore::of(self.name(), variant.to_string(), seed, coarse.fit_seconds, masks, &truths)?);
            last = Some((config, coarse));
            bar.inc(1);
        }
        Ok(scores)
    }

    /// Top-K: of a volume in three dimensions, of single images each by itself.
    fn largest(&self, masks: &[Array2<bool>]) -> Result<Vec<Array2<bool>>> {
        let count = self.protocol.components;
        if !self.stack.is_ordered() {
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
