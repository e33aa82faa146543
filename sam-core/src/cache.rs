//! Embeddings on disk: the slow part of a session, done once.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    ops::ControlFlow,
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::mpsc::sync_channel,
    thread,
    time::{Duration, SystemTime},
};

use burn::tensor::{DType, Tensor, TensorData, backend::Backend};
use ndarray::{Array3, ArrayView3};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use sam_files::{Sha256Hasher, is_unfinished, write_atomic};
use sam_prompt::{
    error_chain,
    progress::{Observer, Progress, Stage},
};
use sam_threads::in_embedding_pool;
use serde::{Deserialize, Serialize};

use crate::{
    CoreError, Frame, ImageEmbedding, ImageSource, Precision, Preprocess, SamPredictor, SliceError, store::encode,
};

/// How an [`EmbeddingCache`] stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CacheConfig {
    /// The embeddings used longest ago are dropped beyond this many bytes; the last one written always stays.
    pub max_bytes: u64,
    /// Stores f16 instead of f32, which halves the size and has cost no Dice; embeddings are then
    /// [rounded](ImageEmbedding::rounded_to_f16) from the first use on, so that what is computed and what is read are one and the same.
    pub half: bool,
}

impl CacheConfig {
    /// This config with another limit, in bytes.
    #[must_use]
    pub fn with_max_bytes(self, max_bytes: u64) -> Self {
        Self { max_bytes, ..self }
    }

    /// This config with f16 or f32.
    #[must_use]
    pub fn with_half(self, half: bool) -> Self {
        Self { half, ..self }
    }
}

impl Default for CacheConfig {
    /// 4 GiB of f16: two thousand slices.
    fn default() -> Self {
        Self { max_bytes: 4 << 30, half: true }
    }
}

/// What an embedding was made from; whatever differs in it is another embedding.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EmbeddingKey(String);

/// Images that may wait before, and embeddings behind, the one that is embedded.
const AHEAD: usize = 2;
/// An image's key, and the encoder's input with its frame if it is to be embedded.
type Prepared = (EmbeddingKey, Option<(Array3<f32>, Frame)>);

/// Part of every key: raise it when the meaning of entries changes.
const FORMAT: &str = "sam-core embedding 2";
/// Ending of the entries' names.
const ENTRY: &str = "safetensors";
/// A temporary file that has not been written to for so long was left behind by a process that is no more.
const ABANDONED: Duration = Duration::from_hours(1);

impl EmbeddingKey {
    /// The key of an image under a model, which counts with its weights, its preprocessing and the precision of its image encoder.
    ///
    /// # Errors
    /// [`CoreError::WeightsUnknown`] if the predictor does not know its weights' SHA-256.
    pub fn new<B: Backend>(image: ArrayView3<'_, u8>, predictor: &SamPredictor<B>) -> Result<Self, CoreError> {
        Ok(Model::of(predictor)?.key(image))
    }
}

/// What of a predictor its embeddings depend on.
#[derive(Debug, Clone, Copy)]
struct Model<'a> {
    weights: &'a str,
    preprocess: Preprocess,
    precision: Precision,
}

impl<'a> Model<'a> {
    fn of<B: Backend>(predictor: &'a SamPredictor<B>) -> Result<Self, CoreError> {
        Ok(Self {
            weights: predictor.weights_sha256().ok_or(CoreError::WeightsUnknown)?,
            preprocess: predictor.preprocess(),
            precision: predictor.encoder_precision(),
        })
    }

    fn key(&self, image: ArrayView3<'_, u8>) -> EmbeddingKey {
        let mut hasher = Sha256Hasher::new();
        let preprocess = format!("{:?} {}", self.preprocess, self.precision);
        let shape = format!("{:?}", image.shape());
        // The empty text once named the window that brought the image to 8-bit levels; the levels themselves are enough.
        for text in [FORMAT, self.weights, "", &preprocess, &shape] {
            hasher.update_part(text);
        }
        // As f32, as the first entries were written.
        let levels: Vec<u8> = image.iter().flat_map(|&level| f32::from(level).to_le_bytes()).collect();
        hasher.update(&levels);
        EmbeddingKey(hasher.finish().to_string())
    }
}

/// A folder of embeddings, each under the hash of what it was made from.
///
/// Entries are safetensors files, written under a temporary name and renamed, so that several processes may share a folder and an
/// interrupted run goes on where it stopped. An entry that is not whole is never used: its checksum tells.
#[derive(Debug, Clone)]
pub struct EmbeddingCache {
    folder: PathBuf,
    config: CacheConfig,
}

impl EmbeddingCache {
    /// Opens a folder, which is made if need be.
    ///
    /// # Errors
    /// [`CoreError::Cache`] if the folder cannot be made.
    pub fn open(folder: impl Into<PathBuf>, config: CacheConfig) -> Result<Self, CoreError> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(|source| CoreError::Cache { path: folder.clone(), source })?;
        Ok(Self { folder, config })
    }

    /// An image's embedding, from the folder or computed and put there.
    ///
    /// A folder that cannot be written to, because the disk is full, say, costs only the time: it is reported through `tracing`.
    ///
    /// # Errors
    /// As [`EmbeddingKey::new`] and [`SamPredictor::embed`].
    pub fn embed<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        image: ArrayView3<'_, u8>,
    ) -> Result<ImageEmbedding<B>, CoreError> {
        let key = EmbeddingKey::new(image, predictor)?;
        if let Some(known) = self.get(&key, &predictor.device()) {
            return Ok(known);
        }
        let embedding = predictor.embed(image)?;
        // As it will be read.
        let embedding = if self.config.half { embedding.rounded_to_f16() } else { embedding };
        self.put_or_warn(&key, &embedding);
        Ok(embedding)
    }

    /// Puts the embeddings of all images into the folder that are not there yet. Returns `Break` if the observer stopped it.
    ///
    /// The work is a pipeline: while one image is embedded, those after it are read and prepared, and those before it are stored.
    ///
    /// A folder that cannot be written to ends the work early, which costs only the time later: it is reported through `tracing`.
    ///
    /// # Errors
    /// [`SliceError`] for the first image that cannot be read or embedded. What was embedded before stays.
    pub fn embed_all<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        images: &dyn ImageSource,
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>, SliceError> {
        self.fill(predictor, images, &mut |_| (), observer)
    }

    /// As [`EmbeddingCache::embed_all`]; `reached` is told of each image whether it is embedded now.
    pub(crate) fn fill<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        images: &dyn ImageSource,
        reached: &mut dyn FnMut(bool),
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>, SliceError> {
        let model = Model::of(predictor).map_err(|error| SliceError::new(0, error))?;
        let count = images.count();
        thread::scope(|scope| {
            let (prepared, to_embed) = sync_channel(AHEAD);
            let (embedded, to_store) = sync_channel(AHEAD);
            scope.spawn(move || {
                for index in 0..count {
                    let input = self.prepare(model, images, index);
                    let is_last = input.is_err();
                    // Whoever embeds has given up.
                    if prepared.send((index, input)).is_err() || is_last {
                        break;
                    }
                }
            });
            let storing = scope.spawn(move || {
                to_store.iter().try_for_each(|(key, embedding): (_, ImageEmbedding<B>)| self.put(&key, &embedding))
            });
            let mut flow = ControlFlow::Continue(());
            for (index, input) in to_embed {
                let (key, missing) = input?;
                let is_missing = missing.is_some();
                if let Some(input) = missing {
                    let embedding = encode(predictor, || predictor.embed_prepared(input));
                    // Whoever stores has failed, and says why.
                    if embedded.send((key, embedding)).is_err() {
                        break;
                    }
                }
                reached(is_missing);
                flow = observer(&Progress::new(Stage::Embed, index + 1, count).at_slice(index));
                if flow.is_break() {
                    break;
                }
            }
            drop(embedded);
            if let Err(error) = storing.join().unwrap_or_else(|panic| resume_unwind(panic)) {
                warn(&error, "the other images are not embedded in advance");
            }
            Ok(flow)
        })
    }

    /// An image's key, and the encoder's input if its embedding is not in the folder.
    fn prepare(&self, model: Model<'_>, images: &dyn ImageSource, index: usize) -> Result<Prepared, SliceError> {
        // In a pool whose jobs wait for nobody: the caller's may have no other worker than the caller, which waits for this.
        let image = in_embedding_pool(|| images.image(index))?;
        let key = model.key(image.view());
        let missing = (!self.path(&key).exists()).then(|| model.preprocess.apply(image.view())).transpose();
        Ok((key, missing.map_err(|error| SliceError::new(index, error))?))
    }

    /// As [`EmbeddingCache::put`]; a failure is only reported.
    pub(crate) fn put_or_warn<B: Backend>(&self, key: &EmbeddingKey, embedding: &ImageEmbedding<B>) {
        if let Err(error) = self.put(key, embedding) {
            warn(&error, "the embedding is used without being kept");
        }
    }

    /// The embedding under a key; `None` where there is none, or none that is whole.
    pub fn get<B: Backend>(&self, key: &EmbeddingKey, device: &B::Device) -> Option<ImageEmbedding<B>> {
        let path = self.path(key);
        let bytes = fs::read(&path).ok()?;
        let entry = Entry::read(&bytes, key);
        if entry.is_none() {
            tracing::warn!("{} is not whole and is computed again", path.display());
            // Another process may have removed it already.
            let _ = fs::remove_file(&path);
        }
        let Entry { shape, dtype, data, frame } = entry?;
        // Its time of use decides what goes first; a folder that cannot be written to only forgets it.
        let _ = File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        let data = TensorData::from_bytes_vec(data.to_vec(), shape, dtype).convert_dtype(DType::F32);
        let features = Tensor::<B, 4>::from_data(data, device).permute([0, 3, 1, 2]);
        ImageEmbedding::new(features, frame).ok()
    }

    /// Puts an embedding under a key, then drops the ones used longest ago if there are too many.
    ///
    /// # Errors
    /// [`CoreError::Cache`] if it cannot be written.
    pub fn put<B: Backend>(&self, key: &EmbeddingKey, embedding: &ImageEmbedding<B>) -> Result<(), CoreError> {
        let path = self.path(key);
        let write = || -> io::Result<()> {
            let bytes = Entry::write(embedding, key, self.config.half)?;
            write_atomic(&path, |file| file.write_all(&bytes)).map_err(|error| error.source)?;
            self.drop_oldest(&path)
        };
        write().map_err(|source| CoreError::Cache { path: path.clone(), source })
    }

    /// f32 and f16 entries are kept apart, so that nobody gets less than they asked for.
    fn path(&self, key: &EmbeddingKey) -> PathBuf {
        let precision = if self.config.half { "f16" } else { "f32" };
        self.folder.join(format!("{}-{precision}.{ENTRY}", key.0))
    }

    fn drop_oldest(&self, newest: &Path) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            // What another process has removed meanwhile takes no room.
            let Ok(about) = fs::metadata(&path) else { continue };
            if path.extension().is_some_and(|ending| ending == ENTRY) {
                entries.push((about.modified()?, about.len(), path));
            } else if is_unfinished(&path) && about.modified()?.elapsed().is_ok_and(|age| age > ABANDONED) {
                // Another process may have come to the same conclusion.
                let _ = fs::remove_file(&path);
            }
        }
        let mut bytes: u64 = entries.iter().map(|(_, length, _)| length).sum();
        entries.sort();
        for (_, length, path) in entries.iter().filter(|(_, _, path)| path != newest) {
            if bytes <= self.config.max_bytes {
                break;
            }
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => bytes -= length,
            }
        }
        Ok(())
    }
}

/// A file's content: features `[1, h, w, channels]`, channels together as the decoder reads them.
struct Entry<'a> {
    shape: Vec<usize>,
    dtype: DType,
    data: &'a [u8],
    frame: Frame,
}

impl<'a> Entry<'a> {
    /// The file of an embedding.
    fn write<B: Backend>(embedding: &ImageEmbedding<B>, key: &EmbeddingKey, half: bool) -> io::Result<Vec<u8>> {
        let (dtype, stored) = if half { (DType::F16, Dtype::F16) } else { (DType::F32, Dtype::F32) };
        let data = embedding.features().clone().permute([0, 2, 3, 1]).into_data().convert_dtype(dtype);
        let frame = serde_json::to_string(&embedding.frame())?;
        let about = HashMap::from([
            ("key".to_owned(), key.0.clone()),
            ("checksum".to_owned(), checksum(&frame, stored, &data.shape, data.as_bytes())),
            ("frame".to_owned(), frame),
        ]);
        let features = TensorView::new(stored, data.shape.to_vec(), data.as_bytes()).map_err(io::Error::other)?;
        safetensors::serialize([("features", features)], Some(about)).map_err(io::Error::other)
    }

    /// What a file holds, if it is whole and belongs to the key.
    fn read(bytes: &'a [u8], key: &EmbeddingKey) -> Option<Self> {
        let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
        let about = header.metadata().as_ref()?;
        let features = SafeTensors::deserialize(bytes).ok()?.tensor("features").ok()?;
        let frame = about.get("frame")?;
        let checksum = checksum(frame, features.dtype(), features.shape(), features.data());
        let is_whole = about.get("key")? == &key.0 && about.get("checksum")? == &checksum;
        let dtype = match features.dtype() {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            _ => return None,
        };
        let frame = serde_json::from_str(frame).ok()?;
        (is_whole && features.shape().len() == 4).then(|| Self {
            shape: features.shape().to_vec(),
            dtype,
            data: features.data(),
            frame,
        })
    }
}

/// Reports an error and its cause.
fn warn(error: &CoreError, consequence: &str) {
    tracing::warn!("{}; {consequence}", error_chain(error));
}

/// Of everything in an entry but its key.
fn checksum(frame: &str, dtype: Dtype, shape: &[usize], data: &[u8]) -> String {
    let mut hasher = Sha256Hasher::new();
    hasher.update(format!("{frame} {dtype:?} {shape:?}"));
    hasher.update(data);
    hasher.finish().to_string()
}
