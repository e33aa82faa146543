//! Sanitising of text from files before it is printed.
//!
//! It is in this crate because every crate that reads files can depend on this one.

/// Replaces every control character of a text by U+FFFD, so that the text cannot control a terminal.
pub fn sanitize(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// Writes every character that [`controls_output`] as an escape, such as `\u{1b}`, and leaves all others as they are.
///
/// Use it for text that is printed and should still tell which file it names; [`sanitize`] is for text that is stored.
pub fn escape_controls(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if controls_output(character) {
            escaped.extend(character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// Whether a character changes how a terminal shows the text around it: a control character, a separator of lines or paragraphs, or a
/// mark that changes the direction of text (Unicode Standard Annex #9, section 2).
pub fn controls_output(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn letters_stay_and_control_characters_are_replaced() {
        assert_eq!(sanitize("l\u{e4}ver, \u{1b}[2J\u{7}\n"), "l\u{e4}ver, \u{fffd}[2J\u{fffd}\u{fffd}");
    }

    #[test]
    fn letters_stay_and_control_characters_are_escaped() {
        let escaped = escape_controls("l\u{e4}ver \u{1b}[2J\u{9b}\n\u{202e}gz.iin");
        assert_eq!(escaped, r"läver \u{1b}[2J\u{9b}\u{a}\u{202e}gz.iin");
    }

    proptest! {
        #[test]
        fn an_escaped_text_controls_nothing(text in any::<String>()) {
            let escaped = escape_controls(&text);
            prop_assert!(!escaped.chars().any(controls_output));
            prop_assert!(text.chars().any(controls_output) || escaped == text);
        }
    }
}
