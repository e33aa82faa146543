//! The paper's per-case protocol: learn on a few slices of a case, test on the others.
//!
//! Prompts are simulated from the ground truth, in learning and in testing, as the paper does.
//!
//! All comparisons are paired. In a repeat, which slices are outlined and which are tested, and what is drawn on a test slice, depend
//! on the seed, the structure and the slice alone: every method and every number of outlined slices meets the same ones, and so does
//! another run with the same `slices`, `seed` and limits, whatever else it does otherwise. Only correcting clicks depend on what they
//! correct.

use anyhow::{Context, Result, ensure};
use burn::tensor::backend::Backend;
use indicatif::ProgressBar;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use sam_assist::{AnnotatedSlice, AssistConfig, learn};
use sam_core::{Checkpoint, Precision, SamPredictor};
use sam_data::{SliceAxis, Structure, Window};
use sam_eval::Record;
use sam_prompt::{PromptKind, SamplingScheme, SliceSelection, ndarray::Array2};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    backend::Job,
    data_options::DataOptions,
    disk_cache::DiskCache,
    embeddings::Embeddings,
    progress,
    scoring::{Method, Scoring, Subject, TestSlice},
    stack::Stack,
    test_prompt::TestPrompt,
    weights::Weights,
};

/// Every number of an evaluation.
#[derive(Debug, Clone, Serialize)]
pub struct Protocol {
    /// Where the data lie.
    #[serde(flatten)]
    pub data: DataOptions,
    /// Which structures, as given.
    pub structures: String,
    /// The intensity window.
    pub window: Window,
    /// The axis along which slices are cut.
    pub axis: SliceAxis,
    /// Numbers of annotated slices.
    pub slices: Vec<usize>,
    /// Prompts to test with.
    pub prompts: Vec<TestPrompt>,
    /// How slices are chosen for annotation.
    pub selection: SliceSelection,
    /// How often all is done, each time with other slices and prompts.
    pub repeats: u64,
    /// Seed of the first repeat; the next has the next number.
    pub seed: u64,
    /// Volumes of more slices are taken at a step that leaves at most this many.
    pub max_slices: usize,
    /// At most this many slices are tested, at equal distances.
    pub max_test_slices: usize,
    /// Slices with fewer pixels of the structure count as not showing it.
    pub min_object_pixels: usize,
    /// How test slices are prompted and scored.
    pub scoring: Scoring,
    /// What the image encoder computes in.
    pub precision: Precision,
    /// Learning, by what is tested.
    pub learning: Learning,
}

/// What is learned for tests with each kind of prompts.
#[derive(Debug, Clone, Serialize)]
pub struct Learning {
    /// For points, and for clicks without a box.
    pub points: AssistConfig,
    /// For boxes.
    pub boxes: AssistConfig,
    /// For boxes with points: drawn together in learning, as in the paper, however the test gives them.
    pub composite: AssistConfig,
}

impl Default for Learning {
    fn default() -> Self {
        Self { points: AssistConfig::points(), boxes: AssistConfig::boxes(), composite: AssistConfig::composite() }
    }
}

impl Learning {
    /// The same with points drawn in another way, and with other numbers, given as a JSON object of [`AssistConfig`]'s fields.
    ///
    /// # Errors
    /// If the text is no such object, names no field of it, or holds numbers that make no sense.
    pub fn with(self, sampling: SamplingScheme, numbers: &str) -> Result<Self> {
        let numbers: Map<String, Value> = serde_json::from_str(numbers)
            .with_context(|| format!("expected a JSON object such as {{\"iterations\": 60}}, found {numbers}"))?;
        let changed = |config: AssistConfig| -> Result<AssistConfig> {
            let mut fields = serde_json::to_value(AssistConfig { sampling, ..config })?;
            for (name, value) in &numbers {
                let field = fields.get_mut(name).with_context(|| format!("the learning has no number \"{name}\""))?;
                *field = value.clone();
            }
            let config: AssistConfig = serde_json::from_value(fields).context("cannot read the learning's numbers")?;
            config.check()?;
            Ok(config)
        };
        Ok(Self { points: changed(self.points)?, boxes: changed(self.boxes)?, composite: changed(self.composite)? })
    }

    /// Prompts with what is learned for them; kinds that no prompt asks for are left out.
    fn by_kind<'a>(&'a self, prompts: &[TestPrompt]) -> Vec<(&'a AssistConfig, Vec<TestPrompt>)> {
        let config = |prompt: TestPrompt| match prompt {
            TestPrompt::Once(PromptKind::Points(_)) | TestPrompt::Clicks(_) => &self.points,
            TestPrompt::Once(PromptKind::Box) => &self.boxes,
            TestPrompt::Once(PromptKind::BoxAndPoints(_)) | TestPrompt::Active(_) => &self.composite,
        };
        let asking = |wanted: &'a AssistConfig| {
            let prompts = prompts.iter().copied().filter(|&prompt| std::ptr::eq(config(prompt), wanted));
            (wanted, prompts.collect::<Vec<_>>())
        };
        let kinds = [&self.points, &self.boxes, &self.composite].map(asking);
        kinds.into_iter().filter(|(_, prompts)| !prompts.is_empty()).collect()
    }
}

/// Which slices a repeat is about.
#[derive(Debug, PartialEq)]
struct Split {
    /// To be outlined, for each number of them; fewer are always among more.
    annotated: Vec<Vec<usize>>,
    /// To be tested with all of these.
    test: Vec<usize>,
}

impl Protocol {
    /// Checks what would spoil the results only after hours.
    ///
    /// # Errors
    /// If there is nothing to do, or something would be done twice.
    pub fn check(&self) -> Result<()> {
        ensure!(self.repeats > 0 && self.max_test_slices > 0, "at least one repeat and one test slice are needed");
        ensure!(!self.prompts.is_empty(), "at least one prompt is needed: {}", TestPrompt::SYNTAX);
        for (at, prompt) in self.prompts.iter().enumerate() {
            ensure!(!self.prompts[..at].contains(prompt), "the prompt {prompt} is asked for twice");
        }
        for (at, count) in self.slices.iter().enumerate() {
            ensure!(*count > 0, "at least one slice must be outlined to learn from; without learning is always tested");
            ensure!(!self.slices[..at].contains(count), "{count} annotated slices are asked for twice");
        }
        Ok(())
    }

    /// The most slices that are outlined.
    fn most(&self) -> usize {
        self.slices.iter().copied().max().unwrap_or(0)
    }

    /// Chooses from the slices that show a structure.
    fn split(&self, foreground: &[usize], seed: u64) -> Split {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let chosen = self.selection.choose(foreground, self.most(), &mut rng);
        let few = |&count: &usize| match self.selection {
            // The first few of many at equal distances would all lie at one end.
            SliceSelection::Equidistant => self.selection.choose(&chosen, count, &mut rng.clone()),
            _ => chosen[..count].to_vec(),
        };
        let rest: Vec<usize> = foreground.iter().copied().filter(|index| !chosen.contains(index)).collect();
        Split {
            annotated: self.slices.iter().map(few).collect(),
            test: SliceSelection::Equidistant.choose(&rest, self.max_test_slices, &mut rng),
        }
    }

    /// Progress steps of one structure that is on `shown` slices: learning iterations and tests.
    fn steps(&self, shown: usize) -> usize {
        let tests = shown.saturating_sub(self.most()).min(self.max_test_slices);
        let kinds = self.learning.by_kind(&self.prompts);
        let iterations = |&slices| kinds.iter().map(move |&(config, _)| config.clone().for_slices(slices).iterations);
        let learning: usize = self.slices.iter().flat_map(iterations).sum();
        let tested = self.prompts.len() * tests * (1 + self.slices.len());
        self.repeats as usize * (learning + tested)
    }
}

/// An evaluation of one data folder with one checkpoint.
#[derive(Debug)]
pub struct EvaluateJob<'a> {
    /// Every number of it.
    pub protocol: &'a Protocol,
    /// The checkpoint.
    pub weights: &'a Weights,
    /// Where embeddings are kept.
    pub disk: Option<&'a DiskCache>,
}

impl Job for EvaluateJob<'_> {
    type Output = Vec<Record>;

    fn run<B: Backend>(self, device: &B::Device) -> Result<Vec<Record>> {
        let protocol = self.protocol;
        protocol.check()?;
        let predictor: SamPredictor<B> = Checkpoint::open(&self.weights.path)?.predictor(device)?;
        let predictor = predictor.with_encoder_precision(protocol.precision)?;
        let dataset = protocol.data.open()?;
        let structures = dataset.table().parse_structures(&protocol.structures)?;
        let mut records = Vec::new();
        for stack in Stack::of_cases(dataset.cases(), protocol.axis, &protocol.window)? {
            let mut embeddings = Embeddings::new(&predictor, &stack, self.disk);
            for structure in &structures {
                let case = CaseRun { protocol, stack: &stack, structure, dataset: dataset.name() };
                records.extend(case.run(&mut embeddings)?);
            }
        }
        ensure!(
            !records.is_empty(),
            "no case of {} shows any of the structures \"{}\" on enough slices",
            protocol.data,
            protocol.structures
        );
        Ok(records)
    }
}

/// One structure of one case.
struct CaseRun<'a> {
    protocol: &'a Protocol,
    stack: &'a Stack,
    structure: &'a Structure,
    dataset: &'a str,
}

impl CaseRun<'_> {
    fn run<B: Backend>(&self, embeddings: &mut Embeddings<'_, B>) -> Result<Vec<Record>> {
        let (foreground, needed) = (self.foreground(), self.protocol.most() + 1);
        let (case, name) = (&self.stack.name, &self.structure.name);
        if foreground.len() < needed {
            eprintln!("Left out: {case} {name} is on {} slices, {needed} are needed", foreground.len());
            return Ok(Vec::new());
        }
        let bar = progress::bar(format!("{case}: {name}"), self.protocol.steps(foreground.len()));
        let mut records = Vec::new();
        for repeat in 0..self.protocol.repeats {
            let done = self.repeat(self.protocol.seed + repeat, &foreground, embeddings, &bar);
            records.extend(done.with_context(|| format!("{name} of {case}"))?);
        }
        bar.finish_and_clear();
        Ok(records)
    }

    /// Slices that show the structure, at the protocol's step.
    fn foreground(&self) -> Vec<usize> {
        let step = self.stack.len().div_ceil(self.protocol.max_slices.max(1)).max(1);
        let shows = |&index: &usize| {
            self.mask(index).iter().filter(|&&inside| inside).count() >= self.protocol.min_object_pixels.max(1)
        };
        (0..self.stack.len()).step_by(step).filter(shows).collect()
    }

    fn repeat<B: Backend>(
        &self,
        seed: u64,
        foreground: &[usize],
        embeddings: &mut Embeddings<'_, B>,
        bar: &ProgressBar,
    ) -> Result<Vec<Record>> {
        let (protocol, original) = (self.protocol, embeddings.predictor());
        let split = protocol.split(foreground, seed);
        let test = |predictor: &SamPredictor<B>, method, prompt, embeddings: &mut Embeddings<'_, B>| {
            self.test(predictor, method, prompt, (&split.test, seed), embeddings, bar)
        };
        let mut records = Vec::new();
        for &prompt in &protocol.prompts {
            records.push(test(original, Method::ORIGINAL, prompt, embeddings)?);
        }
        for chosen in &split.annotated {
            let annotated = chosen
                .iter()
                .map(|&index| Ok(AnnotatedSlice::new(embeddings.get(index)?, self.mask(index))?))
                .collect::<Result<Vec<_>>>()?;
            for (config, prompts) in protocol.learning.by_kind(&protocol.prompts) {
                let config = AssistConfig { seed, ..config.clone() }.for_slices(chosen.len());
                let learned = learn(original, &annotated, &config, &mut progress::learning(bar))?;
                let predictor = learned.adaptation.apply(original);
                for prompt in prompts {
                    let method = Method::assist(chosen.len(), learned.seconds);
                    records.push(test(&predictor, method, prompt, embeddings)?);
                }
            }
        }
        Ok(records)
    }

    /// Tests a method on some slices, with the prompts of a seed.
    fn test<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        method: Method,
        prompt: TestPrompt,
        (slices, seed): (&[usize], u64),
        embeddings: &mut Embeddings<'_, B>,
        bar: &ProgressBar,
    ) -> Result<Record> {
        let mut tested = Vec::with_capacity(slices.len());
        for &index in slices {
            bar.set_message(format!("slice {index}, {prompt}"));
            let (embedding, truth) = (embeddings.get(index)?, self.mask(index));
            let slice = TestSlice { index, embedding: &embedding, truth: truth.view() };
            tested.push(self.protocol.scoring.test(predictor, &slice, prompt, seed)?);
            bar.inc(1);
        }
        let subject = Subject { dataset: self.dataset, case: &self.stack.name, structure: &self.structure.name, seed };
        Ok(self.protocol.scoring.record(subject, method, prompt, &tested))
    }

    fn mask(&self, index: usize) -> Array2<bool> {
        self.stack.mask(index, &self.structure.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protocol() -> Protocol {
        Protocol {
            data: DataOptions::default(),
            structures: "all".to_owned(),
            window: Window::Auto,
            axis: SliceAxis::Auto,
            slices: vec![2, 5],
            prompts: vec![TestPrompt::Once(PromptKind::Points(1)), TestPrompt::Clicks(3), TestPrompt::Active(5)],
            selection: SliceSelection::Normal,
            repeats: 1,
            seed: 0,
            max_slices: 40,
            max_test_slices: 16,
            min_object_pixels: 10,
            scoring: Scoring::default(),
            precision: Precision::default(),
            learning: Learning::default(),
        }
    }

    #[test]
    fn numbers_of_the_learning_can_be_changed_by_name() {
        let learning = Learning::default().with(SamplingScheme::Center, "{\"iterations\": 7}").expect("a field");
        assert_eq!((learning.boxes.iterations, learning.boxes.sampling), (7, SamplingScheme::Center));
        assert_eq!(learning.points.schedule, AssistConfig::points().schedule);
        for (changes, part) in [
            ("7", "JSON object"),
            ("{\"iteration\": 7}", "no number \"iteration\""),
            ("{\"iterations\": -1}", "cannot read"),
            ("{\"slices_per_step\": 0}", "slices_per_step"),
        ] {
            let error = Learning::default().with(SamplingScheme::Uniform, changes).expect_err("it makes no sense");
            assert!(format!("{error:#}").contains(part), "{error:#}");
        }
    }

    #[test]
    fn few_outlined_slices_are_among_many_and_none_is_tested() {
        let foreground: Vec<usize> = (3..33).collect();
        for selection in [SliceSelection::Normal, SliceSelection::Uniform, SliceSelection::Equidistant] {
            let protocol = Protocol { selection, ..protocol() };
            let split = protocol.split(&foreground, 7);
            assert_eq!(split, protocol.split(&foreground, 7));
            let [two, five] = &split.annotated[..] else { panic!("two numbers of slices") };
            assert_eq!((two.len(), five.len(), split.test.len()), (2, 5, 16));
            assert!(two.iter().all(|index| five.contains(index)), "{selection:?}");
            assert!(split.test.iter().all(|index| foreground.contains(index) && !five.contains(index)));
        }
        let equidistant = Protocol { selection: SliceSelection::Equidistant, ..protocol() };
        assert_eq!(equidistant.split(&foreground, 7).annotated, [vec![12, 24], vec![6, 12, 18, 24, 30]]);
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
        let refused = [
            Protocol { repeats: 0, ..protocol() },
            Protocol { slices: vec![0], ..protocol() },
            Protocol { slices: vec![2, 2], ..protocol() },
            Protocol { prompts: Vec::new(), ..protocol() },
            Protocol { prompts: vec![TestPrompt::Active(5); 2], ..protocol() },
        ];
        assert!(refused.iter().all(|protocol| protocol.check().is_err()));
    }
}
