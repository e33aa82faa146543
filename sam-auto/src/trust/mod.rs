//! Trust: estimates how far each slice of a segmented volume can be trusted, and where a person should look first.
//!
//! - [`Signal`]: evidence about a slice that needs no ground truth; a [`TrustMeter`] measures all signals.
//! - [`TrustModel`]: combines them into the expected Dice of the slice.
//! - [`rank`]: the slices in the order in which a person should look at them, each with its main reason.
//! - [`suggest_next`]: the slice to outline next.
//! - [`TrustConfig`]: all of it for a volume in one call.

mod appearance;
mod config;
mod masks;
mod meter;
mod model;
mod rank;
mod signals;

pub use config::{Ranking, TrustConfig};
pub use meter::{Measurement, TrustMeter, TrustMeterConfig};
pub use model::{LinearTrust, TrustModel};
pub use rank::{RankedSlice, rank, suggest_next};
pub use signals::{Signal, TrustSignals};
