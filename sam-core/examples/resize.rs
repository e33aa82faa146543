//! Resizes 8-bit images from standard input to standard output, for `tests/resize/check.py`.
//!
//! Its argument is the filter: `pillow_bilinear`, `bicubic` or `area`. Each image is five little-endian `u32` (rows, columns and channels,
//! and the new rows and columns) and its pixels; the output is the new images' pixels alone, one after the other.

use std::io::{self, Read, Write};

use ndarray::Array3;
use sam_core::{Preprocess, ResizeFilter};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let filter = match std::env::args().nth(1).as_deref() {
        Some("pillow_bilinear") => ResizeFilter::PillowBilinear,
        Some("bicubic") => ResizeFilter::Bicubic,
        Some("area") => ResizeFilter::Area,
        other => return Err(format!("expected pillow_bilinear, bicubic or area, found {other:?}").into()),
    };
    let preprocess = Preprocess::sam(1).with_filter(filter);
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut header = [0; 20];
    while let Ok(()) = input.read_exact(&mut header) {
        let mut numbers =
            header.chunks_exact(4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        let [rows, columns, channels, height, width] = [(); 5].map(|()| numbers.next().unwrap_or(0) as usize);
        let mut pixels = vec![0; rows * columns * channels];
        input.read_exact(&mut pixels)?;
        let image = Array3::from_shape_vec((rows, columns, channels), pixels)?;
        let resized = preprocess.resize(image.view(), (height, width));
        output.write_all(&resized.into_iter().collect::<Vec<_>>())?;
    }
    Ok(())
}
