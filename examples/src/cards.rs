//! Prompt cards on the command line: under which names, for which weights, through which window.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sam_assist::PromptCard;
use sam_data::Window;

/// Checks, before the work, that cards can be written under a name.
///
/// # Errors
/// If the name has another ending than cards have, or its folder does not exist.
pub fn check_output(path: &Path) -> Result<()> {
    let ending = PromptCard::ENDING;
    ensure!(
        path.extension().is_some_and(|found| found == ending),
        "{} is no name for a prompt card: it has to end in .{ending}",
        path.display()
    );
    Ok(sam_data::check_folder(path)?)
}

/// The name of a structure's card: the one given, or one for each label value (`card-1.safetensors`) if there are several.
pub fn path_of(given: &Path, value: u16, is_only: bool) -> PathBuf {
    if is_only {
        return given.to_path_buf();
    }
    let stem = given.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    given.with_file_name(format!("{stem}-{value}.{}", PromptCard::ENDING))
}

/// Reads cards, and refuses those that were made for other weights.
///
/// # Errors
/// If one cannot be read or was made for other weights; the message names its file.
pub fn load(paths: &[PathBuf], weights_sha256: &str) -> Result<Vec<PromptCard>> {
    let load = |path: &PathBuf| {
        let card = PromptCard::load(path)?;
        card.check_weights(weights_sha256).with_context(|| path.display().to_string())?;
        Ok(card)
    };
    paths.iter().map(load).collect()
}

/// The window through which a scan is seen: the one given, or in place of `auto` the one that the cards were learned through.
///
/// # Errors
/// If the cards were learned through different windows, and none is given.
pub fn window(given: Window, cards: &[PromptCard]) -> Result<Window> {
    let Some(first) = cards.first().filter(|_| given == Window::Auto) else { return Ok(given) };
    let window = &first.metadata().window;
    if let Some(other) = cards.iter().find(|card| card.metadata().window != *window) {
        let (first, other) = (first.metadata(), other.metadata());
        bail!(
            "the cards were learned through different windows, {} through {window} and {} through {}: choose one with --window, or use \
             the cards one by one",
            first.structure,
            other.structure,
            other.window
        );
    }
    window.parse().with_context(|| format!("the card of {} names an unknown window", first.metadata().structure))
}

/// The date, in UTC, for a card's metadata.
pub fn today() -> String {
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
        assert!(check_output(Path::new("organs.pth")).is_err());
        assert!(check_output(Path::new("no-such-folder/organs.safetensors")).is_err());
        assert!(check_output(Path::new("organs.safetensors")).is_ok());
    }

    #[test]
    fn the_date_is_written_as_rfc_3339_has_it() {
        let today = today();
        let numbers: Vec<_> = today.split('-').map(str::len).collect();
        assert_eq!(numbers, [4, 2, 2], "{today}");
    }
}
