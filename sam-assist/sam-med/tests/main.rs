//! The program from end to end: exit codes, help, JSON, config files, Ctrl-C, sessions that survive a kill, and batches of scans.
#![cfg(all(unix, feature = "flex"))]

mod batch;
mod config;
mod desk;
mod ends;
mod fetch;
mod help;
mod page;
mod program;
mod rounds;
mod stop;
mod streams;
mod understood;
