//! What the tests of several crates share. A crate names it among its dev-dependencies by path and without a version, so that cargo
//! leaves it out of the package.
//!
//! - [`assert_send_sync`], [`TestResult`]: for any test.
//! - `golden`: reference tensors, and the model that most of them were made with.
//! - `tiny`: a smaller model, of random or of fixed weights, and slices for it.
//! - `card`: prompt cards of that model.
//! - `scan`: a small scan whose true labels are known, alone or in a folder with a model.
//!
//! Unit tests of a crate that this one depends on must not exchange types with it: they would see two builds of their own crate.
//! Integration tests may.
#![forbid(unsafe_code)]
#![allow(
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    reason = "a test hands every error on, and fails where a committed file is missing"
)]

#[cfg(feature = "card")]
pub mod card;
#[cfg(feature = "golden")]
pub mod golden;
#[cfg(feature = "scan")]
pub mod scan;
#[cfg(feature = "model")]
pub mod tiny;

use std::error::Error;

/// What a test returns.
pub type TestResult<T = (), E = Box<dyn Error>> = Result<T, E>;

/// The backend of most tests.
#[cfg(feature = "golden")]
pub type B = burn_flex::Flex;

/// The CPU.
#[cfg(feature = "golden")]
pub const DEVICE: burn_flex::FlexDevice = burn_flex::FlexDevice;

/// Compiles if a value of the type can be stored, and shared between threads. Of a tuple, if each part can.
pub const fn assert_send_sync<T: Send + Sync + 'static>() {}
