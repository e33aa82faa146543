//! The mask decoder in training. Results that do not change from step to step are computed once.

use burn::{
    backend::Autodiff,
    module::{AutodiffModule, Module},
    tensor::{Tensor, backend::Backend},
};
use sam_core::{MaskDecoder, MaskLogits, MaskOutput, ProjectedImage, SamPredictor};
use sam_prompt::{PromptBatch, PromptEmbeddings};

use crate::{AssistError, FrozenDecoder, Member, Trained, slice::TrainingSlice};

/// The images of the training slices, and their decoder.
#[derive(Debug)]
pub(crate) enum Decoding<B: Backend> {
    /// The decoder is frozen or changes in its token branch only, so each image is projected once.
    Projected { decoder: Box<FrozenDecoder<B>>, images: Images<ProjectedImage<B>> },
    /// The decoder's image branch changes with every step, so images are projected in each step.
    Changing {
        original: Box<MaskDecoder<Autodiff<B>>>,
        /// The position encoding: `[1, channels, h, w]`.
        positions: Tensor<Autodiff<B>, 4>,
        /// `[1, channels, h, w]` each.
        images: Images<Tensor<B, 4>>,
    },
}

impl<B: Backend> Decoding<B> {
    /// Prepares a model's decoder and projects the slices.
    pub(crate) fn new(predictor: &SamPredictor<B>, slices: &[TrainingSlice<B>], trained: Trained) -> Self {
        let sam = predictor.sam();
        let features = slices.iter().map(|slice| slice.embedding().features().clone());
        if trained.changes_image_side() {
            return Self::Changing {
                original: Box::new(MaskDecoder::from_inner(sam.mask_decoder.clone()).no_grad()),
                positions: Tensor::from_inner(sam.prompt_encoder.dense_pe()),
                images: Images::new(features.collect()),
            };
        }
        let decoder = FrozenDecoder::new(sam);
        let images = Images::new(features.map(|features| decoder.project(features)).collect());
        Self::Projected { decoder: Box::new(decoder), images }
    }

    /// Decodes one mask for each prompt, differentiable with respect to the trained parameters.
    ///
    /// # Shapes
    /// - drawn: the slice of each prompt; output: see [`MaskDecoder::forward`]
    pub(crate) fn forward(
        &mut self,
        member: &Member<Autodiff<B>>,
        drawn: &[usize],
        prompts: &PromptBatch<Autodiff<B>>,
    ) -> Result<MaskLogits<Autodiff<B>>, AssistError> {
        let embedded = embed(member, prompts)?;
        Ok(match self {
            Self::Projected { decoder: frozen, images } => {
                let images = images.of(drawn, |images| ProjectedImage::cat(images));
                frozen.decode_with(&member.decoder(frozen.decoder()), images, embedded)
            }
            Self::Changing { original, positions, images } => {
                let images = images.of(drawn, |images| Tensor::cat(images.iter().map(|&one| one.clone()).collect(), 0));
                let decoder = member.decoder(original);
                decoder.forward(Tensor::from_inner(images), positions.clone(), embedded, MaskOutput::Single)
            }
        })
    }
}

/// Embeds prompts with the learned prompt encoder and appends the learned tokens.
fn embed<B: Backend>(member: &Member<B>, prompts: &PromptBatch<B>) -> Result<PromptEmbeddings<B>, AssistError> {
    let embedded = member.prompt_encoder.forward(prompts)?;
    Ok(match &member.tokens {
        Some(tokens) => embedded.with_tokens(tokens.val()),
        None => embedded,
    })
}

/// One image per slice, and the batch of the last step. With few slices, the same batch is often drawn again.
#[derive(Debug)]
pub(crate) struct Images<T> {
    each: Vec<T>,
    last: Option<(Vec<usize>, T)>,
}

impl<T: Clone> Images<T> {
    fn new(each: Vec<T>) -> Self {
        Self { each, last: None }
    }

    /// The batch of the drawn slices.
    fn of(&mut self, drawn: &[usize], join: impl FnOnce(&[&T]) -> T) -> T {
        if let Some((_, joined)) = self.last.as_ref().filter(|(last, _)| last == drawn) {
            return joined.clone();
        }
        // Dropped before the next batch is allocated, so that one batch is in memory at a time.
        self.last = None;
        let joined = join(&drawn.iter().map(|&slice| &self.each[slice]).collect::<Vec<_>>());
        self.last = Some((drawn.to_vec(), joined.clone()));
        joined
    }
}
