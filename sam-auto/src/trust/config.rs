//! Trust in the slices of a volume, in one call.

use std::{sync::Arc, time::Instant};

use burn::tensor::backend::Backend;
use sam_core::{SamPredictor, SliceSource};
use sam_prompt::progress::Observer;
use sapnet::{Fusion, SapNetConfig};
use serde::{Deserialize, Serialize};

use super::{RankedSlice, TrustMeter, TrustMeterConfig, TrustModel, rank};
use crate::{
    AutoError, CoarseConfig, CoarseGenerator, CoarseMethod, FittedGenerators, FittedStrategy, Gate, GateConfig,
    GeneratorStrategy, Segmentation, Strategy,
};

/// Configuration of trust: how signals are measured and combined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TrustConfig {
    /// How signals are measured.
    pub meter: TrustMeterConfig,
    /// How they are combined.
    pub model: TrustModel,
    /// The gate that slices are compared with.
    pub gate: GateConfig,
    /// The coarse map that masks are compared with.
    pub coarse: CoarseConfig,
}

sam_assist::__setters!(TrustConfig {
    with_meter => meter: TrustMeterConfig,
    with_model => model: TrustModel,
    with_gate => gate: GateConfig,
    with_coarse => coarse: CoarseConfig,
});

/// Ranking of slices that nobody annotated, in the order in which a person should look at them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Ranking {
    /// The slices, least trusted first. Those beyond [`TrustMeterConfig::reach`] are missing: nobody need look at them.
    pub slices: Vec<RankedSlice>,
    /// Whether the observer stopped it. Slices that were not measured are missing; the others are compared with each other only.
    pub stopped: bool,
}

impl Default for TrustConfig {
    /// SAP-Net as the paper has it, because the model of trust was fitted with it.
    fn default() -> Self {
        let method = CoarseMethod::Sapnet(SapNetConfig::default().with_fusion(Fusion::Late));
        Self {
            meter: TrustMeterConfig::default(),
            model: TrustModel::default(),
            gate: GateConfig::default(),
            coarse: CoarseConfig { method, ..CoarseConfig::default() },
        }
    }
}

impl TrustConfig {
    /// The default configuration with a random seed.
    pub fn new(seed: u64) -> Self {
        Self::default().with_seed(seed)
    }

    /// Sets all random seeds: of the jittered boxes and of SAP-Net.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.meter.seed = seed;
        if let CoarseMethod::Sapnet(config) = &mut self.coarse.method {
            config.seed = seed;
        }
        self
    }

    /// Takes the configuration of the gate and of SAP-Net from a strategy of generators, so that [`TrustConfig::rank`] reuses what the
    /// strategy has fitted. Mask propagation has neither, so nothing changes.
    #[must_use]
    pub fn reusing(mut self, strategy: &Strategy) -> Self {
        let Strategy::Generators(GeneratorStrategy { config: generators, .. }) = strategy else { return self };
        self.gate.clone_from(&generators.gate);
        if let CoarseMethod::Sapnet(config) = &mut self.coarse.method {
            config.clone_from(&generators.sapnet);
        }
        self
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`AutoError::Config`] or [`AutoError::Coarse`] names the first one that is out of range.
    pub fn check(&self) -> Result<(), AutoError> {
        self.model.check()?;
        self.meter.check()?;
        self.gate.check()?;
        self.coarse.check()
    }

    /// Ranks the slices that nobody annotated, least trusted first, as far as [`TrustMeterConfig::reach`] says.
    ///
    /// `predictor` is the one that segmented the volume. The strategy's gate and SAP-Net are reused if they were fitted with this
    /// configuration (see [`TrustConfig::reusing`]). Otherwise they are fitted here, which takes some seconds
    /// ([`Stage::Fit`](sam_prompt::progress::Stage::Fit)).
    ///
    /// # Errors
    /// As [`TrustConfig::check`]; [`AutoError::NothingAnnotated`] if no outline shows the structure; [`AutoError::Slice`] if a slice
    /// cannot be read or embedded; [`AutoError::Stopped`] if the observer stops it while SAP-Net is fitted. If it is stopped later, the
    /// ranking is partial: see [`Ranking::stopped`].
    pub fn rank<B: Backend>(
        &self,
        fitted: &FittedStrategy<B>,
        predictor: &SamPredictor<B>,
        segmentation: &Segmentation,
        source: &dyn SliceSource<B>,
        observer: &mut Observer<'_>,
    ) -> Result<Ranking, AutoError> {
        self.check()?;
        let begun = Instant::now();
        let meter = self.meter(fitted, predictor, source, observer)?;
        let measured = meter.measure(source, segmentation, observer)?;
        let ranking = Ranking { slices: rank(&self.model, &measured.signals), stopped: measured.stopped };
        let (slices, stopped, seconds) = (ranking.slices.len(), ranking.stopped, begun.elapsed().as_secs_f64());
        let least_trust = ranking.slices.first().map(|slice| slice.trust);
        tracing::info!(slices, least_trust, stopped, seconds, "ranked");
        Ok(ranking)
    }

    /// A trust meter for volumes that a strategy segments with a predictor. Fits only what the strategy has not fitted.
    ///
    /// # Errors
    /// As [`TrustConfig::rank`].
    pub fn meter<B: Backend>(
        &self,
        fitted: &FittedStrategy<B>,
        predictor: &SamPredictor<B>,
        source: &dyn SliceSource<B>,
        observer: &mut Observer<'_>,
    ) -> Result<TrustMeter<B>, AutoError> {
        let annotated = fitted.annotated();
        let generators = fitted.generators();
        let gate = match generators.and_then(|generators| self.known_gate(generators)) {
            Some(gate) => gate,
            None => Arc::new(self.gate.fit(annotated)?),
        };
        let coarse = match generators.and_then(|generators| self.known_coarse(generators)) {
            Some(coarse) => coarse.with_extraction(self.coarse.extraction.clone())?,
            None => self.coarse.fit(annotated, observer)?,
        };
        TrustMeter::new(predictor.clone(), gate, coarse, source, annotated, self.meter.clone())
    }

    /// The gate of generators, if it was fitted with the same configuration.
    fn known_gate<B: Backend>(&self, generators: &FittedGenerators<B>) -> Option<Arc<Gate>> {
        (generators.config().gate == self.gate).then(|| generators.gate().clone())
    }

    /// The SAP-Net of generators, if it was trained with the same configuration and seed.
    fn known_coarse<'a, B: Backend>(&self, generators: &'a FittedGenerators<B>) -> Option<&'a CoarseGenerator<B>> {
        let same = matches!(&self.coarse.method, CoarseMethod::Sapnet(config) if *config == generators.config().sapnet);
        generators.sapnet().filter(|_| same)
    }
}
