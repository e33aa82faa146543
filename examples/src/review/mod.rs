//! The review page: a person looks through the slices of a segmented scan, corrects them by clicks and boxes, accepts or rejects them.
//!
//! - [`run`]: all of it, from the [`Options`] of the command line to the saved mask.
//! - [`Desk`]: what a person does there; [`ScanDesk`] does it on a scan with a mask.
//! - [`Ledger`]: where it keeps decisions, in [`Memory`] until the mask is saved or in a session at once ([`SessionLedger`]).
//! - [`Segmenter`]: the model that answers clicks; [`Prefetch`] has slices embedded before they are clicked on.
//! - [`Ranking`]: which slices to look at first.
//! - [`Server`]: the page and its requests, for this machine and whoever has the address only.
//!
//! The page itself, hand-written and without anything from elsewhere, lies in `page/`.

mod desk;
mod guard;
mod ledger;
mod model;
mod opening;
mod options;
mod prefetch;
mod program;
mod question;
mod ranking;
mod scan_desk;
mod server;

pub use desk::{Answer, Decision, Desk, DeskError, Overview, Saved, SliceOverview, SliceState, StructureOverview};
pub use ledger::{Ledger, Memory, SessionLedger, Sheet};
pub use model::{Found, ModelJob, Segmenter};
use opening::open;
pub use options::Options;
pub use prefetch::Prefetch;
pub use program::run;
pub use ranking::{Ranked, Ranking};
pub use scan_desk::{ReviewCase, ScanDesk};
pub use server::{Server, told_to_end};
