//! Benchmarks how time and memory of image encoders grow with the number of slices and the image size. Weights are random.
//!
//! Run with `cargo bench -p sam-core --features flex --bench scaling`. Time should grow linearly with the slices. Memory of attention grows
//! linearly with the tokens, and time of global attention with their square. Memory is the peak minus the memory in use before.

use std::{hint::black_box, time::Instant};

use burn::tensor::{Distribution, Tensor};
use burn_flex::{Flex, FlexDevice};
use peak_alloc::PeakAlloc;
use sam_core::{ImageEncoder, TinyVitConfig, ViTConfig};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Runs of each size. The fastest counts, because other programs can only slow a run down.
const RUNS: usize = 3;

const MEBI: f32 = 1024.0 * 1024.0;

fn main() {
    println!("LiteMedSAM's encoder, by slices embedded one after the other");
    let encoder = TinyVitConfig::lite_medsam().init::<Flex>(&FlexDevice);
    let slice = image(256);
    for slices in [1, 2, 4, 8, 16] {
        let [seconds, memory] = measure(|| {
            for _ in 0..slices {
                black_box(encoder.forward(slice.clone()).into_data());
            }
        });
        println!("{slices:>6} slices: {seconds:.2} s, {:.3} s a slice, {memory:.0} MiB", seconds / slices as f32);
    }

    for (name, window) in [("within windows of 14", 14), ("over the whole image", 0)] {
        println!("A block of ViT-B, attending {name}, by tokens");
        for side in [16, 32, 64, 96] {
            let config = ViTConfig::new(768, 1, 12).with_window_size(window).with_image_size(16 * side);
            let block = config.init::<Flex>(&FlexDevice).blocks.remove(0);
            let tokens = Tensor::random([1, side, side, 768], Distribution::Normal(0.0, 1.0), &FlexDevice);
            let [seconds, memory] = measure(|| drop(black_box(block.forward(tokens.clone()).into_data())));
            let count = side * side;
            println!(
                "{count:>6} tokens: {seconds:.3} s, {memory:.0} MiB, {:.1} KiB a token",
                1024.0 * memory / count as f32
            );
        }
    }

    for (name, config) in [("ViT-B", ViTConfig::base()), ("ViT-L", ViTConfig::large()), ("ViT-H", ViTConfig::huge())] {
        let encoder = config.init::<Flex>(&FlexDevice);
        let input = image(1024);
        let [seconds, memory] = measure(|| drop(black_box(encoder.forward(input.clone()).into_data())));
        let all = MEMORY.current_usage_as_mb() + memory;
        println!("{name} at 1024: {seconds:.1} s, {memory:.0} MiB beside its weights, {all:.0} MiB with them");
    }
}

fn image(side: usize) -> Tensor<Flex, 4> {
    Tensor::random([1, 3, side, side], Distribution::Normal(0.0, 1.0), &FlexDevice)
}

/// Seconds and MiB of the fastest run.
fn measure(work: impl Fn() + Sync) -> [f32; 2] {
    let run = || {
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let start = Instant::now();
        rayon::scope(|_| work());
        [start.elapsed().as_secs_f32(), (MEMORY.peak_usage() - before) as f32 / MEBI]
    };
    let runs = (0..RUNS).map(|_| run());
    runs.min_by(|[one, _], [other, _]| one.total_cmp(other)).unwrap_or_default()
}
