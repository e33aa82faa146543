//! Embeddings on disk: the slow part of a session, done once.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::mpsc::sync_channel,
    thread,
    time::{Duration, SystemTime},
};

use burn::tensor::{DType, Tensor, TensorData, backend::Backend};
use ndarray::{Array3, ArrayView3};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    CoreError, Frame, ImageEmbedding, Precision, Preprocess, SamPredictor,
    atomic::{is_unfinished, write_whole},
    hash::hexadecimal,
};

/// How an [`EmbeddingCache`] stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// The embeddings used longest ago are dropped beyond this many bytes; the last one written always stays.
    pub max_bytes: u64,
    /// Stores f16 instead of f32, which halves the size and has cost no Dice; embeddings are then
    /// [rounded](ImageEmbedding::rounded_to_f16) from the first use on, so that what is computed and what is read are one and the same.
    pub half: bool,
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
/// Part of every key: raise it when the meaning of entries changes.
const FORMAT: &str = "sam-core embedding 2";
/// Ending of the entries' names.
const ENTRY: &str = "safetensors";
/// A temporary file that has not been written to for so long was left behind by a process that is no more.
const ABANDONED: Duration = Duration::from_hours(1);

impl EmbeddingKey {
    /// The key of an image under a model, which counts with its preprocessing and the precision of its image encoder.
    ///
    /// `weights` identifies the checkpoint, best by its [SHA-256](crate::Checkpoint::sha256); `window` names what brought the
    /// image's values to 8-bit levels, and may be empty, since the levels themselves are part of the key.
    pub fn new<B: Backend>(
        image: ArrayView3<'_, f32>,
        window: &str,
        weights: &str,
        predictor: &SamPredictor<B>,
    ) -> Self {
        Self::of(image, window, weights, predictor.preprocess(), predictor.encoder_precision())
    }

    fn of(
        image: ArrayView3<'_, f32>,
        window: &str,
        weights: &str,
        preprocess: Preprocess,
        precision: Precision,
    ) -> Self {
        let mut hasher = Sha256::new();
        let (preprocess, shape) = (format!("{preprocess:?} {precision}"), format!("{:?}", image.shape()));
        // Each text is preceded by its length, so that no two lists of texts look alike.
        for text in [FORMAT, weights, window, &preprocess, &shape] {
            hasher.update(text.len().to_le_bytes());
            hasher.update(text);
        }
        image.iter().for_each(|level| hasher.update(level.to_le_bytes()));
        Self(hexadecimal(&hasher.finalize()))
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
    /// As [`SamPredictor::embed`].
    pub fn embed<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        image: ArrayView3<'_, f32>,
        window: &str,
        weights: &str,
    ) -> Result<ImageEmbedding<B>, CoreError> {
        let key = EmbeddingKey::new(image, window, weights, predictor);
        if let Some(known) = self.get(&key, &predictor.device()) {
            return Ok(known);
        }
        let embedding = predictor.embed(image)?;
        // As it will be read.
        let embedding = if self.config.half { embedding.rounded_to_f16() } else { embedding };
        if let Err(error) = self.put(&key, &embedding) {
            tracing::warn!("{error}; the embedding is used without being kept");
        }
        Ok(embedding)
    }

    /// Puts the embeddings of many images into the folder, those that are not there yet; `reached` is told of each image whether it was
    /// embedded now.
    ///
    /// The work goes on in a line: while one image is embedded, those after it are read and prepared, and those before it are stored.
    ///
    /// A folder that cannot be written to ends the work early, which costs only the time later: it is reported through `tracing`.
    ///
    /// # Errors
    /// As [`SamPredictor::embed`]. What was embedded before stays.
    pub fn embed_all<B: Backend>(
        &self,
        predictor: &SamPredictor<B>,
        images: impl Iterator<Item = Array3<f32>> + Send,
        window: &str,
        weights: &str,
        reached: &mut dyn FnMut(bool),
    ) -> Result<(), CoreError> {
        let (preprocess, precision) = (predictor.preprocess(), predictor.encoder_precision());
        thread::scope(|scope| {
            let (prepared, to_embed) = sync_channel(AHEAD);
            let (embedded, to_store) = sync_channel(AHEAD);
            scope.spawn(move || {
                for image in images {
                    let key = EmbeddingKey::of(image.view(), window, weights, preprocess, precision);
                    let missing = (!self.path(&key).exists()).then(|| preprocess.apply(image.view()));
                    // Whoever embeds has given up.
                    if prepared.send((key, missing)).is_err() {
                        break;
                    }
                }
            });
            let storing = scope.spawn(move || {
                to_store.iter().try_for_each(|(key, embedding): (_, ImageEmbedding<B>)| self.put(&key, &embedding))
            });
            for (key, missing) in to_embed {
                let is_missing = missing.is_some();
                if let Some(input) = missing {
                    let embedding = predictor.embed_prepared(input?);
                    // Whoever stores has failed, and says why.
                    if embedded.send((key, embedding)).is_err() {
                        break;
                    }
                }
                reached(is_missing);
            }
            drop(embedded);
            if let Err(error) = storing.join().unwrap_or_else(|panic| resume_unwind(panic)) {
                tracing::warn!("{error}; the other images are not embedded in advance");
            }
            Ok(())
        })
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
        Some(ImageEmbedding { features, frame })
    }

    /// Puts an embedding under a key, then drops the ones used longest ago if there are too many.
    ///
    /// # Errors
    /// [`CoreError::Cache`] if it cannot be written.
    pub fn put<B: Backend>(&self, key: &EmbeddingKey, embedding: &ImageEmbedding<B>) -> Result<(), CoreError> {
        let path = self.path(key);
        let write = || -> io::Result<()> {
            let bytes = Entry::write(embedding, key, self.config.half).map_err(io::Error::other)?;
            write_whole(&path, &bytes)?;
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
    fn write<B: Backend>(embedding: &ImageEmbedding<B>, key: &EmbeddingKey, half: bool) -> Result<Vec<u8>, String> {
        let (dtype, stored) = if half { (DType::F16, Dtype::F16) } else { (DType::F32, Dtype::F32) };
        let data = embedding.features.clone().permute([0, 2, 3, 1]).into_data().convert_dtype(dtype);
        let frame = serde_json::to_string(&embedding.frame).map_err(|error| error.to_string())?;
        let about = HashMap::from([
            ("key".to_owned(), key.0.clone()),
            ("checksum".to_owned(), checksum(&frame, stored, &data.shape, data.as_bytes())),
            ("frame".to_owned(), frame),
        ]);
        let features =
            TensorView::new(stored, data.shape.to_vec(), data.as_bytes()).map_err(|error| error.to_string())?;
        safetensors::serialize([("features", features)], Some(about)).map_err(|error| error.to_string())
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

/// Of everything in an entry but its key.
fn checksum(frame: &str, dtype: Dtype, shape: &[usize], data: &[u8]) -> String {
    let about = format!("{frame} {dtype:?} {shape:?}");
    hexadecimal(&Sha256::new().chain_update(about).chain_update(data).finalize())
}
