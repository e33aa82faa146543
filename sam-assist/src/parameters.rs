//! The parameters that learning may change, by their paths: read out of an adaptation, and put into another.

use std::collections::{BTreeMap, BTreeSet};

use burn::{
    backend::Autodiff,
    module::{AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{DType, Tensor, TensorData, backend::Backend},
};
use sam_core::{KeyMismatch, SamPredictor};

use crate::{Adaptation, AssistError, Trained, sealed::Tensors, token_side::Path};

/// Every parameter that is marked for gradients, in f32.
pub(crate) fn read<B: Backend>(adaptation: &Adaptation<Autodiff<B>>) -> Tensors {
    let mut read = Read::default();
    adaptation.visit(&mut read);
    read.found
}

/// Puts values into the parameters that are marked for gradients.
///
/// # Errors
/// [`AssistError::OtherShape`] if they are not exactly those, in their shapes; `what` was learned.
pub(crate) fn fill<B: Backend>(
    adaptation: Adaptation<Autodiff<B>>,
    values: &Tensors,
    what: &str,
) -> Result<Adaptation<Autodiff<B>>, AssistError> {
    let mismatch = compare(&adaptation, values);
    if !mismatch.is_empty() {
        return Err(AssistError::OtherShape { what: what.to_owned(), mismatch: Box::new(mismatch) });
    }
    Ok(adaptation.map(&mut Fill { values, path: Path::default() }))
}

/// Whether values can be those of what learns: told before anything of that size is made.
pub(crate) fn check_size(trained: Trained, members: usize, values: &Tensors) -> Result<(), String> {
    let numbers =
        values.keys().filter_map(|path| path.strip_prefix("members.")?.split_once('.').map(|(number, _)| number));
    let found = numbers.collect::<BTreeSet<_>>().len();
    if found != members {
        return Err(format!("its members: {found}, where its learning says {members}"));
    }
    let size = |path: &str, axis: usize| values.get(path).and_then(|data| data.shape.get(axis).copied());
    let (name, expected, found) = match trained {
        Trained::PromptEncoder | Trained::TokenSide | Trained::Decoder => return Ok(()),
        Trained::ExtraTokens { count } => ("extra tokens", count, size("members.0.tokens", 0)),
        Trained::LowRank { rank, .. } => ("adapters' rank", rank, size("members.0.adapters.adapters.0.down", 1)),
    };
    match found {
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(format!("its {name}: {found}, where its learning says {expected}")),
        None => Err(format!("its {name} are missing")),
    }
}

/// A model's own parts as learning starts from them, to be filled with what was learned.
pub(crate) fn unlearned<B: Backend>(
    predictor: &SamPredictor<B>,
    trained: Trained,
    members: usize,
) -> Adaptation<Autodiff<B>> {
    Adaptation::from_inner(Adaptation::empty(predictor, trained, members)).trainable(trained)
}

/// How values differ from the parameters that are marked for gradients.
fn compare<B: Backend>(adaptation: &Adaptation<Autodiff<B>>, values: &Tensors) -> KeyMismatch {
    let mut unexpected: BTreeMap<_, _> = values.iter().map(|(path, data)| (path, data.shape.to_vec())).collect();
    let mut shapes = Shapes::default();
    adaptation.visit(&mut shapes);
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

/// Implements the walk of a visitor or mapper that keeps its `path`.
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
