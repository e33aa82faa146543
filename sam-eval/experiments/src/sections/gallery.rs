//! Pictures of predicted masks, from poor to excellent.

use sam_data::{Stack, Structure};
use sam_eval::report::{Gallery, GalleryItem, GallerySlice, overlay_png};
use sam_prompt::SliceNumber;

use crate::{CaseSelection, CaseStructure, ExperimentError, FoundMask, error::Result};

/// Maximum number of items, at equal distances from the worst to the best.
const SHOWN: usize = 6;

/// Predicted masks that may be shown.
#[derive(Debug, Clone)]
pub(crate) struct Shown<'a> {
    /// Case and structure, as in [`CaseStructure::name`].
    pub(crate) subject: String,
    /// Distinguishes it from others of the same subject, for example by the seed.
    pub(crate) caption: String,
    /// Its score.
    pub(crate) score: f64,
    /// The predicted masks.
    pub(crate) masks: &'a [FoundMask],
}

/// A gallery of predicted masks on the cases of a plan.
///
/// # Errors
/// If the data cannot be read again, or a picture cannot be drawn.
pub(crate) fn gallery(caption: &str, cases: &[CaseSelection], mut shown: Vec<Shown<'_>>) -> Result<Gallery> {
    shown.retain(|shown| shown.score.is_finite());
    shown.sort_by(|a, b| a.score.total_cmp(&b.score));
    let step = |at: usize, count: usize| at * (shown.len() - 1) / (count - 1).max(1);
    let count = shown.len().min(SHOWN);
    let chosen: Vec<&Shown<'_>> = (0..count).map(|at| &shown[step(at, count)]).collect();
    let mut items: Vec<Option<GalleryItem>> = vec![None; chosen.len()];
    for selection in cases {
        let (dataset, structures) = selection.open()?;
        for stack in selection.stacks(dataset.as_ref())? {
            for structure in &structures {
                let name = CaseStructure::name_of(&stack, structure);
                for (item, shown) in items.iter_mut().zip(&chosen).filter(|(_, shown)| shown.subject == name) {
                    *item = Some(shown.draw(&stack, structure)?);
                }
            }
        }
    }
    let missing = items.iter().zip(&chosen).find(|(item, _)| item.is_none());
    if let Some((_, shown)) = missing {
        return Err(ExperimentError::OtherData { subject: shown.subject.clone() });
    }
    Ok(Gallery { caption: caption.to_owned(), items: items.into_iter().flatten().collect() })
}

impl Shown<'_> {
    /// Draws each slice with the contours of truth and prediction.
    fn draw(&self, stack: &Stack, structure: &Structure) -> Result<GalleryItem> {
        let mut slices = Vec::new();
        for found in self.masks {
            let truth = stack.mask(found.slice, &structure.values);
            let mask = found.mask.decode();
            let image = stack.image(found.slice).mapv(f32::from);
            let png = overlay_png(image.view(), Some(truth.view()), Some(mask.view()))?;
            slices.push(GallerySlice { label: format!("slice {}", SliceNumber::of_index(found.slice)), png });
        }
        Ok(GalleryItem { title: format!("{}, {}", self.subject, self.caption), score: self.score, slices })
    }
}
