//! Masks that were found without a prompt, held against the truth: on slices with the structure and on empty ones.

use std::fmt::Write;

use anyhow::Result;
use burn::tensor::backend::Backend;
use indicatif::ProgressBar;
use sam_auto::SupportSlice;
use sam_eval::{Confusion, EmptyPolicy, Summary, protocol::FewSlices};
use sam_prompt::ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::{
    embeddings::Embeddings,
    progress,
    study::{FoundMask, Run, Study, digest},
    subjects::{Subject, Subjects},
};

/// What a repeat of a comparison has to do with.
#[derive(Debug)]
pub struct MaskRepeat<'a, B: Backend> {
    /// Case and structure.
    pub subject: Subject<'a>,
    /// Seed of the repeat.
    pub seed: u64,
    /// Slices that are annotated, empty ones among them.
    pub annotated: Vec<SupportSlice<B>>,
    /// Slices that are tested, empty ones among them.
    pub test: Vec<SupportSlice<B>>,
}

/// Compares methods that find masks without a person's prompts, on every structure and with every seed. The seed alone decides which
/// slices are annotated and tested; `numbers` are all else that the results depend on.
///
/// # Errors
/// If the data cannot be read, too few slices show a structure, and those of the work.
pub fn compare<B: Backend>(
    study: &Study<'_, B>,
    subjects: &Subjects,
    slices: &FewSlices,
    seeds: &[u64],
    numbers: &impl Serialize,
    mut work: impl FnMut(&MaskRepeat<'_, B>, &mut Embeddings<'_, B>, &ProgressBar) -> Result<Vec<Run<MaskScore>>>,
) -> Result<Vec<Run<MaskScore>>> {
    subjects.each(study, slices.most() + 1, |subject, embeddings| {
        let bar = progress::bar(subject.name(), seeds.len());
        let mut runs = Vec::new();
        for &seed in seeds {
            for trial in slices.trials(subject.survey, seed)? {
                let involved = [&trial.annotated[..], &trial.tested[..]].concat();
                let seen = digest(subject.stack, subject.structure, &involved);
                let depends_on = (subject.dataset, &subject.stack.name, subject.structure, &trial, seen, numbers);
                runs.extend(study.once(&depends_on, || {
                    bar.set_message("embedding");
                    let mut load = |slices: &[usize]| {
                        let slice = |&index| Ok(SupportSlice::new(index, embeddings.get(index)?, subject.mask(index))?);
                        slices.iter().map(slice).collect::<Result<Vec<_>>>()
                    };
                    let (annotated, test) = (load(&trial.annotated)?, load(&trial.tested)?);
                    work(&MaskRepeat { subject, seed, annotated, test }, embeddings, &bar)
                })?);
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(runs)
    })
}

/// Scores the masks that a method found on the tested slices, and keeps them.
///
/// # Errors
/// If a mask has another size than its slice.
pub fn run<B: Backend>(
    subject: Subject<'_>,
    method: &str,
    seed: u64,
    fit_seconds: f64,
    masks: &[Array2<bool>],
    test: &[SupportSlice<B>],
) -> Result<Run<MaskScore>> {
    let truths: Vec<_> = test.iter().map(|slice| slice.outline().clone()).collect();
    Ok(Run {
        score: MaskScore::of(subject.name(), method.to_owned(), seed, fit_seconds, masks, &truths)?,
        masks: test.iter().zip(masks).map(|(slice, mask)| FoundMask::new(slice.index(), mask)).collect(),
    })
}

/// What one method reached in one repeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// By how much more is found than is true, as a share of the truth.
    pub relative_volume_difference: f64,
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
            relative_volume_difference: pooled.relative_volume_difference(),
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
