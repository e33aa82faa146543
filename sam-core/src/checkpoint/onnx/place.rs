//! Gives the weights of an ONNX graph their official names.
//!
//! PyTorch's exporter keeps the names of some parameters. It folds others into constants without a name: transposed matrices, batch norms
//! within convolutions, and norms over channels. Their names follow from the module path in the name of the node that reads them, such as
//! `/layers.1/blocks.0/mlp/fc1/MatMul`.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use super::{
    OnnxError, OnnxFile,
    proto::{Graph, Node, Tensor},
    values::Values,
};
use crate::checkpoint::names;

/// Epsilon of TinyViT's batch norms: PyTorch's default.
const EPSILON: f32 = 1e-5;

/// Weights by their official names.
pub(super) type State = BTreeMap<String, Values>;

/// Reads all weights of a graph.
pub(super) fn place(graph: &Graph, file: OnnxFile, state: &mut State) -> Result<(), OnnxError> {
    let initializers = graph.initializers.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let mut placing = Placing { file, initializers, placed: BTreeSet::new(), state };
    for tensor in graph.initializers.iter().filter(|tensor| !is_unnamed(&tensor.name)) {
        placing.named(tensor)?;
    }
    for node in &graph.nodes {
        placing.node(node)?;
    }
    let mut left = graph.initializers.iter().filter(|tensor| tensor.data_type == Tensor::FLOAT);
    match left.find(|tensor| !placing.placed.contains(tensor.name.as_str())) {
        Some(tensor) => Err(OnnxError::Unplaced { file, tensor: tensor.name.clone(), shape: tensor.dims.clone() }),
        None => Ok(()),
    }
}

/// Whether the exporter made a name up, such as `onnx::MatMul_2385`.
fn is_unnamed(name: &str) -> bool {
    name.contains("::")
}

/// The module that a node belongs to: `/patch_embed/seq/seq.0/c/Conv` is of `patch_embed.seq.0.c`.
fn module(node: &str) -> String {
    let parts: Vec<&str> = node.trim_start_matches('/').split('/').collect();
    let within = &parts[..parts.len() - 1];
    // A numbered child repeats the name of its container.
    let repeats = |part: &str, next: Option<&&str>| {
        next.and_then(|next| next.strip_prefix(part)).is_some_and(|rest| rest.starts_with('.'))
    };
    let kept = within.iter().enumerate().filter(|&(index, part)| !repeats(part, within.get(index + 1)));
    kept.map(|(_, part)| *part).collect::<Vec<_>>().join(".")
}

struct Placing<'a> {
    file: OnnxFile,
    initializers: BTreeMap<&'a str, &'a Tensor>,
    /// Names in the file of the weights that have got their official names.
    placed: BTreeSet<&'a str>,
    state: &'a mut State,
}

impl<'a> Placing<'a> {
    /// A parameter that has kept its name.
    fn named(&mut self, tensor: &'a Tensor) -> Result<(), OnnxError> {
        let name = match self.file {
            OnnxFile::ImageEncoder => format!("image_encoder.{}", tensor.name),
            OnnxFile::Decoder => match names::official(&tensor.name) {
                Some(name) => name.to_owned(),
                None => return Ok(()),
            },
        };
        let values = self.take(tensor)?;
        self.insert(name, values)
    }

    /// The constants of a node.
    fn node(&mut self, node: &Node) -> Result<(), OnnxError> {
        let module = self.official(&module(&node.name));
        match (node.operator.as_str(), module) {
            ("Constant", Some(module)) if module.split('.').next_back() == Some("attn") => {
                self.attention_biases(&module, node)
            }
            ("Conv", Some(module)) => self.convolution(&module, node),
            ("MatMul", Some(module)) => self.one(format!("{module}.weight"), node, "a matrix", Values::transposed),
            ("Mul", Some(module)) => self.one(format!("{module}.weight"), node, "a vector", |all| all.without(0, 2)),
            ("Add", Some(module)) => self.one(format!("{module}.bias"), node, "a vector", |all| all.without(0, 2)),
            // Parameters of the prompt encoder and of the decoder that belong to no module of their own.
            ("Mul", None) if self.file == OnnxFile::Decoder => {
                let name = "prompt_encoder.no_mask_embed.weight".to_owned();
                self.one(name, node, "a row", |all| all.without(0, 2))
            }
            ("Expand", None) if self.file == OnnxFile::Decoder => self.tokens(node),
            _ => Ok(()),
        }
    }

    /// The official name of a module; `None` for the file's whole model.
    fn official(&self, module: &str) -> Option<String> {
        let part = match self.file {
            OnnxFile::ImageEncoder => "image_encoder",
            OnnxFile::Decoder if module.starts_with("mask_downscaling.") => "prompt_encoder",
            OnnxFile::Decoder => "mask_decoder",
        };
        (!module.is_empty()).then(|| format!("{part}.{module}"))
    }

    /// The constants without a name that a node reads, in order.
    fn constants(&self, node: &Node) -> Vec<&'a Tensor> {
        let unnamed = node.inputs.iter().filter(|name| is_unnamed(name));
        unnamed.filter_map(|name| self.initializers.get(name.as_str()).copied()).collect()
    }

    /// A node with one constant.
    fn one(
        &mut self,
        name: String,
        node: &Node,
        expected: &str,
        convert: impl FnOnce(&Values) -> Option<Values>,
    ) -> Result<(), OnnxError> {
        let constants = self.constants(node);
        let [tensor] = constants.as_slice() else { return Ok(()) };
        let values = self.take(tensor)?;
        let values = convert(&values).ok_or_else(|| self.other_shape(tensor, expected))?;
        self.insert(name, values)
    }

    /// A convolution and its bias, with a batch norm folded in if it is TinyViT's.
    fn convolution(&mut self, module: &str, node: &Node) -> Result<(), OnnxError> {
        let constants = self.constants(node);
        let [weight, bias] = constants.as_slice() else { return Ok(()) };
        let (weight, bias) = (self.take(weight)?, self.take(bias)?);
        let Some(unit) = module.strip_suffix(".c") else {
            self.insert(format!("{module}.weight"), weight)?;
            return self.insert(format!("{module}.bias"), bias);
        };
        let channels = bias.values.len();
        self.insert(format!("{module}.weight"), weight)?;
        // A batch norm that only adds: its factor, weight / sqrt(variance + epsilon), is 1.
        self.insert(format!("{unit}.bn.weight"), Values::filled(channels, 1.0))?;
        self.insert(format!("{unit}.bn.bias"), bias)?;
        self.insert(format!("{unit}.bn.running_mean"), Values::filled(channels, 0.0))?;
        self.insert(format!("{unit}.bn.running_var"), Values::filled(channels, 1.0 - EPSILON))
    }

    /// The biases of an attention. The exporter keeps one for each pair of tokens, of which the first row has each offset once.
    fn attention_biases(&mut self, module: &str, node: &Node) -> Result<(), OnnxError> {
        let mut tensors = node.attributes.iter().filter_map(|attribute| attribute.tensor.as_ref());
        let Some(tensor) = tensors.find(|tensor| tensor.dims.len() == 3) else { return Ok(()) };
        let pairs = Values::of(tensor, self.file)?;
        let (heads, tokens) = (pairs.shape[0], pairs.shape[1]);
        let side = tokens.isqrt();
        let offset = |a: usize, b: usize| (a / side).abs_diff(b / side) * side + (a % side).abs_diff(b % side);
        let fits = pairs.shape == [heads, tokens, tokens] && tokens > 0 && side * side == tokens;
        let holds = |of_head: &[f32]| {
            let bits = |place: usize| of_head[place].to_bits();
            (0..tokens).all(|a| (0..tokens).all(|b| bits(a * tokens + b) == bits(offset(a, b))))
        };
        if !fits || !pairs.values.chunks(tokens * tokens).all(holds) {
            let found = format!("other values, of shape {:?}", pairs.shape);
            return Err(OnnxError::tensor(self.file, &node.name, "a bias for each offset of two tokens", found));
        }
        let first_rows = pairs.values.chunks(tokens * tokens).flat_map(|of_head| of_head[..tokens].iter().copied());
        let biases = Values { shape: vec![heads, tokens], values: first_rows.collect() };
        self.insert(format!("{module}.attention_biases"), biases)
    }

    /// The decoder's tokens: that of the predicted IoU, then those of the masks.
    fn tokens(&mut self, node: &Node) -> Result<(), OnnxError> {
        let constants = self.constants(node);
        let [tensor] = constants.as_slice() else { return Ok(()) };
        let parts = self.take(tensor)?.without(1, 0).and_then(|tokens| tokens.split_rows(1));
        let [iou, masks] = parts.ok_or_else(|| self.other_shape(tensor, "the IoU token and the mask tokens"))?;
        self.insert("mask_decoder.iou_token.weight".to_owned(), iou)?;
        self.insert("mask_decoder.mask_tokens.weight".to_owned(), masks)
    }

    /// Reads a tensor and notes that it is placed.
    fn take(&mut self, tensor: &'a Tensor) -> Result<Values, OnnxError> {
        self.placed.insert(&tensor.name);
        Values::of(tensor, self.file)
    }

    fn insert(&mut self, name: String, values: Values) -> Result<(), OnnxError> {
        match self.state.entry(name) {
            Entry::Vacant(free) => drop(free.insert(values)),
            Entry::Occupied(taken) if *taken.get() == values => {}
            Entry::Occupied(taken) => {
                return Err(OnnxError::Twice { file: self.file, tensor: taken.key().clone() });
            }
        }
        Ok(())
    }

    fn other_shape(&self, tensor: &Tensor, expected: &str) -> OnnxError {
        OnnxError::tensor(self.file, &tensor.name, expected, format!("the shape {:?}", tensor.dims))
    }
}

#[cfg(test)]
mod tests {
    use super::module;

    #[test]
    fn modules_have_the_names_of_their_parameters() {
        for (node, expected) in [
            ("/patch_embed/seq/seq.0/c/Conv", "patch_embed.seq.0.c"),
            ("/layers.0/blocks.0/conv1/c/Conv", "layers.0.blocks.0.conv1.c"),
            ("/neck/neck.1/Mul", "neck.1"),
            ("/transformer/layers.0/self_attn/q_proj/MatMul", "transformer.layers.0.self_attn.q_proj"),
            ("/Mul_9", ""),
            ("Constant_611", ""),
            ("", ""),
        ] {
            assert_eq!(module(node), expected);
        }
    }
}
