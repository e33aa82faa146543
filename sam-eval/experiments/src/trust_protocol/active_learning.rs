//! Which slice to outline next: Dice by the number of outlined slices, suggested by trust or drawn at random.

use std::collections::BTreeSet;

use burn::tensor::backend::Backend;
use sam_annotate::AnnotateConfig;
use sam_auto::{TrustModel, rank, suggest_next};
use sam_eval::{Summary, protocol::Trial};
use serde::{Deserialize, Serialize};

use super::{MeasuredVolume, has_neighbours, trial::TrustTrial};
use crate::{CaseSetup, CaseStructure, Protocol, TrialConfig, error::Result, setup::digest};

/// How the next slice to outline is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryStrategy {
    /// At random, as in the paper.
    Random,
    /// The slice with the largest expected error in its neighbourhood: [`suggest_next`].
    Suggested,
}

impl QueryStrategy {
    /// All strategies.
    pub const ALL: [Self; 2] = [Self::Random, Self::Suggested];
}

/// The config of active learning: slices are outlined one after another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActiveLearning {
    /// Cases, slices and repeats. The largest number of annotated slices is the maximum that is outlined.
    #[serde(flatten)]
    pub trials: TrialConfig,
    /// How the structure is learned, segmented and measured. Each repeat uses its own seed.
    pub config: AnnotateConfig,
    /// Slices drawn at random and outlined before the first suggestion.
    pub first: usize,
    /// Decay of an error's weight with distance, in slices (see [`suggest_next`]).
    pub reach: f32,
    /// The trust model.
    pub model: TrustModel,
}

/// The active-learning curve of one structure of one volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActiveLearningCurve {
    /// The data set's name.
    pub dataset: String,
    /// Case and structure.
    pub subject: String,
    /// How slices were chosen.
    #[serde(rename = "choice")]
    pub strategy: QueryStrategy,
    /// Seed of the repeat.
    pub seed: u64,
    /// Outlined slices in their order; those without the structure come first.
    pub outlined: Vec<usize>,
    /// Mean Dice by the number of outlined slices that show the structure; an outlined slice counts as right.
    pub dice: Vec<(usize, f64)>,
}

impl Protocol for ActiveLearning {
    type Outcome = ActiveLearningCurve;

    fn trials(&self) -> &TrialConfig {
        &self.trials
    }

    fn check(&self) -> Result<()> {
        self.config.check()?;
        Ok(self.model.check()?)
    }

    /// Outlines a volume slice by slice. Unordered images have no neighbours and give no curve.
    fn test_case<B: Backend>(&self, test: &CaseSetup<'_, B>) -> Result<Vec<ActiveLearningCurve>> {
        let CaseSetup { setup, case, .. } = *test;
        if !has_neighbours(test)? {
            return Ok(Vec::new());
        }
        let TrialConfig { slices, seeds, .. } = &self.trials;
        setup.case(case.name(), QueryStrategy::ALL.len() * seeds.len(), || {
            let seen = digest(case.stack, case.structure, &case.all_slices());
            let mut curves = Vec::new();
            for &seed in seeds {
                let work = TrustTrial { test, config: &self.config, seed };
                for trial in slices.trials(case.survey, seed)? {
                    for strategy in QueryStrategy::ALL {
                        let depends_on = self.depends_on(case, &seen, &trial, strategy);
                        curves.push(setup.once(&depends_on, || self.curve(&work, &trial.annotated, strategy))?);
                        setup.step_done()?;
                    }
                }
            }
            Ok(curves)
        })
    }
}

impl ActiveLearning {
    fn depends_on<'a>(
        &'a self,
        case: &CaseStructure<'a>,
        seen: &'a str,
        trial: &'a Trial,
        strategy: QueryStrategy,
    ) -> impl Serialize + use<'a> {
        let own = (self.first, self.reach, &self.model, strategy);
        (case.dataset, case.name(), seen, trial, &self.config, own)
    }

    /// Outlines one slice after another. `annotated` are slices in the order of drawing; those without the structure come last.
    fn curve<B: Backend>(
        &self,
        work: &TrustTrial<'_, B>,
        annotated: &[usize],
        strategy: QueryStrategy,
    ) -> Result<ActiveLearningCurve> {
        let most = self.trials.slices.most().min(annotated.len());
        let (drawn, empty) = annotated.split_at(most);
        let mut outlined = [empty, &drawn[..self.first.min(most)]].concat();
        let mut dice = Vec::new();
        loop {
            let count = outlined.len() - empty.len();
            let volume = work.measure(&outlined, count)?;
            let shown: BTreeSet<_> =
                outlined.iter().filter(|slice| work.test.case.survey.shown.contains(slice)).collect();
            dice.push((count, mean_dice(&volume, shown.len())));
            if count >= most {
                break;
            }
            let next = match strategy {
                QueryStrategy::Random => Some(drawn[count]),
                QueryStrategy::Suggested => self.suggest(&volume)?,
            };
            let Some(next) = next else { break };
            outlined.push(next);
        }
        let (dataset, subject) = (work.test.case.dataset.to_owned(), work.test.case.name());
        Ok(ActiveLearningCurve { dataset, subject, strategy, seed: work.seed, outlined, dice })
    }

    fn suggest(&self, volume: &MeasuredVolume) -> Result<Option<usize>> {
        let signals = volume.slices.iter().map(|slice| (slice.slice, slice.signals.clone())).collect();
        Ok(suggest_next(&rank(&self.model, &signals), self.reach)?)
    }
}

/// Mean Dice of the slices that count, with each outlined slice counted as 1.
fn mean_dice(volume: &MeasuredVolume, outlined: usize) -> f64 {
    let others = volume.slices.iter().filter_map(|slice| slice.dice);
    Summary::of(others.chain(std::iter::repeat_n(1.0, outlined))).mean.unwrap_or(f64::NAN)
}
