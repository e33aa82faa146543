//! The data, slices and seeds of experiments, and the protocols that they share.

use std::{path::PathBuf, str::FromStr};

use burn::tensor::backend::Backend;
use sam_annotate::AnnotateConfig;
use sam_auto::{GeneratorConfig, GeneratorKind, PromptParts, Strategy, StrategyKind, TrustModel};
use sam_data::{KnownSet, PhantomKind, SliceAxis};
use sam_eval::{
    MaskScore, Record,
    protocol::{FewSlices, SimulatedUser, TestPrompt},
};
use sam_files::LossyPath;
use sam_prompt::{ConfigError, PromptKind, SamplingScheme, SliceSelection};
use sapnet::SapNetConfig;
use serde::Serialize;

use crate::{
    ActiveLearning, ActiveLearningCurve, CaseSelection, CoarseProtocol, DataSource, ExperimentError, FewSlicesProtocol,
    FewSlicesTrial, GeneratorProtocol, LearningConfigs, MeasuredVolume, OutlineSelection, PromptingProtocol, Protocol,
    Run, Setup, TrialConfig, TrustProtocol, Variant,
    cases::check_told_apart,
    error::{Context, Result},
    few_slices::{add_peers, read_peers},
};

/// Slices with the structure that SAM^auto learns from (paper section 4).
const AUTO_ANNOTATED: usize = 5;
/// Slices without the structure that are annotated as empty.
const AUTO_ANNOTATED_EMPTY: usize = 2;
/// Maximum number of tested slices without the structure.
const AUTO_TESTED_EMPTY: usize = 6;
/// Points extracted from a component, for prompts with points.
const AUTO_POINTS: usize = 5;
/// Numbers of outlines with which trust is measured.
const TRUST_OUTLINES: [usize; 2] = [3, 5];
/// Number of slices that are outlined before the first suggestion.
const ACTIVE_LEARNING_FIRST: usize = 2;
/// Decay of an error's weight with distance, in slices, in suggestions of the next slice.
const ACTIVE_LEARNING_REACH: f32 = 4.0;
/// Strategies that are compared on a few outlined slices: the default, what it is made of, and the model alone.
const FEW_SLICES_STRATEGIES: [StrategyKind; 3] =
    [StrategyKind::Fusion, StrategyKind::Shape, StrategyKind::MaskPropagation];
/// Number of components that top-K keeps.
const COMPONENTS: usize = 1;

/// The data, seeds and slices that experiments share.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The data.
    pub sources: Vec<DataSource>,
    /// One repeat for each seed.
    pub seeds: Vec<u64>,
    /// At most this many slices are tested for each structure of a case; `usize::MAX` for all.
    #[serde(skip_serializing_if = "is_all")]
    pub tested: usize,
    /// How masks from a few outlined slices are measured, if not as by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub few_slices: Option<FewSlicesPlan>,
    /// Whether phantoms are used because no data were given.
    synthetic: bool,
}

/// How masks from a few outlined slices are measured, and trust in them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FewSlicesPlan {
    /// Numbers of outlined slices. Trust is measured with 3 and 5.
    pub slices: Vec<usize>,
    /// Which slices are outlined.
    pub outlines: OutlineSelection,
    /// The axis along which volumes are cut into slices.
    pub axis: SliceAxis,
    /// The results of other programs.
    pub peers: Option<LossyPath>,
    /// Folder for what other programs need to do the same: see [`FewSlicesProtocol::exchange`].
    #[serde(skip)]
    pub exchange: Option<PathBuf>,
}

impl Default for FewSlicesPlan {
    fn default() -> Self {
        Self {
            slices: vec![2, 5],
            outlines: OutlineSelection::Spread,
            axis: SliceAxis::Auto,
            peers: None,
            exchange: None,
        }
    }
}

impl FewSlicesPlan {
    /// These cases along the plan's axis. Every slice counts, however small the structure is there.
    fn whole(&self, mut cases: CaseSelection) -> CaseSelection {
        (cases.survey.max_slices, cases.survey.min_object_pixels, cases.axis) = (usize::MAX, 1, self.axis);
        cases
    }
}

/// Point prompts: this many foreground and as many background points.
pub(crate) const fn points(count: usize) -> TestPrompt {
    TestPrompt::Once(PromptKind::Points(count))
}

/// A box prompt.
pub(crate) const BOX: TestPrompt = TestPrompt::Once(PromptKind::Box);

impl Plan {
    /// A plan for some data; for phantoms if there are none.
    ///
    /// # Errors
    /// [`ExperimentError::Config`] if there is no seed, or the number of tested slices is 0.
    pub fn new(sources: Vec<DataSource>, seeds: Vec<u64>, tested: usize) -> Result<Self> {
        ConfigError::check(!seeds.is_empty(), "seeds", || "none".to_owned(), "at least one repeat")?;
        ConfigError::check_count("test slices", tested)?;
        Ok(Self { synthetic: sources.is_empty(), sources, seeds, tested, few_slices: None })
    }

    /// This plan with another measurement of masks from a few outlined slices.
    #[must_use]
    pub fn with_few_slices(self, few_slices: FewSlicesPlan) -> Self {
        Self { few_slices: Some(few_slices), ..self }
    }

    /// This plan with phantoms, if no data were given. A phantom is `KIND` or `KIND:STRUCTURES`.
    pub(crate) fn with_phantoms(self, phantoms: &[&str]) -> Result<Self> {
        if !self.synthetic {
            return Ok(self);
        }
        let phantom = |text: &&str| {
            let (kind, structures) = split(text, ':');
            let kind: PhantomKind = kind.parse()?;
            Ok(DataSource::phantom(kind).with_structures(structures))
        };
        Ok(Self { sources: phantoms.iter().map(phantom).collect::<Result<_>>()?, ..self })
    }

    /// Whether phantoms are used instead of data.
    pub fn is_synthetic(&self) -> bool {
        self.synthetic
    }

    pub(crate) fn data_in_words(&self) -> String {
        if self.synthetic {
            return "synthetic phantoms".to_owned();
        }
        let name =
            |data: &DataSource| format!("{} ({}, window {})", data.short_name(), data.structures(), data.window());
        self.sources.iter().map(name).collect::<Vec<_>>().join("; ")
    }

    /// The cases of each of the data sets.
    pub(crate) fn cases(&self) -> Vec<CaseSelection> {
        self.sources.iter().map(|data| CaseSelection::new(data.clone(), SliceAxis::Auto)).collect()
    }

    /// Runs a protocol on each of the data sets.
    fn run<B: Backend, P: Protocol>(
        &self,
        setup: &Setup<B>,
        protocol: impl Fn(CaseSelection) -> P,
    ) -> Result<Vec<P::Outcome>> {
        let mut outcomes = Vec::new();
        for cases in self.cases() {
            outcomes.extend(protocol(cases).run(setup)?);
        }
        Ok(outcomes)
    }

    /// Original SAM against SAM^assist.
    pub(crate) fn prompting<B: Backend>(
        &self,
        setup: &Setup<B>,
        annotated: &[usize],
        prompts: &[TestPrompt],
        sampling: SamplingScheme,
    ) -> Result<Vec<Run<Record>>> {
        let learning = LearningConfigs::default().with(sampling, "{}")?;
        self.run(setup, |cases| PromptingProtocol {
            trials: self.trials(cases, annotated, 0, 0),
            prompts: prompts.to_vec(),
            user: SimulatedUser { sampling, ..SimulatedUser::default() },
            learning: learning.clone(),
        })
    }

    /// SAM^auto, with SAP-Net's boxes and with propagated points.
    pub(crate) fn generators<B: Backend>(&self, setup: &Setup<B>) -> Result<Vec<Run<MaskScore>>> {
        self.run(setup, |cases| GeneratorProtocol {
            trials: self.trials(cases, &[AUTO_ANNOTATED], AUTO_ANNOTATED_EMPTY, AUTO_TESTED_EMPTY),
            kinds: vec![GeneratorKind::Sapnet, GeneratorKind::Propagation],
            parts: vec![PromptParts::Box, PromptParts::Points],
            points: AUTO_POINTS,
            config: GeneratorConfig::default(),
            learning: LearningConfigs::default(),
        })
    }

    /// Coarse masks of PANet and SAP-Net.
    pub(crate) fn coarse<B: Backend>(&self, setup: &Setup<B>, variants: &[Variant]) -> Result<Vec<Run<MaskScore>>> {
        self.run(setup, |cases| CoarseProtocol {
            trials: self.trials(cases, &[AUTO_ANNOTATED], AUTO_ANNOTATED_EMPTY, AUTO_TESTED_EMPTY),
            variants: variants.to_vec(),
            components: COMPONENTS,
            sapnet: SapNetConfig::default(),
        })
    }

    /// How masks from a few outlined slices are measured, by default if nothing else is planned.
    pub(crate) fn of_few_slices(&self) -> FewSlicesPlan {
        self.few_slices.clone().unwrap_or_default()
    }

    /// Trust measured in every slice of whole volumes.
    pub(crate) fn trust<B: Backend>(&self, setup: &Setup<B>) -> Result<Vec<MeasuredVolume>> {
        check_told_apart(&self.cases())?;
        self.run_on_volumes(setup, |cases| self.trust_protocol(cases))
    }

    /// Active learning: slices are outlined one after another.
    pub(crate) fn active_learning<B: Backend>(&self, setup: &Setup<B>) -> Result<Vec<ActiveLearningCurve>> {
        self.run_on_volumes(setup, |mut cases| ActiveLearning {
            trials: {
                // Neighbouring slices are compared, so no slice is skipped.
                cases.survey.max_slices = usize::MAX;
                self.trials(cases, &[AUTO_ANNOTATED], AUTO_ANNOTATED_EMPTY, 0)
            },
            config: AnnotateConfig::default(),
            first: ACTIVE_LEARNING_FIRST,
            reach: ACTIVE_LEARNING_REACH,
            model: TrustModel::default(),
        })
    }

    /// Masks from a few outlined slices, by strategies and by other programs.
    pub(crate) fn few_slices<B: Backend>(&self, setup: &Setup<B>) -> Result<Vec<FewSlicesTrial>> {
        let few = self.of_few_slices();
        // Before the work, which may take hours.
        check_told_apart(&self.cases())?;
        let peers = few.peers.as_deref().map(read_peers).transpose()?;
        let protocol = |cases: CaseSelection| {
            let mut trials = self.trials(few.whole(cases), &few.slices, 0, 0);
            trials.slices.tested = 0;
            FewSlicesProtocol {
                trials,
                outlines: few.outlines,
                strategies: FEW_SLICES_STRATEGIES.map(Strategy::from).to_vec(),
                exchange: few.exchange.clone(),
            }
        };
        let mut trials = self.run_on_volumes(setup, protocol)?;
        if let Some(peers) = peers {
            let left_out = add_peers(&mut trials, peers)?;
            if left_out > 0 {
                setup.note(format!("left out: {left_out} results of --peers, which are of other trials"))?;
            }
        }
        Ok(trials)
    }

    fn trust_protocol(&self, cases: CaseSelection) -> TrustProtocol {
        let few = self.of_few_slices();
        let mut config = AnnotateConfig::default();
        // Every slice counts, also where `annotate` does not look.
        config.trust.meter.reach = None;
        TrustProtocol { trials: self.trials(few.whole(cases), &TRUST_OUTLINES, 0, 0), outlines: few.outlines, config }
    }

    /// Runs a protocol that needs volumes on each of the data sources. Those without a volume are left out with a note, as long as there is a
    /// result at all.
    fn run_on_volumes<B: Backend, P: Protocol>(
        &self,
        setup: &Setup<B>,
        protocol: impl Fn(CaseSelection) -> P,
    ) -> Result<Vec<P::Outcome>> {
        let (mut outcomes, mut left_out) = (Vec::new(), Vec::new());
        for cases in self.cases() {
            match protocol(cases).run(setup) {
                Ok(found) => outcomes.extend(found),
                // Unordered images have no neighbours, and a short structure has too few slices: others may have.
                Err(error @ ExperimentError::NothingToTest { .. }) => left_out.push(error),
                Err(error) => return Err(error),
            }
        }
        if outcomes.is_empty()
            && let Some(error) = left_out.pop()
        {
            return Err(error);
        }
        for error in left_out {
            setup.note(format!("left out: {error}"))?;
        }
        Ok(outcomes)
    }

    fn trials(
        &self,
        cases: CaseSelection,
        annotated: &[usize],
        annotated_empty: usize,
        tested_empty: usize,
    ) -> TrialConfig {
        let slices = FewSlices {
            annotated: annotated.to_vec(),
            annotated_empty,
            tested: self.tested,
            tested_empty,
            selection: SliceSelection::Normal,
        };
        TrialConfig { cases, slices, seeds: self.seeds.clone() }
    }
}

/// Whether a number of tested slices means all of them.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_all(tested: &usize) -> bool {
    *tested == usize::MAX
}

fn split(text: &str, at: char) -> (&str, Option<String>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after.to_owned())))
}

/// Reads `DIR`, `DIR:STRUCTURES` or `DIR:STRUCTURES@WINDOW`, with an optional known data set before it (`SET=`).
impl FromStr for DataSource {
    type Err = ExperimentError;

    fn from_str(text: &str) -> Result<Self> {
        // The structures may contain "=" too; the text before the first "=" is a set only if it contains no ":", "/" or "\".
        let (set, rest) = match text.split_once('=') {
            Some((name, rest)) if !name.contains([':', '/', '\\']) => {
                let set: KnownSet = name.parse().step(|| format!("reading \"{text}\""))?;
                (Some(set), rest)
            }
            _ => (None, text),
        };
        let (folder, described) = split(rest, ':');
        let (structures, window) = match described.as_deref().map(|described| split(described, '@')) {
            None => (None, None),
            Some((structures, window)) => (Some(structures.to_owned()), window),
        };
        let expected = "DIR, DIR:STRUCTURES or DIR:STRUCTURES@WINDOW";
        ConfigError::check(!folder.is_empty(), "data", || format!("\"{text}\""), expected)?;
        let window = window.map(|window| window.parse()).transpose().step(|| format!("reading \"{text}\""))?;
        let structures = structures.filter(|structures| !structures.is_empty());
        Ok(Self::folder(folder, set).with_structures(structures).with_window(window))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, String, String) {
        let data: DataSource = text.parse().expect(text);
        (data.to_string(), data.structures(), data.window().to_string())
    }

    #[test]
    fn a_source_names_folder_structures_and_window() {
        let of = |folder: &str, structures: &str, window: &str| {
            (folder.to_owned(), structures.to_owned(), window.to_owned())
        };
        assert_eq!(read("scans/ct"), of("scans/ct", "all", "auto"));
        assert_eq!(read("scans/ct:liver,cord=1+2"), of("scans/ct", "liver,cord=1+2", "auto"));
        assert_eq!(read("ct:liver@-160:240"), of("ct", "liver", "-160:240"));
        assert_eq!(read("ct:@lung"), of("ct", "all", "lung"));
        assert_eq!(read("ct-org=sets/ct").1, "lungs");
        for wrong in ["", ":liver", "ct:liver@bright", "nosuchset=ct"] {
            wrong.parse::<DataSource>().expect_err(wrong);
        }
    }

    #[test]
    fn trust_is_measured_of_what_annotate_does() -> Result<()> {
        let plan = Plan::new(vec!["scans".parse()?], vec![0], 2)?;
        let (protocol, annotate) = (plan.trust_protocol(plan.cases().remove(0)), AnnotateConfig::default());
        assert_eq!((&protocol.config.strategy, &protocol.config.learning), (&annotate.strategy, &annotate.learning));
        assert_eq!(protocol.config.trust.model, annotate.trust.model);
        assert_eq!(protocol.trials.slices.annotated, TRUST_OUTLINES);
        Ok(())
    }

    #[test]
    fn phantoms_stand_in_only_where_no_data_are_given() -> Result<()> {
        let plan = Plan::new(Vec::new(), vec![0], 2)?.with_phantoms(&["abdomen:liver"])?;
        assert_eq!((plan.is_synthetic(), plan.sources[0].structures()), (true, "liver".to_owned()));
        let own = Plan::new(vec!["scans".parse()?], vec![0], 2)?;
        assert_eq!(own.clone().with_phantoms(&["abdomen:liver"])?, own);
        Plan::new(Vec::new(), vec![0], 2)?.with_phantoms(&["head"]).expect_err("no such phantom");
        assert!(Plan::new(Vec::new(), Vec::new(), 2).is_err() && Plan::new(Vec::new(), vec![0], 0).is_err());
        Ok(())
    }
}
