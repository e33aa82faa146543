//! All that the program prints goes through here, so that no file name and no text of a file controls the terminal: control characters,
//! and marks that change the direction of text, are printed as escapes such as `\u{1b}`.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    fmt::{self, Write as _},
    io::{self, Write},
    panic,
};

use sam_files::{controls_output, escape_controls};

/// A text of several lines, to be printed.
pub(crate) fn printable(text: &str) -> String {
    text.lines().map(escape_controls).collect::<Vec<_>>().join("\n")
}

/// A message, to be printed: lines after the first are indented, so that a line break in a file name cannot forge another message.
pub(crate) fn printable_message(text: &str) -> String {
    let indent = |(number, line): (usize, &str)| {
        let is_set_off = number == 0 || line.is_empty() || line.starts_with(' ');
        format!("{}{}", if is_set_off { "" } else { "  " }, escape_controls(line))
    };
    text.lines().enumerate().map(indent).collect::<Vec<_>>().join("\n")
}

/// A JSON text on one line, to be printed. It has the same meaning: characters that control the terminal can only be in its strings.
pub(crate) fn printable_json(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut text, character| {
        if controls_output(character) {
            // Writing to a `String` cannot fail. No such character is beyond U+FFFF.
            let _ = write!(text, "\\u{:04x}", u32::from(character));
        } else {
            text.push(character);
        }
        text
    })
}

/// Writes a text that is printable already to standard output, and a line end.
pub(crate) fn print_line(text: impl fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Writes a line that is printable already to standard error. A closed stream is ignored and does not change the exit code.
pub(crate) fn error_line(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Standard error for the libraries' tracing output, which comes one event at a time.
#[derive(Debug)]
pub(crate) struct PrintableStderr;

impl Write for PrintableStderr {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let end = if event.ends_with(b"\n") { "\n" } else { "" };
        let text = printable(&String::from_utf8_lossy(event)) + end;
        io::stderr().write_all(text.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// From now on a panic is printed as everything else is, with its backtrace if `RUST_BACKTRACE` asks for one.
pub(crate) fn print_panics() {
    panic::set_hook(Box::new(|panicked| {
        error_line(printable_message(&panicked.to_string()));
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            error_line(printable(&backtrace.to_string()));
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file name that clears the screen, rings, reverses text and begins a line of its own.
    const NAME: &str = "a\u{1b}[2J\u{7}\u{9b}\u{202e}\nerror: b";

    #[test]
    fn a_file_name_is_only_text() -> serde_json::Result<()> {
        assert_eq!(printable(NAME), "a\\u{1b}[2J\\u{7}\\u{9b}\\u{202e}\nerror: b");
        assert_eq!(printable_message(NAME), "a\\u{1b}[2J\\u{7}\\u{9b}\\u{202e}\n  error: b");
        assert_eq!(printable_message("two lines:\n  of a list\nlast"), "two lines:\n  of a list\n  last");
        let json = printable_json(&serde_json::to_string(NAME)?);
        assert!(!json.chars().any(controls_output), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json)?, NAME);
        Ok(())
    }
}
