//! A desk on a scan with a mask.

mod clicks;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use sam_annotate::{AnnotateError, CheckedOutput, NextAction};
use sam_core::ImageSource;
use sam_data::{LabelVolume, Scan, Segment, SlicePlane};
use sam_prompt::{
    Prompts, SliceNumber,
    ndarray::{Array2, Array3, Zip},
};

use self::clicks::Clicks;
use crate::{
    Decision, DecisionStore, Desk, DeskError, Overview, Prefetch, Proposal, Provenance, RankedSlice, Ranking,
    ReviewError, RoundChanges, Saved, SliceOverview, SliceReview, SliceSegmenter, SliceState, StructureOverview,
    files::ReviewFiles,
};

/// Colours of the structures, in their order. Most colour-blind people can also tell them apart on grey (after Okabe and Ito).
const COLOURS: [&str; 8] = ["#ff8c42", "#3fb8f0", "#2fc59a", "#f2e14c", "#e07bb5", "#5b8ff9", "#d9534f", "#b8c0cc"];

/// The ending of a review's record without a session: so it does not replace the record of the program that found the mask. The record of
/// a session's mask has the usual ending, and tells of its rounds, too. See [`Output::with_record_ending`](sam_annotate::Output).
pub const RECORD_ENDING: &str = "review.json";

/// What is at the output of a review when it begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MaskState {
    /// Anything: it is written when something was decided.
    #[default]
    Open,
    /// The mask with every decision of the store.
    Current,
    /// A mask without some decisions of the store, or none. It is written at the end, even if nothing more is decided.
    Outdated,
}

/// The scan to review, and where its mask is written.
#[derive(Debug)]
#[non_exhaustive]
pub struct ReviewCase {
    /// The scan.
    pub scan: Arc<Scan>,
    /// How it is cut into slices.
    pub plane: SlicePlane,
    /// The structures; the model identifies them by their index in this list.
    pub structures: Vec<Segment>,
    /// Which slices to look at first.
    pub ranking: Ranking,
    /// What the round that computed the mask changed; `None` if it was not compared with a round before.
    pub changes: Option<RoundChanges>,
    /// The files that are written. If another program changes one of them, the review is saved beside it.
    pub output: CheckedOutput,
    /// What is at the output when the review begins.
    pub mask: MaskState,
    /// Fields of the record, such as the program's options.
    pub record: serde_json::Map<String, serde_json::Value>,
}

impl ReviewCase {
    /// A scan with its structures and the files of its mask; its slices are ranked in scan order.
    pub fn new(scan: Arc<Scan>, plane: SlicePlane, structures: Vec<Segment>, output: CheckedOutput) -> Self {
        let ranking = Ranking::in_order(plane.count());
        let record = serde_json::Map::new();
        Self { scan, plane, structures, ranking, changes: None, output, mask: MaskState::Open, record }
    }
}

/// A person's review of one scan.
pub struct ScanDesk {
    case: ReviewCase,
    images: Arc<dyn ImageSource>,
    slices: Vec<SliceReview>,
    /// The version of each slice: the number of its last change.
    versions: Vec<u64>,
    files: ReviewFiles,
    model: Arc<dyn SliceSegmenter>,
    prefetch: Prefetch,
    /// The last proposal, and its slice.
    proposal: Option<(usize, Array2<u16>)>,
    /// The clicks that were answered.
    clicks: Clicks,
    /// The storage of the decisions.
    store: Box<dyn DecisionStore>,
    /// Number of changes that are not in the written mask.
    unsaved: usize,
    /// Whether this desk has written the mask.
    has_written: bool,
}

impl ScanDesk {
    /// A desk with all slices of a scan: the images that the model sees, and the labels.
    ///
    /// # Errors
    /// [`ReviewError::Thread`] if the system cannot start the thread that embeds slices in advance.
    pub fn new(
        case: ReviewCase,
        images: Arc<dyn ImageSource>,
        slices: Vec<SliceReview>,
        store: Box<dyn DecisionStore>,
        model: Arc<dyn SliceSegmenter>,
    ) -> Result<Self, ReviewError> {
        let prefetch = Prefetch::new(Arc::clone(&model), case.ranking.clone(), slices.len())?;
        let versions = vec![0; slices.len()];
        let files = ReviewFiles::new(case.output.clone());
        let mut desk = Self {
            case,
            images,
            slices,
            versions,
            files,
            model,
            prefetch,
            proposal: None,
            clicks: Clicks::default(),
            store,
            unsaved: 0,
            has_written: false,
        };
        if desk.case.mask == MaskState::Outdated {
            desk.unsaved = desk.states().len().max(1);
        }
        Ok(desk)
    }

    /// The mask with every decision that was saved; `None` if nothing was written, and no such mask was there before.
    pub fn written(&self) -> Option<&Path> {
        (self.has_written || self.case.mask == MaskState::Current).then(|| self.files.mask())
    }

    /// The decisions by slice; slices without a decision are left out.
    pub fn states(&self) -> BTreeMap<usize, SliceState> {
        let states = self.slices.iter().map(SliceReview::state).enumerate();
        states.filter(|&(_, state)| state != SliceState::Predicted).collect()
    }

    /// Slices that are left blank in the mask: rejected ones, unless a later round segments them again.
    fn left_out(&self) -> Vec<usize> {
        let is_left_out = |slice: &SliceReview| slice.state() == SliceState::Rejected && !self.store.writes_rejected();
        (0..self.slices.len()).filter(|&slice| is_left_out(&self.slices[slice])).collect()
    }

    /// What to do next: on the least trusted slice without a decision.
    fn next_action(&self) -> Option<NextAction> {
        let trusted = self.case.ranking.slices().iter().filter_map(RankedSlice::known_trust);
        let open = trusted.filter(|slice| self.slices[slice.index].state() == SliceState::Predicted);
        NextAction::of(open, |slice| !self.slices[slice].is_blank(), &self.store.pace())
    }

    /// The mask as it is written.
    fn mask(&self, left_out: &[usize]) -> LabelVolume {
        let mut mask = Array3::zeros(self.case.scan.volume().voxels.dim());
        for (index, slice) in self.slices.iter().enumerate().filter(|(index, _)| !left_out.contains(index)) {
            self.case.plane.insert(&mut mask, index, slice.labels().view());
        }
        LabelVolume { labels: mask, grid: self.case.scan.grid().clone() }
    }

    /// Gives a slice a new version, after its labels or its state have changed.
    fn changed(&mut self, slice: usize) {
        self.versions[slice] = self.revision() + 1;
        self.proposal = None;
        self.clicks.decided(slice);
        self.unsaved += 1;
    }

    fn revision(&self) -> u64 {
        self.versions.iter().copied().max().unwrap_or_default()
    }
}

impl Desk for ScanDesk {
    fn overview(&self) -> Overview {
        let (rows, columns) = self.case.plane.size();
        let structure = |(segment, colour): (&Segment, &&str)| StructureOverview {
            value: segment.value,
            name: segment.name.clone(),
            colour: (*colour).to_owned(),
        };
        let slice =
            |(slice, &version): (&SliceReview, &u64)| SliceOverview::new(slice.state(), slice.is_blank(), version);
        Overview {
            name: self.case.scan.name(),
            out: self.files.mask().display().to_string(),
            rows,
            columns,
            spacing_mm: self.case.plane.spacing(),
            structures: self.case.structures.iter().zip(COLOURS.iter().cycle()).map(structure).collect(),
            slices: self.slices.iter().zip(&self.versions).map(slice).collect(),
            ranking: self.case.ranking.slices().to_vec(),
            next: self.next_action(),
            changes: self.case.changes.clone(),
            revision: self.revision(),
            unsaved: self.unsaved,
            can_undo: self.store.can_undo(),
        }
    }

    fn image(&self, slice: usize) -> Result<Array3<u8>, DeskError> {
        self.images.image(slice).map_err(DeskError::failed)
    }

    fn labels(&self, slice: usize) -> Result<Array2<u16>, DeskError> {
        Ok(self.slices[slice].labels().clone())
    }

    fn viewing(&mut self, slice: usize) {
        self.prefetch.viewing(slice);
    }

    fn propose(&mut self, slice: usize, structure: u16, prompts: &Prompts) -> Result<Proposal, DeskError> {
        let place = self.case.structures.iter().position(|segment| segment.value == structure);
        let place = place.ok_or(DeskError::NoSuchStructure(structure))?;
        let earlier = self.clicks.earlier_logits((slice, structure), prompts);
        let mask = earlier.filter(|_| prompts.mask.is_none() && self.model.takes_logits(place)).cloned();
        let asked = Prompts { mask: mask.or_else(|| prompts.mask.clone()), ..prompts.clone() };
        let found = self.model.segment(slice, place, &asked).map_err(DeskError::Failed)?;
        let mut labels = self.slices[slice].labels().clone();
        let shown = labels.mapv(|label| label == structure);
        let mask = self.clicks.propose((slice, structure), prompts, shown, &found);
        let mask = mask.map_err(DeskError::failed)?;
        // The proposed structure overwrites other structures.
        Zip::from(&mut labels).and(&mask).for_each(|label, &inside| {
            if inside {
                *label = structure;
            } else if *label == structure {
                *label = 0;
            }
        });
        self.proposal = Some((slice, labels.clone()));
        Ok(Proposal { labels, predicted_iou: found.predicted_iou })
    }

    fn decide(&mut self, slice: usize, decision: Decision) -> Result<(), DeskError> {
        let before = &self.slices[slice];
        let decided = match decision {
            Decision::Keep => match &self.proposal {
                Some((proposed, labels)) if *proposed == slice => SliceReview::new(labels.clone(), SliceState::Drawn),
                _ => {
                    let number = SliceNumber::of_index(slice);
                    return Err(DeskError::NotNow(format!("nothing is proposed on slice {number}: click on it first")));
                }
            },
            Decision::Accept if before.is_blank() => before.clone().with_state(SliceState::Empty),
            Decision::Accept => before.clone().with_state(SliceState::Accepted),
            Decision::Reject => before.clone().with_state(SliceState::Rejected),
            Decision::Empty => SliceReview::new(Array2::zeros(before.labels().dim()), SliceState::Empty),
        };
        self.slices[slice] = self.store.keep(slice, before, decided)?;
        self.changed(slice);
        Ok(())
    }

    fn undo(&mut self) -> Result<Option<usize>, DeskError> {
        let Some((slice, restored)) = self.store.undo()? else { return Ok(None) };
        self.slices[slice] = restored;
        self.changed(slice);
        Ok(Some(slice))
    }

    fn save(&mut self) -> Result<Saved, DeskError> {
        let left_out = self.left_out();
        let mask = self.mask(&left_out);
        let Provenance { field, content } = self.store.provenance(&self.states());
        let mut record = self.case.record.clone();
        record.insert(field.to_owned(), content);
        let ReviewCase { scan, structures, .. } = &self.case;
        self.files.save(scan, &mask, structures, &self.store.describe(), record).map_err(|error| match error {
            ReviewError::Write(AnnotateError::Segmentation { mask, source }) => {
                DeskError::Segmentation { mask, source: source.into() }
            }
            error => DeskError::Mask(error.into()),
        })?;
        (self.unsaved, self.has_written) = (0, true);
        Ok(Saved::new(self.files.mask().display().to_string(), left_out).with_note(self.files.take_note()))
    }
}

#[cfg(test)]
mod tests;
