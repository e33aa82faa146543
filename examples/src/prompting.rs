//! Where prompts come from on the slices that nobody outlined.

use anyhow::{Context, Result};
use burn::tensor::backend::Backend;
use sam_assist::AssistConfig;
use sam_auto::{
    CleanUp, Gated, MaskPropagationConfig, PromptGenerator, Segmentation, SegmenterConfig, SupportSlice,
    VolumeSegmenter, propagate_masks,
};
use sam_core::SamPredictor;
use sam_prompt::ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::{
    auto::{AutoConfig, AutoKind, HandOverKind},
    embeddings::Embeddings,
    learning::Learning,
    outline::Outlines,
    progress,
};

/// Where the prompts of slices that nobody outlined come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prompting {
    /// From the mask of the slice before, outwards from those that are outlined.
    Walk(MaskPropagationConfig),
    /// From generators that are fitted to the outlined slices.
    Auto(AutoPrompting),
}

/// Prompts from generators, each slice on its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoPrompting {
    /// Which generators.
    pub kind: AutoKind,
    /// What of their coarse maps is handed on.
    pub hand_over: HandOverKind,
    /// How many points a component is handed on with, where points are.
    pub points: usize,
    /// All other numbers, the gate's among them.
    pub numbers: AutoConfig,
    /// What of the masks is kept.
    pub clean_up: CleanUp,
}

impl Prompting {
    /// What of prompts is learned for these.
    pub fn learning(&self, seed: u64, members: usize) -> AssistConfig {
        let learning = match self {
            Self::Walk(_) => AssistConfig::mixed(),
            Self::Auto(auto) => auto.hand_over.learning(&Learning::default()).clone(),
        };
        AssistConfig { seed, members, ..learning }
    }

    /// Segments the slices that are not outlined, with what was learned of the structure.
    ///
    /// # Errors
    /// If a number makes no sense, or a slice cannot be embedded or segmented.
    pub fn segment<B: Backend>(
        &self,
        name: &str,
        outlines: &Outlines,
        learned: &SamPredictor<B>,
        embeddings: &mut Embeddings<'_, B>,
    ) -> Result<Segmentation> {
        let count = embeddings.stack().len();
        let bar = progress::bar(format!("Segmenting {name}"), count - outlines.len());
        let mut reached = |index| {
            bar.inc(1);
            bar.set_message(format!("slice {index}"));
        };
        let segmented = match self {
            Self::Walk(config) => propagate_masks(learned, embeddings, outlines, config, &mut reached)
                .map(|slices| Segmentation { slices, ..Segmentation::default() })
                .map_err(Into::into),
            Self::Auto(auto) => {
                bar.set_message(format!("fitting {}", auto.kind));
                auto.segment(outlines, learned, embeddings, &mut reached)
            }
        };
        bar.finish_and_clear();
        segmented.with_context(|| format!("segmenting {name}"))
    }
}

impl AutoPrompting {
    fn segment<B: Backend>(
        &self,
        outlines: &Outlines,
        learned: &SamPredictor<B>,
        embeddings: &mut Embeddings<'_, B>,
        reached: &mut dyn FnMut(usize),
    ) -> Result<Segmentation> {
        embeddings.keep_all()?;
        let support = |(&index, outline): (&usize, &Array2<bool>)| {
            Ok(SupportSlice::new(index, embeddings.get(index)?, outline.clone())?)
        };
        let annotated = outlines.iter().map(support).collect::<Result<Vec<_>>>()?;
        let gate = self.numbers.gate.fit(&annotated)?;
        let fitted = self.numbers.fit(self.kind, &annotated, embeddings)?;
        let hand_over = self.hand_over.hand_over(self.points, &self.numbers.hand_over);
        let generators = fitted.generators(&hand_over)?.into_iter();
        let gated: Vec<_> = generators.map(|generator| Gated { gate: gate.clone(), generator }).collect();
        let members = gated.iter().map(|member| member as &dyn PromptGenerator<B>).collect();
        let config = SegmenterConfig { vote: fitted.vote(), clean_up: self.clean_up };
        Ok(VolumeSegmenter::new(learned, members, config)?.segment(embeddings, outlines, reached)?)
    }
}
