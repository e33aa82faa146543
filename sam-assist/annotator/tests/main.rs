//! The library from outside, on phantoms and a tiny model of random weights.

mod api;
mod crash;
mod events;
mod old_session;
mod rounds;
mod tiny;

use sam_prompt::error_chain as chain;

/// What each test returns.
type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;
