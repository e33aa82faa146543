//! SAM^auto: generators fitted to a few annotated slices, and the masks that they give on the other slices.
//!
//! Only the seed decides which slices are annotated and tested: every generator gets the same ones.

use std::time::Instant;

use burn::tensor::backend::Backend;
use sam_assist::{AssistConfig, learn_structure};
use sam_auto::{
    FittedGenerators, GeneratorConfig, GeneratorKind, GeneratorStrategy, PromptParts, SliceContext, VolumeSegmenter,
};
use sam_core::{AnnotatedSlice, SamPredictor, SliceSource};
use sam_eval::MaskScore;
use sam_prompt::{SliceNumber, ndarray::Array2};
use serde::{Deserialize, Serialize};

use crate::{
    CaseSetup, LearningConfigs, Protocol, Run, Setup, TrialConfig,
    error::{Context, Result},
    mask_trials::{MaskTrial, run_trials},
};

/// The config of the comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GeneratorProtocol {
    /// Cases, slices and repeats.
    #[serde(flatten)]
    pub trials: TrialConfig,
    /// The generators.
    #[serde(rename = "generators")]
    pub kinds: Vec<GeneratorKind>,
    /// The kinds of prompts that are extracted from coarse maps; each is tested.
    #[serde(rename = "hand_overs")]
    pub parts: Vec<PromptParts>,
    /// Number of points extracted from a component, for kinds of prompts with points.
    pub points: usize,
    /// The generators' config.
    #[serde(rename = "numbers")]
    pub config: GeneratorConfig,
    /// The learning config for each kind of prompts.
    pub learning: LearningConfigs,
}

impl Protocol for GeneratorProtocol {
    type Outcome = Run<MaskScore>;

    fn trials(&self) -> &TrialConfig {
        &self.trials
    }

    fn check(&self) -> Result<()> {
        Ok(self.config.check()?)
    }

    fn test_case<B: Backend>(&self, test: &CaseSetup<'_, B>) -> Result<Vec<Run<MaskScore>>> {
        let CaseSetup { setup, source, .. } = *test;
        run_trials(test, &self.trials, self, |trial| {
            GeneratorTest { protocol: self, setup, trial, source, learned: Vec::new() }.run()
        })
    }
}

/// One repeat, and the models trained on its slices.
struct GeneratorTest<'a, B: Backend> {
    protocol: &'a GeneratorProtocol,
    setup: &'a Setup<B>,
    trial: &'a MaskTrial<'a, B>,
    source: &'a dyn SliceSource<B>,
    learned: Vec<(AssistConfig, SamPredictor<B>)>,
}

impl<B: Backend> GeneratorTest<'_, B> {
    /// Trains a model for each kind of prompts, and tests every generator. Point propagation needs neighbours, so unordered images skip it.
    fn run(mut self) -> Result<Vec<Run<MaskScore>>> {
        for &parts in &self.protocol.parts {
            self.learn(parts)?;
        }
        let case = self.trial.case;
        let mut scores = Vec::new();
        for &kind in &self.protocol.kinds {
            if kind == GeneratorKind::Propagation && !case.stack.is_ordered() {
                self.setup.note(format!("left out: propagation on {}, whose images are in no order", case.name()))?;
                continue;
            }
            self.setup.doing(format!("seed {}, {kind}", self.trial.seed))?;
            scores.extend(self.test(kind)?);
        }
        Ok(scores)
    }

    /// Trains a model for one kind of prompts; kinds with equal configs share a model.
    fn learn(&mut self, parts: PromptParts) -> Result<()> {
        let config = self.learning(parts);
        if self.learned.iter().any(|(known, _)| *known == config) {
            return Ok(());
        }
        self.setup.doing(format!("seed {}, learning {parts}", self.trial.seed))?;
        let (original, annotated) = (self.setup.predictor(), &self.trial.annotated);
        let learned = self.setup.watched(|observer| learn_structure(original, annotated, &config, None, observer))?;
        self.learned.push((config, learned.adaptation.apply(original)));
        Ok(())
    }

    fn learning(&self, parts: PromptParts) -> AssistConfig {
        self.protocol.learning.of_parts(parts).clone().with_seed(self.trial.seed)
    }

    /// The models that are tested with one kind of prompts: the original, and the one trained for them.
    fn models(&self, parts: PromptParts) -> impl Iterator<Item = (&'static str, &SamPredictor<B>)> {
        let config = self.learning(parts);
        let learned = self.learned.iter().find(|(known, _)| *known == config);
        let learned = learned.map(|(_, predictor)| ("learned", predictor));
        std::iter::once(("original", self.setup.predictor())).chain(learned)
    }

    /// The scores of a generator's own masks, and of the models' masks from each kind of prompts.
    fn test(&self, kind: GeneratorKind) -> Result<Vec<Run<MaskScore>>> {
        let protocol = self.protocol;
        let started = Instant::now();
        let fitted = self.fit(kind)?;
        let seconds = started.elapsed().as_secs_f64();
        let mut scores = Vec::new();
        if let [coarse] = fitted.coarse() {
            let mask = |slice: &AnnotatedSlice<B>| coarse.mask_at(slice.index(), slice.embedding());
            let masks = self.trial.test.iter().map(mask).collect::<Result<Vec<_>, _>>()?;
            scores.extend(self.scores(&format!("{kind}, coarse"), seconds, &fitted, masks)?);
        }
        for &parts in &protocol.parts {
            if kind == GeneratorKind::Propagation && parts != PromptParts::Points {
                continue;
            }
            let strategy = GeneratorStrategy::new(kind).with_parts(parts).with_points(protocol.points);
            let strategy = strategy.with_config(fitted.config().clone());
            for (prompts, predictor) in self.models(parts) {
                let masks = self.segment(&fitted.ungated_segmenter(predictor, &strategy)?)?;
                scores.extend(self.scores(&format!("{kind}, {parts}, {prompts}"), seconds, &fitted, masks)?);
            }
        }
        Ok(scores)
    }

    /// Fits a generator and the gate. In a volume, annotated slices count by their nearness; in unordered images their distance means nothing.
    fn fit(&self, kind: GeneratorKind) -> Result<FittedGenerators<B>> {
        let is_volume = self.trial.case.stack.is_ordered();
        let mut config = self.protocol.config.clone().with_seed(self.trial.seed);
        if !is_volume {
            config.gate.distance_weight = 0.0;
        }
        let annotated = self.trial.annotated.clone();
        let fitted = self.setup.watched(|observer| config.fit(kind, annotated, self.source, observer))?;
        Ok(if is_volume { fitted.in_volume() } else { fitted })
    }

    /// The masks of the test slices; empty if the generators find nothing.
    fn segment(&self, segmenter: &VolumeSegmenter<B>) -> Result<Vec<Array2<bool>>> {
        let mut masks = Vec::new();
        for slice in &self.trial.test {
            let (index, image) = (slice.index(), self.source.image(slice.index())?);
            let context = SliceContext::new(index, image.view(), slice.embedding());
            let (found, _) =
                segmenter.segment_slice(&context).step(|| format!("slice {}", SliceNumber::of_index(index)))?;
            masks.push(found.mask().cloned().unwrap_or_else(|| Array2::from_elem(slice.outline().dim(), false)));
        }
        Ok(masks)
    }

    /// Scores without and with the gate. The gate only empties masks, so nothing is predicted twice.
    fn scores(
        &self,
        method: &str,
        seconds: f64,
        fitted: &FittedGenerators<B>,
        mut masks: Vec<Array2<bool>>,
    ) -> Result<[Run<MaskScore>; 2]> {
        let open = self.trial.score(method, seconds, &masks)?;
        for (slice, mask) in self.trial.test.iter().zip(&mut masks) {
            if !fitted.gate().passes(slice.index(), slice.embedding()) {
                mask.fill(false);
            }
        }
        Ok([open, self.trial.score(&format!("{method}, gated"), seconds, &masks)?])
    }
}
