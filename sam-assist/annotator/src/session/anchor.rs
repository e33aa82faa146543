//! The record beside a mask as the anchor of the log: it names the log's last line at the time of writing.
//!
//! The chain of SHA-256 values within the log shows lines that were altered, dropped or moved, but not lines that were cut off at its end:
//! what is left is the log of a session that stopped earlier. The record shows those, because it lies outside of the session's folder.

use std::{io::ErrorKind, path::Path};

use sam_files::{Sha256Id, read_bounded};
use serde::Deserialize;

use super::{Session, SessionError, state};

/// Maximum size of a record. One with the ranking of ten thousand slices takes about 2 MiB.
const MAX_BYTES: u64 = 64 << 20;

/// The fields of a mask's record that [`Session::provenance`] writes and that say where the log ended.
#[derive(Deserialize)]
struct Record {
    session: Anchor,
}

#[derive(Deserialize)]
struct Anchor {
    header: AnchorHeader,
    /// Number of lines.
    events: usize,
    log_sha256: Sha256Id,
    /// Records of earlier versions lack it.
    #[serde(default)]
    log_first_sha256: Option<Sha256Id>,
    round: Option<AnchorRound>,
}

#[derive(Deserialize)]
struct AnchorHeader {
    scan: AnchorScan,
    weights_sha256: String,
}

#[derive(Deserialize)]
struct AnchorScan {
    sha256: Sha256Id,
}

#[derive(Deserialize)]
struct AnchorRound {
    number: usize,
}

impl Session {
    /// Checks that the log still has the line that was its last one when the record beside a mask was written. Call it with the path of the
    /// record ([`Output::record`](crate::Output::record)) after opening a session; [`Session::save`] calls it before it replaces the record.
    ///
    /// A record that is older than the log is fine. If there is no record, or if it belongs to something else than this session, there is
    /// nothing to compare.
    ///
    /// # Errors
    /// [`SessionError::LogCutOff`] if the line is missing; [`SessionError::Read`] if the record cannot be read.
    pub fn check_record(&self, path: impl AsRef<Path>) -> Result<(), SessionError> {
        let path = path.as_ref();
        let bytes = match read_bounded(path, MAX_BYTES) {
            Ok(bytes) => bytes.unwrap_or_default(),
            Err(source) if source.kind() == ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(SessionError::Read { path: path.to_path_buf(), source }),
        };
        let Ok(Record { session: anchor }) = serde_json::from_slice::<Record>(&bytes) else { return Ok(()) };
        let (entries, sha256) = (self.entries(), anchor.log_sha256);
        let is_there = self.log.last() == sha256 || entries.iter().any(|entry| entry.before == sha256);
        if is_there || !self.is_same(&anchor) {
            return Ok(());
        }
        let rounds = state::rounds(entries).count();
        Err(SessionError::LogCutOff {
            folder: self.folder().to_path_buf(),
            record: path.to_path_buf(),
            recorded: anchor.events,
            found: entries.len(),
            round: anchor.round.map(|round| round.number).filter(|&number| number > rounds),
        })
    }

    /// Whether a record belongs to this session. Two sessions begin with different lines, because a line holds its time.
    fn is_same(&self, anchor: &Anchor) -> bool {
        if let (Some(written), Some(first)) = (anchor.log_first_sha256, self.log.first()) {
            return written == first;
        }
        // The log is empty, or the record is of an earlier version.
        let AnchorHeader { scan, weights_sha256 } = &anchor.header;
        scan.sha256 == self.header().scan.sha256 && *weights_sha256 == self.header().weights_sha256
    }
}
