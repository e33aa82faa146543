//! Pictures of what was found, from poor to excellent, each with the slices beside it.

use anyhow::{Context, Result};
use sam_eval::report::{Gallery, GalleryItem, GallerySlice, overlay_png};

use crate::{
    stack::Stack,
    study::FoundMask,
    subjects::{Subject, Subjects},
};

/// At most this many items are shown, at equal distances from the poorest to the best.
const SHOWN: usize = 6;

/// Something to be shown.
#[derive(Debug, Clone)]
pub(super) struct Shown<'a> {
    /// Case and structure, as [`Subject::name`] has it.
    pub subject: String,
    /// What is said beside it, for example the method and the seed.
    pub caption: String,
    /// Its score.
    pub score: f64,
    /// What was found.
    pub masks: &'a [FoundMask],
}

/// A gallery of what was found on the subjects of a plan.
///
/// # Errors
/// If the data cannot be read again, or a picture cannot be drawn.
pub(super) fn gallery(caption: &str, subjects: &[Subjects], mut shown: Vec<Shown<'_>>) -> Result<Gallery> {
    shown.retain(|shown| shown.score.is_finite());
    shown.sort_by(|a, b| a.score.total_cmp(&b.score));
    let step = |at: usize, count: usize| at * (shown.len() - 1) / (count - 1).max(1);
    let count = shown.len().min(SHOWN);
    let chosen: Vec<&Shown<'_>> = (0..count).map(|at| &shown[step(at, count)]).collect();
    let mut items: Vec<Option<GalleryItem>> = vec![None; chosen.len()];
    for subjects in subjects {
        let dataset = subjects.data.open()?;
        let structures = dataset.table().parse_structures(&subjects.structures)?;
        for stack in Stack::of_cases(dataset.cases(), subjects.axis, &subjects.window)? {
            for structure in &structures {
                let name = Subject::name_of(&stack, structure);
                for (item, shown) in items.iter_mut().zip(&chosen).filter(|(_, shown)| shown.subject == name) {
                    let slices = shown.masks.iter().map(|found| {
                        let truth = stack.mask(found.slice, &structure.values);
                        let mask = found.mask.decode();
                        let png = overlay_png(stack.image(found.slice).view(), Some(truth.view()), Some(mask.view()))?;
                        Ok(GallerySlice { label: format!("slice {}", found.slice), png })
                    });
                    *item = Some(GalleryItem {
                        title: format!("{name}, {}", shown.caption),
                        score: shown.score,
                        slices: slices.collect::<Result<_>>()?,
                    });
                }
            }
        }
    }
    let items: Option<Vec<GalleryItem>> = items.into_iter().collect();
    Ok(Gallery { caption: caption.to_owned(), items: items.context("what was found is of other data")? })
}
