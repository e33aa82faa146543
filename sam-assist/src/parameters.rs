//! Reads, fills, draws and marks the trainable parameters of a module, each identified by its path.

use std::collections::{BTreeMap, BTreeSet};

use burn::{
    backend::Autodiff,
    module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId},
    tensor::{DType, Tensor, TensorData, backend::Backend},
};
use rand::{Rng, RngExt};
use sam_core::KeyMismatch;

use crate::{AssistError, ContentError, Trained, checksummed::Tensors, token_branch::Path};

/// Every trainable parameter, in f32.
pub(crate) fn read<B: Backend>(module: &impl Module<Autodiff<B>>) -> Tensors {
    let mut read = Read::default();
    module.visit(&mut read);
    read.found
}

/// Fills the trainable parameters with values.
///
/// # Errors
/// [`AssistError::OtherShape`] if the values are not exactly those parameters, in their shapes. The error names `what` was learned.
pub(crate) fn fill<B: Backend, M: Module<Autodiff<B>>>(
    module: M,
    values: &Tensors,
    what: &str,
) -> Result<M, AssistError> {
    let mismatch = compare(&module, values);
    if !mismatch.is_empty() {
        return Err(AssistError::OtherShape { what: what.to_owned(), mismatch: Box::new(mismatch) });
    }
    Ok(module.map(&mut Fill { values, path: Path::default() }))
}

/// The mean of two sets of values, of which the first counts `weight` times. `None` if they are not values of the same parameters.
pub(crate) fn mean(one: &Tensors, weight: f32, other: &Tensors) -> Option<Tensors> {
    if !one.keys().eq(other.keys()) {
        return None;
    }
    let mean = |((path, one), other): ((&String, &TensorData), &TensorData)| {
        let values = one.as_slice::<f32>().ok()?.iter().zip(other.as_slice::<f32>().ok()?);
        let values = values.map(|(one, other)| one + (other - one) / (weight + 1.0)).collect();
        (one.shape == other.shape).then(|| (path.clone(), TensorData::new(values, other.shape.clone())))
    };
    one.iter().zip(other.values()).map(mean).collect()
}

/// Checks that the values fit what was trained, before memory of that size is allocated.
pub(crate) fn check_size(trained: Trained, members: usize, values: &Tensors) -> Result<(), ContentError> {
    let numbers =
        values.keys().filter_map(|path| path.strip_prefix("members.")?.split_once('.').map(|(number, _)| number));
    let found = numbers.collect::<BTreeSet<_>>().len();
    if found != members {
        return Err(ContentError::Members { found, expected: members });
    }
    let size = |path: &str, axis: usize| values.get(path).and_then(|data| data.shape.get(axis).copied());
    let (name, expected, found) = match trained {
        Trained::PromptEncoder | Trained::TokenBranch | Trained::Decoder => return Ok(()),
        Trained::ExtraTokens { count } => ("number of extra tokens", count, size("members.0.tokens", 0)),
        Trained::LowRank { rank, .. } => ("rank of its adapters", rank, size("members.0.adapters.adapters.0.down", 1)),
    };
    match found {
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(ContentError::Size { name, found, expected }),
        None => Err(ContentError::NoSize { name }),
    }
}

/// Differences between the values and the trainable parameters.
fn compare<B: Backend>(module: &impl Module<Autodiff<B>>, values: &Tensors) -> KeyMismatch {
    let mut unexpected: BTreeMap<_, _> = values.iter().map(|(path, data)| (path, data.shape.to_vec())).collect();
    let mut shapes = Shapes::default();
    module.visit(&mut shapes);
    let mut mismatch = KeyMismatch::default();
    for (path, needed) in shapes.found {
        match unexpected.remove(&path) {
            None => mismatch.missing.push((path, needed, None)),
            Some(found) if found != needed => mismatch.reshaped.push((path, needed, found)),
            Some(_) => {}
        }
    }
    mismatch.unexpected = unexpected.into_iter().map(|(path, shape)| (path.clone(), shape)).collect();
    mismatch
}

/// Draws a parameter uniformly within `spread` of zero. Uses the caller's generator, because burn's is shared by the whole process.
pub(crate) fn uniform<B: Backend>(
    shape: [usize; 2],
    spread: f64,
    rng: &mut impl Rng,
    device: &B::Device,
) -> Param<Tensor<B, 2>> {
    let values: Vec<_> = (0..shape[0] * shape[1]).map(|_| rng.random_range(-spread..=spread) as f32).collect();
    Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device)).set_require_grad(false)
}

/// Gives every parameter a new id.
pub(crate) struct Renumber;

impl<B: Backend> ModuleMapper<B> for Renumber {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (_, value, mapper) = parameter.consume();
        Param::from_mapped_value(ParamId::new(), value, mapper)
    }
}

/// Marks every parameter for gradients.
pub(crate) struct RequireGradient;

impl<B: Backend> ModuleMapper<B> for RequireGradient {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        parameter.set_require_grad(true)
    }
}

/// Implements the traversal of a visitor or mapper that keeps its `path`.
macro_rules! keep_path {
    () => {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.enter(name);
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.leave();
        }
    };
}
pub(crate) use keep_path;

#[derive(Default)]
struct Read {
    found: Tensors,
    path: Path,
}

impl<B: Backend> ModuleVisitor<Autodiff<B>> for Read {
    keep_path!();

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<Autodiff<B>, D>>) {
        if parameter.is_require_grad() {
            let data: TensorData = parameter.val().inner().into_data();
            self.found.insert(self.path.name(), data.convert_dtype(DType::F32));
        }
    }
}

#[derive(Default)]
struct Shapes {
    found: BTreeMap<String, Vec<usize>>,
    path: Path,
}

impl<B: Backend> ModuleVisitor<Autodiff<B>> for Shapes {
    keep_path!();

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<Autodiff<B>, D>>) {
        if parameter.is_require_grad() {
            self.found.insert(self.path.name(), parameter.dims().to_vec());
        }
    }
}

struct Fill<'a> {
    values: &'a Tensors,
    path: Path,
}

impl<B: Backend> ModuleMapper<Autodiff<B>> for Fill<'_> {
    keep_path!();

    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<Autodiff<B>, D>>) -> Param<Tensor<Autodiff<B>, D>> {
        match self.values.get(&self.path.name()).filter(|_| parameter.is_require_grad()) {
            Some(data) => parameter.map(|old| Tensor::from_data(data.clone(), &old.device()).require_grad()),
            None => parameter,
        }
    }
}
