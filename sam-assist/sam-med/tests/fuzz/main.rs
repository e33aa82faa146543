//! Fuzzing, on stable Rust, of files other than images that people exchange (prompt cards, checkpoints, sessions), and of requests to the
//! review page. Readers of images are fuzzed by the test of the same name in `sam-data`, which also has the harness.
//!
//! ```sh
//! cargo test -p sam-med --test fuzz -- --seconds 900 --seed 7
//! cargo test -p sam-med --test fuzz -- --seed 7 --target session --case 1234   # one case again
//! ```

#[cfg(not(debug_assertions))]
compile_error!("memory is counted in debug builds only: run the fuzz test without --release");

mod card;
mod checkpoint;
#[path = "../../../../sam-data/tests/fuzz/damage.rs"]
mod damage;
#[path = "../../../../sam-data/tests/fuzz/harness.rs"]
mod harness;
mod review;
mod sealed;
mod session;
mod text;

use std::process::ExitCode;

use harness::Target;

/// All targets.
const TARGETS: &[Target] = &[
    Target { name: "card", prepare: card::prepare, read: card::read },
    Target { name: "zip", prepare: checkpoint::prepare_zip, read: checkpoint::read },
    Target { name: "legacy", prepare: checkpoint::prepare_legacy, read: checkpoint::read },
    Target { name: "tensors", prepare: checkpoint::prepare_safetensors, read: checkpoint::read },
    Target { name: "session", prepare: session::prepare, read: session::read },
    Target { name: "review", prepare: review::prepare, read: review::read },
];

fn main() -> ExitCode {
    harness::run(TARGETS)
}

/// Checks that an error message names its place and contains no control characters.
fn check_words(words: &str, place: &str) -> Result<(), String> {
    if !words.contains(place) {
        return Err(format!("an error does not name {place}: {words}"));
    }
    match words.chars().find(|&sign| sign.is_control() && sign != '\n') {
        Some(sign) => Err(format!("an error holds {sign:?}: {words:?}")),
        None => Ok(()),
    }
}
