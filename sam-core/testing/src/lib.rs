//! Test utilities shared by several crates. Add this crate to the dev-dependencies by path and without a version, so that cargo omits it
//! from the published package.
//!
//! - [`assert_send_sync`], [`TestResult`]: for any test.
//! - `golden`: reference tensors, and the model that most of them were made with.
//! - `tiny`: a smaller model with random or fixed weights, and slices for it.
//! - `card`: prompt cards of that model.
//! - `scan`: a small scan with known labels, alone or in a folder with a model.
//!
//! Unit tests of a crate that this crate depends on must not share types with it, because they would see two builds of their own crate.
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

/// The return type of tests.
pub type TestResult<T = (), E = Box<dyn Error + Send + Sync>> = Result<T, E>;

/// The backend of most tests.
#[cfg(feature = "golden")]
pub type B = burn_flex::Flex;

/// The device of most tests: the CPU.
#[cfg(feature = "golden")]
pub const DEVICE: burn_flex::FlexDevice = burn_flex::FlexDevice;

/// Compiles only if the type can be stored and shared between threads. For a tuple, every part must be.
pub const fn assert_send_sync<T: Send + Sync + 'static>() {}
