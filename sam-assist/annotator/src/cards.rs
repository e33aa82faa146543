//! Files of prompt cards: their names, and the windows that the cards were learned through.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use sam_assist::{CardMetadata, PromptCard};
use sam_data::{ResolvedWindow, Scan, Window};
use sam_files::{OutputPlan, Outputs};
use sam_prompt::counted;
use thiserror::Error;

use crate::{AnnotateError, output::trace_written};

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
    #[error("found {} for the structures {structures}; give one for each, in this order", counted(*cards, "card"))]
    Count {
        /// Number of cards.
        cards: usize,
        /// The structures.
        structures: String,
    },
    /// A card is to be improved on a scan that is shown through another window. The mean of both would fit neither.
    #[error(
        "the card of {structure} was learned through {expected}, but the scan is shown through {found}; leave out --window, or learn a new \
         card without --card"
    )]
    OtherWindow {
        /// The card's structure.
        structure: String,
        /// The card's window.
        expected: String,
        /// The scan's window.
        found: String,
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

/// The files that learned cards are written to, as a part of a plan that was checked before the work.
#[derive(Debug, Clone)]
pub struct CardFiles {
    given: PathBuf,
    outputs: Outputs,
}

impl CardFiles {
    /// Adds the files of cards to a plan: `given` for one structure, one file for each label value if there are several; see [`path_of`].
    ///
    /// # Errors
    /// [`CardError::Name`].
    pub fn plan(plan: OutputPlan, given: impl AsRef<Path>, values: &BTreeSet<u16>) -> Result<OutputPlan, CardError> {
        let given = given.as_ref();
        if given.extension().is_none_or(|found| found != PromptCard::ENDING) {
            return Err(CardError::Name { path: given.to_path_buf() });
        }
        if values.len() <= 1 {
            return Ok(plan.output("--save-card", given));
        }
        let add = |plan: OutputPlan, &value: &u16| plan.output("--save-card", path_of(given, value, false));
        Ok(values.iter().fold(plan, add))
    }

    /// The files of a plan that was checked.
    pub fn new(given: impl AsRef<Path>, outputs: Outputs) -> Self {
        Self { given: given.as_ref().to_path_buf(), outputs }
    }

    /// Checks the files of these label values, of a program that has no other outputs and no inputs but the scan.
    ///
    /// # Errors
    /// [`AnnotateError::CardFile`] if the name is wrong; [`AnnotateError::Output`].
    pub fn open(given: impl AsRef<Path>, values: &BTreeSet<u16>, scan: &Scan) -> Result<Self, AnnotateError> {
        let given = given.as_ref();
        let plan = OutputPlan::new().inputs("the scan", scan.files());
        Ok(Self::new(given, Self::plan(plan, given, values)?.open()?))
    }

    /// Writes the card of a structure. Returns its path.
    pub(crate) fn save(&self, card: &PromptCard, value: u16, is_only: bool) -> Result<PathBuf, AnnotateError> {
        let path = path_of(&self.given, value, is_only);
        let failed = |source| AnnotateError::Card { structure: card.metadata().structure.clone(), source };
        self.outputs.write_now(&path, |staged| card.save(staged).map_err(failed))?;
        trace_written(&path);
        Ok(path)
    }
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

/// The window that a card names, so that it can be used on other scans.
///
/// The range of 8-bit images says nothing about scans of another range: there, [`Window::Auto`] chooses anew. Cards of earlier versions name
/// that range.
fn portable(window: Window) -> Window {
    if window == Window::BYTE { Window::Auto } else { window }
}

/// The name that a window has in a card.
pub(crate) fn window_name(name: &str) -> String {
    name.parse().map_or_else(|_| name.to_owned(), |window| portable(window).to_string())
}

/// The intensity window for a scan: the given window, or for [`Window::Auto`] the window of the cards.
///
/// # Errors
/// [`CardError::Windows`] if the cards were learned through different windows; [`CardError::UnknownWindow`].
pub fn window(given: Window, cards: &[PromptCard]) -> Result<Window, CardError> {
    let named = |card: &PromptCard| {
        let CardMetadata { structure, window, .. } = card.metadata();
        let window =
            window.parse().map_err(|source| CardError::UnknownWindow { structure: structure.clone(), source })?;
        Ok((structure.clone(), portable(window)))
    };
    let windows =
        if given == Window::Auto { cards.iter().map(named).collect::<Result<Vec<_>, _>>()? } else { Vec::new() };
    let Some((first, first_window)) = windows.first() else { return Ok(given) };
    if let Some((other, other_window)) = windows.iter().find(|(_, window)| window != first_window) {
        return Err(CardError::Windows {
            first: first.clone(),
            first_window: first_window.to_string(),
            other: other.clone(),
            other_window: other_window.to_string(),
        });
    }
    Ok(*first_window)
}

/// Checks that a scan is shown through the window of the cards that are improved on it. Cards that leave the window to each scan fit any.
pub(crate) fn check_window(cards: &[PromptCard], shown: &ResolvedWindow) -> Result<(), CardError> {
    let found = window_name(&shown.name);
    for CardMetadata { structure, window, .. } in cards.iter().map(PromptCard::metadata) {
        let expected = window_name(window);
        if expected != Window::Auto.to_string() && expected != found {
            return Err(CardError::OtherWindow { structure: structure.clone(), expected, found });
        }
    }
    Ok(())
}

/// Today's date in UTC, for a card's metadata.
pub(crate) fn today() -> String {
    time::OffsetDateTime::now_utc().date().to_string()
}

#[cfg(test)]
mod tests {
    use sam_prompt::ndarray::Array3;
    use sam_testing::{TestResult, card, tiny};

    use super::*;

    #[test]
    fn several_structures_get_a_file_each() {
        let given = Path::new("cards/organs.safetensors");
        assert_eq!(path_of(given, 3, true), given);
        assert_eq!(path_of(given, 3, false), Path::new("cards/organs-3.safetensors"));
    }

    #[test]
    fn a_card_of_an_8_bit_scan_leaves_the_window_to_other_scans() -> TestResult {
        for (name, named) in
            [("0:255", "auto"), ("abdomen", "abdomen"), ("percentile:0.5:99.5", "percentile:0.5:99.5"), ("?", "?")]
        {
            assert_eq!(window_name(name), named);
        }
        let predictor = tiny::random().with_weights_sha256(card::WEIGHTS);
        let of_window = |window: &str| -> TestResult<_> {
            let mut about = card::metadata("liver");
            about.window = window.to_owned();
            Ok(PromptCard::of(about.clone(), &card::learned(&predictor, &about.learning)?)?)
        };
        let cards = ["0:255", "auto", "abdomen"].into_iter().map(of_window).collect::<TestResult<Vec<_>>>()?;
        assert_eq!(window(Window::Auto, &cards[..2])?, Window::Auto, "cards of earlier versions name 0:255");
        assert_eq!(window(Window::Auto, &cards[2..])?, Window::Abdomen);
        assert_eq!(window(Window::Bone, &cards)?, Window::Bone);
        let shown = |window: Window| window.resolve(Array3::from_elem((2, 2, 2), 40.0).view());
        check_window(&cards, &shown(Window::Abdomen)?)?;
        check_window(&cards[..2], &shown(Window::Lung)?)?;
        let refused = check_window(&cards, &shown(Window::Lung)?).expect_err("learned through another").to_string();
        assert!(refused.contains("abdomen") && refused.contains("lung"), "{refused}");
        let refused = window(Window::Auto, &cards).expect_err("no window is right for all of them").to_string();
        assert!(refused.contains("auto") && refused.contains("abdomen"), "{refused}");
        Ok(())
    }

    #[test]
    fn the_files_of_all_structures_are_checked() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        let plan = |name: &str, values: &[u16]| {
            CardFiles::plan(OutputPlan::new(), path(name), &values.iter().copied().collect())
        };
        assert!(matches!(plan("organs.pth", &[1]), Err(CardError::Name { .. })));
        assert!(plan("no-such-folder/organs.safetensors", &[1])?.check().is_err());
        plan("organs.safetensors", &[1, 3])?.check()?;
        std::fs::write(path("organs-3.safetensors"), "a card of another scan")?;
        assert!(plan("organs.safetensors", &[1, 3])?.check().is_err());
        plan("organs.safetensors", &[3])?.check()?;
        Ok(())
    }

    #[test]
    fn the_date_is_written_as_rfc_3339_says() {
        let today = today();
        let lengths: Vec<_> = today.split('-').map(str::len).collect();
        assert_eq!(lengths, [4, 2, 2], "{today}");
    }
}
