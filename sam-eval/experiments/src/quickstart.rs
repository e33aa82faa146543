//! The whole idea on one scan: outline a few slices, learn, segment the rest, compare, draw.

use std::{collections::BTreeMap, sync::Arc};

use burn::tensor::backend::Backend;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use sam_assist::{AssistConfig, learn_structure};
use sam_auto::{MaskPropagationConfig, SegmentedSlice, Strategy};
use sam_core::{SamPredictor, SliceSource};
use sam_data::{LabelVolume, SliceAxis, SlicePlane, Stack, Structure, Volume, Window};
use sam_eval::{
    EmptyPolicy, Record, dice,
    protocol::{Prediction, SimulatedUser, TestPrompt, TestSubject, TestedMethod, TestedSlice},
};
use sam_prompt::{
    ConfigError, Prompts, SliceSelection,
    ndarray::{Array2, Array3, aview1},
};
use serde::{Deserialize, Serialize};

use crate::{
    Setup,
    error::{Context, Result},
    picture::{Panel, grid},
};

/// Slices in the picture.
const PICTURED: usize = 3;

/// The config of a quickstart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quickstart {
    /// The scan's name.
    pub scan: String,
    /// The structure.
    pub structure: Structure,
    /// The intensity window.
    pub window: Window,
    /// The axis along which the scan is cut into slices.
    pub axis: SliceAxis,
    /// How many slices are outlined.
    pub slices: usize,
    /// How they are chosen.
    pub selection: SliceSelection,
    /// Prompts to compare with, simulated from the ground truth.
    pub prompts: Vec<TestPrompt>,
    /// The prompt that the picture shows.
    pub pictured: TestPrompt,
    /// How prompts are drawn and scored.
    pub user: SimulatedUser,
    /// How prompts are learned.
    pub learning: AssistConfig,
    /// How masks are propagated from slice to slice.
    pub propagation: MaskPropagationConfig,
    /// Seed of the comparison's prompts.
    pub seed: u64,
}

/// The result of a quickstart.
#[derive(Debug, Clone)]
pub struct QuickstartResult {
    /// The structure, as 1, in file order.
    pub mask: Array3<u16>,
    /// Dice before and after learning, over the slices that were not outlined.
    pub records: Vec<Record>,
    /// Slices with prompts, before and after: `[rows, columns, 3]`.
    pub picture: Array3<u8>,
    /// The slices that were outlined.
    pub outlined: Vec<usize>,
    /// How long learning took.
    pub learning_seconds: f64,
    /// Dice of the whole volume without the outlined slices.
    pub volume_dice: f64,
}

impl Quickstart {
    /// "Outlines" slices from the truth, learns from them, segments the others, and compares.
    ///
    /// # Errors
    /// [`ExperimentError::Config`](crate::ExperimentError::Config) if the structure is on too few slices; if a slice cannot be embedded,
    /// learned from or segmented; [`ExperimentError::Stopped`](crate::ExperimentError::Stopped).
    pub fn run<B: Backend>(&self, setup: &Setup<B>, volume: &Volume, labels: &LabelVolume) -> Result<QuickstartResult> {
        let stack = Stack::new(&self.scan, volume.clone(), self.axis, &self.window)?.with_labels(labels.clone())?;
        let stack = Arc::new(stack);
        let source = setup.source(&stack)?;
        let shown = self.shown(&stack)?;
        let chosen = self.selection.choose(&shown, self.slices, &mut ChaCha8Rng::seed_from_u64(self.seed));
        let outlines: BTreeMap<usize, Array2<bool>> =
            chosen.iter().map(|&index| (index, stack.mask(index, &self.structure.values))).collect();

        let drawn: Vec<usize> = outlines.keys().copied().collect();
        let annotated = setup.annotate(&source, &drawn, |index| outlines[&index].clone())?;
        let steps = self.learning.clone().for_slices(annotated.len()).iterations;
        let learned = setup.case(format!("Learning {}", self.structure.name), steps, || {
            setup.counted(|observer| learn_structure(setup.predictor(), &annotated, &self.learning, None, observer))
        });
        let learned = learned.step(|| format!("learning {}", self.structure.name))?;
        let predictor = learned.adaptation.apply(setup.predictor());
        let strategy = Strategy::MaskPropagation(self.propagation.clone());
        let segmented = setup.watched(|observer| strategy.segment(annotated, &predictor, &source, observer));
        let slices = segmented.step(|| format!("segmenting {}", self.structure.name))?.slices;

        let rest: Vec<usize> = shown.iter().copied().filter(|index| !outlines.contains_key(index)).collect();
        let method = TestedMethod::assist(self.slices, learned.seconds);
        let models = [(setup.predictor(), TestedMethod::ORIGINAL), (&predictor, method)];
        let comparison = Comparison { config: self, stack: &stack, source: &source, models, segmented: &slices };
        let (records, picture) = comparison.run(&rest)?;
        Ok(QuickstartResult {
            mask: self.joined(volume, &slices),
            records,
            picture,
            outlined: drawn,
            learning_seconds: learned.seconds,
            volume_dice: self.volume_dice(&stack, &slices)?,
        })
    }

    /// Slices that show the structure; more than are outlined.
    fn shown(&self, stack: &Stack) -> Result<Vec<usize>> {
        let is_shown = |&index: &usize| stack.mask(index, &self.structure.values).iter().any(|&inside| inside);
        let shown: Vec<usize> = (0..stack.len()).filter(is_shown).collect();
        if shown.len() > self.slices {
            return Ok(shown);
        }
        let expected = format!("fewer than the {} slices of the scan that show {}", shown.len(), self.structure.name);
        Err(ConfigError::new("slices to outline", self.slices.to_string(), expected).into())
    }

    /// The structure in the grid of the scan.
    fn joined(&self, volume: &Volume, slices: &[SegmentedSlice]) -> Array3<u16> {
        let plane = SlicePlane::new(&volume.grid, self.axis);
        let mut mask = Array3::zeros(volume.voxels.dim());
        for (index, slice) in slices.iter().enumerate() {
            if let Some(found) = slice.mask() {
                plane.insert(&mut mask, index, found.mapv(u16::from).view());
            }
        }
        mask
    }

    /// Dice over all slices that were not outlined, those without the structure included.
    fn volume_dice(&self, stack: &Stack, slices: &[SegmentedSlice]) -> Result<f64> {
        let (mut truth, mut found) = (Vec::new(), Vec::new());
        for (index, slice) in slices.iter().enumerate() {
            if matches!(slice, SegmentedSlice::Annotated(_)) {
                continue;
            }
            let mask = stack.mask(index, &self.structure.values);
            match slice.mask() {
                Some(slice) => found.extend(slice.iter().copied()),
                None => found.extend(std::iter::repeat_n(false, mask.len())),
            }
            truth.extend(mask);
        }
        Ok(dice(&aview1(&found), &aview1(&truth), EmptyPolicy::Nan)?)
    }
}

/// The same prompts on the original and on the model that learned.
struct Comparison<'a, B: Backend> {
    config: &'a Quickstart,
    stack: &'a Stack,
    source: &'a dyn SliceSource<B>,
    models: [(&'a SamPredictor<B>, TestedMethod<'static>); 2],
    segmented: &'a [SegmentedSlice],
}

impl<B: Backend> Comparison<'_, B> {
    /// Tests both models on slices that were not outlined, and draws some of them: original, learned, and as segmented.
    fn run(&self, slices: &[usize]) -> Result<(Vec<Record>, Array3<u8>)> {
        let config = self.config;
        let pictured = SliceSelection::Equidistant.choose(slices, PICTURED, &mut ChaCha8Rng::seed_from_u64(0));
        let (mut records, mut panels) = (Vec::new(), Vec::new());
        for &prompt in &config.prompts {
            let mut tested = [Vec::new(), Vec::new()];
            for &index in slices {
                let both = self.test(index, prompt)?;
                if prompt == config.pictured && pictured.contains(&index) {
                    panels.extend(self.panels(index, &both));
                }
                tested.iter_mut().zip(both).for_each(|(all, one)| all.push(one));
            }
            let (case, structure) = (self.stack.name(), config.structure.name.as_str());
            let subject = TestSubject { dataset: "quickstart", case, structure, seed: config.seed };
            for ((_, method), tested) in self.models.iter().zip(&tested) {
                records.push(config.user.record(subject, *method, prompt, tested));
            }
        }
        Ok((records, grid(&panels, 3)))
    }

    /// Tests both models on one slice.
    fn test(&self, index: usize, prompt: TestPrompt) -> Result<[TestedSlice; 2]> {
        let embedding = self.source.embedding(index)?;
        let truth = self.stack.mask(index, &self.config.structure.values);
        let test = |predictor: &SamPredictor<B>| {
            let mut segment = |prompts: &Prompts, _: Option<&Prediction>| -> Result<_> {
                let found = predictor.predict(&embedding, prompts)?;
                Ok(Prediction { mask: found.mask(), predicted_iou: None, state: () })
            };
            self.config.user.test(index, truth.view(), prompt, self.config.seed, &mut segment)
        };
        let [original, learned] = self.models.map(|(predictor, _)| test(predictor));
        Ok([original?, learned?])
    }

    fn panels(&self, index: usize, tested: &[TestedSlice; 2]) -> [Panel; 3] {
        let truth = self.stack.mask(index, &self.config.structure.values);
        let panel = || Panel::new(&self.stack.image(index)).truth(truth.view());
        let [original, learned] =
            tested.each_ref().map(|tested| panel().found(tested.mask.view()).prompts(&tested.prompts));
        let segmented = match self.segmented[index].mask() {
            Some(mask) => panel().found(mask.view()),
            None => panel(),
        };
        [original, learned, segmented]
    }
}
