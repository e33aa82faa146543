//! Other people's text, safe to print.
//!
//! It is in this crate because such text comes out of files, and every crate that reads files may use this one.

/// A text with every control character replaced by U+FFFD, so that it cannot steer a terminal.
pub fn sanitize(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_stay_and_control_characters_are_replaced() {
        assert_eq!(sanitize("l\u{e4}ver, \u{1b}[2J\u{7}\n"), "l\u{e4}ver, \u{fffd}[2J\u{fffd}\u{fffd}");
    }
}
