//! Masks that were found without a prompt, held against the truth: on slices with the structure and on empty ones.

use std::fmt::Write;

use anyhow::Result;
use sam_eval::{Confusion, EmptyPolicy, Summary};
use sam_prompt::ndarray::Array2;
use serde::Serialize;

/// What one method reached in one repeat.
#[derive(Debug, Clone, Serialize)]
pub struct MaskScore {
    /// Case and structure.
    pub subject: String,
    /// What was tested.
    pub method: String,
    /// Seed of the repeat.
    pub seed: u64,
    /// Dice of each test slice that shows the structure.
    pub slices: Vec<f64>,
    /// Dice of all test slices together, empty ones included.
    pub pooled: f64,
    /// Empty test slices on which something was found.
    pub false_positive_slices: usize,
    /// Empty test slices.
    pub empty_slices: usize,
    /// How long fitting took.
    pub fit_seconds: f64,
}

impl MaskScore {
    /// Compares the masks of all test slices with their truths.
    ///
    /// # Errors
    /// If a mask has another size than its truth.
    pub fn of(
        subject: String,
        method: String,
        seed: u64,
        fit_seconds: f64,
        masks: &[Array2<bool>],
        truths: &[Array2<bool>],
    ) -> Result<Self> {
        let count = |(mask, truth): (&Array2<bool>, &Array2<bool>)| Confusion::count(mask, truth);
        let counts = masks.iter().zip(truths).map(count).collect::<Result<Vec<_>, _>>()?;
        let pooled: Confusion = counts.iter().copied().sum();
        let (shown, empty): (Vec<Confusion>, Vec<Confusion>) =
            counts.into_iter().partition(|count| count.true_positive + count.false_negative > 0);
        Ok(Self {
            subject,
            method,
            seed,
            slices: shown.iter().map(|count| count.dice(EmptyPolicy::Nan)).collect(),
            pooled: pooled.dice(EmptyPolicy::Nan),
            false_positive_slices: empty.iter().filter(|count| count.false_positive > 0).count(),
            empty_slices: empty.len(),
            fit_seconds,
        })
    }
}

/// Markdown: a row for each structure and method, and the means over all structures.
///
/// Dice is the mean over the slices of all repeats, with their standard deviation, or the mean over structures, with theirs; pooled
/// Dice is the mean over repeats.
pub fn table(scores: &[MaskScore]) -> String {
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

/// One line of a method: of one structure, or the mean of several.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_slices_count_in_the_pooled_dice_alone() {
        let mask = |pixels: usize| Array2::from_shape_fn((1, 4), |(_, column)| column < pixels);
        let (masks, truths) = ([mask(2), mask(1), mask(0)], [mask(2), mask(0), mask(0)]);
        let score = MaskScore::of(String::new(), String::new(), 0, 1.0, &masks, &truths).expect("same sizes");
        assert_eq!((score.slices, score.pooled), (vec![1.0], 0.8));
        assert_eq!((score.false_positive_slices, score.empty_slices), (1, 2));
    }
}
