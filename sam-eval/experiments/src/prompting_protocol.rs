//! Original SAM against SAM^assist: trained on a few slices of a case, tested on the others.
//!
//! Prompts are simulated from the ground truth, in learning and in testing, as in the paper. All comparisons are paired: see
//! [`sam_eval::protocol`].

use burn::tensor::backend::Backend;
use sam_assist::{AssistConfig, learn};
use sam_core::{ImageEmbedding, MaskPrediction, SamPredictor, SliceSource};
use sam_data::Structure;
use sam_eval::{
    Record,
    protocol::{Prediction, SimulatedUser, TestPrompt, TestSubject, TestedMethod, Trial},
};
use sam_prompt::{ConfigError, Prompts, SliceNumber};
use serde::{Deserialize, Serialize};

use crate::{
    CaseSetup, CaseStructure, FoundMask, LearningConfigs, Protocol, Run, Setup, TrialConfig,
    error::{Context, Result},
    mask_trials::annotate,
    setup::digest,
};

/// The config of the comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromptingProtocol {
    /// Cases, slices and repeats.
    #[serde(flatten)]
    pub trials: TrialConfig,
    /// Prompts to test with.
    pub prompts: Vec<TestPrompt>,
    /// How test slices are prompted and scored.
    pub user: SimulatedUser,
    /// The learning config for each kind of test prompts.
    pub learning: LearningConfigs,
}

impl Protocol for PromptingProtocol {
    type Outcome = Run<Record>;

    fn trials(&self) -> &TrialConfig {
        &self.trials
    }

    fn check(&self) -> Result<()> {
        let TrialConfig { slices, seeds, .. } = &self.trials;
        ConfigError::check(!seeds.is_empty(), "seeds", || "none".to_owned(), "at least one")?;
        ConfigError::check_count("test slices", slices.tested)?;
        ConfigError::check(!self.prompts.is_empty(), "prompts", || "none".to_owned(), TestPrompt::SYNTAX)?;
        for (at, prompt) in self.prompts.iter().enumerate() {
            let is_new = !self.prompts[..at].contains(prompt);
            ConfigError::check(is_new, "prompts", || format!("{prompt} twice"), "each once")?;
        }
        for (at, count) in slices.annotated.iter().enumerate() {
            let expected = "at least 1: the original model, which learns nothing, is always tested";
            ConfigError::check(*count > 0, "annotated slices", || count.to_string(), expected)?;
            let is_new = !slices.annotated[..at].contains(count);
            ConfigError::check(is_new, "annotated slices", || format!("{count} twice"), "each number once")?;
        }
        Ok(())
    }

    fn test_case<B: Backend>(&self, test: &CaseSetup<'_, B>) -> Result<Vec<Run<Record>>> {
        let CaseSetup { setup, case, source } = *test;
        let test = CaseTest { protocol: self, setup, case, source };
        setup.case(case.name(), self.steps(case.survey.shown.len()), || {
            let mut runs = Vec::new();
            for &seed in &self.trials.seeds {
                runs.extend(test.repeat(seed)?);
            }
            Ok(runs)
        })
    }
}

impl PromptingProtocol {
    /// Number of steps for one structure that is on `shown` slices: learning iterations and tested slices.
    fn steps(&self, shown: usize) -> usize {
        let TrialConfig { slices, seeds, .. } = &self.trials;
        let tests = shown.saturating_sub(slices.most()).min(slices.tested);
        let kinds = self.learning.by_kind(&self.prompts);
        let iterations = |&count| kinds.iter().map(move |&(config, _)| config.clone().for_slices(count).iterations);
        let learning: usize = slices.annotated.iter().flat_map(iterations).sum();
        let tested = self.prompts.len() * tests * (1 + slices.annotated.len());
        seeds.len() * (learning + tested)
    }
}

/// The comparison on one structure of one case.
struct CaseTest<'a, B: Backend> {
    protocol: &'a PromptingProtocol,
    setup: &'a Setup<B>,
    case: &'a CaseStructure<'a>,
    source: &'a dyn SliceSource<B>,
}

/// The prompts that are tested with one model: the original, or a trained one.
struct ModelTest<'a> {
    trial: &'a Trial,
    /// The learning config of the model; `None` for the original.
    learning: Option<&'a AssistConfig>,
    prompts: &'a [TestPrompt],
}

/// A model, ready to be tested.
struct Model<B: Backend> {
    predictor: SamPredictor<B>,
    /// Whether an earlier prediction helps it.
    takes_logits: bool,
    train_seconds: f64,
}

/// Everything that decides the result of testing one prompt.
#[derive(Serialize)]
struct DependsOn<'a> {
    dataset: &'a str,
    case: &'a str,
    structure: &'a Structure,
    slices: &'a str,
    trial: &'a Trial,
    user: &'a SimulatedUser,
    learning: Option<&'a AssistConfig>,
    prompt: TestPrompt,
}

impl<B: Backend> CaseTest<'_, B> {
    /// Tests the original, then each trained model.
    fn repeat(&self, seed: u64) -> Result<Vec<Run<Record>>> {
        let protocol = self.protocol;
        let trials = protocol.trials.slices.trials(self.case.survey, seed)?;
        let mut runs = Vec::new();
        if let Some(trial) = trials.first() {
            let trial = &Trial { annotated: Vec::new(), ..trial.clone() };
            runs.extend(self.test_model(&ModelTest { trial, learning: None, prompts: &protocol.prompts })?);
        }
        for trial in &trials {
            for (config, prompts) in protocol.learning.by_kind(&protocol.prompts) {
                let config = config.clone().with_seed(seed).for_slices(trial.annotated.len());
                runs.extend(self.test_model(&ModelTest { trial, learning: Some(&config), prompts: &prompts })?);
            }
        }
        Ok(runs)
    }

    /// Tests each prompt whose result is not in the journal. The model is trained only if there is such a prompt.
    fn test_model(&self, test: &ModelTest<'_>) -> Result<Vec<Run<Record>>> {
        let involved = [&test.trial.annotated[..], &test.trial.tested[..]].concat();
        let slices = digest(self.case.stack, self.case.structure, &involved);
        let mut model = None;
        let mut runs = Vec::new();
        for &prompt in test.prompts {
            let depends_on = DependsOn {
                dataset: self.case.dataset,
                case: self.case.stack.name(),
                structure: self.case.structure,
                slices: &slices,
                trial: test.trial,
                user: &self.protocol.user,
                learning: test.learning,
                prompt,
            };
            runs.push(self.setup.once(&depends_on, || {
                let model = match &mut model {
                    Some(model) => model,
                    missing => missing.insert(self.model(test)?),
                };
                self.test_prompt(model, test, prompt)
            })?);
        }
        Ok(runs)
    }

    /// The original model, or the model trained on the annotated slices.
    fn model(&self, test: &ModelTest<'_>) -> Result<Model<B>> {
        let original = self.setup.predictor();
        let Some(config) = test.learning else {
            return Ok(Model { predictor: original.clone(), takes_logits: true, train_seconds: 0.0 });
        };
        let annotated = annotate(self.setup, self.case, self.source, &test.trial.annotated)?;
        let learned = self.setup.counted(|observer| learn(original, &annotated, config, observer))?;
        Ok(Model {
            predictor: learned.adaptation.apply(original),
            takes_logits: config.takes_logits(),
            train_seconds: learned.seconds,
        })
    }

    /// Tests a model with one kind of prompts.
    fn test_prompt(&self, model: &Model<B>, test: &ModelTest<'_>, prompt: TestPrompt) -> Result<Run<Record>> {
        self.setup.doing(prompt.to_string())?;
        let (user, trial) = (&self.protocol.user, test.trial);
        let mut tested = Vec::new();
        for &slice in &trial.tested {
            let embedding = self.source.embedding(slice)?;
            let mut segment = |prompts: &Prompts, earlier: Option<&Prediction<_>>| {
                model
                    .segment(&embedding, prompts, earlier)
                    .step(|| format!("testing slice {}", SliceNumber::of_index(slice)))
            };
            tested.push(user.test(slice, self.case.mask(slice).view(), prompt, trial.seed, &mut segment)?);
            self.setup.step_done()?;
        }
        let CaseStructure { dataset, stack, structure, .. } = self.case;
        let subject = TestSubject { dataset, case: stack.name(), structure: &structure.name, seed: trial.seed };
        let method = match test.learning {
            Some(_) => TestedMethod::assist(trial.annotated.len(), model.train_seconds),
            None => TestedMethod::ORIGINAL,
        };
        Ok(Run {
            score: user.record(subject, method, prompt, &tested),
            masks: tested.iter().map(|slice| FoundMask::new(slice.index, &slice.mask)).collect(),
        })
    }
}

impl<B: Backend> Model<B> {
    /// Segments a slice, or refines an earlier prediction if the model was trained to.
    fn segment(
        &self,
        embedding: &ImageEmbedding<B>,
        prompts: &Prompts,
        earlier: Option<&Prediction<MaskPrediction>>,
    ) -> Result<Prediction<MaskPrediction>> {
        let found = match earlier.filter(|_| self.takes_logits) {
            Some(Prediction { state, .. }) => self.predictor.refine(embedding, prompts, state),
            None => self.predictor.predict(embedding, prompts),
        }?;
        let predicted_iou = found.iou.get(found.best()).map(|&iou| f64::from(iou));
        Ok(Prediction { mask: found.mask(), predicted_iou, state: found })
    }
}

#[cfg(test)]
mod tests {
    use sam_data::SliceAxis;
    use sam_eval::protocol::FewSlices;
    use sam_prompt::{PromptKind, SliceSelection};

    use super::*;
    use crate::{CaseSelection, DataSource};

    fn protocol() -> PromptingProtocol {
        PromptingProtocol {
            trials: TrialConfig {
                cases: CaseSelection::new(DataSource::default(), SliceAxis::Auto),
                slices: FewSlices {
                    annotated: vec![2, 5],
                    annotated_empty: 0,
                    tested: 16,
                    tested_empty: 0,
                    selection: SliceSelection::Normal,
                },
                seeds: vec![0],
            },
            prompts: vec![TestPrompt::Once(PromptKind::Points(1)), TestPrompt::Clicks(3), TestPrompt::Active(5)],
            user: SimulatedUser::default(),
            learning: LearningConfigs::default(),
        }
    }

    #[test]
    fn clicks_are_learned_with_points_and_active_sampling_with_the_composite() {
        let protocol = protocol();
        let learned = protocol.learning.by_kind(&protocol.prompts);
        let kinds: Vec<_> = learned.iter().map(|(config, prompts)| (config.kind, prompts.len())).collect();
        assert_eq!(kinds, [(AssistConfig::points().kind, 2), (AssistConfig::composite().kind, 1)]);
        // Both configs are trained with both numbers of slices. Three prompts are tested on four slices, with each of the three models.
        let learned = |config: AssistConfig| config.clone().for_slices(2).iterations + config.for_slices(5).iterations;
        let learned = learned(AssistConfig::points()) + learned(AssistConfig::composite());
        assert_eq!(protocol.steps(9), learned + 3 * 4 * 3);
    }

    #[test]
    fn nothing_to_do_and_things_done_twice_are_refused_before_the_work() {
        assert!(protocol().check().is_ok());
        let with_trials = |trials| PromptingProtocol { trials, ..protocol() };
        let annotating = |annotated| {
            let TrialConfig { cases, slices, seeds } = protocol().trials;
            with_trials(TrialConfig { cases, slices: FewSlices { annotated, ..slices }, seeds })
        };
        let refused = [
            with_trials(TrialConfig { seeds: Vec::new(), ..protocol().trials }),
            annotating(vec![0]),
            annotating(vec![2, 2]),
            PromptingProtocol { prompts: Vec::new(), ..protocol() },
            PromptingProtocol { prompts: vec![TestPrompt::Active(5); 2], ..protocol() },
        ];
        assert!(refused.iter().all(|protocol| protocol.check().is_err()));
    }
}
