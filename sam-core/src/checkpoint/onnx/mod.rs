//! SAM's weights from the two ONNX files that SAM is exported to: the image encoder, and the prompt encoder with the mask decoder.

mod place;
mod proto;
mod values;

use std::fmt;

use prost::Message;
use safetensors::{Dtype, tensor::TensorView};
use sam_files::sanitize;
use thiserror::Error;

use super::infer;
use place::{State, place};

/// One of the two ONNX files of a SAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnnxFile {
    /// The image encoder: from an image to its embedding.
    ImageEncoder,
    /// The prompt encoder and the mask decoder: from an embedding and prompts to masks.
    Decoder,
}

impl fmt::Display for OnnxFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ImageEncoder => "the image encoder's ONNX file",
            Self::Decoder => "the mask decoder's ONNX file",
        })
    }
}

/// Why two ONNX files cannot be read as a SAM with `TinyViT`.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// A file that is not in ONNX format.
    #[error("{file} is not in ONNX format; get the file again")]
    NotOnnx {
        /// The file.
        file: OnnxFile,
        /// What is wrong with its protobuf messages.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file without weights.
    #[error("{file} holds no graph with weights: expected a SAM exported by PyTorch, weights included")]
    NoWeights {
        /// The file.
        file: OnnxFile,
    },
    /// A tensor that is not as expected.
    #[error("{tensor} in {file}: expected {expected}, found {found}")]
    Tensor {
        /// The file.
        file: OnnxFile,
        /// Name of the tensor, or of the node that holds it.
        tensor: String,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// Weights whose place in a SAM is not known.
    #[error(
        "{file} holds the weights {tensor} of shape {shape:?}, which have no place in a SAM with TinyViT; give the image encoder's file first \
         and the mask decoder's second, both as PyTorch's exporter writes them, with module paths in the names of the nodes"
    )]
    Unplaced {
        /// The file.
        file: OnnxFile,
        /// Name of the tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<i64>,
    },
    /// Two tensors for one place.
    #[error("{file} holds two different tensors for {tensor}: expected one model")]
    Twice {
        /// The file.
        file: OnnxFile,
        /// The official name.
        tensor: String,
    },
    /// Weights that are not those of a SAM.
    #[error(
        "the two ONNX files hold no SAM with TinyViT: {reason}; give the image encoder's file first and the mask decoder's second"
    )]
    NotSam {
        /// What is missing.
        reason: String,
    },
    /// Weights that cannot be written in safetensors format.
    #[error("the weights cannot be written in safetensors format")]
    Safetensors(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl OnnxError {
    fn tensor(file: OnnxFile, tensor: &str, expected: &str, found: String) -> Self {
        Self::Tensor { file, tensor: sanitize(tensor), expected: expected.to_owned(), found }
    }
}

/// Converts a SAM with `TinyViT` from its two ONNX files to the content of a safetensors file, under the official names and in PyTorch's
/// layout. The same files give the same bytes.
///
/// `encoder` and `decoder` are the contents of the two files: the image encoder, and SAM's official export of prompt encoder and mask decoder.
/// Both must come from PyTorch's exporter, whose node names are module paths. Batch norms that it folded into convolutions become norms that
/// add the bias. [`Checkpoint::load`](crate::Checkpoint::load) compares the names and shapes of all tensors with the model's.
///
/// # Errors
/// [`OnnxError`] says which file is wrong, what was expected and what was found.
pub fn convert_onnx(encoder: &[u8], decoder: &[u8]) -> Result<Vec<u8>, OnnxError> {
    let mut state = State::new();
    for (file, content) in [(OnnxFile::ImageEncoder, encoder), (OnnxFile::Decoder, decoder)] {
        let model = proto::Model::decode(content);
        let model = model.map_err(|error| OnnxError::NotOnnx { file, source: error.into() })?;
        let graph = model.graph.filter(|graph| !graph.initializers.is_empty());
        place(&graph.ok_or(OnnxError::NoWeights { file })?, file, &mut state)?;
    }
    let shapes = state.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect();
    infer::config(&shapes).map_err(|error| OnnxError::NotSam { reason: sanitize(&error.to_string()) })?;
    let bytes: Vec<(&String, &[usize], Vec<u8>)> = state
        .iter()
        .map(|(name, tensor)| {
            (name, &*tensor.shape, tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect())
        })
        .collect();
    let views =
        bytes.iter().map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes)?)));
    views
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .and_then(|views| safetensors::serialize(views, None))
        .map_err(|error| OnnxError::Safetensors(error.into()))
}

#[cfg(test)]
mod tests;
