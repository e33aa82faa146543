//! Which slice to outline next: Dice by the number of outlined slices, as suggested or drawn at random.

use std::collections::BTreeSet;

use anyhow::Result;
use burn::tensor::backend::Backend;
use sam_auto::{TrustModel, rank, suggest_next};
use sam_eval::Summary;
use serde::{Deserialize, Serialize};

use super::{MeasuredVolume, TrustProtocol, repeat::Repeat};
use crate::{
    embeddings::Embeddings,
    progress,
    study::{Study, digest},
};

/// How the next slice is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// At random, as in the paper.
    Random,
    /// Where trust expects most to be wrong: [`suggest_next`].
    Suggested,
}

/// How slices are outlined one after another.
#[derive(Debug, Clone, Serialize)]
pub struct Growth {
    /// All else: its slices are the most that are outlined.
    #[serde(flatten)]
    pub protocol: TrustProtocol,
    /// So many are outlined before anything can be suggested, drawn at random.
    pub first: usize,
    /// How far an error counts for its neighbours, in slices.
    pub reach: f32,
    /// The weights.
    pub model: TrustModel,
}

/// What came of it on one structure of one volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grown {
    /// The data set's name.
    pub dataset: String,
    /// Case and structure.
    pub subject: String,
    /// How slices were chosen.
    pub choice: Choice,
    /// Seed of the repeat.
    pub seed: u64,
    /// Outlined slices in their order; those that were drawn as empty stand first.
    pub outlined: Vec<usize>,
    /// Mean Dice by the number of slices outlined with the structure in view; a slice that was outlined is right.
    pub dice: Vec<(usize, f64)>,
}

impl Growth {
    /// Outlines slice by slice on every volume of the data.
    ///
    /// # Errors
    /// As [`TrustProtocol::run`].
    pub fn run<B: Backend>(&self, study: &Study<'_, B>) -> Result<Vec<Grown>> {
        let protocol = &self.protocol;
        self.model.check()?;
        protocol.subjects.each(study, protocol.slices.most() + 1, |subject, embeddings| {
            let mut grown = Vec::new();
            if !subject.stack.is_ordered() {
                return Ok(grown);
            }
            let bar = progress::bar(subject.name(), 2 * protocol.seeds.len());
            let all: Vec<_> = (0..subject.stack.len()).collect();
            let seen = digest(subject.stack, subject.structure, &all);
            for &seed in &protocol.seeds {
                for trial in protocol.slices.trials(subject.survey, seed)? {
                    for choice in [Choice::Random, Choice::Suggested] {
                        let numbers = (&protocol.numbers, &protocol.learning, &protocol.meter);
                        let own = (self.first, self.reach, &self.model, choice);
                        let depends_on = (subject.dataset, subject.name(), &seen, &trial, numbers, own);
                        let work = Repeat { protocol, subject, seed, bar: &bar };
                        grown.push(study.once(&depends_on, || self.grow(&work, &trial.annotated, choice, embeddings))?);
                        bar.inc(1);
                    }
                }
            }
            bar.finish_and_clear();
            Ok(grown)
        })
    }

    /// Outlines one slice after another. `annotated` are the slices in the order of drawing, those drawn as empty last.
    fn grow<B: Backend>(
        &self,
        work: &Repeat<'_>,
        annotated: &[usize],
        choice: Choice,
        embeddings: &mut Embeddings<'_, B>,
    ) -> Result<Grown> {
        let most = self.protocol.slices.most().min(annotated.len());
        let (drawn, empty) = annotated.split_at(most);
        let mut outlined = [empty, &drawn[..self.first.min(most)]].concat();
        let mut dice = Vec::new();
        loop {
            let count = outlined.len() - empty.len();
            let taught = work.teach(work.support(&outlined, embeddings)?, embeddings)?;
            let learned = work.learn(&taught.annotated, embeddings.predictor())?;
            let found = taught.segment(&learned, embeddings)?;
            let volume = work.volume("ensemble", &taught, &learned, &found, embeddings)?;
            let right: BTreeSet<_> =
                outlined.iter().filter(|slice| work.subject.survey.shown.contains(slice)).collect();
            dice.push((count, mean_dice(&volume, right.len())));
            if count >= most {
                break;
            }
            let signals = volume.slices.iter().map(|slice| (slice.slice, slice.signals.clone())).collect();
            let next = match choice {
                Choice::Random => Some(drawn[count]),
                Choice::Suggested => suggest_next(&rank(&self.model, &signals), self.reach)?,
            };
            let Some(next) = next else { break };
            outlined.push(next);
        }
        let (dataset, subject) = (work.subject.dataset.to_owned(), work.subject.name());
        Ok(Grown { dataset, subject, choice, seed: work.seed, outlined, dice })
    }
}

/// Mean Dice of the slices that count, and of so many that were outlined.
fn mean_dice(volume: &MeasuredVolume, outlined: usize) -> f64 {
    let others = volume.slices.iter().filter_map(|slice| slice.dice);
    Summary::of(others.chain(std::iter::repeat_n(1.0, outlined))).mean.unwrap_or(f64::NAN)
}
