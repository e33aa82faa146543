//! What Dice is to be expected of each structure, once all masks are known.

use std::{collections::BTreeSet, sync::Arc};

use burn::tensor::backend::Backend;
use sam_assist::{Adaptation, AnnotatedSlice, AssistError, PromptCard};
use sam_auto::{AutoError, ExpectedDice, FusionConfig, LeftOutModel, Strategy};
use sam_core::SamPredictor;
use sam_prompt::{error_chain, progress::Observer};

use super::{Complete, Halt, Reporter, Run, Start};
use crate::{DiceKnown, DiceUnknown, Event, Expectation, timing::Stopwatch};

impl<B: Backend> Run<'_, B> {
    /// Tells of each structure that was fused what Dice is to be expected. A stop leaves it out of the structures that are not tested yet.
    pub(super) fn expect(&self, complete: &mut [Complete<B>], reporter: &mut Reporter<'_, '_>) {
        let Strategy::Fusion(fusion) = &self.config.strategy else { return };
        if !self.config.expected_dice {
            return;
        }
        for structure in complete {
            if reporter.is_stopped() {
                return;
            }
            let name: Arc<str> = structure.result.name.as_str().into();
            let tested = structure.tested.take().map(Some);
            let mut stopwatch = Stopwatch::resume(&self.slices, structure.result.seconds);
            let Some(dice) = tested.unwrap_or_else(|| self.dice(fusion, structure, &name, reporter)) else { return };
            stopwatch.end(|seconds| &mut seconds.test);
            structure.result.seconds = stopwatch.seconds();
            let expected = Expectation { weights: fusion.weights, dice };
            let _ = reporter.tell(Event::Expected { structure: name, expected: expected.clone().into() });
            structure.result.expected_dice = Some(expected);
        }
    }

    /// `None` if it was stopped.
    fn dice(
        &self,
        fusion: &FusionConfig,
        structure: &Complete<B>,
        name: &Arc<str>,
        reporter: &mut Reporter<'_, '_>,
    ) -> Option<DiceKnown> {
        let model = (structure.result.value, &structure.predictor);
        // Nothing but a stop is an error here.
        let found = self.leave_out(fusion, model, &structure.annotated, None, &mut reporter.observer(name)).ok()?;
        if let Some(ExpectedDice { expected: dice, seconds, .. }) = found.as_ref().and_then(DiceKnown::known) {
            tracing::info!(structure = &**name, dice, seconds, "left out outlines");
        }
        Some(found.unwrap_or_else(|| DiceKnown::Unknown(unknown(&structure.annotated))))
    }

    /// Leaves out outlines of a structure, these or every other one, and measures what is found on their slices. `model` is its label value
    /// and its model. `None` if there is nothing to leave out. A failure is a result, because masks do not need the test.
    pub(super) fn leave_out(
        &self,
        fusion: &FusionConfig,
        model: (u16, &SamPredictor<B>),
        annotated: &[AnnotatedSlice<B>],
        left_out: Option<&BTreeSet<usize>>,
        observer: &mut Observer<'_>,
    ) -> Result<Option<DiceKnown>, Halt> {
        match self.try_leave_out(fusion, model, annotated, left_out, observer) {
            Ok(found) => Ok(found.map(DiceKnown::LeftOut)),
            Err(AutoError::Stopped) => Err(Halt::Stopped),
            Err(error) => Ok(Some(DiceKnown::Unknown(DiceUnknown::Failed { reason: error_chain(&error) }))),
        }
    }

    fn try_leave_out(
        &self,
        fusion: &FusionConfig,
        (value, predictor): (u16, &SamPredictor<B>),
        annotated: &[AnnotatedSlice<B>],
        left_out: Option<&BTreeSet<usize>>,
        observer: &mut Observer<'_>,
    ) -> Result<Option<ExpectedDice>, AutoError> {
        let (start, learning) = (self.foreign_start(value).map_err(AutoError::Learn)?, self.learning(value));
        let model = match self.start {
            Start::Cards(_) => LeftOutModel::AsIs(predictor),
            _ => LeftOutModel::Learned {
                predictor: self.annotator.predictor(),
                config: &learning,
                start: start.as_ref(),
            },
        };
        let slices = &*self.slices;
        match left_out {
            Some(left_out) => fusion.expected_dice_without(annotated, left_out, model, slices, observer),
            None => fusion.expected_dice(annotated, model, slices, observer),
        }
    }

    /// What learning continued from, if it was learned on scans of other names. What was learned on this scan knows the outlines that are
    /// left out, so that learning starts from the model.
    fn foreign_start(&self, value: u16) -> Result<Option<Adaptation<B>>, AssistError> {
        let (predictor, weights) = (self.annotator.predictor(), self.annotator.weights_sha256());
        let scan = self.annotator.scan().name();
        let is_foreign = |card: &&PromptCard| card.metadata().scans().all(|training| training.scan != scan);
        let card = self.start_card(value).filter(is_foreign);
        card.map(|card| card.adaptation_for(predictor, weights)).transpose()
    }
}

/// Why nothing was left out.
fn unknown<B: Backend>(annotated: &[AnnotatedSlice<B>]) -> DiceUnknown {
    let shown: Vec<_> = annotated.iter().filter(|slice| !slice.is_empty()).map(AnnotatedSlice::index).collect();
    match shown[..] {
        [_] => DiceUnknown::OneOutline,
        [first, last] if last > first + 1 => DiceUnknown::TwoOutlines,
        _ => DiceUnknown::NothingBetween,
    }
}
