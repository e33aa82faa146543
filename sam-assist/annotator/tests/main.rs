//! The library from outside, on phantoms and a tiny model of random weights.

mod api;
mod aspect;
mod crash;
mod events;
mod expected;
mod join;
mod kept;
mod old_session;
mod probes;
mod rounds;
mod tiny;

use sam_testing::TestResult as Result;
