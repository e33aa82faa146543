//! Cache of image embeddings on disk.

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

/// Config of an [`EmbeddingCache`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CacheConfig {
    /// Size limit in bytes: beyond it, the least recently used embeddings are deleted. The embedding written last always stays.
    pub max_bytes: u64,
    /// Stores f16 instead of f32, which halves the size without loss of Dice. Embeddings are then [rounded](ImageEmbedding::rounded_to_f16)
    /// from the first use on, so that computed and cached embeddings are equal.
    pub half: bool,
}

impl CacheConfig {
    /// This config with another size limit, in bytes.
    #[must_use]
    pub fn with_max_bytes(self, max_bytes: u64) -> Self {
        Self { max_bytes, ..self }
    }

    /// This config with storage in f16 (`true`) or f32 (`false`).
    #[must_use]
    pub fn with_half(self, half: bool) -> Self {
        Self { half, ..self }
    }
}

impl Default for CacheConfig {
    /// 4 GiB in f16: about two thousand slices.
    fn default() -> Self {
        Self { max_bytes: 4 << 30, half: true }
    }
}

/// Cache key of an embedding: a hash of everything that the embedding depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EmbeddingKey(String);

/// Capacity of the queues before and after the encoder: prepared images and finished embeddings that wait.
const AHEAD: usize = 2;
/// An image's key, and the encoder's input with its frame if the image is not in the cache.
type Prepared = (EmbeddingKey, Option<(Array3<f32>, Frame)>);

/// Part of every key; raise it when the meaning of entries changes.
const FORMAT: &str = "sam-core embedding 2";
/// File extension of entries.
const ENTRY: &str = "safetensors";
/// A temporary file that was not written to for this long is left over from a process that died.
const ABANDONED: Duration = Duration::from_hours(1);

impl EmbeddingKey {
    /// The key of an image under a model. It depends on the weights, the preprocessing and the precision of the image encoder.
    ///
    /// # Errors
    /// [`CoreError::WeightsUnknown`] if the predictor does not know its weights' SHA-256.
    pub fn new<B: Backend>(image: ArrayView3<'_, u8>, predictor: &SamPredictor<B>) -> Result<Self, CoreError> {
        Ok(Model::of(predictor)?.key(image))
    }
}

/// The properties of a predictor that its embeddings depend on.
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
        // The empty text replaces the name of the window, which was once part of the key. The 8-bit levels are enough.
        for text in [FORMAT, self.weights, "", &preprocess, &shape] {
            hasher.update_part(text);
        }
        // Hashed as f32, so that keys of existing entries stay valid.
        let levels: Vec<u8> = image.iter().flat_map(|&level| f32::from(level).to_le_bytes()).collect();
        hasher.update(&levels);
        EmbeddingKey(hasher.finish().to_string())
    }
}

/// A folder of cached embeddings; each file is named by its [`EmbeddingKey`].
///
/// Entries are safetensors files. They are written under a temporary name and renamed, so that several processes may share a folder and an
/// interrupted run can continue. Entries have a checksum; a damaged or incomplete entry is never used.
#[derive(Debug, Clone)]
pub struct EmbeddingCache {
    folder: PathBuf,
    config: CacheConfig,
}

impl EmbeddingCache {
    /// Opens a folder; creates it if it does not exist.
    ///
    /// # Errors
    /// [`CoreError::Cache`] if the folder cannot be created.
    pub fn open(folder: impl Into<PathBuf>, config: CacheConfig) -> Result<Self, CoreError> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(|source| CoreError::Cache { path: folder.clone(), source })?;
        Ok(Self { folder, config })
    }

    /// Reads an image's embedding from the cache, or computes and stores it.
    ///
    /// If the folder cannot be written to (for example, the disk is full), the embedding is returned without being stored, and the failure
    /// is reported through `tracing`.
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
        // Rounded as it will be when it is read.
        let embedding = if self.config.half { embedding.rounded_to_f16() } else { embedding };
        self.put_or_warn(&key, &embedding);
        Ok(embedding)
    }

    /// Computes and stores the embeddings of all images that are not in the cache. Returns `Break` if the observer stopped it.
    ///
    /// The work is a pipeline: while one image is embedded, the next ones are read and prepared, and the previous ones are stored.
    ///
    /// If the folder cannot be written to, the work ends early, and the failure is reported through `tracing`. The remaining images are
    /// then embedded when they are needed.
    ///
    /// # Errors
    /// [`SliceError`] for the first image that cannot be read or embedded. Embeddings made before it stay in the cache.
    pub fn embed_all<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        images: &dyn ImageSource,
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>, SliceError> {
        self.fill(predictor, images, &mut |_| (), observer)
    }

    /// As [`EmbeddingCache::embed_all`]; calls `reached` for each image, with whether it was embedded by this call.
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
                    // The receiver is gone: the embedding loop ended early.
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
                    let embedding = embedding.map_err(|error| SliceError::new(index, error))?;
                    // The receiver is gone: the storing thread failed, and its error is reported below.
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

    /// An image's key, and the encoder's input if its embedding is not in the cache.
    fn prepare(&self, model: Model<'_>, images: &dyn ImageSource, index: usize) -> Result<Prepared, SliceError> {
        // Read in the embedding pool, whose jobs never wait. The caller's pool may have only one worker, and that worker waits for this
        // thread.
        let image = in_embedding_pool(|| images.image(index))?;
        let key = model.key(image.view());
        let missing = (!self.path(&key).exists()).then(|| model.preprocess.apply(image.view())).transpose();
        Ok((key, missing.map_err(|error| SliceError::new(index, error))?))
    }

    /// As [`EmbeddingCache::put`], but a failure is only logged.
    pub(crate) fn put_or_warn<B: Backend>(&self, key: &EmbeddingKey, embedding: &ImageEmbedding<B>) {
        if let Err(error) = self.put(key, embedding) {
            warn(&error, "the embedding is used without being kept");
        }
    }

    /// Reads the embedding of a key; `None` if there is no entry, or the entry is damaged.
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
        // The modification time is the time of last use. If it cannot be set, only the order of deletion suffers.
        let _ = File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        let data = TensorData::from_bytes_vec(data.to_vec(), shape, dtype).convert_dtype(DType::F32);
        let features = Tensor::<B, 4>::from_data(data, device).permute([0, 3, 1, 2]);
        ImageEmbedding::new(features, frame).ok()
    }

    /// Stores an embedding under a key, then deletes the least recently used entries beyond the size limit.
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

    /// f32 and f16 entries have different file names, so that an f32 cache never returns a rounded embedding.
    fn path(&self, key: &EmbeddingKey) -> PathBuf {
        let precision = if self.config.half { "f16" } else { "f32" };
        self.folder.join(format!("{}-{precision}.{ENTRY}", key.0))
    }

    fn drop_oldest(&self, newest: &Path) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            // Another process may have removed it; then it takes no space.
            let Ok(about) = fs::metadata(&path) else { continue };
            if is_entry(&path) {
                entries.push((about.modified()?, about.len(), path));
            } else if is_unfinished(&path) && about.modified()?.elapsed().is_ok_and(|age| age > ABANDONED) {
                // Another process may have removed it already.
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

/// Whether a file is named as an entry is. The folder may hold other files that end alike, such as weights and prompt cards.
fn is_entry(path: &Path) -> bool {
    let stem = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .filter(|_| path.extension().is_some_and(|ending| ending == ENTRY));
    let key = stem.and_then(|stem| stem.strip_suffix("-f16").or_else(|| stem.strip_suffix("-f32")));
    key.is_some_and(|key| key.len() == 64 && key.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// Content of a file: features `[1, h, w, channels]`, each pixel's channels contiguous as the decoder reads them.
struct Entry<'a> {
    shape: Vec<usize>,
    dtype: DType,
    data: &'a [u8],
    frame: Frame,
}

impl<'a> Entry<'a> {
    /// Serialises an embedding.
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

    /// Parses a file; `None` if it is damaged or belongs to another key.
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

/// Logs an error and its causes.
fn warn(error: &CoreError, consequence: &str) {
    tracing::warn!("{}; {consequence}", error_chain(error));
}

/// Checksum of an entry, without its key.
fn checksum(frame: &str, dtype: Dtype, shape: &[usize], data: &[u8]) -> String {
    let mut hasher = Sha256Hasher::new();
    hasher.update(format!("{frame} {dtype:?} {shape:?}"));
    hasher.update(data);
    hasher.finish().to_string()
}
