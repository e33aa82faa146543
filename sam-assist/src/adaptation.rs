//! What learning changes of a SAM, and how it is put into one.

use burn::{
    module::{Module, ModuleMapper, Param, ParamId},
    tensor::{Tensor, TensorData, backend::Backend},
};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sam_core::{MaskDecoder, SamPredictor};
use sam_prompt::PromptEncoder;

use crate::{Trained, low_rank::LowRankAdapters, token_side::track_token_side};

/// What learning changes of a SAM, once or several times over.
///
/// Everything else stays with the model that it was learned on, so that one model and one embedding of an image serve many of these.
#[derive(Module, Debug)]
pub struct Adaptation<B: Backend> {
    /// Learned from prompts of their own, and asked together: see [`AssistConfig::members`](crate::AssistConfig::members). One at least.
    pub members: Vec<Member<B>>,
}

/// What learning changes of one SAM: always the prompt encoder, and what [`Trained`] names beside it.
#[derive(Module, Debug)]
pub struct Member<B: Backend> {
    /// Learned in place of the model's own, whose fixed position frequencies it keeps.
    pub prompt_encoder: PromptEncoder<B>,
    /// Put behind the tokens of every prompt: `[tokens, embed_dim]`.
    pub tokens: Option<Param<Tensor<B, 2>>>,
    /// Tuned, in place of the model's own.
    pub mask_decoder: Option<MaskDecoder<B>>,
    /// Added to the decoder's weights.
    pub adapters: Option<LowRankAdapters<B>>,
}

impl<B: Backend> Adaptation<B> {
    /// Where learning starts: so many times the model's own parts, shared, and what is new drawn within `spread` of zero.
    pub(crate) fn start(
        predictor: &SamPredictor<B>,
        trained: Trained,
        members: usize,
        spread: f64,
        rng: &mut impl Rng,
    ) -> Self {
        let member = |index| {
            let member = Member::start(predictor, trained, spread, rng);
            // Optimisers know parameters by their numbers, and those of the model are the same in all.
            if index == 0 { member } else { member.map(&mut Renumber) }
        };
        Self { members: (0..members).map(member).collect() }
    }

    /// The same parts as [`Adaptation::start`] makes, to be filled: what is new is drawn from nothing.
    pub(crate) fn empty(predictor: &SamPredictor<B>, trained: Trained, members: usize) -> Self {
        Self::start(predictor, trained, members, 0.0, &mut ChaCha8Rng::seed_from_u64(0))
    }

    /// Whether it consists of so many of what `trained` names.
    pub(crate) fn is_of(&self, trained: Trained, members: usize) -> bool {
        self.members.len() == members && self.members.iter().all(|member| member.is_of(trained))
    }

    /// The model with all that was learned. Adapters are merged into the weights, so that one member is as fast as the model was
    /// before; several take as much longer.
    ///
    /// # Panics
    /// If it was learned on a model of another shape, or has no member.
    #[must_use]
    pub fn apply(&self, predictor: &SamPredictor<B>) -> SamPredictor<B> {
        let mut applied = self.members.iter().map(|member| member.apply(predictor));
        let first = applied.next().expect("an adaptation has a member");
        first.with_peers(applied.collect())
    }

    /// With every parameter that learning may change marked for gradients: needed on a backend that has just begun to track them.
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
            Trained::TokenSide | Trained::Decoder => member.mask_decoder = Some(sam.mask_decoder.clone()),
            Trained::LowRank { rank, scale } => {
                member.adapters = Some(LowRankAdapters::start(&sam.mask_decoder, rank, scale, spread, rng, &device));
            }
        }
        member
    }

    /// Whether it consists of what `trained` names.
    fn is_of(&self, trained: Trained) -> bool {
        let tokens = self.tokens.as_ref().map(|tokens| tokens.dims()[0]);
        let scale = self.adapters.as_ref().map(LowRankAdapters::scale);
        let expected = match trained {
            Trained::PromptEncoder => (None, false, None),
            Trained::ExtraTokens { count } => (Some(count), false, None),
            Trained::TokenSide | Trained::Decoder => (None, true, None),
            Trained::LowRank { scale, .. } => (None, false, Some(scale)),
        };
        (tokens, self.mask_decoder.is_some(), scale) == expected
    }

    fn apply(&self, predictor: &SamPredictor<B>) -> SamPredictor<B> {
        let (prompt_encoder, decoder) = (self.prompt_encoder.clone(), self.decoder(&predictor.sam().mask_decoder));
        let adapted = match self.mask_decoder {
            Some(_) => predictor.with_prompt_encoder(prompt_encoder).with_mask_decoder(decoder),
            // What is not tuned, or adapted on its token side alone, projects positions as the model does.
            None => predictor.with_token_side(prompt_encoder, decoder),
        };
        match &self.tokens {
            Some(tokens) => adapted.with_tokens(tokens.val()),
            None => adapted,
        }
    }

    /// Whether the decoder's weights differ from the model's.
    pub(crate) fn changes_decoder(&self) -> bool {
        self.mask_decoder.is_some() || self.adapters.is_some()
    }

    /// The decoder as learned, from the model's own.
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
            _ => track_token_side(decoder),
        };
        Self {
            prompt_encoder: self.prompt_encoder.trainable(),
            tokens: self.tokens.map(|tokens| tokens.set_require_grad(true)),
            mask_decoder: self.mask_decoder.map(track),
            adapters: self.adapters.map(|adapters| adapters.map(&mut RequireGradient)),
        }
    }
}

/// A parameter drawn uniformly within `spread` of zero, from our own generator: burn's is shared by the whole process.
pub(crate) fn uniform<B: Backend>(
    shape: [usize; 2],
    spread: f64,
    rng: &mut impl Rng,
    device: &B::Device,
) -> Param<Tensor<B, 2>> {
    let values: Vec<_> = (0..shape[0] * shape[1]).map(|_| rng.random_range(-spread..=spread) as f32).collect();
    Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device)).set_require_grad(false)
}

/// Gives every parameter a number of its own.
struct Renumber;

impl<B: Backend> ModuleMapper<B> for Renumber {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (_, value, mapper) = parameter.consume();
        Param::from_mapped_value(ParamId::new(), value, mapper)
    }
}

/// Marks every parameter for gradients.
struct RequireGradient;

impl<B: Backend> ModuleMapper<B> for RequireGradient {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        parameter.set_require_grad(true)
    }
}
