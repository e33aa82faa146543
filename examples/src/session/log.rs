//! `log.jsonl`: what happened, one event a line, each bound to the one before.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::{Entry, Event, ObjectId, state};
use crate::lines::Lines;

/// Name of the log's file.
pub(super) const FILE_NAME: &str = "log.jsonl";

/// The events of a session, on the disk before anything follows from them.
#[derive(Debug)]
pub(super) struct Log {
    lines: Lines,
    entries: Vec<Entry>,
    /// SHA-256 of the last line; of the header, where there is none.
    last: ObjectId,
    slices: usize,
}

impl Log {
    /// Opens a log, or begins one, of a scan with so many slices. Until it is dropped, no other program can.
    ///
    /// # Errors
    /// If the file cannot be read or written, or is in use; if a line was altered, dropped or moved, which is named.
    pub(super) fn open(path: &Path, header: ObjectId, slices: usize) -> Result<Self> {
        let (mut entries, mut last) = (Vec::new(), header);
        let lines = Lines::open(path, |number, line| {
            let mut read = || {
                let (entry, id) = Entry::from_line(line)?;
                ensure!(entry.number == number as u64, "its event has the number {}", entry.number);
                ensure!(
                    entry.before == last,
                    "it does not follow what stands before it: lines, or the header, were altered, dropped or moved"
                );
                check(&entries, &entry.event, slices)?;
                last = id;
                entries.push(entry);
                Ok(())
            };
            read().with_context(|| {
                format!("{} is damaged in line {number}: put the session back from a copy", path.display())
            })
        })?;
        Ok(Self { lines, entries, last, slices })
    }

    /// Adds an event, and gives its number.
    pub(super) fn push(&mut self, event: Event) -> Result<u64> {
        check(&self.entries, &event, self.slices)?;
        let number = self.entries.len() as u64 + 1;
        let entry = Entry::now(number, self.last, event);
        let (line, id) = entry.to_line()?;
        self.lines.push(line.as_bytes())?;
        self.last = id;
        self.entries.push(entry);
        Ok(number)
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn last(&self) -> ObjectId {
        self.last
    }
}

/// Says what of an event makes no sense after those before it.
fn check(before: &[Entry], event: &Event, slices: usize) -> Result<()> {
    match event {
        Event::Drawn { slice, .. } | Event::Accepted { slice, .. } | Event::Rejected { slice } => {
            ensure!(*slice < slices, "there is no slice {slice}: the scan has {slices}, from 0 to {}", slices - 1);
        }
        Event::Round(round) => {
            let expected = state::rounds(before).count() + 1;
            ensure!(round.number == expected, "round {} cannot follow: expected round {expected}", round.number);
        }
        Event::Undone { event } => match state::last_in_effect(before) {
            Some(last) if last.number == *event => {}
            Some(last) => bail!("event {event} cannot be undone: the last one in effect is {}", last.number),
            None => bail!("event {event} cannot be undone: none is in effect"),
        },
    }
    Ok(())
}
