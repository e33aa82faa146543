//! Files of prompt cards: their names, and the windows that the cards were learned through.

use std::path::{Path, PathBuf};

use sam_assist::PromptCard;
use sam_data::Window;
use sam_files::{WriteError, check_folder};
use thiserror::Error;

/// Why prompt cards cannot be used or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CardError {
    /// The name of a card's file has another extension.
    #[error("{} is not a name for a prompt card; end it in .{}", path.display(), PromptCard::ENDING)]
    Name {
        /// The name.
        path: PathBuf,
    },
    /// The folder of a card's file does not exist.
    #[error(transparent)]
    Folder(#[from] WriteError),
    /// A card cannot be read, or was made for other weights.
    #[error("the prompt card {} cannot be used", path.display())]
    Unusable {
        /// The card's file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: sam_assist::AssistError,
    },
    /// The cards were learned through different windows, so no window is right for all of them.
    #[error(
        "the cards were learned through different windows, {first} through {first_window} and {other} through {other_window}; choose one \
         with --window, or use the cards one by one"
    )]
    Windows {
        /// The structure of one card.
        first: String,
        /// Its window.
        first_window: String,
        /// The structure of another card.
        other: String,
        /// Its window.
        other_window: String,
    },
    /// The number of cards differs from the number of structures.
    #[error("there are {cards} cards for the structures {structures}; give one for each, in this order")]
    Count {
        /// Number of cards.
        cards: usize,
        /// The structures.
        structures: String,
    },
    /// A card was learned through a window that this version does not know.
    #[error("the card of {structure} was learned through an unknown window; choose one with --window")]
    UnknownWindow {
        /// The card's structure.
        structure: String,
        /// What is wrong with the window.
        #[source]
        source: sam_data::DataError,
    },
}

/// Checks, before any work, that cards can be written to this path.
///
/// # Errors
/// [`CardError::Name`]; [`CardError::Folder`] if the folder does not exist.
pub fn check_output(path: impl AsRef<Path>) -> Result<(), CardError> {
    let path = path.as_ref();
    if path.extension().is_none_or(|found| found != PromptCard::ENDING) {
        return Err(CardError::Name { path: path.to_path_buf() });
    }
    Ok(check_folder(path)?)
}

/// Path of a structure's card: the given path, or one path for each label value (`card-1.safetensors`) if there are several structures.
pub fn path_of(given: impl AsRef<Path>, value: u16, is_only: bool) -> PathBuf {
    let given = given.as_ref();
    if is_only {
        return given.to_path_buf();
    }
    let stem = given.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    given.with_file_name(format!("{stem}-{value}.{}", PromptCard::ENDING))
}

/// Reads cards and refuses those that were made for other weights. `weights_sha256` is in hexadecimal.
///
/// # Errors
/// [`CardError::Unusable`] names the file.
pub fn load(paths: &[impl AsRef<Path>], weights_sha256: &str) -> Result<Vec<PromptCard>, CardError> {
    let load = |path: &Path| {
        let card = PromptCard::load(path)?;
        card.check_weights(weights_sha256)?;
        Ok(card)
    };
    let load = |path: &Path| load(path).map_err(|source| CardError::Unusable { path: path.to_path_buf(), source });
    paths.iter().map(|path| load(path.as_ref())).collect()
}

/// Checks that there is one card for each structure. `structures` are their names.
///
/// # Errors
/// [`CardError::Count`].
pub fn check_count(cards: &[PromptCard], structures: &[String]) -> Result<(), CardError> {
    if cards.len() == structures.len() {
        return Ok(());
    }
    Err(CardError::Count { cards: cards.len(), structures: structures.join(", ") })
}

/// The intensity window for a scan: the given window, or for [`Window::Auto`] the window of the cards.
///
/// # Errors
/// [`CardError::Windows`] if the cards were learned through different windows; [`CardError::UnknownWindow`].
pub fn window(given: Window, cards: &[PromptCard]) -> Result<Window, CardError> {
    let Some(first) = cards.first().map(PromptCard::metadata).filter(|_| given == Window::Auto) else {
        return Ok(given);
    };
    if let Some(other) = cards.iter().map(PromptCard::metadata).find(|other| other.window != first.window) {
        return Err(CardError::Windows {
            first: first.structure.clone(),
            first_window: first.window.clone(),
            other: other.structure.clone(),
            other_window: other.window.clone(),
        });
    }
    first.window.parse().map_err(|source| CardError::UnknownWindow { structure: first.structure.clone(), source })
}

/// Today's date in UTC, for a card's metadata.
pub(crate) fn today() -> String {
    time::OffsetDateTime::now_utc().date().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_structures_get_a_file_each() {
        let given = Path::new("cards/organs.safetensors");
        assert_eq!(path_of(given, 3, true), given);
        assert_eq!(path_of(given, 3, false), Path::new("cards/organs-3.safetensors"));
        assert!(matches!(check_output("organs.pth"), Err(CardError::Name { .. })));
        assert!(matches!(check_output("no-such-folder/organs.safetensors"), Err(CardError::Folder(_))));
        assert!(check_output("organs.safetensors").is_ok());
    }

    #[test]
    fn the_date_is_written_as_rfc_3339_says() {
        let today = today();
        let lengths: Vec<_> = today.split('-').map(str::len).collect();
        assert_eq!(lengths, [4, 2, 2], "{today}");
    }
}
