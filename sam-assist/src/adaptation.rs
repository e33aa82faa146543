//! Learned parameters of a SAM, and how they are applied to a model.

use burn::{
    backend::Autodiff,
    module::{AutodiffModule, Module, Param},
    tensor::{Tensor, backend::Backend},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sam_core::{MaskDecoder, SamPredictor};
use sam_prompt::PromptEncoder;

use crate::{
    Trained,
    low_rank::LowRankAdapters,
    parameters::{Renumber, RequireGradient, uniform},
    token_branch::track_token_branch,
};

/// Learned parameters of a SAM: an ensemble of one or more members.
///
/// All other weights stay in the original model, so one model and one embedding of an image serve many adaptations.
#[derive(Module, Debug)]
pub struct Adaptation<B: Backend> {
    /// Ensemble members, at least one. See [`AssistConfig::members`](crate::AssistConfig::members).
    pub members: Vec<Member<B>>,
}

/// One ensemble member: a prompt encoder, and the parts that [`Trained`] adds to it.
#[derive(Module, Debug)]
pub struct Member<B: Backend> {
    /// Replaces the model's prompt encoder. It keeps the fixed position frequencies.
    pub prompt_encoder: PromptEncoder<B>,
    /// Appended to the tokens of every prompt: `[tokens, embed_dim]`.
    pub tokens: Option<Param<Tensor<B, 2>>>,
    /// Replaces the model's mask decoder.
    pub mask_decoder: Option<MaskDecoder<B>>,
    /// Low-rank changes that are added to the decoder's weights.
    pub adapters: Option<LowRankAdapters<B>>,
}

impl<B: Backend> Adaptation<B> {
    /// The adaptation before the first step. Each member shares the model's own parts; new parameters are drawn within `spread` of zero.
    pub(crate) fn start(
        predictor: &SamPredictor<B>,
        trained: Trained,
        members: usize,
        spread: f64,
        rng: &mut impl Rng,
    ) -> Self {
        let member = |index| {
            let member = Member::start(predictor, trained, spread, rng);
            // Optimisers identify parameters by their ids, and shared parts have the model's ids in every member.
            if index == 0 { member } else { member.map(&mut Renumber) }
        };
        Self { members: (0..members).map(member).collect() }
    }

    /// An adaptation of the right shape, to be filled with learned values. Its new parameters are zero.
    pub(crate) fn untrained(predictor: &SamPredictor<B>, trained: Trained, members: usize) -> Adaptation<Autodiff<B>> {
        let zeros = Self::start(predictor, trained, members, 0.0, &mut ChaCha8Rng::seed_from_u64(0));
        Adaptation::from_inner(zeros).trainable(trained)
    }

    /// Whether it has this many members, each with the parts that `trained` names.
    pub(crate) fn is_of(&self, trained: Trained, members: usize) -> bool {
        self.members.len() == members && self.members.iter().all(|member| member.is_of(trained))
    }

    /// Returns the model with the learned parameters. Adapters are merged into the weights, so one member is as fast as the original model.
    /// The time of an ensemble is proportional to its number of members.
    ///
    /// # Panics
    /// If it was learned on a model of another shape, or has no members.
    #[must_use]
    #[expect(clippy::expect_used, reason = "an adaptation has at least one member by construction")]
    pub fn apply(&self, predictor: &SamPredictor<B>) -> SamPredictor<B> {
        let mut applied = self.members.iter().map(|member| member.apply(predictor));
        let first = applied.next().expect("an adaptation has a member");
        first.with_ensemble(applied.collect())
    }

    /// Marks every parameter that `trained` names for gradients. Needed after a module was moved to an autodiff backend.
    pub(crate) fn trainable(self, trained: Trained) -> Self {
        Self { members: self.members.into_iter().map(|member| member.trainable(trained)).collect() }
    }
}

impl<B: Backend> Member<B> {
    fn start(predictor: &SamPredictor<B>, trained: Trained, spread: f64, rng: &mut impl Rng) -> Self {
        let (sam, device) = (predictor.sam(), predictor.device());
        let prompt_encoder = sam.prompt_encoder.clone();
        let mut member = Self { prompt_encoder, tokens: None, mask_decoder: None, adapters: None };
        match trained {
            Trained::PromptEncoder => {}
            Trained::ExtraTokens { count } => {
                let shape = [count, member.prompt_encoder.embed_dim()];
                member.tokens = Some(uniform(shape, spread, rng, &device));
            }
            Trained::TokenBranch | Trained::Decoder => member.mask_decoder = Some(sam.mask_decoder.clone()),
            Trained::LowRank { rank, scale } => {
                member.adapters = Some(LowRankAdapters::start(&sam.mask_decoder, rank, scale, spread, rng, &device));
            }
        }
        member
    }

    /// Whether it has the parts that `trained` names.
    fn is_of(&self, trained: Trained) -> bool {
        let tokens = self.tokens.as_ref().map(|tokens| tokens.dims()[0]);
        let scale = self.adapters.as_ref().map(LowRankAdapters::scale);
        let expected = match trained {
            Trained::PromptEncoder => (None, false, None),
            Trained::ExtraTokens { count } => (Some(count), false, None),
            Trained::TokenBranch | Trained::Decoder => (None, true, None),
            Trained::LowRank { scale, .. } => (None, false, Some(scale)),
        };
        (tokens, self.mask_decoder.is_some(), scale) == expected
    }

    #[expect(clippy::expect_used, reason = "documented panic: the tokens belong to another prompt encoder")]
    fn apply(&self, predictor: &SamPredictor<B>) -> SamPredictor<B> {
        let (prompt_encoder, decoder) = (self.prompt_encoder.clone(), self.decoder(&predictor.sam().mask_decoder));
        let adapted = match self.mask_decoder {
            Some(_) => predictor.with_prompt_encoder(prompt_encoder).with_mask_decoder(decoder),
            // A decoder that is unchanged, or adapted only in its token branch, projects positions as the original does.
            None => predictor.with_token_branch(prompt_encoder, decoder),
        };
        match &self.tokens {
            // `Adaptation::apply` documents this panic: the tokens are as wide as the prompt encoder that was learned with them.
            Some(tokens) => adapted.with_tokens(tokens.val()).expect("tokens of the prompt encoder's width"),
            None => adapted,
        }
    }

    /// Whether the decoder's weights differ from the model's.
    pub(crate) fn changes_decoder(&self) -> bool {
        self.mask_decoder.is_some() || self.adapters.is_some()
    }

    /// The learned decoder, made from the original decoder.
    pub(crate) fn decoder(&self, original: &MaskDecoder<B>) -> MaskDecoder<B> {
        let decoder = self.mask_decoder.as_ref().unwrap_or(original).clone();
        match &self.adapters {
            Some(adapters) => adapters.merge(decoder),
            None => decoder,
        }
    }

    fn trainable(self, trained: Trained) -> Self {
        let track = |decoder: MaskDecoder<B>| match trained {
            Trained::Decoder => decoder.map(&mut RequireGradient),
            _ => track_token_branch(decoder),
        };
        Self {
            prompt_encoder: self.prompt_encoder.trainable(),
            tokens: self.tokens.map(|tokens| tokens.set_require_grad(true)),
            mask_decoder: self.mask_decoder.map(track),
            adapters: self.adapters.map(|adapters| adapters.map(&mut RequireGradient)),
        }
    }
}
