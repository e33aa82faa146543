//! Mask scores as a table.

use std::fmt::Write;

use sam_eval::{MaskScore, Summary};

/// Scores as a Markdown table: one row for each structure and method, and the means over all structures.
///
/// The Dice of a row is the mean ± standard deviation over the slices of all repeats; in the last rows, over the structures. Pooled Dice is
/// the mean over repeats.
pub fn mask_table(scores: &[MaskScore]) -> String {
    let mut subjects: Vec<&str> = scores.iter().map(|score| score.subject.as_str()).collect();
    subjects.dedup();
    let mut methods: Vec<&str> = Vec::new();
    for score in scores {
        if !methods.contains(&score.method.as_str()) {
            methods.push(&score.method);
        }
    }
    let mut text =
        "| structure | method | Dice of slices | pooled | empty slices with false positives | fit, s |\n".to_owned();
    text += "|---|---|---|---|---|---|\n";
    for subject in &subjects {
        for method in &methods {
            let own = scores.iter().filter(|score| score.subject == *subject && score.method == *method);
            row(&mut text, subject, &[own.collect()]);
        }
    }
    if subjects.len() > 1 {
        for method in &methods {
            let of = |subject| scores.iter().filter(move |score| score.method == *method && score.subject == subject);
            let structures: Vec<Vec<_>> = subjects.iter().map(|&subject| of(subject).collect()).collect();
            row(&mut text, "mean", &structures);
        }
    }
    text
}

/// One row of the table: a method on one structure, or its mean over several.
fn row(text: &mut String, name: &str, structures: &[Vec<&MaskScore>]) {
    let Some(first) = structures.iter().flatten().next() else { return };
    let of_slices = |scores: &[&MaskScore]| Summary::of(scores.iter().flat_map(|score| score.slices.iter().copied()));
    let slices = match structures {
        [scores] => of_slices(scores),
        _ => Summary::of(structures.iter().filter_map(|scores| of_slices(scores).mean)),
    };
    let all = || structures.iter().flatten();
    let mean = |value: fn(&MaskScore) -> f64| Summary::of(all().map(|score| value(score))).mean;
    let number =
        |value: Option<f64>, digits: usize| value.map_or("–".to_owned(), |value| format!("{value:.digits$}"));
    let wrong: usize = all().map(|score| score.false_positive_slices).sum();
    let empty: usize = all().map(|score| score.empty_slices).sum();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "| {name} | {} | {} ± {} | {} | {wrong} of {empty} | {} |",
        first.method,
        number(slices.mean, 3),
        number(slices.std, 3),
        number(mean(|score| score.pooled), 3),
        number(mean(|score| score.fit_seconds), 1)
    );
}
