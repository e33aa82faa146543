//! All structures of a run in one label map.

use std::time::Instant;

use burn::tensor::backend::Backend;
use sam_assist::{AssistError, MultiClass, join_masks, overlapping};
use sam_core::SliceSource;
use sam_prompt::{
    ndarray::{Array2, Array3, Zip},
    progress::{Progress, Stage},
};

use super::{Complete, Reporter, Run};
use crate::{AnnotateError, AnnotatedStructure};

/// What progress is about.
const ALL: &str = "all structures";

impl<B: Backend> Run<'_, B> {
    /// Label map of all structures. Outlines stay as they are. Each structure is added on the slices on which it was looked for, where nothing
    /// is outlined. Where structures overlap, the strategy's scores decide, or the model's logits if it has no scores. Masks that are kept of
    /// the round before do not overlap each other, so that they change only where another structure is found.
    ///
    /// It goes on if it is told to stop, because without it nothing would be left of complete structures.
    pub(super) fn join(
        &self,
        structures: &[Complete<B>],
        reporter: &mut Reporter<'_, '_>,
    ) -> Result<Array3<u16>, AnnotateError> {
        let (mut labels, all, begun) = (Array3::clone(&self.labels), ALL.into(), Instant::now());
        let mut observer = reporter.observer(&all);
        let contested = self.contested(structures)?;
        let (mut done, total) = (0, contested.iter().filter(|contested| !contested.is_empty()).count());
        for (index, contested) in contested.iter().enumerate() {
            let Some(joined) = self.join_slice(structures, contested, index)? else { continue };
            let mut slice = self.labels(index);
            Zip::from(&mut slice).and(&joined).for_each(|label, &place| {
                // In `joined`, structures are counted from 1; their label values may differ.
                if let Some(place) = place.checked_sub(1).filter(|_| *label == 0) {
                    *label = structures[usize::from(place)].result.value;
                }
            });
            self.plane.insert(&mut labels, index, slice.view());
            if !contested.is_empty() {
                done += 1;
                let _ = observer(&Progress::new(Stage::Join, done, total).at_slice(index));
            }
        }
        tracing::info!(contested_slices = total, seconds = begun.elapsed().as_secs_f64(), "joined the structures");
        Ok(labels)
    }

    /// The structures that overlap others, for each slice.
    fn contested(&self, structures: &[Complete<B>]) -> Result<Vec<Vec<usize>>, AnnotateError> {
        let of = |index| {
            let found = overlapping(&self.masks(structures, index));
            found.map_err(|source| AnnotateError::Join { slice: index, source })
        };
        (0..self.plane.count()).map(of).collect()
    }

    /// A slice with each structure by its place, counted from 1. `None` if it shows none that was looked for.
    fn join_slice(
        &self,
        structures: &[Complete<B>],
        contested: &[usize],
        index: usize,
    ) -> Result<Option<Array2<u16>>, AnnotateError> {
        let masks = self.masks(structures, index);
        let joined = match self.scores(structures, contested, index)? {
            Some(scores) => join_masks(&masks, &scores),
            None => self.join_by_logits(structures, &masks, index),
        };
        joined.map_err(|source| AnnotateError::Join { slice: index, source })
    }

    /// The scores of the structures that overlap others on a slice. `None` if any of them has no scores: scores of different kinds cannot be
    /// compared.
    fn scores(
        &self,
        structures: &[Complete<B>],
        contested: &[usize],
        index: usize,
    ) -> Result<Option<Vec<Option<Array2<f32>>>>, AnnotateError> {
        let own = contested.iter().map(|&place| Some((place, structures[place].scorer.as_ref()?)));
        // Before anything is computed, since scores take as long as the masks did.
        let Some(own) = own.collect::<Option<Vec<_>>>() else { return Ok(None) };
        let mut all = vec![None; structures.len()];
        for (place, scorer) in own {
            let found = scorer.scores(&structures[place].predictor, &*self.slices, index);
            let found = found.map_err(|source| AnnotateError::Scores { slice: index, source })?;
            let Some(found) = found else { return Ok(None) };
            all[place] = Some(found);
        }
        Ok(Some(all))
    }

    fn join_by_logits(
        &self,
        structures: &[Complete<B>],
        masks: &[Option<&Array2<bool>>],
        index: usize,
    ) -> Result<Option<Array2<u16>>, AssistError> {
        let predictors = structures.iter().map(|structure| structure.predictor.clone()).collect();
        MultiClass::new(predictors).join(masks, || self.slices.embedding(index))
    }

    fn masks<'s>(&self, structures: &'s [Complete<B>], index: usize) -> Vec<Option<&'s Array2<bool>>> {
        structures.iter().map(|complete| self.looked_for(&complete.result, index)).collect()
    }

    /// The mask of a structure on a slice; `None` where it is annotated, so that it was not looked for.
    fn looked_for<'s>(&self, structure: &'s AnnotatedStructure, index: usize) -> Option<&'s Array2<bool>> {
        let is_annotated = self.annotated[&structure.value].contains(&index);
        structure.slices[index].mask().filter(|_| !is_annotated)
    }
}
