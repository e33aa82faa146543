//! Annotate's work: from a few outlined slices to a whole scan, once or round after round.
//!
//! - [`Options`]: its command line.
//! - [`AnnotationJob`]: learns each structure and segments the other slices.
//! - Without a session all of this happens once; in a [`session`](crate::session) the person corrects slices of what was found, and it
//!   happens again with all they have said so far.

mod decisions;
mod job;
mod once;
mod options;
mod record;
mod rounds;
mod slice_list;
mod work;

use anyhow::Result;

pub use self::{
    job::{Annotated, AnnotationJob, Start, name_of},
    options::{AutoOptions, Options, SessionOptions},
    slice_list::SliceList,
};

/// Does what the command line asks for.
///
/// # Errors
/// If something cannot be read, makes no sense, or cannot be written; the message says what to do.
pub fn run(options: &Options) -> Result<()> {
    match &options.session.session {
        None => once::run(options),
        Some(folder) => rounds::run(options, folder),
    }
}
