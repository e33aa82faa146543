//! What is wrong with a header.

/// What was expected of a header, and what it says instead.
#[derive(Debug)]
pub(super) struct HeaderIssue {
    pub(super) expected: &'static str,
    pub(super) found: String,
}
