//! The library from outside, on phantoms and a tiny model of random weights.

mod api;
mod crash;
mod events;
mod old_session;
mod probes;
mod rounds;
mod tiny;

/// What each test returns.
type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
