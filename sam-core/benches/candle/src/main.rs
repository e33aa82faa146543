//! Benchmarks candle's SAM ViT-B with random weights: milliseconds of each embedding and peak memory, as JSON for `models_peers.py`.

use std::{fs, time::Instant};

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{VarBuilder, VarMap};
use candle_transformers::models::segment_anything::sam::Sam;

// The same allocator as in our benchmarks; candle would be slower with the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let weights = VarMap::new();
    let sam = Sam::new(768, 12, 12, &[2, 5, 8, 11], VarBuilder::from_varmap(&weights, DType::F32, &Device::Cpu))?;
    let image = (Tensor::rand(0f32, 1f32, (3, 1024, 1024), &Device::Cpu)? * 255.0)?;
    let run = || -> Result<f64> {
        let start = Instant::now();
        sam.embeddings(&image)?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    run()?;
    let times = (0..3).map(|_| run()).collect::<Result<Vec<_>>>()?;
    println!("{{\"times\": {times:?}, \"mebibytes\": {}}}", peak_mebibytes());
    Ok(())
}

/// Peak memory of this process on Linux; 0 elsewhere.
fn peak_mebibytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    kibibytes.unwrap_or(0) / 1024
}
