//! What others wrote, as a terminal may show it.

/// A file's own words without what would steer a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_and_signals_go() {
        assert_eq!(printable("l\u{e4}ver, \u{1b}[2J\u{7}\n"), "l\u{e4}ver, \u{fffd}[2J\u{fffd}\u{fffd}");
    }
}
