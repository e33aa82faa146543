//! Lists the files in a folder.

use std::path::{Path, PathBuf};

use crate::{DataError, LayoutError};

/// Deepest level of sub-folders that is searched. It is deeper than any known layout, and limits the search if links form a cycle.
const MAX_DEPTH: usize = 6;

/// The entries of a folder, sorted by name, without hidden files and the `._` files of macOS.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let read = |source| DataError::Read { path: folder.to_path_buf(), source };
    let mut paths = std::fs::read_dir(folder)
        .map_err(read)?
        .map(|entry| entry.map(|entry| entry.path()).map_err(read))
        .collect::<Result<Vec<_>, _>>()?;
    paths.retain(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')));
    paths.sort();
    Ok(paths)
}

/// All files in a folder and its sub-folders, sorted by path.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    if !folder.is_dir() {
        return Err(DataError::Layout { path: folder.to_path_buf(), source: LayoutError::NoFolder });
    }
    let (mut files, mut folders) = (Vec::new(), vec![(folder.to_path_buf(), 0)]);
    while let Some((folder, depth)) = folders.pop() {
        for path in entries(&folder)? {
            if !path.is_dir() {
                files.push(path);
            } else if depth < MAX_DEPTH {
                folders.push((path, depth + 1));
            }
        }
    }
    files.sort();
    Ok(files)
}
