//! Where a person should look first in a scan that was just segmented.

use anyhow::{Context, Result};
use burn::tensor::backend::Backend;
use sam_auto::{
    CoarseConfig, CoarseMethod, GateConfig, RankedSlice, Segmentation, SupportSlice, TrustMeter, TrustMeterConfig,
    TrustModel, rank,
};
use sam_core::SamPredictor;
use sam_prompt::ndarray::Array2;
use sapnet::SapNetConfig;
use serde::{Deserialize, Serialize};

use crate::{embeddings::Embeddings, outline::Outlines, progress};

/// So many slices are named.
const NAMED: usize = 5;

/// Every number of trust in a scan's slices.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrustConfig {
    /// How signals are measured.
    pub meter: TrustMeterConfig,
    /// What they say together.
    pub model: TrustModel,
    /// Whether the structure is on a slice at all.
    pub gate: GateConfig,
    /// An opinion that knows nothing of the masks.
    pub coarse: CoarseConfig,
}

impl TrustConfig {
    /// The defaults with a seed of all that is drawn.
    pub fn new(seed: u64) -> Self {
        let method = CoarseMethod::Sapnet(SapNetConfig { seed, ..SapNetConfig::default() });
        Self {
            meter: TrustMeterConfig { seed, ..TrustMeterConfig::default() },
            coarse: CoarseConfig { method, ..CoarseConfig::default() },
            ..Self::default()
        }
    }

    /// Ranks the slices that nobody outlined, the least trusted first.
    ///
    /// # Errors
    /// If a number makes no sense, no outline shows the structure, or a slice cannot be embedded or asked.
    pub fn rank<B: Backend>(
        &self,
        name: &str,
        outlines: &Outlines,
        segmentation: &Segmentation,
        learned: &SamPredictor<B>,
        embeddings: &mut Embeddings<'_, B>,
    ) -> Result<Vec<RankedSlice>> {
        self.model.check()?;
        let bar = progress::bar(format!("Doubting {name}"), segmentation.slices.len() - outlines.len());
        let support = |(&index, outline): (&usize, &Array2<bool>)| {
            Ok(SupportSlice::new(index, embeddings.get(index)?, outline.clone())?)
        };
        let annotated = outlines.iter().map(support).collect::<Result<Vec<_>>>()?;
        let (gate, coarse) = (self.gate.fit(&annotated)?, self.coarse.fit(&annotated)?);
        let meter = TrustMeter::new(learned, &gate, &coarse, embeddings, &annotated, self.meter.clone())?;
        let measured = meter.measure(embeddings, segmentation, &mut |_| bar.inc(1));
        bar.finish_and_clear();
        Ok(rank(&self.model, &measured.with_context(|| format!("ranking the slices of {name}"))?))
    }
}

/// The first slices of a ranking, each with its reason: "12 (neighbours disagree), 40 (the area jumps)".
pub fn in_words(ranked: &[RankedSlice]) -> String {
    let each = ranked.iter().take(NAMED).map(|slice| format!("{} ({})", slice.slice, slice.reason));
    each.collect::<Vec<_>>().join(", ")
}
