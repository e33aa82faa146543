//! The program from end to end: exit codes, help, JSON, config files, Ctrl-C, sessions that survive a kill, batches of scans, and reviews
//! beside other programs and hostile clients.
#![cfg(all(unix, feature = "flex"))]

mod batch;
mod cards;
mod config;
mod conflicts;
mod desk;
mod dicom;
mod ends;
mod fetch;
mod help;
mod messages;
mod outputs;
mod page;
mod printed;
mod program;
mod rounds;
mod server;
mod stop;
mod streams;
mod understood;
