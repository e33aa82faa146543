//! A small SAM, exported to ONNX as PyTorch does it, is read back.

use std::collections::BTreeMap;

use burn_flex::{Flex, FlexDevice};

use super::{
    proto::{Attribute, Graph, Model, Node, Tensor},
    values::Values,
    *,
};
use crate::{Checkpoint, SamConfig, TinyVitConfig, checkpoint::needed};

const VARIANCE: f32 = 1.0 - 1e-5;

/// The weights of a small SAM with TinyViT, with a different value in each place.
fn weights() -> State {
    let mut encoder = TinyVitConfig::mobile_sam().with_embed_dims(vec![8, 8, 16, 16]).with_out_chans(16);
    encoder = encoder.with_depths(vec![1, 1, 2, 1]).with_num_heads(vec![1, 1, 2, 2]);
    let config = SamConfig::tiny_vit(encoder.with_window_sizes(vec![2, 2, 3, 2]));
    let mut value = 0.0;
    let needed = needed(&config.undrawn::<Flex>(&FlexDevice), "");
    let tensor = |(name, (_, shape)): (String, (String, Vec<usize>))| {
        let fixed = match name.rsplit_once(".bn.").map(|(_, of_norm)| of_norm) {
            Some("weight") => Some(1.0),
            Some("running_mean") => Some(0.0),
            Some("running_var") => Some(VARIANCE),
            _ => None,
        };
        let next = || {
            value += 0.25;
            fixed.unwrap_or(value)
        };
        let values = std::iter::repeat_with(next).take(shape.iter().product()).collect();
        (name, Values { shape, values })
    };
    needed.into_iter().map(tensor).collect()
}

/// Writes one graph as PyTorch's exporter does.
#[derive(Default)]
struct Exporter {
    graph: Graph,
}

impl Exporter {
    fn tensor(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        self.graph.initializers.push(tensor(name, shape, values));
        name.to_owned()
    }

    /// A constant whose name the exporter made up.
    fn constant(&mut self, shape: &[usize], values: &[f32]) -> String {
        let name = format!("onnx::Weight_{}", self.graph.initializers.len());
        self.tensor(&name, shape, values)
    }

    fn node(&mut self, operator: &str, module: &str, inputs: Vec<String>) {
        let name = format!("{module}/{operator}");
        self.graph.nodes.push(Node { inputs, name, operator: operator.to_owned(), ..Node::default() });
    }

    /// Writes the parameter `name`, which is called `short` in this file; `path` is the path of its module in node names.
    fn parameter(&mut self, name: &str, short: &str, all: &State) {
        let Values { shape, values } = &all[name];
        let (module, last) = short.rsplit_once('.').expect("a module");
        let path = path(module.trim_start_matches("mask_decoder.").trim_start_matches("prompt_encoder."));
        let over_channels = ["neck.1", "neck.3", "mask_downscaling.1", "mask_downscaling.4", "output_upscaling.1"];
        if name.contains(".bn.") || name == "mask_decoder.mask_tokens.weight" {
        } else if let Some(unit) = name.strip_suffix(".c.weight") {
            let bias = &all[&format!("{unit}.bn.bias")];
            let inputs = vec!["x".into(), self.constant(shape, values), self.constant(&bias.shape, &bias.values)];
            self.node("Conv", &path, inputs);
        } else if last == "attention_biases" {
            self.biases(&path, shape, values);
        } else if name == "prompt_encoder.no_mask_embed.weight" {
            let constant = self.constant(&[1, shape[1], 1, 1], values);
            self.node("Mul", "", vec!["x".into(), constant]);
        } else if name == "mask_decoder.iou_token.weight" {
            let masks = &all["mask_decoder.mask_tokens.weight"];
            let constant = self.constant(&[1, 1 + masks.shape[0], shape[1]], &[&values[..], &masks.values].concat());
            self.node("Expand", "", vec![constant, "shape".into()]);
        } else if over_channels.iter().any(|norm| module.ends_with(norm)) {
            let constant = self.constant(&[shape[0], 1, 1], values);
            self.node(if last == "weight" { "Mul" } else { "Add" }, &path, vec![constant, "x".into()]);
        } else if shape.len() == 2 && last == "weight" && ["attn", "mlp", "proj"].iter().any(|part| path.contains(part))
        {
            let matrix = all[name].transposed().expect("a matrix");
            let constant = self.constant(&matrix.shape, &matrix.values);
            self.node("MatMul", &path, vec!["x".into(), constant]);
        } else {
            self.tensor(short, shape, values);
        }
    }

    /// A constant with the bias of each pair of tokens.
    fn biases(&mut self, path: &str, shape: &[usize], values: &[f32]) {
        let (tokens, side) = (shape[1], shape[1].isqrt());
        let offset = |a: usize, b: usize| (a / side).abs_diff(b / side) * side + (a % side).abs_diff(b % side);
        let pairs =
            |head: &[f32]| (0..tokens * tokens).map(|pair| head[offset(pair / tokens, pair % tokens)]).collect();
        let pairs: Vec<f32> = values.chunks(tokens).flat_map(|head| -> Vec<f32> { pairs(head) }).collect();
        self.node("Constant", path, Vec::new());
        let node = self.graph.nodes.last_mut().expect("the node");
        node.attributes.push(Attribute { tensor: Some(tensor("", &[shape[0], tokens, tokens], &pairs)) });
    }

    fn bytes(self) -> Vec<u8> {
        Model { graph: Some(self.graph) }.encode_to_vec()
    }
}

fn tensor(name: &str, shape: &[usize], values: &[f32]) -> Tensor {
    Tensor {
        dims: shape.iter().map(|&size| size as i64).collect(),
        data_type: Tensor::FLOAT,
        name: name.to_owned(),
        raw: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        floats: Vec::new(),
    }
}

/// `layers.1.blocks.0.attn.qkv` as the exporter writes it: `/layers.1/blocks.0/attn/qkv`; children of a `Sequential` repeat its name.
fn path(module: &str) -> String {
    let mut path = String::new();
    for part in module.split('.') {
        if !part.bytes().all(|byte| byte.is_ascii_digit()) {
            path = format!("{path}/{part}");
        } else if path.ends_with("layers") || path.ends_with("blocks") {
            path = format!("{path}.{part}");
        } else {
            let container = path.rsplit('/').next().expect("a container").to_owned();
            path = format!("{path}/{container}.{part}");
        }
    }
    path
}

/// The image encoder and the decoder.
fn export(all: &State) -> [Exporter; 2] {
    let [mut encoder, mut decoder] = [Exporter::default(), Exporter::default()];
    for name in all.keys() {
        match name.strip_prefix("image_encoder.") {
            Some(short) => encoder.parameter(name, short, all),
            None => decoder.parameter(name, name, all),
        }
    }
    for tensor in &mut decoder.graph.initializers {
        if tensor.name.starts_with("prompt_encoder.") {
            tensor.name.insert_str(0, "model.");
        }
    }
    [encoder, decoder]
}

fn refusal([encoder, decoder]: [Exporter; 2]) -> String {
    convert_onnx(&encoder.bytes(), &decoder.bytes()).expect_err("it must be refused").to_string()
}

#[test]
fn a_model_that_was_exported_is_read_back() -> Result<(), Box<dyn std::error::Error>> {
    let expected = weights();
    let [encoder, decoder] = export(&expected).map(Exporter::bytes);
    let bytes = convert_onnx(&encoder, &decoder)?;
    assert_eq!(bytes, convert_onnx(&encoder, &decoder)?);

    let read = safetensors::SafeTensors::deserialize(&bytes)?;
    let values = |data: &[u8]| data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let read: BTreeMap<_, _> = read.tensors().into_iter().collect();
    let read = read
        .into_iter()
        .map(|(name, tensor)| (name, Values { shape: tensor.shape().to_vec(), values: values(tensor.data()) }));
    assert_eq!(read.collect::<State>(), expected);

    let folder = tempfile::tempdir()?;
    let path = folder.path().join("converted.safetensors");
    std::fs::write(&path, bytes)?;
    Checkpoint::open(&path)?.predictor::<Flex>(&FlexDevice)?;
    Ok(())
}

#[test]
fn files_that_are_no_onnx_are_refused() {
    let [encoder, decoder] = export(&weights()).map(Exporter::bytes);
    for (files, expected) in [
        ([&b"<html>not found</html>"[..], &decoder], "the image encoder's ONNX file is not in ONNX format"),
        ([&encoder, &decoder[..decoder.len() / 2]], "the mask decoder's ONNX file is not in ONNX format"),
        ([&encoder, &[]], "the mask decoder's ONNX file holds no graph with weights"),
        ([&decoder, &encoder], "give the image encoder's file first"),
    ] {
        let error = convert_onnx(files[0], files[1]).expect_err("it must be refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn weights_without_a_place_or_of_another_kind_are_named() {
    let mut files = export(&weights());
    files[0].constant(&[2, 3], &[0.5; 6]);
    let error = refusal(files);
    assert!(error.contains("the image encoder's ONNX file holds the weights onnx::Weight_"), "{error}");
    assert!(error.contains("shape [2, 3]"), "{error}");

    let mut files = export(&weights());
    files[1].graph.initializers[0].data_type = 10;
    assert!(refusal(files).contains("expected 32-bit floating point (ONNX type 1), found ONNX type 10"));

    let mut files = export(&weights());
    files[1].graph.initializers[0].raw.clear();
    let error = refusal(files);
    assert!(error.contains("expected all values in the ONNX file itself, found 0 values for the shape"), "{error}");

    let mut files = export(&weights());
    files[1].graph.initializers[0].raw[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(refusal(files).contains("expected finite values"));
}

#[test]
fn attention_biases_that_do_not_follow_offsets_are_refused() {
    let mut files = export(&weights());
    let node = files[0].graph.nodes.iter_mut().find(|node| node.operator == "Constant").expect("an attention");
    let biases = node.attributes[0].tensor.as_mut().expect("its biases");
    let last = biases.raw.len() - 4;
    biases.raw[last..].copy_from_slice(&1e6_f32.to_le_bytes());
    let error = refusal(files);
    assert!(error.contains("expected a bias for each offset of two tokens"), "{error}");
}

#[test]
fn a_missing_part_is_named() {
    let mut files = export(&weights());
    files[1].graph.nodes.retain(|node| node.operator != "Expand");
    files[1].graph.initializers.retain(|tensor| tensor.dims.len() != 3 || tensor.dims[0] != 1);
    assert!(refusal(files).contains("it has no tensor mask_decoder.iou_token.weight"));
}
