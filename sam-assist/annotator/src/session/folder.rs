//! Access to a session's folder: it is locked, and links are refused.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use sam_files::{OpenLinesError, Sha256Id};

use super::{
    OBJECTS, SessionError,
    error::LineError,
    header,
    log::{self, Log},
};

/// Opens and locks the log of a session.
pub(super) fn open_log(folder: &Path, header: Sha256Id, slices: usize) -> Result<Log, SessionError> {
    Log::open(&folder.join(log::FILE_NAME), header, slices).map_err(|error| match error {
        OpenLinesError::InUse { .. } => SessionError::InUse { folder: folder.to_path_buf() },
        OpenLinesError::Line { path, number, source } => SessionError::Damaged { path, line: number, source },
        OpenLinesError::TooLong { path, number, most } => {
            SessionError::Damaged { path, line: number, source: LineError::TooLong { most } }
        }
        OpenLinesError::Foreign { path } => SessionError::Damaged { path, line: 1, source: LineError::Foreign },
        OpenLinesError::Open { path, source } => SessionError::Read { path, source },
        other => SessionError::Create { folder: folder.to_path_buf(), source: other.into() },
    })
}

/// Refuses symbolic links, because a session from another person could lead out of its folder. The folder itself must not be one either,
/// but the folders above it may be.
pub(super) fn refuse_links(folder: &Path) -> Result<(), SessionError> {
    // Without the slash or dot at its end, with which the system follows a link.
    let folder: PathBuf = folder.components().collect();
    if is_link(&folder)? {
        return Err(SessionError::LinkedFolder { folder });
    }
    for name in [header::FILE_NAME, log::FILE_NAME, OBJECTS] {
        let path = folder.join(name);
        if is_link(&path)? {
            return Err(SessionError::Link { path });
        }
    }
    Ok(())
}

fn is_link(path: &Path) -> Result<bool, SessionError> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(found.is_symlink()),
        Err(source) if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(source) => Err(SessionError::Read { path: path.to_path_buf(), source }),
    }
}
