//! `sam-med cards`: the contents of prompt cards.

use std::{collections::BTreeMap, fmt, path::Path};

use anyhow::Result;
use clap::Args;
use sam_assist::{CardMetadata, PromptCard};
use sam_files::LossyPath;
use serde::Serialize;

use crate::console::Console;

/// Show what prompt cards contain: a table of a folder, or everything of one card.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  sam-med cards cards/
  sam-med cards cards/liver.safetensors
  sam-med cards cards/liver.safetensors --json")]
pub struct Options {
    /// A folder of cards, or one card
    path: LossyPath,
}

/// Prints cards.
///
/// # Errors
/// If the folder or the card cannot be read.
pub fn run(options: &Options, console: &Console) -> Result<()> {
    if !options.path.is_dir() {
        return console.result(&OneCard::new(&PromptCard::load(&options.path)?));
    }
    let mut cards = Vec::new();
    for (path, card) in PromptCard::list(&options.path)? {
        match card {
            Ok(card) => cards.push(ListedCard { path: path.into(), metadata: card.metadata().clone() }),
            Err(error) => console.warn(format_args!("not shown: {:#}", anyhow::Error::from(error))),
        }
    }
    console.result(&CardList { cards })
}

/// The cards of a folder.
#[derive(Debug, Serialize)]
struct CardList {
    cards: Vec<ListedCard>,
}

/// A row of the table.
#[derive(Debug, Serialize)]
struct ListedCard {
    path: LossyPath,
    #[serde(flatten)]
    metadata: CardMetadata,
}

/// The table's columns.
const COLUMNS: [&str; 8] = ["card", "structure", "window", "slices", "Dice", "weights", "learned", "from"];

impl ListedCard {
    fn row(&self) -> [String; COLUMNS.len()] {
        let about = &self.metadata;
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let stem = |path: &Path| path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        [
            stem(&self.path),
            about.structure.clone(),
            about.window.clone(),
            about.scans().map(|training| training.indices.len()).sum::<usize>().to_string(),
            or_dash(about.self_check_dice.map(|dice| format!("{dice:.3}"))),
            about.weights_sha256.chars().take(12).collect(),
            or_dash(about.created.clone()),
            match about.earlier.len() {
                0 => about.training.scan.clone(),
                earlier => format!("{} and {earlier} earlier", about.training.scan),
            },
        ]
    }
}

impl fmt::Display for CardList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![COLUMNS.map(str::to_owned)];
        rows.extend(self.cards.iter().map(ListedCard::row));
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<_> = (0..COLUMNS.len()).map(width).collect();
        for row in &rows {
            let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// The contents of one card.
#[derive(Debug, Serialize)]
struct OneCard {
    metadata: CardMetadata,
    written_by: String,
    /// Shapes of its parameters.
    parameters: BTreeMap<String, Vec<usize>>,
}

impl OneCard {
    fn new(card: &PromptCard) -> Self {
        let written_by = card.written_by().to_string();
        Self { metadata: card.metadata().clone(), written_by, parameters: card.shapes() }
    }
}

impl fmt::Display for OneCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metadata = serde_json::to_string_pretty(&self.metadata).map_err(|_| fmt::Error)?;
        writeln!(f, "{metadata}\nwritten by {}", self.written_by)?;
        self.parameters.iter().try_for_each(|(path, shape)| writeln!(f, "{path} {shape:?}"))
    }
}
