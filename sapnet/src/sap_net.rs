//! The fitted SAP-Net.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use sam_prompt::progress::{Observer, StopReason};

use crate::network::{Network, Standardise};
use crate::segmenter::{Prototypes, check_query};
use crate::trainer::stop_reason;
use crate::{AnnotatedFeatures, CoarseSegmenter, SapNetConfig, SapNetTrainer, SapnetError};

/// The spatial-aware prototypical network (SAP-Net): a small network trained on the annotated slices of one case, and the prototypes of
/// these slices.
///
/// Use it for slices of that case only: features and positions of other cases differ.
///
/// # Source
/// Paper, Eq. 3 to 7 (section 3.2.2).
#[derive(Debug, Clone)]
pub struct SapNet<B: Backend> {
    pub(crate) config: SapNetConfig,
    pub(crate) standardise: Standardise<B>,
    pub(crate) network: Network<B>,
    pub(crate) prototypes: Prototypes<B>,
    pub(crate) expected: [usize; 3],
    pub(crate) losses: Vec<f32>,
}

impl<B: Backend> SapNet<B> {
    /// Trains on annotated slices: a [`SapNetTrainer`] from its first iteration to its last.
    ///
    /// Waits until no other training of this process runs, see [`sam_threads`]. The observer is called after each iteration, with
    /// [`Stage::Fit`](sam_prompt::progress::Stage::Fit) and the iteration's loss.
    /// If it stops the training, the result is the network as trained so far, and its [`SapNet::stop_reason`] is
    /// [`StopReason::Stopped`]. Such a network can segment; whether it is good enough is the caller's decision. The same seed gives
    /// the same result.
    ///
    /// # Errors
    /// [`SapnetError::Config`] if the configuration is invalid; [`SapnetError::Diverged`] if the loss is not finite.
    pub fn fit(
        slices: &AnnotatedFeatures<B>,
        config: &SapNetConfig,
        observer: &mut Observer<'_>,
    ) -> Result<Self, SapnetError> {
        let mut trainer = SapNetTrainer::new(slices, config.clone())?;
        trainer.run(observer)?;
        trainer.finish()
    }

    /// The configuration of the training.
    pub fn config(&self) -> &SapNetConfig {
        &self.config
    }

    /// The loss of each iteration.
    pub fn losses(&self) -> &[f32] {
        &self.losses
    }

    /// Why training ended: all iterations were done, or the observer stopped it.
    pub fn stop_reason(&self) -> StopReason {
        stop_reason(&self.losses, &self.config)
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
        self.prototypes.predict(&embedded, [height, width], size)
    }

    fn predict_with_shares(
        &self,
        features: Tensor<B, 4>,
        size: [usize; 2],
        shares: &[f32],
    ) -> Result<Tensor<B, 3>, SapnetError> {
        Self { prototypes: self.prototypes.with_shares(shares)?, ..self.clone() }.predict(features, size)
    }
}
