//! The review page: a person looks through the slices of a segmented scan in a browser, corrects them with clicks and boxes, and accepts
//! or rejects them.
//!
//! - [`Desk`]: the actions of a person at the page. [`ScanDesk`] implements them for a scan with a mask; a program may bring its own.
//! - [`DecisionStore`]: storage of the decisions: a [`MemoryStore`] until the mask is saved, or a [`SessionStore`] at once.
//! - [`SliceSegmenter`]: the model that answers clicks; [`ScanModel`] implements it. [`Prefetch`] embeds slices in advance.
//! - [`Ranking`]: the order in which slices should be reviewed.
//! - [`Server`]: serves the page on this machine, only to those who have its address; [`ServerLimits`] keep others from holding it up.
//!
//! The page is hand-written and loads nothing from other servers; its files are in `src/page/`.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::unwrap_used))]

mod access;
mod connections;
mod desk;
mod error;
mod files;
mod model;
mod prefetch;
mod ranking;
mod request;
mod scan_desk;
mod segmenter;
mod server;
mod store;

// The crates in this crate's signatures, so that their versions fit.
pub use axum;
pub use sam_annotate;
pub use sam_prompt::{self, ndarray};
pub use serde_json;

pub use connections::ServerLimits;
pub use desk::{Decision, Desk, Overview, Proposal, RoundChanges, Saved, SliceOverview, SliceState, StructureOverview};
pub use error::{BoxError, DeskError, RankingError, ReviewError, StoreError};
pub use model::ScanModel;
pub use prefetch::Prefetch;
pub use ranking::{RankedSlice, Ranking};
pub use scan_desk::{MaskState, RECORD_ENDING, ReviewCase, ScanDesk};
pub use segmenter::{SliceSegmenter, StructureMask};
pub use server::Server;
pub use store::{DecisionStore, MemoryStore, Provenance, SessionStore, SliceReview};

/// The program of the README, compiled with the documentation's tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExample;

#[cfg(test)]
mod tests {
    use burn_flex::Flex;
    use sam_testing::assert_send_sync;

    use super::*;

    /// A desk and its parts can be shared between the threads of a server.
    #[test]
    fn everything_can_be_sent_and_shared_between_threads() {
        assert_send_sync::<ScanDesk>();
        assert_send_sync::<Box<dyn Desk>>();
        assert_send_sync::<Box<dyn DecisionStore>>();
        assert_send_sync::<Box<dyn SliceSegmenter>>();
        assert_send_sync::<Prefetch>();
        assert_send_sync::<(
            Overview,
            StructureOverview,
            SliceOverview,
            SliceReview,
            Proposal,
            Saved,
            StructureMask,
            Provenance,
        )>();
        assert_send_sync::<ScanModel<Flex>>();
        assert_send_sync::<ReviewCase>();
        assert_send_sync::<Server>();
        assert_send_sync::<SessionStore>();
        assert_send_sync::<MemoryStore>();
        assert_send_sync::<Ranking>();
        assert_send_sync::<ReviewError>();
        assert_send_sync::<DeskError>();
        assert_send_sync::<StoreError>();
    }
}
