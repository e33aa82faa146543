//! `log.jsonl`: what happened, one event a line, each bound to the one before.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::{Entry, Event, ObjectId};
use crate::lines::Lines;

/// Name of the log's file.
pub(super) const FILE_NAME: &str = "log.jsonl";

/// The events of a session, on the disk before anything follows from them.
#[derive(Debug)]
pub(super) struct Log {
    lines: Lines,
    events: Events,
    /// SHA-256 of the last line; of the header, where there is none.
    last: ObjectId,
}

/// Events that make sense, one after the other.
#[derive(Debug)]
struct Events {
    entries: Vec<Entry>,
    /// Numbers of those that were not undone: the last one is the next to be undone.
    in_effect: Vec<u64>,
    rounds: usize,
    /// How many slices the scan has.
    slices: usize,
}

impl Log {
    /// Opens a log, or begins one, of a scan with so many slices. Until it is dropped, no other program can.
    ///
    /// # Errors
    /// If the file cannot be read or written, or is in use; if a line was altered, dropped or moved, which is named.
    pub(super) fn open(path: &Path, header: ObjectId, slices: usize) -> Result<Self> {
        let mut events = Events { entries: Vec::new(), in_effect: Vec::new(), rounds: 0, slices };
        let mut last = header;
        let lines = Lines::open(path, |number, line| {
            let mut read = || {
                let (entry, id) = Entry::from_line(line)?;
                ensure!(entry.number == number as u64, "its event has the number {}", entry.number);
                ensure!(
                    entry.before == last,
                    "it does not follow what stands before it: lines, or the header, were altered, dropped or moved"
                );
                events.check(&entry.event)?;
                last = id;
                events.push(entry);
                Ok(())
            };
            read().with_context(|| {
                format!("{} is damaged in line {number}: put the session back from a copy", path.display())
            })
        })?;
        Ok(Self { lines, events, last })
    }

    /// Adds an event, and gives its number.
    pub(super) fn push(&mut self, event: Event) -> Result<u64> {
        self.events.check(&event)?;
        let number = self.entries().len() as u64 + 1;
        let entry = Entry::now(number, self.last, event);
        let (line, id) = entry.to_line()?;
        self.lines.push(line.as_bytes())?;
        self.last = id;
        self.events.push(entry);
        Ok(number)
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.events.entries
    }

    /// The last event that was not undone.
    pub(super) fn last_in_effect(&self) -> Option<&Entry> {
        let &number = self.events.in_effect.last()?;
        self.entries().get(number as usize - 1)
    }

    pub(super) fn last(&self) -> ObjectId {
        self.last
    }
}

impl Events {
    /// Says what of an event makes no sense after those before it.
    fn check(&self, event: &Event) -> Result<()> {
        match event {
            Event::Drawn { slice, .. } | Event::Accepted { slice, .. } | Event::Rejected { slice } => {
                let count = self.slices;
                ensure!(*slice < count, "there is no slice {slice}: the scan has {count}, counted from 0");
            }
            Event::Round(round) => {
                let expected = self.rounds + 1;
                ensure!(round.number == expected, "round {} cannot follow: expected round {expected}", round.number);
            }
            Event::Undone { event } => match self.in_effect.last() {
                Some(last) if last == event => {}
                Some(last) => bail!("event {event} cannot be undone: the last one in effect is {last}"),
                None => bail!("event {event} cannot be undone: none is in effect"),
            },
        }
        Ok(())
    }

    /// Takes in what was checked.
    fn push(&mut self, entry: Entry) {
        match &entry.event {
            Event::Undone { .. } => drop(self.in_effect.pop()),
            _ => self.in_effect.push(entry.number),
        }
        self.rounds += usize::from(matches!(entry.event, Event::Round(_)));
        self.entries.push(entry);
    }
}
