//! The reference tensors and weights in `goldens`, and what the tests do with them.

#![expect(unreachable_pub, reason = "the tests are one program")]

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use burn::tensor::{Tensor, TensorData};
use burn_flex::{Flex, FlexDevice};
use burn_store::ModuleSnapshot;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use sam_core::{Checkpoint, MaskDecoderConfig, SamConfig, TwoWayTransformerConfig, ViTConfig};
use tempfile::TempDir;

pub type B = Flex;
pub type TestResult<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// The CPU.
pub const DEVICE: FlexDevice = FlexDevice;

/// An element agrees with its reference within this absolute difference ...
const ABSOLUTE: f32 = 1e-4;
/// ... or within this difference relative to the reference.
const RELATIVE: f32 = 1e-3;

/// The path of a file among the goldens.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)
}

/// One file of reference tensors.
pub struct Golden {
    bytes: Vec<u8>,
}

impl Golden {
    pub fn read(name: &str) -> TestResult<Self> {
        Ok(Self { bytes: std::fs::read(path(&format!("{name}.safetensors")))? })
    }

    /// The file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Type, shape and bytes of all tensors whose names begin with a prefix, by the rest of their names.
    pub fn state_dict(&self, prefix: &str) -> TestResult<StateDict> {
        let tensors = SafeTensors::deserialize(&self.bytes)?.tensors().into_iter();
        let wanted = tensors.filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor)));
        Ok(wanted
            .map(|(name, tensor)| (name, (tensor.dtype(), tensor.shape().to_vec(), tensor.data().to_vec())))
            .collect())
    }

    /// Shape and values of a tensor.
    pub fn values(&self, name: &str) -> TestResult<(Vec<usize>, Vec<f32>)> {
        let file = SafeTensors::deserialize(&self.bytes)?;
        let tensor = file.tensor(name).map_err(|error| format!("{name}: {error}"))?;
        let values = match tensor.dtype() {
            Dtype::F32 => tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Dtype::U8 => tensor.data().iter().map(|&byte| f32::from(byte)).collect(),
            other => return Err(format!("{name} is {other:?}").into()),
        };
        Ok((tensor.shape().to_vec(), values))
    }

    pub fn tensor<const D: usize>(&self, name: &str) -> TestResult<Tensor<B, D>> {
        let (shape, values) = self.values(name)?;
        Ok(Tensor::from_data(TensorData::new(values, shape), &DEVICE))
    }

    /// Holds a tensor against the reference of the name: its shape, and each of its values.
    pub fn close<const D: usize>(&self, name: &str, found: Tensor<B, D>) -> TestResult {
        let (shape, _) = self.values(name)?;
        assert_eq!(found.dims().as_slice(), shape, "shape of {name}");
        self.close_values(name, found.into_data().iter::<f32>())
    }

    /// Holds values against the reference of the name.
    pub fn close_values(&self, name: &str, found: impl IntoIterator<Item = f32>) -> TestResult {
        let (_, expected) = self.values(name)?;
        let found: Vec<f32> = found.into_iter().collect();
        assert_eq!(found.len(), expected.len(), "values of {name}");
        let mut largest = 0.0_f32;
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let difference = (found - expected).abs();
            // A NaN is within no tolerance.
            let agrees = difference <= ABSOLUTE || difference <= RELATIVE * expected.abs();
            assert!(agrees, "{name}, element {index}: expected {expected}, found {found}");
            largest = largest.max(difference);
        }
        println!("{name}: {largest:.1e} off at most");
        Ok(())
    }
}

/// What segment-anything was built as for the goldens.
pub fn config() -> SamConfig {
    let transformer = TwoWayTransformerConfig::new().with_embedding_dim(32).with_mlp_dim(64).with_num_heads(4);
    let encoder = ViTConfig::new(64, 4, 4)
        .with_global_attn_indexes(vec![1, 3])
        .with_image_size(128)
        .with_window_size(3)
        .with_out_chans(32);
    let decoder = MaskDecoderConfig::new().with_transformer(transformer).with_iou_head_hidden_dim(40);
    SamConfig::vit(encoder).with_decoder(decoder)
}

/// A state dict that a test may change before it is written: type, shape and bytes by name.
pub type StateDict = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

/// The weights of the goldens' model, kept in two files for their size.
pub fn weights() -> TestResult<StateDict> {
    let mut all = StateDict::new();
    for name in ["sam_tiny_encoder", "sam_tiny_rest"] {
        all.extend(Golden::read(name)?.state_dict("")?);
    }
    Ok(all)
}

/// Writes a state dict to a folder that lives as long as the result.
pub fn write(weights: &StateDict) -> TestResult<(TempDir, PathBuf)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("weights.safetensors");
    let views = weights
        .iter()
        .map(|(name, (dtype, shape, bytes))| Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?)))
        .collect::<Result<HashMap<_, _>, safetensors::SafeTensorError>>()?;
    safetensors::serialize_to_file(views, None, &path)?;
    Ok((folder, path))
}

/// Opens what [`write`] writes. Tensors are read later, so the folder has to be kept.
pub fn open(weights: &StateDict) -> TestResult<(TempDir, Checkpoint)> {
    let (folder, path) = write(weights)?;
    let checkpoint = Checkpoint::open(path)?;
    Ok((folder, checkpoint))
}

/// Values of a module's parameters by path.
pub fn parameters<M: ModuleSnapshot<B>>(module: &M) -> TestResult<BTreeMap<String, Vec<f32>>> {
    let read = |tensor: burn_store::TensorSnapshot| {
        let data = tensor.to_data().map_err(|error| format!("{}: {error:?}", tensor.full_path()))?;
        Ok((tensor.full_path(), data.iter::<f32>().collect()))
    };
    module.collect(None, None, false).into_iter().map(read).collect()
}
