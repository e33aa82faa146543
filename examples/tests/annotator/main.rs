//! The annotator's work from end to end, and nothing lost in it: sessions, whatever ends the program, and many scans at once.
#![cfg(all(unix, feature = "flex"))]

mod batch;
mod crash;
mod desk;
mod page;
mod program;
mod rounds;
mod tiny;
mod warm;
