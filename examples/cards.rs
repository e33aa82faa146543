//! Shows what prompt cards hold.
//!
//! ```text
//! cargo run --release --example cards -- cards/
//! cargo run --release --example cards -- cards/liver.safetensors
//! ```
//!
//! Of a folder it prints a line for each card, and below the table what could not be read; of one card all that it says of itself, and
//! its parameters. Takes no time; needs no weights.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use clap::Parser;
use examples::report;
use sam_assist::PromptCard;

/// Show what prompt cards hold.
#[derive(Debug, Parser)]
struct Options {
    /// A folder, for a table of its cards; or one card, for all that it says of itself.
    path: PathBuf,
}

/// The table's columns.
const HEAD: [&str; 8] = ["card", "structure", "window", "slices", "Dice", "weights", "learned", "from"];

/// A card's line of the table.
fn row(path: &Path, card: &PromptCard) -> [String; HEAD.len()] {
    let about = card.metadata();
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    [
        path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        about.structure.clone(),
        about.window.clone(),
        about.training.indices.len().to_string(),
        or_dash(about.self_check_dice.map(|dice| format!("{dice:.3}"))),
        about.weights_sha256.chars().take(12).collect(),
        or_dash(about.created.clone()),
        about.training.scan.clone(),
    ]
}

fn list(folder: &Path) -> Result<()> {
    let cards = PromptCard::list(folder)?;
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(cards.iter().filter_map(|(path, card)| Some(row(path, card.as_ref().ok()?))));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    for row in &rows {
        let cells: Vec<_> = row.iter().enumerate().map(|(column, cell)| format!("{cell:<0$}", width(column))).collect();
        println!("{}", cells.join("  ").trim_end());
    }
    for error in cards.values().filter_map(|card| card.as_ref().err()) {
        eprintln!("not shown: {error}");
    }
    Ok(())
}

fn show(file: &Path) -> Result<()> {
    let card = PromptCard::load(file)?;
    println!("{}", serde_json::to_string_pretty(card.metadata())?);
    println!("written by {}", card.written_by());
    for (path, shape) in card.shapes() {
        println!("{path} {shape:?}");
    }
    Ok(())
}

fn main() -> ExitCode {
    let path = Options::parse().path;
    report::exit(if path.is_dir() { list(&path) } else { show(&path) })
}
