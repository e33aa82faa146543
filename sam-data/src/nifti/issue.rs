//! The error for an invalid header.

/// What was expected of a header, and what was found.
#[derive(Debug)]
pub(super) struct HeaderIssue {
    pub(super) expected: &'static str,
    pub(super) found: String,
}
