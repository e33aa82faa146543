//! Where the outlines say that a structure is.

use std::sync::Arc;

use burn::tensor::backend::Backend;
use sam_prompt::Prompts;

use super::ShapePrior;
use crate::{AutoError, Gate, Gated, PromptGenerator, SliceContext};

/// What the outlines say of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Presence {
    /// It lies between two outlined slices that show the structure, or shows it itself.
    Certain,
    /// It lies a little beyond the outermost outline, or next to a slice without the structure.
    Possible,
    /// It was marked as empty, or lies too far from all outlines.
    Absent,
}

impl ShapePrior {
    /// What the outlines say of a slice.
    pub fn presence(&self, slice: usize) -> Presence {
        let upper = self.outlines.partition_point(|outline| outline.slice < slice);
        let above = self.outlines.get(upper);
        if let Some(outline) = above.filter(|outline| outline.slice == slice) {
            return if outline.is_empty() { Presence::Absent } else { Presence::Certain };
        }
        let below = upper.checked_sub(1).map(|below| &self.outlines[below]);
        match (below, above) {
            (Some(below), Some(above)) if !below.is_empty() && !above.is_empty() => Presence::Certain,
            (Some(below), Some(above)) if below.is_empty() && above.is_empty() => Presence::Absent,
            (Some(_), Some(_)) => Presence::Possible,
            _ if self.beyond(slice).is_some() => Presence::Possible,
            _ => Presence::Absent,
        }
    }
}

/// A generator that prompts the slices that show the structure according to the outlines. Where they leave it open, a gate decides.
#[derive(Debug, Clone)]
pub struct WithinOutlines<G> {
    /// The outlines.
    pub prior: Arc<ShapePrior>,
    /// The generator, with its gate.
    pub gated: Gated<G>,
}

impl<G> WithinOutlines<G> {
    /// Limits a generator to where the outlines and a gate say that the structure is.
    pub fn new(prior: Arc<ShapePrior>, gate: Arc<Gate>, generator: G) -> Self {
        Self { prior, gated: Gated { gate, generator } }
    }
}

impl<B: Backend, G: PromptGenerator<B>> PromptGenerator<B> for WithinOutlines<G> {
    fn generate(&self, slice: &SliceContext<'_, B>) -> Result<Option<Prompts>, AutoError> {
        match self.prior.presence(slice.index) {
            Presence::Certain => self.gated.generator.generate(slice),
            Presence::Possible => self.gated.generate(slice),
            Presence::Absent => Ok(None),
        }
    }
}
