//! Gradient clipping by the common norm, and the gradients of single modules.

use burn::{
    backend::Autodiff,
    module::{AutodiffModule, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{ElementConversion, Tensor, backend::Backend},
};

/// Added to the norm before dividing by it.
///
/// Source: `torch.nn.utils.clip_grad_norm_`.
const NORM_EPSILON: f64 = 1e-6;

/// Scales a module's gradients down by one factor, so that their common norm is at most `max_norm`.
pub(crate) fn clip<B: Backend, M: AutodiffModule<Autodiff<B>>>(
    gradients: GradientsParams,
    module: &M,
    max_norm: f64,
) -> GradientsParams {
    let mut squares = Squares { gradients, sum: 0.0 };
    module.visit(&mut squares);
    let factor = max_norm / (squares.sum.sqrt() + NORM_EPSILON);
    if factor >= 1.0 {
        return squares.gradients;
    }
    take(&mut squares.gradients, module, factor)
}

/// Removes the gradients of a module's parameters and returns them, multiplied by a factor.
pub(crate) fn take<B: Backend, M: AutodiffModule<Autodiff<B>>>(
    gradients: &mut GradientsParams,
    module: &M,
    factor: f64,
) -> GradientsParams {
    let mut scaled = Take { from: gradients, factor, taken: GradientsParams::new() };
    module.visit(&mut scaled);
    scaled.taken
}

/// Sums the squares of all gradients.
struct Squares {
    gradients: GradientsParams,
    sum: f64,
}

impl<B: Backend> ModuleVisitor<Autodiff<B>> for Squares {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<Autodiff<B>, D>>) {
        if let Some(gradient) = self.gradients.get::<B, D>(parameter.id) {
            self.sum += gradient.powi_scalar(2).sum().into_scalar().elem::<f64>();
        }
    }
}

struct Take<'a> {
    from: &'a mut GradientsParams,
    factor: f64,
    taken: GradientsParams,
}

impl<B: Backend> ModuleVisitor<Autodiff<B>> for Take<'_> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<Autodiff<B>, D>>) {
        if let Some(gradient) = self.from.remove::<B, D>(parameter.id) {
            self.taken.register(parameter.id, gradient * self.factor);
        }
    }
}
