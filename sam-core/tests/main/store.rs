//! The embedding store: it embeds each slice once, with the same result with and without a folder.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use burn::tensor::Tensor;
use ndarray::Array3;
use rayon::prelude::*;
use sam_core::{
    CacheConfig, CoreError, EmbeddingCache, EmbeddingStore, ImageEncoder, ImageFn, Sam, SamPredictor, SliceError,
    SliceSource,
};
use sam_prompt::{
    PixelAspect,
    progress::{Progress, ignore_progress},
};
use sam_testing::{B, DEVICE, TestResult, golden::config};

use crate::cache::{images, values};

fn predictor() -> SamPredictor<B> {
    SamPredictor::new(config().init(&DEVICE), config().preprocess)
}

/// A slow encoder that counts its calls; it runs jobs in the pool that it is called in.
#[derive(Debug, Default)]
struct Slow {
    calls: AtomicUsize,
}

impl ImageEncoder<B> for Slow {
    fn forward(&self, images: Tensor<B, 4>) -> Tensor<B, 4> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        (0..8).into_par_iter().for_each(|_| thread::sleep(Duration::from_millis(2)));
        Tensor::zeros([images.dims()[0], 32, 8, 8], &DEVICE)
    }

    fn parameter_count(&self) -> usize {
        0
    }
}

fn slow() -> (Arc<Slow>, SamPredictor<B>) {
    let encoder = Arc::new(Slow::default());
    let sam = Sam { image_encoder: Arc::<Slow>::clone(&encoder), ..config().init(&DEVICE) };
    (encoder, SamPredictor::new(sam, config().preprocess))
}

#[test]
fn a_folder_changes_no_bit() -> TestResult {
    let folder = tempfile::tempdir()?;
    let predictor = predictor().with_weights_sha256("weights");
    let expected = values(&predictor.embed(images(3)[2].view())?.rounded_to_f16());
    let plain = EmbeddingStore::new(predictor.clone(), images(3));
    assert_eq!(values(&plain.embedding(2)?), expected);
    for half in [true, false] {
        for (computed, read) in [(1, 0), (0, 1)] {
            let cache = EmbeddingCache::open(folder.path(), CacheConfig::default().with_half(half))?;
            let store = EmbeddingStore::new(predictor.clone(), images(3)).with_disk(cache)?;
            assert_eq!(values(&store.embedding(2)?), expected);
            assert_eq!(values(&store.embedding(2)?), expected);
            assert_eq!((store.counts().computed, store.counts().read), (computed, read));
        }
    }
    let unknown = SamPredictor::new(predictor.sam().clone(), predictor.preprocess());
    let cache = EmbeddingCache::open(folder.path(), CacheConfig::default())?;
    let refused = EmbeddingStore::new(unknown, images(3)).with_disk(cache).map(drop);
    assert!(matches!(refused, Err(CoreError::WeightsUnknown)));
    Ok(())
}

#[test]
fn many_threads_embed_each_slice_once() {
    let (encoder, predictor) = slow();
    let store = EmbeddingStore::new(predictor, images(3));
    let start = Barrier::new(6);
    thread::scope(|scope| {
        for number in 0..6 {
            let (store, start) = (&store, &start);
            scope.spawn(move || {
                start.wait();
                (0..3).for_each(|slice| drop(store.embedding((slice + number) % 3).expect("a good slice")));
            });
        }
    });
    assert_eq!((encoder.calls.load(Ordering::SeqCst), store.counts().computed), (3, 3));
}

#[test]
fn workers_of_a_pool_may_ask_for_what_they_embed() {
    // In a pool of one worker, a worker that waits for its own slice would deadlock.
    for threads in [1, 3] {
        let (encoder, predictor) = slow();
        let store = EmbeddingStore::new(predictor, images(4));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
        pool.install(|| {
            (0..32_usize).into_par_iter().for_each(|ask| drop(store.embedding(ask % 4).expect("a good slice")));
        });
        assert_eq!(encoder.calls.load(Ordering::SeqCst), 4, "{threads} threads");
    }
}

#[test]
fn the_slices_used_last_stay_in_memory() -> TestResult {
    let (encoder, predictor) = slow();
    let store = EmbeddingStore::new(predictor, images(4)).with_capacity(2);
    for slice in [0, 1, 0, 2, 0, 1] {
        store.embedding(slice)?;
    }
    assert_eq!(encoder.calls.load(Ordering::SeqCst), 4, "only slice 1 was forgotten");
    // Without a folder, only as many slices as fit into memory are embedded in advance.
    let (encoder, predictor) = slow();
    let store = EmbeddingStore::new(predictor, images(4)).with_capacity(3);
    assert!(store.embed_all(&mut ignore_progress())?.is_continue());
    assert_eq!(encoder.calls.load(Ordering::SeqCst), 3);
    let mut seen = 0;
    let stopped = store.embed_all(&mut |_: &Progress| {
        seen += 1;
        ControlFlow::Break(())
    })?;
    assert!(stopped.is_break() && seen == 1);
    Ok(())
}

#[test]
fn a_slice_that_cannot_be_read_is_told_and_tried_again() -> TestResult {
    let failures = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&failures);
    let source = ImageFn::new(2, move |index| match counted.fetch_add(1, Ordering::SeqCst) {
        0 => Err(SliceError::new(index, "the disk is away")),
        // An image that no encoder accepts.
        1 => Ok(Array3::zeros((2, 2, 1))),
        _ => Ok(Array3::zeros((20, 20, 1))),
    });
    let store = EmbeddingStore::new(predictor(), source);
    for _ in 0..2 {
        assert_eq!(store.embedding(1).map(drop).map_err(|error| error.index), Err(1));
    }
    store.embedding(1)?;
    let missing = store.embedding(2).map(drop);
    let cause = missing.map_err(|error| error.source.to_string());
    assert_eq!(cause, Err("there is no slice 3: the source has 2 slices, counted from 1".to_owned()));
    Ok(())
}

#[test]
fn a_store_passes_on_the_aspect_of_its_pixels() -> TestResult {
    let thick = PixelAspect::of_spacing(5.0, 0.7).ok_or("positive numbers")?;
    let read = |_| Ok(images(1).swap_remove(0));
    let store = |aspect| EmbeddingStore::new(predictor(), Arc::new(ImageFn::new(1, read).with_pixel_aspect(aspect)));
    assert_eq!(store(thick).pixel_aspect(), thick);
    assert!(EmbeddingStore::new(predictor(), images(1)).pixel_aspect().is_square());
    Ok(())
}
