//! Original SAM against SAM^assist: learn on a few slices of a case, test on the others.
//!
//! Prompts are simulated from the ground truth, in learning and in testing, as the paper does. All comparisons are paired: see
//! [`sam_eval::protocol`].

use std::cell::RefCell;

use anyhow::{Context, Result, ensure};
use burn::tensor::backend::Backend;
use indicatif::ProgressBar;
use sam_assist::{AnnotatedSlice, AssistConfig, learn};
use sam_core::SamPredictor;
use sam_data::Structure;
use sam_eval::{
    Record,
    protocol::{FewSlices, Found, Method, SimulatedUser, Subject as TestedOn, TestPrompt, Trial},
};
use serde::Serialize;

use crate::{
    backend::Job,
    disk_cache::DiskCache,
    embeddings::Embeddings,
    journal::Journal,
    learning::Learning,
    progress,
    study::{FoundMask, Run, Study, digest},
    subjects::{Subject, Subjects},
    weights::Weights,
};

/// Every number of the comparison.
#[derive(Debug, Clone, Serialize)]
pub struct AssistProtocol {
    /// What is compared on.
    #[serde(flatten)]
    pub subjects: Subjects,
    /// Which slices are annotated and which are tested.
    pub slices: FewSlices,
    /// Prompts to test with.
    pub prompts: Vec<TestPrompt>,
    /// One repeat each, with other slices and prompts.
    pub seeds: Vec<u64>,
    /// How test slices are prompted and scored.
    pub user: SimulatedUser,
    /// Learning, by what is tested.
    pub learning: Learning,
}

impl AssistProtocol {
    /// Checks what would spoil the results only after hours.
    ///
    /// # Errors
    /// If there is nothing to do, or something would be done twice.
    pub fn check(&self) -> Result<()> {
        ensure!(!self.seeds.is_empty() && self.slices.tested > 0, "at least one repeat and one test slice are needed");
        ensure!(!self.prompts.is_empty(), "at least one prompt is needed: {}", TestPrompt::SYNTAX);
        for (at, prompt) in self.prompts.iter().enumerate() {
            ensure!(!self.prompts[..at].contains(prompt), "the prompt {prompt} is asked for twice");
        }
        for (at, count) in self.slices.annotated.iter().enumerate() {
            ensure!(*count > 0, "at least one slice must be outlined to learn from; without learning is always tested");
            ensure!(!self.slices.annotated[..at].contains(count), "{count} annotated slices are asked for twice");
        }
        Ok(())
    }

    /// Compares on all cases of the data.
    ///
    /// # Errors
    /// If the data cannot be read, or no case shows a structure on enough slices.
    pub fn run<B: Backend>(&self, study: &Study<'_, B>) -> Result<Vec<Run<Record>>> {
        self.check()?;
        self.subjects.each(study, self.slices.most() + 1, |subject, embeddings| {
            SubjectRun { protocol: self, study, subject }.run(embeddings)
        })
    }

    /// Progress steps of one structure that is on `shown` slices: learning iterations and tests.
    fn steps(&self, shown: usize) -> usize {
        let tests = shown.saturating_sub(self.slices.most()).min(self.slices.tested);
        let kinds = self.learning.by_kind(&self.prompts);
        let iterations = |&slices| kinds.iter().map(move |&(config, _)| config.clone().for_slices(slices).iterations);
        let learning: usize = self.slices.annotated.iter().flat_map(iterations).sum();
        let tested = self.prompts.len() * tests * (1 + self.slices.annotated.len());
        self.seeds.len() * (learning + tested)
    }
}

/// A comparison as a job of its own.
#[derive(Debug)]
pub struct AssistJob<'a> {
    /// Every number of it.
    pub protocol: &'a AssistProtocol,
    /// The checkpoint.
    pub weights: &'a Weights,
    /// Where embeddings are kept.
    pub disk: Option<&'a DiskCache>,
}

impl Job for AssistJob<'_> {
    type Output = Vec<Record>;

    fn run<B: Backend>(self, device: &B::Device) -> Result<Vec<Record>> {
        let journal = RefCell::new(Journal::in_memory());
        let study: Study<'_, B> = Study::open(self.weights, self.disk, &journal, device)?;
        Ok(self.protocol.run(&study)?.into_iter().map(|run| run.score).collect())
    }
}

/// The comparison on one structure of one case.
struct SubjectRun<'a, B: Backend> {
    protocol: &'a AssistProtocol,
    study: &'a Study<'a, B>,
    subject: Subject<'a>,
}

/// Prompts that are tested with one model, and what decides their results.
#[derive(Serialize)]
struct Tests<'a> {
    dataset: &'a str,
    case: &'a str,
    structure: &'a Structure,
    slices: &'a str,
    trial: &'a Trial,
    user: &'a SimulatedUser,
    learning: Option<&'a AssistConfig>,
    prompt: TestPrompt,
}

impl<B: Backend> SubjectRun<'_, B> {
    fn run(&self, embeddings: &mut Embeddings<'_, B>) -> Result<Vec<Run<Record>>> {
        let bar = progress::bar(self.subject.name(), self.protocol.steps(self.subject.survey.shown.len()));
        let mut runs = Vec::new();
        for &seed in &self.protocol.seeds {
            runs.extend(self.repeat(seed, embeddings, &bar)?);
        }
        bar.finish_and_clear();
        Ok(runs)
    }

    fn repeat(&self, seed: u64, embeddings: &mut Embeddings<'_, B>, bar: &ProgressBar) -> Result<Vec<Run<Record>>> {
        let (protocol, original) = (self.protocol, &self.study.predictor);
        let trials = protocol.slices.trials(self.subject.survey, seed)?;
        let mut runs = Vec::new();
        if let Some(trial) = trials.first() {
            let untrained = Trial { annotated: Vec::new(), ..trial.clone() };
            let model = |_: &mut Embeddings<'_, B>| Ok((original.clone(), 0.0));
            runs.extend(self.tests(&untrained, None, &protocol.prompts, model, embeddings, bar)?);
        }
        for trial in &trials {
            for (config, prompts) in protocol.learning.by_kind(&protocol.prompts) {
                let config = AssistConfig { seed, ..config.clone() }.for_slices(trial.annotated.len());
                runs.extend(self.learned_tests(trial, &config, &prompts, embeddings, bar)?);
            }
        }
        Ok(runs)
    }

    fn learned_tests(
        &self,
        trial: &Trial,
        config: &AssistConfig,
        prompts: &[TestPrompt],
        embeddings: &mut Embeddings<'_, B>,
        bar: &ProgressBar,
    ) -> Result<Vec<Run<Record>>> {
        let model = |embeddings: &mut Embeddings<'_, B>| {
            let annotate = |&index: &usize| Ok(AnnotatedSlice::new(embeddings.get(index)?, self.subject.mask(index))?);
            let annotated = trial.annotated.iter().map(annotate).collect::<Result<Vec<_>>>()?;
            let learned = learn(&self.study.predictor, &annotated, config, &mut progress::learning(bar))?;
            Ok((learned.adaptation.apply(&self.study.predictor), learned.seconds))
        };
        self.tests(trial, Some(config), prompts, model, embeddings, bar)
    }

    /// Tests each prompt that the journal does not have. The model, and how long it learned, are asked for only if there is one.
    fn tests(
        &self,
        trial: &Trial,
        learning: Option<&AssistConfig>,
        prompts: &[TestPrompt],
        model: impl FnOnce(&mut Embeddings<'_, B>) -> Result<(SamPredictor<B>, f64)>,
        embeddings: &mut Embeddings<'_, B>,
        bar: &ProgressBar,
    ) -> Result<Vec<Run<Record>>> {
        let involved = [&trial.annotated[..], &trial.tested[..]].concat();
        let slices = digest(self.subject.stack, self.subject.structure, &involved);
        let depends_on = |prompt| Tests {
            dataset: self.subject.dataset,
            case: &self.subject.stack.name,
            structure: self.subject.structure,
            slices: &slices,
            trial,
            user: &self.protocol.user,
            learning,
            prompt,
        };
        let mut missing = false;
        for &prompt in prompts {
            missing |= !self.study.has(&depends_on(prompt))?;
        }
        let (predictor, seconds) = if missing { model(embeddings)? } else { (self.study.predictor.clone(), 0.0) };
        let method = learning.map_or(Method::ORIGINAL, |_| Method::assist(trial.annotated.len(), seconds));
        let mut run = |&prompt: &TestPrompt| {
            let work = || self.test(&predictor, trial, method, prompt, embeddings, bar);
            self.study.once(&depends_on(prompt), work)
        };
        prompts.iter().map(&mut run).collect()
    }

    /// Tests a model with one kind of prompts.
    fn test(
        &self,
        predictor: &SamPredictor<B>,
        trial: &Trial,
        method: Method<'_>,
        prompt: TestPrompt,
        embeddings: &mut Embeddings<'_, B>,
        bar: &ProgressBar,
    ) -> Result<Run<Record>> {
        bar.set_message(prompt.to_string());
        let user = &self.protocol.user;
        let tested = trial.test(
            user,
            prompt,
            |index| self.subject.mask(index),
            |index, prompts, earlier| -> Result<_> {
                let embedding = embeddings.get(index)?;
                let found = match earlier {
                    Some(Found { state, .. }) => predictor.refine(&embedding, prompts, state),
                    None => predictor.predict(&embedding, prompts),
                };
                let found = found.with_context(|| format!("testing slice {index}"))?;
                let predicted_iou = found.iou.get(found.best()).map(|&iou| f64::from(iou));
                Ok(Found { mask: found.mask(), predicted_iou, state: found })
            },
            |_| bar.inc(1),
        )?;
        let Subject { dataset, stack, structure, .. } = self.subject;
        let tested_on = TestedOn { dataset, case: &stack.name, structure: &structure.name, seed: trial.seed };
        Ok(Run {
            score: user.record(tested_on, method, prompt, &tested),
            masks: tested.iter().map(|slice| FoundMask::new(slice.index, &slice.mask)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use sam_data::SliceAxis;
    use sam_prompt::{PromptKind, SliceSelection};

    use super::*;
    use crate::data_options::DataOptions;

    fn protocol() -> AssistProtocol {
        AssistProtocol {
            subjects: Subjects::new(DataOptions::default(), SliceAxis::Auto),
            slices: FewSlices {
                annotated: vec![2, 5],
                annotated_empty: 0,
                tested: 16,
                tested_empty: 0,
                selection: SliceSelection::Normal,
            },
            prompts: vec![TestPrompt::Once(PromptKind::Points(1)), TestPrompt::Clicks(3), TestPrompt::Active(5)],
            seeds: vec![0],
            user: SimulatedUser::default(),
            learning: Learning::default(),
        }
    }

    #[test]
    fn clicks_are_learned_with_points_and_active_sampling_with_the_composite() {
        let protocol = protocol();
        let learned = protocol.learning.by_kind(&protocol.prompts);
        let kinds: Vec<_> = learned.iter().map(|(config, prompts)| (config.kind, prompts.len())).collect();
        assert_eq!(kinds, [(AssistConfig::points().kind, 2), (AssistConfig::composite().kind, 1)]);
        // Two numbers of slices learn both; three prompts are tested on four slices, learned twice and not.
        let learned = |config: AssistConfig| config.clone().for_slices(2).iterations + config.for_slices(5).iterations;
        let learned = learned(AssistConfig::points()) + learned(AssistConfig::composite());
        assert_eq!(protocol.steps(9), learned + 3 * 4 * 3);
    }

    #[test]
    fn nothing_to_do_and_things_done_twice_are_refused_before_the_work() {
        assert!(protocol().check().is_ok());
        let annotating = |annotated| FewSlices { annotated, ..protocol().slices };
        let refused = [
            AssistProtocol { seeds: Vec::new(), ..protocol() },
            AssistProtocol { slices: annotating(vec![0]), ..protocol() },
            AssistProtocol { slices: annotating(vec![2, 2]), ..protocol() },
            AssistProtocol { prompts: Vec::new(), ..protocol() },
            AssistProtocol { prompts: vec![TestPrompt::Active(5); 2], ..protocol() },
        ];
        assert!(refused.iter().all(|protocol| protocol.check().is_err()));
    }
}
