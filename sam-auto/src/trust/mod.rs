//! How far each slice of a segmented volume can be trusted, and so where a person should look first.
//!
//! - [`Signal`]: what can be known of a slice without its truth; a [`TrustMeter`] measures them all.
//! - [`TrustModel`]: what they say together: the Dice to be expected of the slice.
//! - [`rank`]: the slices in the order in which they should be looked at, each with its main reason.
//! - [`suggest_next`]: the slice to outline next.

mod appearance;
mod masks;
mod meter;
mod model;
mod ranking;
mod signals;

pub use meter::{TrustMeter, TrustMeterConfig};
pub use model::{LinearTrust, TrustModel};
pub use ranking::{RankedSlice, rank, suggest_next};
pub use signals::{Signal, TrustSignals};
