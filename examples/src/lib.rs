//! What the example programs share.
//!
//! - [`backend`]: `--backend flex|ndarray|cuda`, chosen at run time among those compiled in.
//! - [`parity`]: the comparison with the reference implementations' tensors.

pub mod backend;
pub mod parity;
