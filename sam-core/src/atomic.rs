//! Files that are either whole or not there.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

/// How temporary names begin.
const UNFINISHED: &str = ".unfinished-";

/// Whether a file has a temporary name: it is being written, or was when its process ended.
pub(crate) fn is_unfinished(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(UNFINISHED))
}

/// Writes a file under a temporary name in its own folder, and renames it when it is complete.
///
/// An interrupted or failed write leaves what was there before.
///
/// # Errors
/// What the system says: no such folder, no room, no permission.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // Temporary files are private by default; a result is as readable as any other file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    // What the system says of the temporary name would name it; the caller names the file that was meant.
    fs::metadata(folder)?;
    let mut file = builder.prefix(UNFINISHED).tempfile_in(folder).map_err(|error| io::Error::from(error.kind()))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
