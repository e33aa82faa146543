//! Generators of every kind, fitted to annotated slices.

use anyhow::Result;
use burn::tensor::backend::Backend;
use sam_auto::{
    ClassifierConfig, CoarseConfig, CoarseGenerator, CoarseMethod, GateConfig, HandOver, PromptGenerator,
    SeedGenerator, SeedPropagationConfig, SliceSource, SupportSlice, Vote,
};
use sapnet::{SapNetConfig, SupportConfig};
use serde::{Deserialize, Serialize};

use super::AutoKind;

/// Every number of every generator.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoConfig {
    /// The paper's Algorithm 1.
    pub propagation: SeedPropagationConfig,
    /// The linear classifier.
    pub classifier: ClassifierConfig,
    /// PANet.
    pub panet: SupportConfig,
    /// SAP-Net.
    pub sapnet: SapNetConfig,
    /// What of a coarse map is handed on.
    pub hand_over: HandOver,
    /// Whether the object is on a slice at all.
    pub gate: GateConfig,
}

/// The generators of one kind: one, or the members of an ensemble.
#[derive(Debug)]
pub enum Fitted<B: Backend> {
    /// From coarse maps.
    Coarse(Vec<CoarseGenerator<B>>),
    /// From points of each annotated slice.
    Seeds(Vec<SeedGenerator>),
}

impl AutoConfig {
    /// The same with another seed of everything that is drawn.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        (self.propagation.seed, self.sapnet.seed, self.hand_over.seed) = (seed, seed, seed);
        self
    }

    /// Fits the generators of a kind. SAP-Net takes some seconds.
    ///
    /// # Errors
    /// If a number makes no sense, no slice shows the object, or a slice cannot be had.
    pub fn fit<B: Backend>(
        &self,
        kind: AutoKind,
        annotated: &[SupportSlice<B>],
        source: &mut dyn SliceSource<B>,
    ) -> Result<Fitted<B>> {
        let classifier = || CoarseMethod::Classifier(self.classifier.clone());
        let sapnet = |member: u64| {
            CoarseMethod::Sapnet(SapNetConfig { seed: self.sapnet.seed.wrapping_add(member), ..self.sapnet.clone() })
        };
        let methods = match kind {
            AutoKind::Propagation => return Ok(Fitted::Seeds(self.propagation.fit(annotated, source)?)),
            AutoKind::Classification => vec![classifier()],
            AutoKind::Panet => vec![CoarseMethod::Panet(self.panet)],
            AutoKind::Sapnet => vec![sapnet(0)],
            // Seeds of neighbouring repeats shall not share a member.
            AutoKind::Ensemble => vec![sapnet(0), sapnet(1 << 32), classifier()],
        };
        let fit = |method| CoarseConfig { method, hand_over: self.hand_over.clone() }.fit(annotated);
        Ok(Fitted::Coarse(methods.into_iter().map(fit).collect::<Result<_, _>>()?))
    }
}

impl<B: Backend> Fitted<B> {
    /// Generators that hand on what is said here; points that were propagated are what they are.
    ///
    /// # Errors
    /// If nothing would be handed on.
    pub fn generators(&self, hand_over: &HandOver) -> Result<Vec<Box<dyn PromptGenerator<B> + '_>>> {
        match self {
            Self::Coarse(members) => {
                let with = |member: &CoarseGenerator<B>| -> Result<Box<dyn PromptGenerator<B>>> {
                    Ok(Box::new(member.with_hand_over(hand_over.clone())?))
                };
                members.iter().map(with).collect()
            }
            Self::Seeds(runs) => Ok(runs.iter().map(|run| Box::new(run) as Box<dyn PromptGenerator<B> + '_>).collect()),
        }
    }

    /// How the members' masks are joined. The paper unites the runs from several annotated slices.
    pub const fn vote(&self) -> Vote {
        match self {
            Self::Coarse(_) => Vote::Majority,
            Self::Seeds(_) => Vote::Union,
        }
    }
}
