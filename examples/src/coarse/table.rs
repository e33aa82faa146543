//! What was reached, for people.

use std::fmt::Write;

use sam_eval::Summary;

use super::{CoarseScore, Variant};

/// Markdown: a row for each structure and variant, and the means over all structures.
///
/// Dice is the mean over the slices of all repeats, with their standard deviation; pooled Dice the mean over repeats.
pub fn table(scores: &[CoarseScore]) -> String {
    let mut subjects: Vec<&str> = scores.iter().map(|score| score.subject.as_str()).collect();
    subjects.dedup();
    let mut variants: Vec<Variant> = Vec::new();
    for score in scores {
        if !variants.contains(&score.variant) {
            variants.push(score.variant);
        }
    }
    let mut text =
        "| structure | variant | Dice of slices | pooled | empty slices with false positives | fit, s |\n".to_owned();
    text += "|---|---|---|---|---|---|\n";
    for subject in &subjects {
        for &variant in &variants {
            row(&mut text, subject, variant, scores.iter().filter(|score| score.subject == *subject));
        }
    }
    if subjects.len() > 1 {
        for &variant in &variants {
            row(&mut text, "all", variant, scores.iter());
        }
    }
    text
}

fn row<'a>(text: &mut String, name: &str, variant: Variant, scores: impl Iterator<Item = &'a CoarseScore>) {
    let scores: Vec<_> = scores.filter(|score| score.variant == variant).collect();
    let slices = Summary::of(scores.iter().flat_map(|score| score.slices.iter().copied()));
    let mean = |value: fn(&CoarseScore) -> f64| Summary::of(scores.iter().map(|score| value(score))).mean;
    let number =
        |value: Option<f64>, digits: usize| value.map_or("–".to_owned(), |value| format!("{value:.digits$}"));
    let wrong: usize = scores.iter().map(|score| score.false_positive_slices).sum();
    let empty: usize = scores.iter().map(|score| score.empty_slices).sum();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "| {name} | {variant} | {} ± {} | {} | {wrong} of {empty} | {} |",
        number(slices.mean, 3),
        number(slices.std, 3),
        number(mean(|score| score.pooled), 3),
        number(mean(|score| score.fit_seconds), 1)
    );
}
