//! Embeddings on disk: the same as computed, and never anything else.

mod golden;

use std::{fs, path::PathBuf, time::Duration};

use golden::{B, DEVICE, TestResult, config};
use ndarray::Array3;
use sam_core::{CacheConfig, EmbeddingCache, EmbeddingKey, ImageEmbedding, Preprocess, SamPredictor};

fn predictor() -> SamPredictor<B> {
    SamPredictor::new(config().init(&DEVICE), config().preprocess)
}

fn image(seed: usize) -> Array3<f32> {
    Array3::from_shape_fn((40, 50, 1), |(row, column, _)| ((row * 3 + column * 5 + seed * 17) % 256) as f32)
}

fn values(embedding: &ImageEmbedding<B>) -> Vec<f32> {
    embedding.features.clone().into_data().iter::<f32>().collect()
}

fn entries(folder: &tempfile::TempDir) -> TestResult<Vec<PathBuf>> {
    let mut found = fs::read_dir(folder.path())?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    found.sort();
    Ok(found)
}

#[test]
fn what_is_read_is_what_was_computed() -> TestResult {
    let folder = tempfile::tempdir()?;
    let cache = EmbeddingCache::open(folder.path().join("made/on/the/way"), CacheConfig::default())?;
    let predictor = predictor();
    let computed = predictor.embed(image(1).view())?;
    let first = cache.embed(&predictor, image(1).view(), "W400 L40", "weights")?;
    let key = EmbeddingKey::new(image(1).view(), "W400 L40", "weights", &predictor.preprocess());
    let read = cache.get::<B>(&key, &DEVICE).ok_or("it was put there")?;
    for found in [&first, &read] {
        assert_eq!(values(found), values(&computed));
        assert_eq!(found.frame, computed.frame);
    }
    Ok(())
}

#[test]
fn half_the_size_costs_half_the_digits() -> TestResult {
    let folder = tempfile::tempdir()?;
    let predictor = predictor();
    let computed = predictor.embed(image(1).view())?;
    let key = EmbeddingKey::new(image(1).view(), "", "weights", &predictor.preprocess());
    let sizes = [false, true].map(|half| -> TestResult<u64> {
        let cache = EmbeddingCache::open(folder.path(), CacheConfig { half, ..CacheConfig::default() })?;
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
fn whatever_differs_is_another_embedding() {
    let sam = Preprocess::sam(128);
    let key = |image: &Array3<f32>, window, weights, preprocess: &Preprocess| {
        EmbeddingKey::new(image.view(), window, weights, preprocess)
    };
    let base = key(&image(1), "a", "b", &sam);
    assert_eq!(base, key(&image(1), "a", "b", &sam));
    let turned = image(1).into_shape_with_order((50, 40, 1)).expect("as many pixels");
    for other in [
        key(&image(2), "a", "b", &sam),
        key(&turned, "a", "b", &sam),
        key(&image(1), "ab", "", &sam),
        key(&image(1), "a", "c", &sam),
        key(&image(1), "a", "b", &Preprocess::lite_medsam(128)),
    ] {
        assert_ne!(base, other);
    }
}

#[test]
fn damaged_entries_are_computed_again() -> TestResult {
    let folder = tempfile::tempdir()?;
    let cache = EmbeddingCache::open(folder.path(), CacheConfig::default())?;
    let predictor = predictor();
    let expected = values(&cache.embed(&predictor, image(1).view(), "", "weights")?);
    let key = EmbeddingKey::new(image(1).view(), "", "weights", &predictor.preprocess());
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
        // A digit of the frame: the image's own size.
        flipped(frame + 12),
        b"no safetensors at all".to_vec(),
    ];
    for (index, bytes) in damaged.iter().enumerate() {
        fs::write(&path, bytes)?;
        assert!(cache.get::<B>(&key, &DEVICE).is_none(), "damage {index} was used");
        assert!(!path.exists(), "damage {index} was left");
        assert_eq!(values(&cache.embed(&predictor, image(1).view(), "", "weights")?), expected);
    }
    // Another image's entry under this one's name.
    cache.embed(&predictor, image(2).view(), "", "weights")?;
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
    let key = |seed| EmbeddingKey::new(image(seed).view(), "", "weights", &predictor.preprocess());
    let unbounded = EmbeddingCache::open(folder.path(), CacheConfig::default())?;
    unbounded.put(&key(0), &embedding)?;
    let size = entries(&folder)?[0].metadata()?.len();
    let cache = EmbeddingCache::open(folder.path(), CacheConfig { max_bytes: 2 * size, half: false })?;
    let here = |seed| unbounded_has(&cache, &key(seed));
    let wait = || std::thread::sleep(Duration::from_millis(20));
    wait();
    cache.put(&key(1), &embedding)?;
    wait();
    // Used once more, 0 is no longer the oldest.
    assert!(cache.get::<B>(&key(0), &DEVICE).is_some());
    wait();
    cache.put(&key(2), &embedding)?;
    assert_eq!(entries(&folder)?.len(), 2);
    assert!(here(0) && !here(1) && here(2));
    // A cache that is smaller than one entry still holds the last.
    let tiny = EmbeddingCache::open(folder.path(), CacheConfig { max_bytes: 1, half: false })?;
    tiny.put(&key(3), &embedding)?;
    assert_eq!(entries(&folder)?.len(), 1);
    assert!(unbounded_has(&tiny, &key(3)));
    Ok(())
}

fn unbounded_has(cache: &EmbeddingCache, key: &EmbeddingKey) -> bool {
    cache.get::<B>(key, &DEVICE).is_some()
}

#[test]
fn two_at_once_do_not_disturb_each_other() -> TestResult {
    let folder = tempfile::tempdir()?;
    let predictor = predictor();
    let embedding = predictor.embed(image(0).view())?;
    let expected = values(&embedding);
    let keys: Vec<_> =
        (0..4).map(|seed| EmbeddingKey::new(image(seed).view(), "", "weights", &predictor.preprocess())).collect();
    // Room for two of four: everybody drops what the others write.
    let cache = EmbeddingCache::open(folder.path(), CacheConfig { max_bytes: 20_000, half: false })?;
    std::thread::scope(|scope| {
        for worker in 0..3 {
            let (cache, keys, embedding, expected) = (&cache, &keys, &embedding, &expected);
            scope.spawn(move || {
                for round in 0..20 {
                    let key = &keys[(worker + round) % keys.len()];
                    cache.put(key, embedding).expect("the folder can be written to");
                    if let Some(read) = cache.get::<B>(&keys[round % keys.len()], &DEVICE) {
                        assert_eq!(&values(&read), expected);
                    }
                }
            });
        }
    });
    assert!(entries(&folder)?.iter().all(|path| path.extension().is_some_and(|ending| ending == "safetensors")));
    Ok(())
}

#[test]
fn a_folder_that_cannot_be_written_to_costs_only_the_time() -> TestResult {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("cache");
    let cache = EmbeddingCache::open(&place, CacheConfig::default())?;
    fs::remove_dir(&place)?;
    let predictor = predictor();
    let found = cache.embed(&predictor, image(1).view(), "", "weights")?;
    assert_eq!(values(&found), values(&predictor.embed(image(1).view())?));
    fs::write(&place, "a file")?;
    assert!(EmbeddingCache::open(&place, CacheConfig::default()).is_err());
    Ok(())
}
