//! Coarse masks without a prompt: PANet and SAP-Net on a SAM's features, by the paper's Table 5.

mod framing;
mod score;
mod split;
mod table;
mod variant;

use std::{ops::ControlFlow, path::PathBuf, time::Instant};

use anyhow::{Context, Result, ensure};
use burn::tensor::{Tensor, backend::Backend};
use indicatif::ProgressBar;
use sam_core::{Checkpoint, Frame, SamPredictor};
use sam_data::{Folder, SliceAxis, Structure, Window};
use sam_prompt::ndarray::{Array2, Axis, stack};
use sapnet::{AnnotatedSlices, CoarseSegmenter, PaNet, SapNet, SapNetConfig, SupportConfig, largest_components};
use serde::Serialize;

pub use score::CoarseScore;
pub use split::Split;
pub use table::table;
pub use variant::Variant;

use crate::{backend::Job, disk_cache::DiskCache, embeddings::Embeddings, progress, stack::Stack, weights::Weights};

/// Every number of the comparison.
#[derive(Debug, Clone, Serialize)]
pub struct CoarseProtocol {
    /// The data folder.
    pub data: PathBuf,
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
    type Output = Vec<CoarseScore>;

    fn run<B: Backend>(self, device: &B::Device) -> Result<Vec<CoarseScore>> {
        let protocol = self.protocol;
        protocol.sapnet.check()?;
        let predictor: SamPredictor<B> = Checkpoint::open(&self.weights.path)?.predictor(device)?;
        let folder = Folder::open(&protocol.data)?;
        let structures = folder.table().parse_structures(&protocol.structures)?;
        let mut scores = Vec::new();
        for stack in Stack::of_cases(folder.cases(), protocol.axis, &protocol.window)? {
            let mut embeddings = Embeddings::new(&predictor, &stack, self.disk);
            for structure in &structures {
                let subject = Subject { protocol, stack: &stack, structure };
                scores.extend(subject.run(&mut embeddings).with_context(|| subject.name())?);
            }
        }
        ensure!(
            !scores.is_empty(),
            "no case of {} shows any of the structures \"{}\" on more than {} slices",
            protocol.data.display(),
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

/// Features and truths of some slices.
struct Slices<B: Backend> {
    features: Tensor<B, 4>,
    frames: Vec<Frame>,
    truths: Vec<Array2<bool>>,
}

impl Subject<'_> {
    fn name(&self) -> String {
        format!("{}: {}", self.stack.name, self.structure.name)
    }

    fn run<B: Backend>(&self, embeddings: &mut Embeddings<'_, B>) -> Result<Vec<CoarseScore>> {
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

    fn load<B: Backend>(&self, slices: &[usize], embeddings: &mut Embeddings<'_, B>) -> Result<Slices<B>> {
        let embedded = slices.iter().map(|&index| embeddings.get(index)).collect::<Result<Vec<_>>>()?;
        Ok(Slices {
            frames: embedded.iter().map(|slice| slice.frame).collect(),
            features: Tensor::cat(embedded.into_iter().map(|slice| slice.features).collect(), 0),
            truths: slices.iter().map(|&index| self.mask(index)).collect(),
        })
    }

    fn repeat<B: Backend>(
        &self,
        annotated: &Slices<B>,
        test: &Slices<B>,
        seed: u64,
        bar: &ProgressBar,
    ) -> Result<Vec<CoarseScore>> {
        let device = annotated.features.device();
        let [foreground, background] = framing::masks::<B>(&annotated.truths, &annotated.frames, &device);
        let slices = AnnotatedSlices::new(annotated.features.clone(), foreground, background)?;
        let mut scores = Vec::new();
        let mut last: Option<(Option<SapNetConfig>, Coarse)> = None;
        for &variant in &self.protocol.variants {
            bar.set_message(format!("seed {seed}, {variant}"));
            let config = variant.config(&SapNetConfig { seed, ..self.protocol.sapnet.clone() });
            let coarse = match last {
                // Top-K differs in what is done with the same masks.
                Some((same, coarse)) if same == config => coarse,
                _ => Coarse::fit(&slices, config.as_ref(), test)?,
            };
            let largest = if variant.keeps_largest() { Some(self.largest(&coarse.masks)?) } else { None };
            let masks = largest.as_ref().unwrap_or(&coarse.masks);
            scores.push(CoarseScore::of(self.name(), variant, seed, coarse.fit_seconds, masks, &test.truths)?);
            last = Some((config, coarse));
            bar.inc(1);
        }
        Ok(scores)
    }

    /// Top-K: of a volume in three dimensions, of single images each by itself.
    fn largest(&self, masks: &[Array2<bool>]) -> Result<Vec<Array2<bool>>> {
        let count = self.protocol.components;
        if self.stack.window().is_none() {
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
        annotated: &AnnotatedSlices<B>,
        config: Option<&SapNetConfig>,
        test: &Slices<B>,
    ) -> Result<Self> {
        let started = Instant::now();
        let segmenter: Box<dyn CoarseSegmenter<B>> = match config {
            Some(config) => Box::new(SapNet::fit(annotated, config, &mut |_| ControlFlow::Continue(()))?),
            None => Box::new(PaNet::fit(annotated, &SupportConfig::default())?),
        };
        let fit_seconds = started.elapsed().as_secs_f64();
        let masks = test.frames.iter().enumerate().map(|(slice, frame)| {
            let features = test.features.clone().narrow(0, slice, 1);
            framing::to_image(segmenter.predict(features, [frame.padded; 2])?, frame)
        });
        Ok(Self { masks: masks.collect::<Result<_>>()?, fit_seconds })
    }
}
