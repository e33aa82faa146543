//! `log.jsonl`: the append-only log of a session. It has one event per line; each line contains the SHA-256 of the line before.

use std::path::Path;

use sam_files::{AppendLines, OpenLinesError, Sha256Id};

use super::{
    error::{BoxError, LineError},
    event::{LogEntry, SessionEvent, begin_of_line},
};

/// Name of the log's file.
pub(super) const FILE_NAME: &str = "log.jsonl";
/// Maximum size of the log: more than a hundred thousand decisions. It bounds the memory that a log takes.
const MAX_BYTES: u64 = 64 << 20;

/// The log of a session. Each event is on the disk before anything depends on it.
#[derive(Debug)]
pub(super) struct Log {
    lines: AppendLines,
    events: Events,
    /// SHA-256 of the last line, or of the header if there is no line.
    last: Sha256Id,
    /// Total length of all lines, with their ends.
    bytes: u64,
}

/// A valid sequence of events.
#[derive(Debug)]
struct Events {
    entries: Vec<LogEntry>,
    /// Numbers of the events in effect. The last one is the next to be undone.
    in_effect: Vec<u64>,
    rounds: usize,
    /// Number of the scan's slices.
    slices: usize,
}

impl Log {
    /// Opens a log, or creates it, and locks it until it is dropped.
    ///
    /// # Errors
    /// [`OpenLinesError`] if the file cannot be read or written, or is in use; if a line was altered, deleted or moved.
    pub(super) fn open(path: &Path, header: Sha256Id, slices: usize) -> Result<Self, OpenLinesError<LineError>> {
        let mut events = Events { entries: Vec::new(), in_effect: Vec::new(), rounds: 0, slices };
        let (mut last, mut bytes) = (header, 0);
        let lines = AppendLines::open(path, &begin_of_line(), |number, line| {
            bytes = with_line(bytes, line)?;
            let (entry, id) = LogEntry::from_line(line)?;
            if entry.number != number as u64 {
                return Err(LineError::Number { found: entry.number, expected: number as u64 });
            }
            if entry.before != last {
                return Err(LineError::Order);
            }
            events.check(&entry.event)?;
            last = id;
            events.push(entry);
            Ok(())
        })?;
        Ok(Self { lines, events, last, bytes })
    }

    /// Appends an event and returns its number.
    pub(super) fn push(&mut self, event: SessionEvent) -> Result<u64, BoxError> {
        self.events.check(&event)?;
        let number = self.entries().len() as u64 + 1;
        let entry = LogEntry::now(number, self.last, event);
        let (line, id) = entry.to_line()?;
        let bytes = with_line(self.bytes, line.as_bytes())?;
        self.lines.push(line.as_bytes())?;
        (self.last, self.bytes) = (id, bytes);
        self.events.push(entry);
        Ok(number)
    }

    pub(super) fn entries(&self) -> &[LogEntry] {
        &self.events.entries
    }

    /// The last event in effect.
    pub(super) fn last_in_effect(&self) -> Option<&LogEntry> {
        let &number = self.events.in_effect.last()?;
        self.entries().get(number as usize - 1)
    }

    /// SHA-256 of the first line; `None` if there is no line. It tells this log from those of other sessions.
    pub(super) fn first(&self) -> Option<Sha256Id> {
        match self.entries() {
            [] => None,
            [_] => Some(self.last),
            [_, second, ..] => Some(second.before),
        }
    }

    /// SHA-256 of the last line; that of the header if there is no line.
    pub(super) fn last(&self) -> Sha256Id {
        self.last
    }
}

/// Length of a log with one more line.
fn with_line(bytes: u64, line: &[u8]) -> Result<u64, LineError> {
    let bytes = bytes + line.len() as u64 + 1;
    if bytes <= MAX_BYTES { Ok(bytes) } else { Err(LineError::TooMuch { most: MAX_BYTES >> 20 }) }
}

impl Events {
    /// Refuses an event that is invalid after the earlier events.
    fn check(&self, event: &SessionEvent) -> Result<(), LineError> {
        match event {
            SessionEvent::Drawn { slice, .. }
            | SessionEvent::Accepted { slice, .. }
            | SessionEvent::Rejected { slice } => {
                let (slice, count) = (*slice, self.slices);
                if slice < count { Ok(()) } else { Err(LineError::NoSuchSlice { slice, count }) }
            }
            SessionEvent::Round(round) => {
                let (found, expected) = (round.number, self.rounds + 1);
                if found == expected { Ok(()) } else { Err(LineError::RoundNumber { found, expected }) }
            }
            SessionEvent::Named { label: 0, .. } => Err(LineError::Background),
            SessionEvent::Named { label, name } => {
                if name.contains(char::is_control) {
                    Err(LineError::ControlCharacters { label: *label })
                } else {
                    Ok(())
                }
            }
            SessionEvent::Undone { event } => {
                let last = self.in_effect.last().copied();
                if last == Some(*event) { Ok(()) } else { Err(LineError::NotUndoable { event: *event, last }) }
            }
        }
    }

    /// Appends an entry that was checked.
    fn push(&mut self, entry: LogEntry) {
        match &entry.event {
            SessionEvent::Undone { .. } => drop(self.in_effect.pop()),
            SessionEvent::Round(_) => {
                self.rounds += 1;
                self.in_effect.push(entry.number);
            }
            _ => self.in_effect.push(entry.number),
        }
        self.entries.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_a_maximum_size() {
        assert!(matches!(with_line(MAX_BYTES - 5, b"1234"), Ok(MAX_BYTES)));
        let error = with_line(MAX_BYTES - 5, b"12345").expect_err("a byte too many").to_string();
        assert!(error.contains("more than 64 MiB"), "{error}");
    }
}
