//! Checkpoints: PyTorch's and safetensors', with the variant inferred from the shapes.

mod infer;
mod names;

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    rc::Rc,
};

use burn::{
    module::ParamId,
    tensor::{DType, backend::Backend},
};
use burn_store::{
    BurnToPyTorchAdapter, ModuleSnapshot, ModuleStore, PyTorchToBurnAdapter, SafetensorsStore, TensorSnapshot,
    pytorch::PytorchReader,
};
use sam_prompt::PromptEncoder;

use crate::{CoreError, KeyMismatch, MaskDecoder, Sam, SamConfig, SamPredictor};

/// An opened checkpoint: tensors by their official names, read when they are needed.
///
/// Reads `.pth` and `.pt` in all of PyTorch's formats, also nested under keys like `model` or `state_dict`, and `.safetensors`;
/// whatever stands before `image_encoder.`, `prompt_encoder.` or `mask_decoder.` is dropped. No code of the file is run. Tensors in
/// half precision are widened to f32.
pub struct Checkpoint {
    path: PathBuf,
    tensors: BTreeMap<String, TensorSnapshot>,
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoint").field("path", &self.path).field("tensors", &self.tensors.len()).finish()
    }
}

impl Checkpoint {
    /// Opens a file and reads its table of contents.
    ///
    /// # Errors
    /// [`CoreError::Unreadable`] if it is neither a PyTorch nor a safetensors file; [`CoreError::NotSam`] if none of its tensors
    /// has a SAM's name.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CoreError> {
        let path = path.as_ref().to_path_buf();
        let found = read_tensors(&path).map_err(|reason| CoreError::Unreadable { path: path.clone(), reason })?;
        let example = found.keys().min().cloned();
        let tensors: BTreeMap<_, _> = found
            .into_iter()
            .filter_map(|(name, tensor)| Some((names::official(&name)?.to_owned(), tensor)))
            .filter(|(name, _)| !names::is_buffer(name))
            .collect();
        if tensors.is_empty() {
            let seen = example.map_or("it holds no tensor".to_owned(), |name| format!("found for example \"{name}\""));
            let reason = format!("no tensor is named image_encoder.*, prompt_encoder.* or mask_decoder.*; {seen}");
            return Err(CoreError::NotSam { path, reason });
        }
        Ok(Self { path, tensors })
    }

    /// Official names and shapes of all tensors, in PyTorch's layout.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.to_vec())).collect()
    }

    /// The model's shape, inferred from the tensors' shapes.
    ///
    /// Two numbers leave no trace in shapes: the decoder's heads, taken to be the 8 of every published SAM, and the
    /// preprocessing, taken to be that of the published models with the same encoder.
    ///
    /// # Errors
    /// [`CoreError::NotSam`] if the shapes are no SAM's.
    pub fn config(&self) -> Result<SamConfig, CoreError> {
        infer::config(&self.shapes()).map_err(|reason| CoreError::NotSam { path: self.path.clone(), reason })
    }

    /// Loads a whole model of the inferred shape, ready to predict.
    ///
    /// # Errors
    /// As [`Checkpoint::config`] and [`Checkpoint::load`].
    pub fn predictor<B: Backend>(&self, device: &B::Device) -> Result<SamPredictor<B>, CoreError> {
        let config = self.config()?;
        Ok(SamPredictor::new(self.load(&config, device)?, config.preprocess))
    }

    /// Loads a whole model.
    ///
    /// # Errors
    /// [`CoreError::Mismatch`] names missing, unexpected and reshaped tensors; [`CoreError::Unreadable`] if a tensor's data cannot
    /// be read.
    pub fn load<B: Backend>(&self, config: &SamConfig, device: &B::Device) -> Result<Sam<B>, CoreError> {
        self.load_module(config.init(device), "")
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
        // For each official name, the module's own path and the shape it needs, in PyTorch's layout.
        let needed: BTreeMap<String, (String, Vec<usize>)> = module
            .collect(None, Some(Box::new(BurnToPyTorchAdapter)), true)
            .into_iter()
            .map(|tensor| (tensor.full_path(), tensor.shape.to_vec()))
            .map(|(path, shape)| (names::from_module_path(&format!("{prefix}{path}")), (path, shape)))
            .collect();
        let mismatch = self.compare(&needed, prefix);
        if !mismatch.is_empty() {
            return Err(CoreError::Mismatch { path: self.path.clone(), mismatch: Box::new(mismatch) });
        }
        let tensors = needed.iter().map(|(name, (path, _))| widened(&self.tensors[name], path)).collect();
        let result = module.apply(tensors, None, Some(Box::new(PyTorchToBurnAdapter)), true);
        if result.applied.len() != needed.len() {
            let reason = format!(
                "only {} of {} tensors could be read: {:?}",
                result.applied.len(),
                needed.len(),
                result.errors.first()
            );
            return Err(CoreError::Unreadable { path: self.path.clone(), reason });
        }
        Ok(module)
    }

    fn compare(&self, needed: &BTreeMap<String, (String, Vec<usize>)>, prefix: &str) -> KeyMismatch {
        let unexpected: Vec<_> = self
            .tensors
            .iter()
            .filter(|(name, _)| name.starts_with(prefix) && !needed.contains_key(*name))
            .map(|(name, tensor)| (name.clone(), tensor.shape.to_vec()))
            .collect();
        let mut mismatch = KeyMismatch { unexpected, ..KeyMismatch::default() };
        for (name, (_, model)) in needed {
            match self.tensors.get(name).map(|tensor| tensor.shape.to_vec()) {
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

/// All tensors of a file; safetensors are told by their header, everything else is taken for PyTorch's.
fn read_tensors(path: &Path) -> Result<BTreeMap<String, TensorSnapshot>, String> {
    let mut start = [0; 9];
    let length = File::open(path).and_then(|mut file| file.read(&mut start)).map_err(|error| error.to_string())?;
    if length == start.len() && start[8] == b'{' {
        let mut store = SafetensorsStore::from_file(path).map_indices_contiguous(false);
        return store.get_all_snapshots().cloned().map_err(|error| error.to_string());
    }
    let reader = PytorchReader::new(path).map_err(|error| error.to_string())?;
    check_length(&reader)?;
    Ok(reader.into_tensors().into_iter().collect())
}

/// Refuses a file of PyTorch's legacy format that ends before its tensors do: burn-store takes what is missing for zeros.
///
/// The format stores each tensor's elements after their count, a u64; no SAM has two tensors that share their elements.
fn check_length(reader: &PytorchReader) -> Result<(), String> {
    let (true, Some(found)) = (reader.metadata().is_legacy_format(), reader.metadata().total_data_size) else {
        return Ok(());
    };
    let needed: usize = reader.tensors().values().map(|tensor| size_of::<u64>() + tensor.data_len()).sum();
    if found < needed {
        return Err(format!("it is cut off: its tensors need {needed} bytes, {found} are there"));
    }
    Ok(())
}

/// The tensor under the module's path, in f32.
fn widened(tensor: &TensorSnapshot, path: &str) -> TensorSnapshot {
    let read = tensor.clone_data_fn();
    TensorSnapshot::from_closure(
        Rc::new(move || Ok(read()?.convert_dtype(DType::F32))),
        DType::F32,
        tensor.shape.clone(),
        path.split('.').map(str::to_owned).collect(),
        Vec::new(),
        ParamId::new(),
    )
}
