//! Clicks that follow each other on one slice: each changes only what is near it.

use std::collections::BTreeMap;

use sam_prompt::{ClickReach, PromptError, Prompts, ndarray::Array2};

use crate::StructureMask;

/// The masks after each click, by slice and structure, until something is decided on the slice.
#[derive(Debug, Default)]
pub(super) struct Clicks {
    reach: ClickReach,
    given: BTreeMap<(usize, u16), Vec<Step>>,
}

/// Prompts, and the mask that was proposed for them.
#[derive(Debug)]
struct Step {
    prompts: Prompts,
    mask: Array2<bool>,
    /// The logits of the prediction.
    logits: Option<Array2<f32>>,
}

impl Step {
    /// Whether these prompts begin with the step's: the same boxes, and its points.
    fn leads_to(&self, prompts: &Prompts) -> bool {
        self.prompts.boxes == prompts.boxes && prompts.points.starts_with(&self.prompts.points)
    }
}

impl Clicks {
    /// The logits of the last prediction that these prompts correct by further clicks.
    pub(super) fn earlier_logits(&self, on: (usize, u16), prompts: &Prompts) -> Option<&Array2<f32>> {
        let corrected = |step: &&Step| step.leads_to(prompts) && step.prompts.points.len() < prompts.points.len();
        self.given.get(&on)?.iter().rfind(corrected)?.logits.as_ref()
    }

    /// The mask to propose for prompts, from what the model predicts for them. Clicks that were added since an earlier proposal change that
    /// proposal near them; without one, clicks alone change the mask that is shown. A new box takes the whole prediction.
    ///
    /// # Shapes
    /// - shown: the structure's mask on the slice as it is now, `[rows, columns]`
    /// - predicted: its mask has the same
    pub(super) fn propose(
        &mut self,
        (slice, structure): (usize, u16),
        prompts: &Prompts,
        shown: Array2<bool>,
        predicted: &StructureMask,
    ) -> Result<Array2<bool>, PromptError> {
        let steps = self.given.entry((slice, structure)).or_default();
        steps.retain(|step| step.leads_to(prompts));
        let (mut mask, known) = match steps.last() {
            Some(step) => (step.mask.clone(), step.prompts.points.len()),
            None if prompts.boxes.is_empty() && prompts.mask.is_none() => (shown, 0),
            None => (predicted.mask.clone(), prompts.points.len()),
        };
        for click in &prompts.points[known..] {
            mask = self.reach.apply(mask.view(), predicted.mask.view(), *click)?;
        }
        if steps.last().is_none_or(|step| step.prompts != *prompts) {
            let logits = predicted.logits.clone();
            steps.push(Step { prompts: prompts.clone(), mask: mask.clone(), logits });
        }
        Ok(mask)
    }

    /// Forgets the proposals on a slice, whose labels have changed.
    pub(super) fn decided(&mut self, slice: usize) {
        self.given.retain(|&(other, _), _| other != slice);
    }
}

#[cfg(test)]
mod tests {
    use sam_prompt::{BoundingBox, Label, Point};

    use super::*;

    const SIZE: (usize, usize) = (12, 20);

    /// The prediction of a band, whose logits tell where it begins.
    fn found(columns: std::ops::Range<usize>) -> StructureMask {
        let logits = Array2::from_elem((1, 1), columns.start as f32);
        StructureMask::new(band(columns), 0.5).with_logits(logits)
    }

    /// Columns from here to there.
    fn band(columns: std::ops::Range<usize>) -> Array2<bool> {
        Array2::from_shape_fn(SIZE, |(_, column)| columns.contains(&column))
    }

    fn clicks(columns: &[f32]) -> Prompts {
        Prompts::from_points(columns.iter().map(|&x| Point { x, y: 6.0, label: Label::Foreground }).collect())
    }

    #[test]
    fn the_first_click_corrects_what_is_shown_and_the_next_the_proposal() -> Result<(), PromptError> {
        let mut all = Clicks::default();
        // The model predicts another mask altogether.
        let first = all.propose((3, 1), &clicks(&[9.0]), band(2..8), &found(8..12))?;
        assert!(first[(6, 4)] && first[(6, 9)], "the mask that is shown stays");
        let logits = |all: &Clicks, prompts: &Prompts| all.earlier_logits((3, 1), prompts).map(|logits| logits[(0, 0)]);
        assert_eq!(logits(&all, &clicks(&[9.0, 13.0])), Some(8.0), "those of the first click");
        let second = all.propose((3, 1), &clicks(&[9.0, 13.0]), band(2..8), &found(12..15))?;
        assert!(second[(6, 9)] && second[(6, 13)] && second[(6, 4)]);
        assert_eq!(logits(&all, &clicks(&[9.0, 13.0, 1.0])), Some(12.0));
        assert_eq!(logits(&all, &clicks(&[9.0, 13.0])), Some(8.0), "the same clicks again");
        assert_eq!(logits(&all, &clicks(&[5.0, 13.0])), None, "other clicks");
        // The last click is taken back.
        assert_eq!(all.propose((3, 1), &clicks(&[9.0]), band(2..8), &found(0..0))?, first);
        all.decided(3);
        assert_ne!(all.propose((3, 1), &clicks(&[9.0]), band(0..0), &found(8..12))?, first);
        Ok(())
    }

    #[test]
    fn a_box_takes_the_whole_prediction_and_clicks_correct_it() -> Result<(), PromptError> {
        let mut all = Clicks::default();
        let boxed = |points: &[f32]| {
            let around = BoundingBox { x_min: 5.0, y_min: 0.0, x_max: 10.0, y_max: 11.0 };
            Prompts { boxes: vec![around], ..clicks(points) }
        };
        assert_eq!(all.propose((0, 1), &boxed(&[]), band(0..3), &found(5..10))?, band(5..10));
        let after = all.propose((0, 1), &boxed(&[10.0]), band(0..3), &found(10..12))?;
        assert!(after[(6, 10)] && after[(6, 6)] && !after[(6, 1)]);
        Ok(())
    }
}
