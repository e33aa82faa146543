//! The embedding cache: it returns the computed embedding, and never a wrong one.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use burn::tensor::{Tensor, TensorData};
use ndarray::Array3;
use sam_core::{
    CacheConfig, CoreError, EmbeddingCache, EmbeddingKey, EmbeddingStore, Frame, ImageEmbedding, Precision, Preprocess,
    SamPredictor, SliceSource,
};
use sam_prompt::progress::{Progress, ignore_progress};
use sam_testing::{B, DEVICE, TestResult, golden::config};

fn predictor() -> SamPredictor<B> {
    SamPredictor::new(config().init(&DEVICE), config().preprocess).with_weights_sha256("weights")
}

fn image(seed: usize) -> Array3<u8> {
    Array3::from_shape_fn((40, 50, 1), |(row, column, _)| ((row * 3 + column * 5 + seed * 17) % 256) as u8)
}

pub(crate) fn images(count: usize) -> Vec<Array3<u8>> {
    (0..count).map(image).collect()
}

fn key(seed: usize, predictor: &SamPredictor<B>) -> EmbeddingKey {
    EmbeddingKey::new(image(seed).view(), predictor).expect("the predictor knows its weights")
}

pub(crate) fn values(embedding: &ImageEmbedding<B>) -> Vec<f32> {
    embedding.features().clone().into_data().iter::<f32>().collect()
}

fn entries(folder: &tempfile::TempDir) -> TestResult<Vec<PathBuf>> {
    let mut found = fs::read_dir(folder.path())?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    found.sort();
    Ok(found)
}

fn full() -> CacheConfig {
    CacheConfig::default().with_half(false)
}

#[test]
fn what_is_read_is_what_was_computed() -> TestResult {
    let folder = tempfile::tempdir()?;
    let cache = EmbeddingCache::open(folder.path().join("made/on/the/way"), full())?;
    let predictor = predictor();
    let computed = predictor.embed(image(1).view())?;
    let first = cache.embed(&predictor, image(1).view())?;
    let key = key(1, &predictor);
    let read = cache.get::<B>(&key, &DEVICE).ok_or("it was put there")?;
    for found in [&first, &read] {
        assert_eq!(values(found), values(&computed));
        assert_eq!(found.frame(), computed.frame());
    }
    Ok(())
}

#[test]
fn what_is_rounded_is_rounded_from_the_first_use_on() -> TestResult {
    let folder = tempfile::tempdir()?;
    let cache = EmbeddingCache::open(folder.path(), CacheConfig::default())?;
    let predictor = predictor();
    let [first, second] = [(); 2].map(|()| cache.embed(&predictor, image(1).view()));
    let (first, second) = (values(&first?), values(&second?));
    assert_eq!(first, second);
    let computed = predictor.embed(image(1).view())?;
    assert_ne!(first, values(&computed));
    assert_eq!(first, values(&computed.rounded_to_f16()));
    Ok(())
}

#[test]
fn many_images_are_embedded_once_each() -> TestResult {
    let folder = tempfile::tempdir()?;
    let cache = EmbeddingCache::open(folder.path(), CacheConfig::default())?;
    let predictor = predictor();
    let embed_all = |count: usize| -> TestResult<(usize, Vec<(usize, usize)>)> {
        let store = EmbeddingStore::new(predictor.clone(), images(count)).with_disk(cache.clone())?;
        let mut reached = Vec::new();
        let ended = store.embed_all(&mut |progress: &Progress| {
            reached.push((progress.done, progress.total));
            ControlFlow::Continue(())
        })?;
        assert!(ended.is_continue());
        Ok((store.counts().computed, reached))
    };
    assert_eq!(embed_all(3)?, (3, vec![(1, 3), (2, 3), (3, 3)]));
    let (computed, reached) = embed_all(7)?;
    assert_eq!((computed, reached.len()), (4, 7));
    let apart = EmbeddingCache::open(folder.path().join("apart"), CacheConfig::default())?;
    for seed in 0..7 {
        let key = key(seed, &predictor);
        let (kept, alone) = (cache.get::<B>(&key, &DEVICE), apart.embed(&predictor, image(seed).view())?);
        assert_eq!(values(&kept.ok_or("it was put there")?), values(&alone));
    }
    Ok(())
}

#[test]
fn the_first_image_that_cannot_be_embedded_is_told_and_what_came_before_stays() -> TestResult {
    let folder = tempfile::tempdir()?;
    let cache = EmbeddingCache::open(folder.path(), CacheConfig::default())?;
    let images = vec![image(0), image(1), Array3::zeros((0, 0, 1)), image(2)];
    let mut reached = 0;
    let all = cache.embed_all(&predictor(), &images, &mut |_: &Progress| {
        reached += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(all.map_err(|error| error.index), Err(2));
    assert_eq!((reached, entries(&folder)?.len()), (2, 2));
    Ok(())
}

#[test]
fn half_the_size_costs_half_the_digits() -> TestResult {
    let folder = tempfile::tempdir()?;
    let predictor = predictor();
    let computed = predictor.embed(image(1).view())?;
    let key = key(1, &predictor);
    let sizes = [false, true].map(|half| -> TestResult<u64> {
        let cache = EmbeddingCache::open(folder.path(), full().with_half(half))?;
        assert!(cache.get::<B>(&key, &DEVICE).is_none(), "f32 and f16 are kept apart");
        cache.put(&key, &computed)?;
        let read = cache.get::<B>(&key, &DEVICE).ok_or("it was put there")?;
        for (found, expected) in values(&read).iter().zip(values(&computed)) {
            assert!((found - expected).abs() <= expected.abs() * 1e-3 + 1e-6, "{found} instead of {expected}");
        }
        let newest = entries(&folder)?
            .into_iter()
            .find(|path| path.to_string_lossy().contains(if half { "f16" } else { "f32" }));
        Ok(newest.ok_or("an entry was written")?.metadata()?.len())
    });
    let [full, half] = sizes;
    let (full, half) = (full?, half?);
    assert!(half < full * 6 / 10, "{half} of {full} bytes");
    Ok(())
}

#[test]
fn a_stopped_run_keeps_what_it_has() -> TestResult {
    let folder = tempfile::tempdir()?;
    let cache = EmbeddingCache::open(folder.path(), CacheConfig::default())?;
    let stop = &mut |progress: &Progress| {
        if progress.done == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert!(cache.embed_all(&predictor(), &images(9), stop)?.is_break());
    assert_eq!(entries(&folder)?.len(), 2);
    Ok(())
}

#[test]
fn whatever_differs_is_another_embedding() -> TestResult {
    let with =
        |preprocess, weights| SamPredictor::new(predictor().sam().clone(), preprocess).with_weights_sha256(weights);
    let key = |image: &Array3<u8>, predictor: &SamPredictor<B>| EmbeddingKey::new(image.view(), predictor);
    let sam = with(Preprocess::sam(128), "b");
    let half = sam.clone().with_encoder_precision(Precision::F16)?;
    let base = key(&image(1), &sam)?;
    assert_eq!(base, key(&image(1), &sam)?);
    let turned = image(1).into_shape_with_order((50, 40, 1))?;
    for other in [
        key(&image(2), &sam)?,
        key(&turned, &sam)?,
        key(&image(1), &with(Preprocess::sam(128), "c"))?,
        key(&image(1), &with(Preprocess::lite_medsam(128), "b"))?,
        key(&image(1), &half)?,
    ] {
        assert_ne!(base, other);
    }
    let unknown = SamPredictor::new(sam.sam().clone(), sam.preprocess());
    assert!(matches!(key(&image(1), &unknown), Err(CoreError::WeightsUnknown)));
    Ok(())
}

#[test]
fn keys_are_those_of_the_first_release() {
    // Computed from the description of the key with Python's hashlib. The key must not change, so that existing caches stay valid.
    let found = format!(
        "{:?}",
        key(
            1,
            &SamPredictor::new(predictor().sam().clone(), Preprocess::lite_medsam(128)).with_weights_sha256("weights")
        )
    );
    assert_eq!(found, "EmbeddingKey(\"1fa1b2a0b2f083b920d799ae32aac70742b00995fd2a3eb0e3f691e3f77e2fe5\")");
}

#[test]
fn damaged_entries_are_computed_again() -> TestResult {
    let folder = tempfile::tempdir()?;
    let cache = EmbeddingCache::open(folder.path(), CacheConfig::default())?;
    let predictor = predictor();
    let expected = values(&cache.embed(&predictor, image(1).view())?);
    let key = key(1, &predictor);
    let path = entries(&folder)?.remove(0);
    let whole = fs::read(&path)?;
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let frame = whole.windows(8).position(|text| text == b"original").ok_or("the frame is in the file")?;
    let damaged = [
        Vec::new(),
        whole[..whole.len() - 1].to_vec(),
        whole[..whole.len() / 2].to_vec(),
        flipped(whole.len() - 5),
        flipped(0),
        // A digit of the frame: the image's original size.
        flipped(frame + 12),
        b"no safetensors at all".to_vec(),
    ];
    for (index, bytes) in damaged.iter().enumerate() {
        fs::write(&path, bytes)?;
        assert!(cache.get::<B>(&key, &DEVICE).is_none(), "damage {index} was used");
        assert!(!path.exists(), "damage {index} was left");
        assert_eq!(values(&cache.embed(&predictor, image(1).view())?), expected);
    }
    // Another image's entry under this entry's name.
    cache.embed(&predictor, image(2).view())?;
    let other = entries(&folder)?.into_iter().find(|entry| *entry != path).ok_or("there are two")?;
    fs::copy(other, &path)?;
    assert!(cache.get::<B>(&key, &DEVICE).is_none());
    Ok(())
}

#[test]
fn the_one_used_longest_ago_goes_first() -> TestResult {
    let folder = tempfile::tempdir()?;
    let predictor = predictor();
    let embedding = predictor.embed(image(0).view())?;
    let key = |seed| key(seed, &predictor);
    let unbounded = EmbeddingCache::open(folder.path(), full())?;
    unbounded.put(&key(0), &embedding)?;
    let size = entries(&folder)?[0].metadata()?.len();
    let cache = EmbeddingCache::open(folder.path(), full().with_max_bytes(2 * size))?;
    let here = |cache: &EmbeddingCache, seed| cache.get::<B>(&key(seed), &DEVICE).is_some();
    let wait = || std::thread::sleep(Duration::from_millis(20));
    wait();
    cache.put(&key(1), &embedding)?;
    wait();
    // 0 was used again, so it is no longer the oldest.
    assert!(cache.get::<B>(&key(0), &DEVICE).is_some());
    wait();
    cache.put(&key(2), &embedding)?;
    assert_eq!(entries(&folder)?.len(), 2);
    assert!(here(&cache, 0) && !here(&cache, 1) && here(&cache, 2));
    // A cache that is smaller than one entry still keeps the last entry.
    let tiny = EmbeddingCache::open(folder.path(), full().with_max_bytes(1))?;
    tiny.put(&key(3), &embedding)?;
    assert_eq!(entries(&folder)?.len(), 1);
    assert!(here(&tiny, 3));
    Ok(())
}

#[test]
fn files_of_others_stay_even_if_they_end_like_an_entry() -> TestResult {
    let folder = tempfile::tempdir()?;
    let card = folder.path().join("liver.safetensors");
    fs::write(&card, [0; 64])?;
    let predictor = predictor();
    let tiny = EmbeddingCache::open(folder.path(), full().with_max_bytes(1))?;
    tiny.put(&key(0, &predictor), &predictor.embed(image(0).view())?)?;
    assert_eq!(fs::read(&card)?, [0; 64]);
    assert_eq!(entries(&folder)?.len(), 2, "the card and the newest entry");
    Ok(())
}

/// Environment variable that is set in the process started by [`two_processes_do_not_disturb_each_other`].
const OTHER_PROCESS: &str = "SAM_CORE_CACHE_FOLDER";

/// Reads and writes four embeddings alternately, in a folder with space for two: each process deletes the other's entries.
fn read_and_write(folder: &Path, start: usize) -> TestResult {
    let predictor = predictor();
    // Any features will do. Weights differ between processes, so the images themselves are used as features.
    let embedded = |seed: usize| {
        let features = Tensor::from_data(
            TensorData::new(image(seed).mapv(f32::from).into_raw_vec_and_offset().0, [1, 1, 40, 50]),
            &DEVICE,
        );
        ImageEmbedding::new(features, Frame::new(40, 50, 128)).expect("features of one image")
    };
    let key = |seed| key(seed, &predictor);
    let cache = EmbeddingCache::open(folder, full().with_max_bytes(20_000))?;
    for round in 0..40 {
        let (written, read) = ((start + round) % 4, round % 4);
        cache.put(&key(written), &embedded(written))?;
        if let Some(found) = cache.get::<B>(&key(read), &DEVICE) {
            assert_eq!(values(&found), values(&embedded(read)), "the embedding of image {read}");
        }
    }
    Ok(())
}

#[test]
fn two_processes_do_not_disturb_each_other() -> TestResult {
    if let Some(folder) = std::env::var_os(OTHER_PROCESS) {
        return read_and_write(Path::new(&folder), 2);
    }
    let folder = tempfile::tempdir()?;
    let mut other = Command::new(std::env::current_exe()?)
        .args(["--exact", "cache::two_processes_do_not_disturb_each_other"])
        .env(OTHER_PROCESS, folder.path())
        .stdout(Stdio::null())
        .spawn()?;
    let here = read_and_write(folder.path(), 0);
    assert!(other.wait()?.success(), "the other process was disturbed");
    here?;
    let found = entries(&folder)?;
    assert!(
        !found.is_empty() && found.iter().all(|path| path.extension().is_some_and(|ending| ending == "safetensors"))
    );
    Ok(())
}

#[test]
fn what_a_dead_process_left_behind_is_removed() -> TestResult {
    let folder = tempfile::tempdir()?;
    let predictor = predictor();
    let (old, new, other) = (".unfinished-old", ".unfinished-new", "notes.txt");
    for name in [old, new, other] {
        fs::write(folder.path().join(name), "half an embedding")?;
    }
    for name in [old, other] {
        let file = fs::File::options().append(true).open(folder.path().join(name))?;
        file.set_modified(SystemTime::now() - Duration::from_hours(2))?;
    }
    let cache = EmbeddingCache::open(folder.path(), CacheConfig::default())?;
    cache.embed(&predictor, image(0).view())?;
    let is_there = |name| folder.path().join(name).exists();
    assert!(!is_there(old) && is_there(new) && is_there(other), "what is being written, and what is not ours, stays");
    Ok(())
}

#[test]
fn a_folder_that_cannot_be_written_to_costs_only_the_time() -> TestResult {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("cache");
    let cache = EmbeddingCache::open(&place, CacheConfig::default())?;
    fs::remove_dir(&place)?;
    let predictor = predictor();
    let found = cache.embed(&predictor, image(1).view())?;
    assert_eq!(values(&found), values(&predictor.embed(image(1).view())?.rounded_to_f16()));
    cache
        .embed_all(&predictor, &images(9), &mut ignore_progress())?
        .is_continue()
        .then_some(())
        .ok_or("nobody stopped it")?;
    fs::write(&place, "a file")?;
    assert!(EmbeddingCache::open(&place, CacheConfig::default()).is_err());
    Ok(())
}
