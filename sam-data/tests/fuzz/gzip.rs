//! Gzip compression of fuzzed files.

use std::io::{Read, Write};

use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use rand::{Rng, RngExt};

/// Compresses bytes into one or several gzip members.
pub(crate) fn packed(bytes: &[u8], random: &mut dyn Rng) -> Vec<u8> {
    let middle = if random.random_bool(0.2) { random.random_range(0..=bytes.len()) } else { 0 };
    let parts = [&bytes[..middle], &bytes[middle..]];
    parts.iter().filter(|part| !part.is_empty()).flat_map(|part| pack(part, Compression::fast())).collect()
}

fn pack(bytes: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes everything")
}

/// The uncompressed length of a file in bytes. Reading it may use memory in proportion.
pub(crate) fn unpacked_length(bytes: &[u8]) -> usize {
    let mut count = 0;
    let mut decoder = MultiGzDecoder::new(bytes);
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = decoder.read(&mut buffer) {
        count += read;
    }
    count.max(bytes.len())
}
