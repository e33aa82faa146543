//! Sanitising of text from files before it is printed.
//!
//! It is in this crate because every crate that reads files can depend on this one.

/// Replaces every control character of a text by U+FFFD, so that the text cannot control a terminal.
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
