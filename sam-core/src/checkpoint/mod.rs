//! Checkpoints in PyTorch and safetensors format. The model variant is inferred from the tensor shapes.

mod header;
mod infer;
mod mistaken;
mod names;
mod onnx;
mod pickle;
mod stored;
mod torch;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use burn::tensor::{TensorData, backend::Backend};
use burn_store::{BurnToPyTorchAdapter, ModuleSnapshot, PyTorchToBurnAdapter};
use sam_files::{WriteError, sanitize, sha256_of_file, write_atomic};
use sam_prompt::PromptEncoder;
use thiserror::Error;

use crate::{
    CoreError, KeyMismatch, MaskDecoder, Precision, ReadError, Sam, SamConfig, SamPredictor, config::parameters,
    image_encoder::AnyImageEncoder,
};
pub use mistaken::NotWeights;
pub use onnx::{OnnxError, OnnxFile, convert_onnx};
use stored::{NotFinite, StoredTensor, ValueError};

/// An opened checkpoint: tensors by their official names, read when they are needed.
///
/// Reads `.safetensors` and PyTorch's `.pth` and `.pt`, both archives and the older format, also when the state dict is nested under keys
/// such as `model` or `state_dict`. Prefixes before `image_encoder.`, `prompt_encoder.` or `mask_decoder.` are dropped. No code in the file
/// is executed. Tensors in half precision are converted to f32. Tensors with NaN or infinity are refused by name when they are loaded.
///
/// ```no_run
/// use burn_flex::{Flex, FlexDevice};
/// use sam_core::Checkpoint;
///
/// let predictor = Checkpoint::open("lite_medsam.pth")?.predictor::<Flex>(&FlexDevice)?;
/// println!("weights {}", predictor.weights_sha256().unwrap_or("unknown"));
/// # Ok::<(), sam_core::CoreError>(())
/// ```
pub struct Checkpoint {
    path: PathBuf,
    tensors: BTreeMap<String, StoredTensor>,
    /// SHA-256 of the file, computed at the first call.
    sha256: OnceLock<String>,
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoint")
            .field("path", &self.path)
            .field("tensors", &self.tensors.len())
            .finish_non_exhaustive()
    }
}

impl Checkpoint {
    /// Opens a file and reads its table of contents.
    ///
    /// # Errors
    /// [`CoreError::Unreadable`] if it is neither a PyTorch nor a safetensors file; with [`ReadError::NotWeights`] as its cause if it is
    /// recognised as a Git LFS pointer, a web page or another file that is often given by mistake. [`CoreError::NotSam`] if no tensor has
    /// the name of a SAM tensor.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CoreError> {
        let path = path.as_ref().to_path_buf();
        let found = read_tensors(&path).map_err(|source| CoreError::Unreadable { path: path.clone(), source })?;
        let tensors = with_official_names(found)
            .map_err(|error| CoreError::NotSam { path: path.clone(), reason: sanitize(&error.to_string()) })?;
        Ok(Self { path, tensors, sha256: OnceLock::new() })
    }

    /// SHA-256 of the file, in hexadecimal; it identifies the weights. It is computed at the first call and kept.
    ///
    /// # Errors
    /// [`CoreError::Unreadable`] if the file can no longer be read.
    pub fn sha256(&self) -> Result<&str, CoreError> {
        if let Some(known) = self.sha256.get() {
            return Ok(known);
        }
        let found = sha256_of_file(&self.path)
            .map_err(|error| CoreError::Unreadable { path: self.path.clone(), source: error.source.into() })?;
        Ok(self.sha256.get_or_init(|| found))
    }

    /// Official names and shapes of all tensors, in PyTorch's layout.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect()
    }

    /// Writes all tensors to a safetensors file, under their official names and in PyTorch's layout. The write is atomic.
    ///
    /// Other programs can read this format, and it is opened without a copy.
    ///
    /// # Errors
    /// [`CoreError::Unreadable`] if a tensor cannot be read, [`CoreError::NotFinite`] if it holds NaN or infinity, [`CoreError::TooLarge`]
    /// if it holds values that the precision does not have; [`CoreError::Unwritable`] if the file cannot be written.
    pub fn save_safetensors(&self, target: impl AsRef<Path>, precision: Precision) -> Result<(), CoreError> {
        let tensors = self.tensors.iter().map(|(name, tensor)| Ok((name, self.read_as(name, tensor, precision)?)));
        let data: BTreeMap<&String, TensorData> = tensors.collect::<Result<_, CoreError>>()?;
        let dtype = match precision {
            Precision::F32 => safetensors::Dtype::F32,
            Precision::F16 => safetensors::Dtype::F16,
            Precision::Bf16 => safetensors::Dtype::BF16,
        };
        let write = || {
            let views = data.iter().map(|(name, data)| {
                Ok((*name, safetensors::tensor::TensorView::new(dtype, data.shape.to_vec(), data.as_bytes())?))
            });
            let bytes = views
                .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
                .and_then(|views| safetensors::serialize(views, None))
                .map_err(|error| WriteError { path: target.as_ref().to_path_buf(), source: io::Error::other(error) })?;
            write_atomic(&target, |file| file.write_all(&bytes))
        };
        write().map_err(|WriteError { path, source }| CoreError::Unwritable { path, source })
    }

    /// Reads a tensor in a precision.
    fn read_as(&self, name: &str, tensor: &StoredTensor, precision: Precision) -> Result<TensorData, CoreError> {
        let (path, name) = (self.path.clone(), name.to_owned());
        tensor.read_as(precision.dtype()).map_err(|error| match error {
            ValueError::Io(error) => CoreError::Unreadable { path, source: error.into() },
            ValueError::NotFinite => CoreError::NotFinite { path, tensors: vec![name] },
            ValueError::TooLarge(_) => CoreError::TooLarge { path, tensor: name, precision },
        })
    }

    /// The model's shape, inferred from the tensors' shapes.
    ///
    /// Shapes do not show two properties: the number of heads of the decoder, assumed to be 8 as in every published SAM, and the
    /// preprocessing, assumed to be that of the published models with the same encoder.
    ///
    /// # Errors
    /// [`CoreError::NotSam`] if the shapes are not those of a SAM.
    pub fn config(&self) -> Result<SamConfig, CoreError> {
        let no_sam =
            |error: infer::ShapeError| CoreError::NotSam { path: self.path.clone(), reason: error.to_string() };
        infer::config(&self.shapes()).map_err(no_sam)
    }

    /// Loads a whole model of the inferred shape, ready to predict. The predictor has the config and the [SHA-256](Checkpoint::sha256) of
    /// the weights.
    ///
    /// # Errors
    /// As [`Checkpoint::config`], [`Checkpoint::load`] and [`Checkpoint::sha256`].
    pub fn predictor<B: Backend>(&self, device: &B::Device) -> Result<SamPredictor<B>, CoreError> {
        let config = self.config()?;
        let sam = config.undrawn(device);
        // The shapes in a damaged file may need more memory than there is, so the size is checked before anything is allocated.
        let held = self.tensors.values().map(StoredTensor::elements).fold(0, usize::saturating_add);
        let needed = parameters(&sam);
        if needed / 2 > held {
            let reason = format!("its shapes are those of a model of {needed} parameters, and it holds {held}");
            return Err(CoreError::NotSam { path: self.path.clone(), reason });
        }
        let sam = self.load_module(sam, "")?;
        let predictor = SamPredictor::new(sam.into(), config.preprocess).with_config(config);
        Ok(predictor.with_weights_sha256(self.sha256()?))
    }

    /// Loads a whole model.
    ///
    /// # Errors
    /// [`CoreError::Mismatch`] names missing, unexpected and reshaped tensors; [`CoreError::NotFinite`] names those with NaN or infinity;
    /// [`CoreError::Unreadable`] if a tensor's data cannot be read.
    pub fn load<B: Backend>(&self, config: &SamConfig, device: &B::Device) -> Result<Sam<B>, CoreError> {
        Ok(self.load_module(config.undrawn(device), "")?.into())
    }

    /// Loads the prompt encoder alone, for instance a learned one.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn load_prompt_encoder<B: Backend>(
        &self,
        config: &SamConfig,
        device: &B::Device,
    ) -> Result<PromptEncoder<B>, CoreError> {
        self.load_module(config.prompt_encoder().init(device), "prompt_encoder.")
    }

    /// Loads the image encoder alone.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn load_image_encoder<B: Backend>(
        &self,
        config: &SamConfig,
        device: &B::Device,
    ) -> Result<AnyImageEncoder<B>, CoreError> {
        self.load_module(config.encoder.init(device), "image_encoder.")
    }

    /// Loads the mask decoder alone.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn load_mask_decoder<B: Backend>(
        &self,
        config: &SamConfig,
        device: &B::Device,
    ) -> Result<MaskDecoder<B>, CoreError> {
        self.load_module(config.decoder.init(device), "mask_decoder.")
    }

    /// Fills a module with the tensors whose official names begin with `prefix`.
    fn load_module<B: Backend, M: ModuleSnapshot<B>>(&self, mut module: M, prefix: &str) -> Result<M, CoreError> {
        let needed = needed(&module, prefix);
        let mismatch = self.compare(&needed, prefix);
        if !mismatch.is_empty() {
            return Err(CoreError::Mismatch { path: self.path.clone(), mismatch: Box::new(mismatch) });
        }
        let not_finite = NotFinite::default();
        let snapshot =
            |(name, (path, _)): (&String, &(String, _))| self.tensors[name].snapshot(path, name, &not_finite);
        let tensors = needed.iter().map(snapshot).collect();
        let result = module.apply(tensors, None, Some(Box::new(PyTorchToBurnAdapter)), true);
        let tensors: Vec<_> = not_finite.take().into_iter().collect();
        if !tensors.is_empty() {
            return Err(CoreError::NotFinite { path: self.path.clone(), tensors });
        }
        if result.applied.len() != needed.len() {
            let reason = format!(
                "only {} of {} tensors could be read: {:?}",
                result.applied.len(),
                needed.len(),
                result.errors.first()
            );
            return Err(CoreError::Unreadable { path: self.path.clone(), source: reason.into() });
        }
        Ok(module)
    }

    fn compare(&self, needed: &BTreeMap<String, (String, Vec<usize>)>, prefix: &str) -> KeyMismatch {
        let unexpected: Vec<_> = self
            .tensors
            .iter()
            .filter(|(name, _)| name.starts_with(prefix) && !needed.contains_key(*name))
            .map(|(name, tensor)| (name.clone(), tensor.shape.clone()))
            .collect();
        let mut mismatch = KeyMismatch { unexpected, ..KeyMismatch::default() };
        for (name, (_, model)) in needed {
            match self.tensors.get(name).map(|tensor| tensor.shape.clone()) {
                None => {
                    let nearest = names::nearest(name, mismatch.unexpected.iter().map(|(name, _)| name.as_str()));
                    mismatch.missing.push((name.clone(), model.clone(), nearest));
                }
                Some(file) if file != *model => mismatch.reshaped.push((name.clone(), model.clone(), file)),
                Some(_) => {}
            }
        }
        mismatch
    }
}

/// What a module needs: for each official name, the module's own path and the shape in PyTorch's layout.
fn needed<B: Backend, M: ModuleSnapshot<B>>(module: &M, prefix: &str) -> BTreeMap<String, (String, Vec<usize>)> {
    let tensors = module.collect(None, Some(Box::new(BurnToPyTorchAdapter)), true).into_iter();
    tensors
        .map(|tensor| (tensor.full_path(), tensor.shape.to_vec()))
        .map(|(path, shape)| (names::from_module_path(&format!("{prefix}{path}")), (path, shape)))
        .collect()
}

/// Why names are not those of a SAM.
#[derive(Debug, Error)]
enum NamesError {
    #[error("it holds {0:?}, whose name has control characters")]
    Control(String),
    #[error("it holds \"{one}\" and \"{other}\", two tensors for {name}: save one model alone")]
    Twice { name: String, one: String, other: String },
    #[error("no tensor is named image_encoder.*, prompt_encoder.* or mask_decoder.*; it holds no tensor")]
    Empty,
    #[error("no tensor is named image_encoder.*, prompt_encoder.* or mask_decoder.*; found for example \"{0}\"")]
    Others(String),
}

/// Renames the tensors to their official names; an error if they are not those of a SAM.
fn with_official_names(found: BTreeMap<String, StoredTensor>) -> Result<BTreeMap<String, StoredTensor>, NamesError> {
    let example = found.keys().next().cloned();
    let mut tensors = BTreeMap::new();
    let mut sources: BTreeMap<String, String> = BTreeMap::new();
    for (source, tensor) in found {
        let Some(name) = names::official(&source).filter(|name| !names::is_buffer(name)).map(str::to_owned) else {
            continue;
        };
        if name.contains(char::is_control) {
            return Err(NamesError::Control(name));
        }
        if let Some(other) = sources.insert(name.clone(), source.clone()) {
            return Err(NamesError::Twice { name, one: other, other: source });
        }
        tensors.insert(name, tensor);
    }
    if tensors.is_empty() {
        return Err(example.map_or(NamesError::Empty, NamesError::Others));
    }
    Ok(tensors)
}

/// Reads all tensors of a file. A file with a safetensors header is read as such, every other file as PyTorch's.
fn read_tensors(path: &Path) -> Result<BTreeMap<String, StoredTensor>, ReadError> {
    if let Some(found) = NotWeights::of_file(path)? {
        return Err(found.into());
    }
    if header::is_safetensors(path)? { header::read_tensors(path) } else { torch::read_tensors(path) }
}
