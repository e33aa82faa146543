//! Quickstart's work: outline, learn, compare, segment, draw.

use anyhow::{Result, ensure};
use burn::tensor::backend::Backend;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use sam_assist::{AssistConfig, Learned};
use sam_auto::{MaskPropagationConfig, SegmentedSlice};
use sam_core::SamPredictor;
use sam_data::{LabelVolume, SliceAxis, SlicePlane, Structure, Volume, Window};
use sam_eval::{
    EmptyPolicy, Record, dice,
    protocol::{Found, Method, SimulatedUser, Subject, TestPrompt},
};
use sam_prompt::{
    Prompts, SliceSelection,
    ndarray::{Array2, Array3},
};
use serde::Serialize;

use crate::{
    backend::Job,
    embeddings::Embeddings,
    outline::{Outlines, learn_structure},
    picture::{Panel, grid},
    prompting::Prompting,
    stack::Stack,
    weights::Weights,
};

/// Every number of a quickstart.
#[derive(Debug, Clone, Serialize)]
pub struct Demo {
    /// The scan's name.
    pub scan: String,
    /// The structure.
    pub structure: Structure,
    /// The intensity window.
    pub window: Window,
    /// The axis along which slices are cut.
    pub axis: SliceAxis,
    /// How many slices are outlined.
    pub slices: usize,
    /// How they are chosen.
    pub selection: SliceSelection,
    /// Prompts to compare with, simulated from the ground truth.
    pub prompts: Vec<TestPrompt>,
    /// The one of them that the picture shows.
    pub pictured: TestPrompt,
    /// How they are drawn and scored.
    pub user: SimulatedUser,
    /// The learning.
    pub learning: AssistConfig,
    /// The walk from slice to slice.
    pub propagation: MaskPropagationConfig,
    /// Seed of the comparison's prompts.
    pub seed: u64,
}

/// A quickstart on a scan in memory.
#[derive(Debug)]
pub struct DemoJob<'a> {
    /// Every number of it.
    pub demo: &'a Demo,
    /// The scan.
    pub volume: &'a Volume,
    /// Its ground truth.
    pub labels: &'a LabelVolume,
    /// The checkpoint.
    pub weights: &'a Weights,
}

/// What a quickstart found.
#[derive(Debug, Clone)]
pub struct DemoOutcome {
    /// The structure, as 1, in file order.
    pub mask: Array3<u16>,
    /// Dice before and after learning, over the slices that were not outlined.
    pub records: Vec<Record>,
    /// Slices with prompts, before and after.
    pub picture: Array3<u8>,
    /// The slices that were outlined.
    pub outlined: Vec<usize>,
    /// How long learning took.
    pub learning_seconds: f64,
    /// Dice of the whole volume, outlined slices left out.
    pub volume_dice: f64,
}

impl Job for DemoJob<'_> {
    type Output = DemoOutcome;

    fn run<B: Backend>(self, device: &B::Device) -> Result<DemoOutcome> {
        let demo = self.demo;
        let original: SamPredictor<B> = self.weights.predictor(device)?;
        let stack =
            Stack::of_volume(demo.scan.clone(), self.volume.clone(), self.labels.clone(), demo.axis, &demo.window)?;
        let truth = |index: usize| stack.mask(index, &demo.structure.values);
        let shown: Vec<usize> = (0..stack.len()).filter(|&index| truth(index).iter().any(|&inside| inside)).collect();
        ensure!(
            shown.len() > demo.slices,
            "{} is on {} slices of the scan; more than the {} to outline are needed",
            demo.structure.name,
            shown.len(),
            demo.slices
        );
        let chosen = demo.selection.choose(&shown, demo.slices, &mut ChaCha8Rng::seed_from_u64(demo.seed));
        let outlines: Outlines = chosen.iter().map(|&index| (index, truth(index))).collect();
        let mut embeddings = Embeddings::new(&original, &stack, None);
        let learned = learn_structure(&demo.structure.name, &outlines, &mut embeddings, &demo.learning, None)?;
        let predictor = learned.adaptation.apply(&original);
        let prompting = Prompting::Walk(demo.propagation.clone());
        let slices = prompting.segment(&demo.structure.name, &outlines, &predictor, &mut embeddings)?.slices;

        let rest: Vec<usize> = shown.iter().copied().filter(|index| !outlines.contains_key(index)).collect();
        let comparison = Comparison { demo, stack: &stack, original: &original, learned: &learned, rest: &rest };
        let (records, picture) = comparison.run(&mut embeddings, &slices)?;
        let plane = SlicePlane::new(&self.volume.grid, demo.axis);
        let mut mask = Array3::zeros(self.volume.voxels.dim());
        for (index, slice) in slices.iter().enumerate() {
            if let Some(found) = slice.mask() {
                plane.insert(&mut mask, index, found.mapv(u16::from).view());
            }
        }
        Ok(DemoOutcome {
            mask,
            records,
            picture,
            outlined: outlines.keys().copied().collect(),
            learning_seconds: learned.seconds,
            volume_dice: volume_dice(&stack, &demo.structure, &slices, &outlines)?,
        })
    }
}

/// Dice over all slices that nobody outlined, those without the structure included.
fn volume_dice(stack: &Stack, structure: &Structure, slices: &[SegmentedSlice], outlines: &Outlines) -> Result<f64> {
    let free: Vec<usize> = (0..stack.len()).filter(|index| !outlines.contains_key(index)).collect();
    let joined =
        |mask: &dyn Fn(usize) -> Array2<bool>| free.iter().flat_map(|&index| mask(index)).collect::<Vec<bool>>();
    let truth = joined(&|index| stack.mask(index, &structure.values));
    let found = joined(&|index| {
        let nothing = || Array2::from_elem(stack.mask(index, &[]).dim(), false);
        slices[index].mask().cloned().unwrap_or_else(nothing)
    });
    Ok(dice(&sam_prompt::ndarray::aview1(&found), &sam_prompt::ndarray::aview1(&truth), EmptyPolicy::Nan)?)
}

/// The same prompts on the original and on the learned prompt encoder.
struct Comparison<'a, B: Backend> {
    demo: &'a Demo,
    stack: &'a Stack,
    original: &'a SamPredictor<B>,
    learned: &'a Learned<B>,
    /// Slices that show the structure and were not outlined.
    rest: &'a [usize],
}

impl<B: Backend> Comparison<'_, B> {
    /// Rows of the picture.
    const ROWS: usize = 3;

    fn run(&self, embeddings: &mut Embeddings<'_, B>, slices: &[SegmentedSlice]) -> Result<(Vec<Record>, Array3<u8>)> {
        let demo = self.demo;
        let learned = self.learned.adaptation.apply(self.original);
        let methods =
            [(self.original, Method::ORIGINAL), (&learned, Method::assist(demo.slices, self.learned.seconds))];
        let subject =
            Subject { dataset: "quickstart", case: &self.stack.name, structure: &demo.structure.name, seed: demo.seed };
        let drawn = SliceSelection::Equidistant.choose(self.rest, Self::ROWS, &mut ChaCha8Rng::seed_from_u64(0));
        let mut records = Vec::new();
        let mut panels = Vec::new();
        for &prompt in &demo.prompts {
            let mut tested = [Vec::new(), Vec::new()];
            for &index in self.rest {
                let is_pictured = prompt == demo.pictured && drawn.contains(&index);
                let truth = self.stack.mask(index, &demo.structure.values);
                let panel = || Panel::new(&self.stack.image(index)).truth(truth.view());
                let embedding = embeddings.get(index)?;
                for (tested, (predictor, _)) in tested.iter_mut().zip(methods) {
                    let mut segment = |prompts: &Prompts, _: Option<&Found>| -> Result<_> {
                        let found = predictor.predict(&embedding, prompts)?;
                        Ok(Found { mask: found.mask(), predicted_iou: None, state: () })
                    };
                    let outcome = demo.user.test(index, truth.view(), prompt, demo.seed, &mut segment)?;
                    if is_pictured {
                        panels.push(panel().found(outcome.mask.view()).prompts(&outcome.prompts));
                    }
                    tested.push(outcome);
                }
                if is_pictured {
                    panels.push(match slices[index].mask() {
                        Some(mask) => panel().found(mask.view()),
                        None => panel(),
                    });
                }
            }
            let methods = methods.iter().zip(&tested);
            records.extend(methods.map(|(&(_, method), tested)| demo.user.record(subject, method, prompt, tested)));
        }
        Ok((records, grid(&panels, 3)))
    }
}
