//! Tests of learning and of learned files, with a tiny model of random weights.

mod card;
mod card_files;
mod common;
mod golden;
mod learn;
mod learner;
mod resume;
mod send_sync;
mod threads;
