//! On which data, slices and seeds claims are measured.

use anyhow::Result;
use burn::tensor::backend::Backend;
use sam_auto::{HandOver, TrustMeterConfig, TrustModel};
use sam_data::SliceAxis;
use sam_eval::{
    Record,
    protocol::{FewSlices, SimulatedUser, TestPrompt},
};
use sam_prompt::{PromptKind, SamplingScheme, SliceSelection};
use sapnet::SapNetConfig;
use serde::Serialize;

use super::Source;
use crate::{
    assist::AssistProtocol,
    auto::{AutoConfig, AutoKind, AutoProtocol, HandOverKind},
    coarse::{CoarseProtocol, Variant},
    data_options::DataOptions,
    learning::Learning,
    mask_score::MaskScore,
    study::{Run, Study},
    subjects::Subjects,
    trust::{Grown, Growth, MeasuredVolume, TrustProtocol},
};

/// Slices with the structure that SAM^auto learns from (paper section 4).
const AUTO_ANNOTATED: usize = 5;
/// Slices without it that are annotated as empty.
const AUTO_ANNOTATED_EMPTY: usize = 2;
/// Slices without it that are tested, at the most.
const AUTO_TESTED_EMPTY: usize = 6;
/// Points of a component that are handed on, where points are.
const AUTO_POINTS: usize = 5;
/// Repeats in which each annotated slice is left out once.
const TRUST_LEFT_OUT: usize = 0;
/// Slices outlined before any is suggested.
const GROWTH_FIRST: usize = 2;
/// How far an error counts for its neighbours, in slices.
const GROWTH_REACH: f32 = 4.0;
/// Components that top-K keeps.
const COMPONENTS: usize = 1;

/// Every number that claims share.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The data.
    pub sources: Vec<DataOptions>,
    /// Seeds, one repeat each.
    pub seeds: Vec<u64>,
    /// At most this many slices are tested for each structure of a case.
    pub tested: usize,
    /// Whether no data were given.
    synthetic: bool,
}

/// Points, as many on the object as beside it.
pub(super) const fn points(count: usize) -> TestPrompt {
    TestPrompt::Once(PromptKind::Points(count))
}

/// A box.
pub(super) const BOX: TestPrompt = TestPrompt::Once(PromptKind::Box);

impl Plan {
    /// A plan on some data; on phantoms if there are none.
    pub fn new(sources: Vec<DataOptions>, seeds: Vec<u64>, tested: usize) -> Self {
        Self { synthetic: sources.is_empty(), sources, seeds, tested }
    }

    /// The same on phantoms, if no data were given.
    pub(super) fn with_phantoms(self, phantoms: &[&str]) -> Result<Self> {
        if !self.synthetic {
            return Ok(self);
        }
        let phantom = |text: &&str| Ok(Source::phantom(text)?.into_data());
        Ok(Self { sources: phantoms.iter().map(phantom).collect::<Result<_>>()?, ..self })
    }

    /// Whether phantoms stand in for data.
    pub fn is_synthetic(&self) -> bool {
        self.synthetic
    }

    pub(super) fn data_in_words(&self) -> String {
        if self.synthetic {
            return "synthetic phantoms".to_owned();
        }
        let name = |data: &DataOptions| {
            let folder = data.data.as_deref().and_then(|folder| folder.file_name());
            let folder = folder.map_or_else(|| data.to_string(), |name| name.to_string_lossy().into_owned());
            format!("{folder} ({}, window {})", data.structures(), data.window())
        };
        self.sources.iter().map(name).collect::<Vec<_>>().join("; ")
    }

    /// What is compared on in each of the data sets.
    pub(super) fn subjects(&self) -> Vec<Subjects> {
        self.sources.iter().map(|data| Subjects::new(data.clone(), SliceAxis::Auto)).collect()
    }

    /// Original SAM against SAM^assist.
    pub(super) fn assist<B: Backend>(
        &self,
        study: &Study<'_, B>,
        annotated: &[usize],
        prompts: &[TestPrompt],
        sampling: SamplingScheme,
    ) -> Result<Vec<Run<Record>>> {
        let learning = Learning::default().with(sampling, "{}")?;
        let mut runs = Vec::new();
        for subjects in self.subjects() {
            let protocol = AssistProtocol {
                subjects,
                slices: self.few(annotated, 0, 0),
                prompts: prompts.to_vec(),
                seeds: self.seeds.clone(),
                user: SimulatedUser { sampling, ..SimulatedUser::default() },
                learning: learning.clone(),
            };
            runs.extend(protocol.run(study)?);
        }
        Ok(runs)
    }

    /// SAM^auto, by SAP-Net's boxes and by propagated points.
    pub(super) fn auto<B: Backend>(&self, study: &Study<'_, B>) -> Result<Vec<Run<MaskScore>>> {
        let mut runs = Vec::new();
        for subjects in self.subjects() {
            let protocol = AutoProtocol {
                subjects,
                slices: self.few(&[AUTO_ANNOTATED], AUTO_ANNOTATED_EMPTY, AUTO_TESTED_EMPTY),
                seeds: self.seeds.clone(),
                generators: vec![AutoKind::Sapnet, AutoKind::Propagation],
                hand_overs: vec![HandOverKind::Box, HandOverKind::Points],
                points: AUTO_POINTS,
                numbers: AutoConfig { hand_over: HandOver::default(), ..AutoConfig::default() },
                learning: Learning::default(),
            };
            runs.extend(protocol.run(study)?);
        }
        Ok(runs)
    }

    /// Coarse masks of PANet and SAP-Net.
    pub(super) fn coarse<B: Backend>(&self, study: &Study<'_, B>, variants: &[Variant]) -> Result<Vec<Run<MaskScore>>> {
        let mut runs = Vec::new();
        for subjects in self.subjects() {
            let protocol = CoarseProtocol {
                subjects,
                variants: variants.to_vec(),
                slices: self.few(&[AUTO_ANNOTATED], AUTO_ANNOTATED_EMPTY, AUTO_TESTED_EMPTY),
                seeds: self.seeds.clone(),
                components: COMPONENTS,
                sapnet: SapNetConfig::default(),
            };
            runs.extend(protocol.run(study)?);
        }
        Ok(runs)
    }

    /// Trust in every slice of whole volumes.
    pub(super) fn trust<B: Backend>(&self, study: &Study<'_, B>) -> Result<Vec<MeasuredVolume>> {
        let mut measured = Vec::new();
        for subjects in self.subjects() {
            measured.extend(self.trust_protocol(subjects).run(study)?);
        }
        Ok(measured)
    }

    /// Slices outlined one after another.
    pub(super) fn growth<B: Backend>(&self, study: &Study<'_, B>) -> Result<Vec<Grown>> {
        let mut grown = Vec::new();
        for subjects in self.subjects() {
            let protocol = self.trust_protocol(subjects);
            let growth = Growth { protocol, first: GROWTH_FIRST, reach: GROWTH_REACH, model: TrustModel::default() };
            grown.extend(growth.run(study)?);
        }
        Ok(grown)
    }

    fn trust_protocol(&self, mut subjects: Subjects) -> TrustProtocol {
        // Neighbours are neighbours: no slice is skipped.
        subjects.survey.max_slices = usize::MAX;
        TrustProtocol {
            subjects,
            slices: self.few(&[AUTO_ANNOTATED], AUTO_ANNOTATED_EMPTY, 0),
            seeds: self.seeds.clone(),
            left_out: TRUST_LEFT_OUT,
            numbers: AutoConfig::default(),
            learning: Learning::default().boxes,
            meter: TrustMeterConfig::default(),
        }
    }

    fn few(&self, annotated: &[usize], annotated_empty: usize, tested_empty: usize) -> FewSlices {
        FewSlices {
            annotated: annotated.to_vec(),
            annotated_empty,
            tested: self.tested,
            tested_empty,
            selection: SliceSelection::Normal,
        }
    }
}
