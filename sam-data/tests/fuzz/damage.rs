//! Random damage to valid bytes.

use rand::{Rng, RngExt};

/// Numbers at the limits of number types, which often trigger bugs.
const EDGES: [u64; 16] = [
    0,
    1,
    2,
    7,
    8,
    127,
    128,
    255,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    u32::MAX as u64,
    1 << 40,
    1 << 58,
    u64::MAX / 2,
];

/// Damages bytes in one or a few places, mostly before `front`, where the header fields are.
pub(crate) fn damage(bytes: &mut Vec<u8>, front: usize, random: &mut dyn Rng) {
    let faults = if random.random_bool(0.5) { 1 } else { random.random_range(2..6) };
    for _ in 0..faults {
        if bytes.is_empty() {
            return;
        }
        let reach = if random.random_bool(0.8) { front.min(bytes.len()) } else { bytes.len() };
        let at = random.random_range(0..reach.max(1));
        match random.random_range(0..8) {
            0 => bytes[at] ^= 1 << random.random_range(0..8),
            1 => bytes[at] = random.random(),
            2 | 3 => {
                let number = EDGES[random.random_range(0..EDGES.len())];
                put(bytes, at, number, random);
            }
            4 => {
                let number = [f32::NAN, f32::INFINITY, -1.0, 0.0, 1e30, 1e-30, 352.5][random.random_range(0..7)];
                put(bytes, at & !3, u64::from(number.to_bits()), random);
            }
            5 if random.random_bool(0.3) => bytes.truncate(at),
            6 => {
                let length = random.random_range(0..64.min(bytes.len() - at + 1));
                let copied = bytes[at..at + length].to_vec();
                let to = random.random_range(0..=bytes.len());
                bytes.splice(to..to, copied);
            }
            _ => {
                let end = (at + random.random_range(1..16)).min(bytes.len());
                random.fill_bytes(&mut bytes[at..end]);
            }
        }
    }
}

/// Writes a number in 2, 4 or 8 bytes, in either byte order.
fn put(bytes: &mut [u8], at: usize, number: u64, random: &mut dyn Rng) {
    let length = [2, 4, 8][random.random_range(0..3)].min(bytes.len() - at);
    let little = number.to_le_bytes();
    for (index, byte) in little[..length].iter().enumerate() {
        bytes[at + index] = *byte;
    }
    if random.random_bool(0.5) {
        bytes[at..at + length].reverse();
    }
}
