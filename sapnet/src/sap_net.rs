//! The fitted SAP-Net.

use std::ops::ControlFlow;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::network::{Network, Standardise};
use crate::segmenter::{Prototypes, check_query};
use crate::{AnnotatedSlices, CoarseSegmenter, Learner, Progress, SapNetConfig, SapnetError};

/// The spatial-aware prototypical network: a small network trained on the annotated slices of one case, and the prototypes of
/// all of them.
///
/// It serves that case alone: features of other cases differ, and so do positions.
///
/// # Source
/// Paper, Eq. 3 to 7 (section 3.2.2).
#[derive(Debug, Clone)]
pub struct SapNet<B: Backend> {
    config: SapNetConfig,
    standardise: Standardise<B>,
    network: Network<B>,
    prototypes: Prototypes<B>,
    expected: [usize; 3],
    losses: Vec<f32>,
}

impl<B: Backend> SapNet<B> {
    /// Trains on annotated slices: a [`Learner`] from its first step to its last.
    ///
    /// The observer is called after each iteration; [`ControlFlow::Break`] stops there and keeps what was learned. The same
    /// seed gives the same result.
    ///
    /// # Errors
    /// [`SapnetError::Parameter`] if the configuration makes no sense; [`SapnetError::Diverged`] if the loss is not finite.
    pub fn fit(
        slices: &AnnotatedSlices<B>,
        config: &SapNetConfig,
        observer: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Self, SapnetError> {
        let mut learner = Learner::new(slices, config.clone())?;
        learner.run(observer)?;
        learner.finish()
    }

    pub(crate) fn new(
        config: SapNetConfig,
        standardise: Standardise<B>,
        network: Network<B>,
        prototypes: Prototypes<B>,
        expected: [usize; 3],
        losses: Vec<f32>,
    ) -> Self {
        Self { config, standardise, network, prototypes, expected, losses }
    }

    /// Every number it was trained with.
    pub fn config(&self) -> &SapNetConfig {
        &self.config
    }

    /// The loss of each iteration.
    pub fn losses(&self) -> &[f32] {
        &self.losses
    }

    /// The vectors of background and object, `[2, channels]`: the network's channels, then those of the position.
    pub fn prototypes(&self) -> Tensor<B, 2> {
        self.prototypes.vectors().clone()
    }
}

impl<B: Backend> CoarseSegmenter<B> for SapNet<B> {
    fn predict(&self, features: Tensor<B, 4>, size: [usize; 2]) -> Result<Tensor<B, 3>, SapnetError> {
        check_query(&features, self.expected, size)?;
        let [_, height, width] = self.expected;
        let embedded = self.network.forward(self.standardise.forward(features));
        Ok(self.prototypes.predict(&embedded, [height, width], size))
    }
}
