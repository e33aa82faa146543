//! Clicks that follow each other on one slice: each changes only what is near it.

use std::collections::BTreeMap;

use sam_prompt::{ClickReach, PromptError, Prompts, ndarray::Array2};

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
}

impl Step {
    /// Whether these prompts begin with the step's: the same boxes, and its points.
    fn leads_to(&self, prompts: &Prompts) -> bool {
        self.prompts.boxes == prompts.boxes && prompts.points.starts_with(&self.prompts.points)
    }
}

impl Clicks {
    /// The mask to propose for prompts, from what the model predicts for them. Clicks that were added since an earlier proposal change that
    /// proposal near them; without one, clicks alone change the mask that is shown. A new box takes the whole prediction.
    ///
    /// # Shapes
    /// - shown: the structure's mask on the slice as it is now, `[rows, columns]`
    /// - predicted: the same
    pub(super) fn propose(
        &mut self,
        (slice, structure): (usize, u16),
        prompts: &Prompts,
        shown: Array2<bool>,
        predicted: &Array2<bool>,
    ) -> Result<Array2<bool>, PromptError> {
        let steps = self.given.entry((slice, structure)).or_default();
        steps.retain(|step| step.leads_to(prompts));
        let (mut mask, known) = match steps.last() {
            Some(step) => (step.mask.clone(), step.prompts.points.len()),
            None if prompts.boxes.is_empty() && prompts.mask.is_none() => (shown, 0),
            None => (predicted.clone(), prompts.points.len()),
        };
        for click in &prompts.points[known..] {
            mask = self.reach.apply(mask.view(), predicted.view(), *click)?;
        }
        if steps.last().is_none_or(|step| step.prompts != *prompts) {
            steps.push(Step { prompts: prompts.clone(), mask: mask.clone() });
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
        let first = all.propose((3, 1), &clicks(&[9.0]), band(2..8), &band(8..12))?;
        assert!(first[(6, 4)] && first[(6, 9)], "the mask that is shown stays");
        let second = all.propose((3, 1), &clicks(&[9.0, 13.0]), band(2..8), &band(12..15))?;
        assert!(second[(6, 9)] && second[(6, 13)] && second[(6, 4)]);
        // The last click is taken back.
        assert_eq!(all.propose((3, 1), &clicks(&[9.0]), band(2..8), &band(0..0))?, first);
        all.decided(3);
        assert_ne!(all.propose((3, 1), &clicks(&[9.0]), band(0..0), &band(8..12))?, first);
        Ok(())
    }

    #[test]
    fn a_box_takes_the_whole_prediction_and_clicks_correct_it() -> Result<(), PromptError> {
        let mut all = Clicks::default();
        let boxed = |points: &[f32]| {
            let around = BoundingBox { x_min: 5.0, y_min: 0.0, x_max: 10.0, y_max: 11.0 };
            Prompts { boxes: vec![around], ..clicks(points) }
        };
        assert_eq!(all.propose((0, 1), &boxed(&[]), band(0..3), &band(5..10))?, band(5..10));
        let after = all.propose((0, 1), &boxed(&[10.0]), band(0..3), &band(10..12))?;
        assert!(after[(6, 10)] && after[(6, 6)] && !after[(6, 1)]);
        Ok(())
    }
}
