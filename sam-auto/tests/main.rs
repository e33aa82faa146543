//! Tests of automatic segmentation, with a tiny model of random weights.

mod common;
mod expected;
mod fusion;
mod generators;
mod phantom;
mod pixel_classifier;
mod propagation;
mod send_sync;
mod stored;
mod strategy;
mod trust;
mod walker;
