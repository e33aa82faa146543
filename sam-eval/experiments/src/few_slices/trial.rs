//! One strategy on one set of outlines.

use std::time::Instant;

use burn::tensor::backend::Backend;
use sam_annotate::AnnotateConfig;
use sam_assist::{AssistConfig, learn_structure};
use sam_auto::Strategy;
use sam_core::{AnnotatedSlice, SamPredictor};
use sam_prompt::{SliceNumber, counted, ndarray::Array2};
use serde::{Deserialize, Serialize};

use super::FewSlicesScore;
use crate::{CaseSetup, ExperimentError, OutlinedSlices, error::Result, mask_trials::annotate};

/// The result of one method on one set of outlines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FewSlicesTrial {
    /// The data set's name.
    pub dataset: String,
    /// Case and structure.
    pub subject: String,
    /// The strategy, or the name of another program.
    pub method: String,
    /// Number of outlines asked for. In a short structure, spread outlines may coincide.
    pub outlines: usize,
    /// Seed of the repeat.
    pub seed: u64,
    /// The slices that were outlined, by index.
    pub outlined: Vec<usize>,
    /// The score.
    #[serde(flatten)]
    pub score: FewSlicesScore,
    /// Seconds of learning, fitting and segmenting. Embedding does not count: it is done once a scan.
    pub seconds: f64,
}

/// The measurement of strategies on the same outlines. Strategies with equal learning share a model.
pub(super) struct Measurement<'a, B: Backend> {
    test: &'a CaseSetup<'a, B>,
    outlined: &'a OutlinedSlices,
    annotated: Option<Vec<AnnotatedSlice<B>>>,
    learned: Vec<(AssistConfig, SamPredictor<B>, f64)>,
}

impl<'a, B: Backend> Measurement<'a, B> {
    pub(super) fn new(test: &'a CaseSetup<'a, B>, outlined: &'a OutlinedSlices) -> Self {
        Self { test, outlined, annotated: None, learned: Vec::new() }
    }

    /// Learns, segments and scores, as `annotate` does with this config.
    pub(super) fn measure(&mut self, config: &AnnotateConfig) -> Result<FewSlicesTrial> {
        let CaseSetup { setup, case, source } = *self.test;
        let (annotated, strategy) = (self.annotated()?, &config.strategy);
        let (predictor, learning_seconds) = match strategy {
            // It does not ask the model.
            Strategy::Shape(_) => (setup.predictor().clone(), 0.0),
            _ => self.learn(&config.learning, &annotated)?,
        };
        self.doing("segmenting")?;
        let begun = Instant::now();
        let fitted = setup.watched(|observer| strategy.fit(annotated, source, observer))?;
        let found = setup.watched(|observer| fitted.segment(&predictor, source, observer))?;
        let seconds = learning_seconds + begun.elapsed().as_secs_f64();
        let truths: Vec<_> = case.all_slices().into_iter().map(|index| case.mask(index)).collect();
        let mask = |(slice, truth): (&sam_auto::SegmentedSlice, &Array2<bool>)| {
            slice.mask().cloned().unwrap_or_else(|| Array2::from_elem(truth.dim(), false))
        };
        let masks: Vec<_> = found.slices.iter().zip(&truths).map(mask).collect();
        let OutlinedSlices { seed, outlines, outlined } = self.outlined.clone();
        Ok(FewSlicesTrial {
            dataset: case.dataset.to_owned(),
            subject: case.name(),
            method: fitted.kind().to_string(),
            outlines,
            seed,
            score: FewSlicesScore::of(&masks, &truths, &outlined)?,
            outlined,
            seconds,
        })
    }

    /// The outlined slices. Every slice is embedded before, so that no strategy's time includes it.
    fn annotated(&mut self) -> Result<Vec<AnnotatedSlice<B>>> {
        if let Some(annotated) = &self.annotated {
            return Ok(annotated.clone());
        }
        let CaseSetup { setup, case, source } = *self.test;
        self.doing("embedding")?;
        let _ = setup.watched(|observer| source.embed_all(observer))?;
        let annotated = annotate(setup, case, source, &self.outlined.outlined)?;
        self.annotated = Some(annotated.clone());
        Ok(annotated)
    }

    /// A model that has learned the outlines, and the seconds that it took.
    fn learn(&mut self, config: &AssistConfig, annotated: &[AnnotatedSlice<B>]) -> Result<(SamPredictor<B>, f64)> {
        if let Some((_, predictor, seconds)) = self.learned.iter().find(|(known, ..)| known == config) {
            return Ok((predictor.clone(), *seconds));
        }
        self.doing("learning")?;
        let (setup, original) = (self.test.setup, self.test.setup.predictor());
        let learned = setup.watched(|observer| learn_structure(original, annotated, config, None, observer))?;
        let predictor = learned.adaptation.apply(original);
        self.learned.push((config.clone(), predictor.clone(), learned.seconds));
        Ok((predictor, learned.seconds))
    }

    fn doing(&self, what: &str) -> Result<()> {
        let OutlinedSlices { seed, outlines, .. } = self.outlined;
        self.test.setup.doing(format!("seed {seed}, {}: {what}", counted(*outlines, "outline")))
    }
}

/// All trials as CSV, one row each. Outlined slices are counted from 1.
///
/// # Errors
/// [`ExperimentError::Csv`] if a row cannot be written.
pub fn few_slices_csv(trials: &[FewSlicesTrial]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "dataset",
        "subject",
        "method",
        "outlines",
        "seed",
        "outlined",
        "volume",
        "slices",
        "inner",
        "false_slices",
        "empty_slices",
        "seconds",
    ])?;
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.6}"));
    for trial in trials {
        let outlined = trial.outlined.iter().map(|&index| SliceNumber::of_index(index).to_string()).collect::<Vec<_>>();
        let FewSlicesScore { volume, slices, inner, false_slices, empty_slices } = trial.score;
        writer.write_record([
            trial.dataset.clone(),
            trial.subject.clone(),
            trial.method.clone(),
            trial.outlines.to_string(),
            trial.seed.to_string(),
            outlined.join(" "),
            number(Some(volume)),
            number(slices),
            number(inner),
            false_slices.to_string(),
            empty_slices.to_string(),
            format!("{:.2}", trial.seconds),
        ])?;
    }
    writer.into_inner().map_err(|error| ExperimentError::Csv(error.into_error().into()))
}
