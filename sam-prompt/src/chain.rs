//! Formatting of errors with their causes.

use std::{error::Error, iter::successors};

/// An error and all its causes in one line: `what: why: why`.
///
/// The errors of this workspace never repeat a cause in their own text, so always show the causes together with an error.
pub fn error_chain(error: &dyn Error) -> String {
    let causes = successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use std::io;

    use thiserror::Error;

    use super::*;

    #[derive(Debug, Error)]
    #[error("the mask cannot be written")]
    struct Unwritten(#[source] io::Error);

    #[test]
    fn each_cause_is_said_once() {
        let error = Unwritten(io::Error::other("the disk is full"));
        assert_eq!(error_chain(&error), "the mask cannot be written: the disk is full");
        assert_eq!(error_chain(&io::Error::other("no cause")), "no cause");
    }
}
