//! Random numbers of a slice.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The random stream of a slice: it does not depend on which slices came before, or in which order.
pub(crate) fn stream_of(seed: u64, index: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index as u64);
    rng
}
