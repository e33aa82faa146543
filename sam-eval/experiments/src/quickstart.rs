//! The quickstart on one scan: outline a few slices, learn, segment the rest, compare, draw.

use std::sync::Arc;

use burn::tensor::backend::Backend;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use sam_annotate::{AnnotateConfig, Annotated, Annotations, Annotator, Start};
use sam_auto::SegmentedSlice;
use sam_core::{SamPredictor, SliceSource};
use sam_data::{LabelVolume, Scan, SliceAxis, SlicePlane, Stack, Structure, Volume, Window};
use sam_eval::{
    EmptyPolicy, Record, dice,
    protocol::{Prediction, SimulatedUser, TestPrompt, TestSubject, TestedMethod, TestedSlice},
};
use sam_prompt::{
    ConfigError, Prompts, SliceSelection,
    ndarray::{Array3, aview1},
};
use serde::{Deserialize, Serialize};

use crate::{
    Setup,
    error::Result,
    picture::{Panel, grid},
};

/// Number of slices in the picture.
const PICTURED: usize = 3;
/// The structure's label value in the annotator's input and output.
const VALUE: u16 = 1;

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
    /// Number of outlined slices.
    pub slices: usize,
    /// How they are chosen.
    pub selection: SliceSelection,
    /// Prompts to compare with, simulated from the ground truth.
    pub prompts: Vec<TestPrompt>,
    /// The prompt that the picture shows.
    pub pictured: TestPrompt,
    /// How prompts are drawn and scored.
    pub user: SimulatedUser,
    /// How the structure is learned and segmented.
    pub annotate: AnnotateConfig,
    /// Seed of the comparison's prompts.
    pub seed: u64,
}

/// The result of a quickstart.
#[derive(Debug, Clone)]
pub struct QuickstartResult {
    /// The mask, in which the structure has the value 1, in file order.
    pub mask: Array3<u16>,
    /// Dice before and after learning, over the slices that were not outlined.
    pub records: Vec<Record>,
    /// Slices with prompts, before and after: `[rows, columns, 3]`.
    pub picture: Array3<u8>,
    /// The slices that were outlined.
    pub outlined: Vec<usize>,
    /// Duration of the learning, in seconds.
    pub learning_seconds: f64,
    /// Dice of the whole volume without the outlined slices.
    pub volume_dice: f64,
}

impl Quickstart {
    /// Takes the outlines of some slices from the ground truth, runs an [`Annotator`] on them as on a person's outlines, and compares the
    /// results.
    ///
    /// # Errors
    /// [`ExperimentError::Config`](crate::ExperimentError::Config) if the structure is on too few slices;
    /// [`ExperimentError::Annotate`](crate::ExperimentError::Annotate) if a slice cannot be embedded, learned from or segmented, or if
    /// the predictor was not loaded from a checkpoint; [`ExperimentError::Stopped`](crate::ExperimentError::Stopped).
    pub fn run<B: Backend>(&self, setup: &Setup<B>, volume: &Volume, labels: &LabelVolume) -> Result<QuickstartResult> {
        let scan = Arc::new(Scan::in_memory(&self.scan, volume.clone()));
        let stack = Stack::new(&self.scan, Arc::clone(scan.volume()), self.axis, &self.window)?;
        let stack = stack.with_labels(labels.clone())?;
        let shown = self.shown(&stack)?;
        let mut outlined = self.selection.choose(&shown, self.slices, &mut ChaCha8Rng::seed_from_u64(self.seed));
        outlined.sort_unstable();

        let plane = SlicePlane::new(scan.grid(), self.axis);
        let annotator = self.annotator(setup, scan, &plane)?;
        let annotations = self.outline(&stack, &plane, &outlined);
        let steps = self.annotate.learning.clone().for_slices(outlined.len()).iterations;
        let annotated = setup.case(format!("Learning {}", self.structure.name), steps, || {
            setup.annotated(|events| annotator.annotate(&annotations, Start::Model, events))
        })?;

        let source = annotator.slices(annotated.axis)?;
        let Annotated { labels, structures, .. } = annotated;
        // Exactly one structure was outlined. Without it, the run was stopped.
        let [structure] = &structures[..] else { return Err(crate::ExperimentError::Stopped) };
        let learning_seconds = structure.learning_seconds.unwrap_or(0.0);
        let predictor = structure.card.apply(setup.predictor())?;
        let rest: Vec<usize> = shown.iter().copied().filter(|index| !outlined.contains(index)).collect();
        let method = TestedMethod::assist(self.slices, learning_seconds);
        let models = [(setup.predictor(), TestedMethod::ORIGINAL), (&predictor, method)];
        let segmented = &structure.slices;
        let comparison = Comparison { config: self, stack: &stack, source: &*source, models, segmented };
        let (records, picture) = comparison.run(&rest)?;
        Ok(QuickstartResult {
            mask: labels.labels,
            records,
            picture,
            outlined,
            learning_seconds,
            volume_dice: self.volume_dice(&stack, segmented)?,
        })
    }

    /// The annotator of `sam-med annotate`, with this config.
    fn annotator<B: Backend>(&self, setup: &Setup<B>, scan: Arc<Scan>, plane: &SlicePlane) -> Result<Annotator<B>> {
        // Dice is measured here, so that none has to be expected.
        let config = self.annotate.clone().with_expected_dice(false);
        // The axis is given, not derived from the outlines, because the outlines are along this axis.
        let axis = [SliceAxis::I, SliceAxis::J, SliceAxis::K][plane.axis()];
        let builder = Annotator::builder(setup.predictor().clone(), scan).config(config).axis(axis).window(self.window);
        let builder = match setup.cache() {
            Some(cache) => builder.cache(cache.clone()),
            None => builder,
        };
        Ok(builder.build()?)
    }

    /// A label map with the true outlines of some slices, as a person would draw them.
    fn outline(&self, stack: &Stack, plane: &SlicePlane, slices: &[usize]) -> Annotations {
        let [i, j, k] = plane.grid().shape;
        let mut labels = Array3::zeros((i, j, k));
        for &index in slices {
            let outline = stack.mask(index, &self.structure.values).mapv(|inside| u16::from(inside) * VALUE);
            plane.insert(&mut labels, index, outline.view());
        }
        let labels = LabelVolume::new(labels, plane.grid().affine);
        Annotations::new(labels).with_names([(VALUE, self.structure.name.clone())])
    }

    /// The slices that show the structure; an error unless there are more of them than outlined slices.
    fn shown(&self, stack: &Stack) -> Result<Vec<usize>> {
        let is_shown = |&index: &usize| stack.mask(index, &self.structure.values).iter().any(|&inside| inside);
        let shown: Vec<usize> = (0..stack.len()).filter(is_shown).collect();
        if shown.len() > self.slices {
            return Ok(shown);
        }
        let expected = format!("less than {}, the number of slices that show {}", shown.len(), self.structure.name);
        Err(ConfigError::new("slices to outline", self.slices.to_string(), expected).into())
    }

    /// Dice over all slices that were not outlined, including those without the structure.
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

/// The original and the trained model, tested with the same prompts.
struct Comparison<'a, B: Backend> {
    config: &'a Quickstart,
    stack: &'a Stack,
    source: &'a dyn SliceSource<B>,
    models: [(&'a SamPredictor<B>, TestedMethod<'static>); 2],
    segmented: &'a [SegmentedSlice],
}

impl<B: Backend> Comparison<'_, B> {
    /// Tests both models on slices that were not outlined, and draws some of them: original, trained, and as segmented by the annotator.
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

#[cfg(test)]
mod tests {
    use burn_flex::{Flex, FlexDevice};
    use sam_assist::{AssistConfig, learn_structure};
    use sam_core::{AnnotatedSlice, SamConfig, ViTConfig};
    use sam_data::PhantomConfig;
    use sam_prompt::{PromptKind, progress::ignore_progress};
    use sam_threads::in_pool;

    use super::*;

    #[test]
    fn the_annotator_gives_what_learning_and_the_strategy_give() -> Result<()> {
        let phantom = PhantomConfig::default().with_shape([40, 36, 8]).generate();
        let labels = &phantom.labels.labels;
        let count = |value: &u16| labels.iter().filter(|&label| label == value).count();
        let value = phantom.labels.values().into_iter().max_by_key(count).expect("a phantom has structures");
        let box_prompt = TestPrompt::Once(PromptKind::Box);
        let quickstart = Quickstart {
            scan: "phantom".to_owned(),
            structure: Structure::new("organ", vec![value]),
            window: Window::Auto,
            axis: SliceAxis::Auto,
            slices: 2,
            selection: SliceSelection::Equidistant,
            prompts: vec![box_prompt],
            pictured: box_prompt,
            user: SimulatedUser::default(),
            annotate: AnnotateConfig::default().with_learning(AssistConfig::mixed().with_iterations(2).with_seed(3)),
            seed: 3,
        };
        let config = SamConfig::vit(ViTConfig::new(32, 1, 2).with_image_size(64));
        let predictor = SamPredictor::<Flex>::new(config.init(&FlexDevice), config.preprocess);
        let setup = Setup::new(predictor.with_weights_sha256(&"0".repeat(64)).with_config(config));
        let result = quickstart.run(&setup, &phantom.volume, &phantom.labels)?;
        assert_eq!((result.outlined.len(), result.records.len()), (2, 2));

        let stack = Stack::new("phantom", phantom.volume.clone(), SliceAxis::Auto, &Window::Auto)?;
        let stack = Arc::new(stack.with_labels(phantom.labels.clone())?);
        let source = setup.source(&stack)?;
        let annotate = |&index: &usize| -> Result<AnnotatedSlice<Flex>> {
            Ok(AnnotatedSlice::new(index, source.embedding(index)?, stack.mask(index, &[value]))?)
        };
        let annotated = result.outlined.iter().map(annotate).collect::<Result<Vec<_>>>()?;
        let (original, learning) = (setup.predictor(), &quickstart.annotate.learning);
        let found = in_pool(|| -> Result<_> {
            let learned = learn_structure(original, &annotated, learning, None, &mut ignore_progress())?;
            let strategy = &quickstart.annotate.strategy;
            let predictor = learned.adaptation.apply(original);
            Ok(strategy.segment(annotated.clone(), &predictor, &source, &mut ignore_progress())?)
        })?;
        let plane = SlicePlane::new(&phantom.volume.grid, SliceAxis::Auto);
        for (index, slice) in found.slices.iter().enumerate() {
            let mask = plane.extract(result.mask.view(), index);
            let expected = slice.mask().map_or_else(|| mask.mapv(|_| 0), |mask| mask.mapv(u16::from));
            assert_eq!(mask, expected, "slice {index}");
        }
        Ok(())
    }
}
