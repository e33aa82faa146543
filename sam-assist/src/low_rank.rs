//! Low-rank adapters (`LoRA`) of the decoder's token branch.

use std::slice;

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Shape, Tensor, backend::Backend},
};
use rand::Rng;
use sam_core::MaskDecoder;

use crate::{parameters::uniform, token_branch::Path};

/// The adapted layers: the projections of the attentions, and the perceptrons, where they work on tokens.
///
/// Source: Hu et al. 2021, "Low-Rank Adaptation of Large Language Models", section 4, which adapts queries and values only.
const ADAPTED: [&str; 6] = ["q_proj", "k_proj", "v_proj", "out_proj", "lin1", "lin2"];

/// One adapter for each adapted projection of a decoder: `W + scale * down up` replaces its weight `W`.
#[derive(Module, Debug)]
pub struct LowRankAdapters<B: Backend> {
    /// Adapters in the order of the decoder's projections.
    adapters: Vec<LowRankAdapter<B>>,
    scale: f64,
}

/// A low-rank change of one projection.
#[derive(Module, Debug)]
struct LowRankAdapter<B: Backend> {
    /// `[input, rank]`; random at the start.
    down: Param<Tensor<B, 2>>,
    /// `[rank, output]`; zero at the start, so that learning starts from the original model.
    up: Param<Tensor<B, 2>>,
}

impl<B: Backend> LowRankAdapters<B> {
    /// Adapters that change nothing yet.
    pub(crate) fn start(
        decoder: &MaskDecoder<B>,
        rank: usize,
        scale: f64,
        spread: f64,
        rng: &mut impl Rng,
        device: &B::Device,
    ) -> Self {
        let mut shapes = Shapes::default();
        decoder.visit(&mut shapes);
        let adapter = |[input, output]: [usize; 2]| LowRankAdapter {
            down: uniform([input, rank], spread, rng, device),
            up: Param::from_tensor(Tensor::zeros([rank, output], device)).set_require_grad(false),
        };
        Self { adapters: shapes.found.into_iter().map(adapter).collect(), scale }
    }

    /// Scale of the change.
    pub(crate) fn scale(&self) -> f64 {
        self.scale
    }

    /// Returns the decoder with the adapters added to its weights. On an autodiff backend, gradients reach the adapters.
    pub(crate) fn merge(&self, decoder: MaskDecoder<B>) -> MaskDecoder<B> {
        let changes = self.adapters.iter();
        decoder.map(&mut Merge { adapters: changes, scale: self.scale, path: Path::default() })
    }
}

/// Whether a path leads to the weight of an adapted projection.
fn is_adapted(path: &Path) -> bool {
    let projection = |(layer, field)| field == "weight" && ADAPTED.contains(&layer);
    path.is_token_branch() && path.layer_and_field().is_some_and(projection)
}

/// Collects the shapes of the adapted weights, `[input, output]` each.
#[derive(Default)]
struct Shapes {
    found: Vec<[usize; 2]>,
    path: Path,
}

impl<B: Backend> ModuleVisitor<B> for Shapes {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.leave();
    }

    fn visit_float<const D: usize>(&mut self, weight: &Param<Tensor<B, D>>) {
        if let (true, &[input, output]) = (is_adapted(&self.path), &weight.dims()[..]) {
            self.found.push([input, output]);
        }
    }
}

/// Adds the adapters to the weights that they belong to.
struct Merge<'a, B: Backend> {
    adapters: slice::Iter<'a, LowRankAdapter<B>>,
    scale: f64,
    path: Path,
}

impl<B: Backend> ModuleMapper<B> for Merge<'_, B> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.leave();
    }

    fn map_float<const D: usize>(&mut self, weight: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        if !is_adapted(&self.path) {
            return weight;
        }
        let Some(LowRankAdapter { down, up }) = self.adapters.next() else { return weight };
        let change = down.val().matmul(up.val()) * self.scale;
        let (id, weight) = (weight.id, weight.into_value());
        let shape = weight.shape();
        // The sum is not a leaf of the autodiff graph: it passes gradients on and stores none.
        Param::initialized(id, weight + change.reshape::<D, Shape>(shape))
    }
}
