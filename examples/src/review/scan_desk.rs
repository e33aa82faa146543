//! A desk on a scan with a mask.

use std::{collections::BTreeMap, mem, sync::Arc};

use anyhow::{Context, Result};
use ndarray::{Array2, Array3, Axis, Zip};
use sam_data::{LabelVolume, ResolvedWindow, Segment, SlicePlane};
use sam_prompt::{Prompts, ndarray};

use super::{
    Answer, Decision, Desk, DeskError, Overview, Prefetch, Ranking, Saved, Segmenter, SliceOverview, SliceState,
    StructureOverview,
};
use crate::scan::{Scan, ScanOptions};

/// Colours that are told apart on grey, by most colour-blind people too (after Okabe and Ito), in the order of the structures.
const COLOURS: [&str; 8] = ["#ff8c42", "#3fb8f0", "#2fc59a", "#f2e14c", "#e07bb5", "#5b8ff9", "#d9534f", "#b8c0cc"];

/// The scan to review, and where its mask goes.
#[derive(Debug)]
pub struct ReviewCase {
    /// Where it came from, and where masks go.
    pub options: ScanOptions,
    /// The scan.
    pub scan: Scan,
    /// How it is cut.
    pub plane: SlicePlane,
    /// The structures.
    pub structures: Vec<Segment>,
    /// Which slices to look at first.
    pub ranking: Ranking,
    /// What else is to be known of the review, to be written beside the mask.
    pub record: serde_json::Map<String, serde_json::Value>,
}

impl ReviewCase {
    /// All slices as the network sees them.
    pub fn images(&self, window: &ResolvedWindow) -> Vec<Array2<u8>> {
        let cut = |index| self.plane.extract(self.scan.volume.voxels.view(), index);
        (0..self.plane.count()).map(|index| window.apply(cut(index).view()).mapv(|level| level as u8)).collect()
    }
}

/// A slice's labels, and what was decided about them.
#[derive(Debug, Clone)]
struct Sheet {
    labels: Array2<u16>,
    state: SliceState,
    is_blank: bool,
}

impl Sheet {
    fn new(labels: Array2<u16>, state: SliceState) -> Self {
        let is_blank = labels.iter().all(|&label| label == 0);
        Self { labels, state, is_blank }
    }
}

/// A person's review of one scan, in memory until it is saved.
pub struct ScanDesk {
    case: ReviewCase,
    images: Arc<Vec<Array2<u8>>>,
    sheets: Vec<Sheet>,
    model: Arc<dyn Segmenter>,
    prefetch: Prefetch,
    /// The last answer, and its slice.
    proposal: Option<(usize, Array2<u16>)>,
    /// Slices as they were before each decision.
    history: Vec<(usize, Sheet)>,
    unsaved: usize,
}

impl ScanDesk {
    /// Lays out a mask for review. It has the scan's grid.
    ///
    /// # Errors
    /// If the system gives no thread for the slices that are embedded in advance.
    pub fn new(
        case: ReviewCase,
        mask: &LabelVolume,
        images: Arc<Vec<Array2<u8>>>,
        model: Arc<dyn Segmenter>,
    ) -> Result<Self> {
        let labels = |index| case.plane.extract(mask.labels.view(), index);
        let sheets: Vec<_> =
            (0..case.plane.count()).map(|index| Sheet::new(labels(index), SliceState::Predicted)).collect();
        let prefetch = Prefetch::new(Arc::clone(&model), case.ranking.clone(), sheets.len())?;
        Ok(Self { case, images, sheets, model, prefetch, proposal: None, history: Vec::new(), unsaved: 0 })
    }

    /// What was decided, by slice; slices that nobody decided on are left out.
    pub fn states(&self) -> BTreeMap<usize, SliceState> {
        let states = self.sheets.iter().map(|sheet| sheet.state).enumerate();
        states.filter(|&(_, state)| state != SliceState::Predicted).collect()
    }

    /// The mask as it is written: rejected slices are left out.
    fn mask(&self) -> Array3<u16> {
        let mut mask = Array3::zeros(self.case.scan.volume.voxels.dim());
        for (index, sheet) in self.sheets.iter().enumerate().filter(|(_, sheet)| sheet.state != SliceState::Rejected) {
            self.case.plane.insert(&mut mask, index, sheet.labels.view());
        }
        mask
    }

    /// Writes what was decided, and with what, beside the mask: `mask.review.json`.
    fn write_record(&self) -> Result<()> {
        let mut record = self.case.record.clone();
        record.insert("slices".to_owned(), serde_json::to_value(self.states())?);
        let path = self.case.options.out.with_extension("").with_extension("review.json");
        Ok(sam_data::write_atomically(&path, |file| writeln!(file, "{:#}", serde_json::Value::Object(record)))?)
    }

    fn change(&mut self, slice: usize, sheet: Sheet) {
        let before = mem::replace(&mut self.sheets[slice], sheet);
        self.history.push((slice, before));
        self.proposal = None;
        self.unsaved += 1;
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
        let slice = |sheet: &Sheet| SliceOverview { state: sheet.state, is_blank: sheet.is_blank };
        Overview {
            name: self.case.options.name(),
            out: self.case.options.out.display().to_string(),
            rows,
            columns,
            spacing_mm: self.case.plane.spacing(),
            structures: self.case.structures.iter().zip(COLOURS.iter().cycle()).map(structure).collect(),
            slices: self.sheets.iter().map(slice).collect(),
            ranking: self.case.ranking.slices().to_vec(),
            unsaved: self.unsaved,
            can_undo: !self.history.is_empty(),
        }
    }

    fn image(&self, slice: usize) -> Result<Array3<u8>, DeskError> {
        Ok(self.images[slice].clone().insert_axis(Axis(2)))
    }

    fn labels(&self, slice: usize) -> Result<Array2<u16>, DeskError> {
        Ok(self.sheets[slice].labels.clone())
    }

    fn look(&mut self, slice: usize) {
        self.prefetch.look(slice);
    }

    fn answer(&mut self, slice: usize, structure: u16, prompts: &Prompts) -> Result<Answer, DeskError> {
        let place = self.case.structures.iter().position(|segment| segment.value == structure);
        let place = place.with_context(|| format!("no structure has the label value {structure}"))?;
        let found = self.model.segment(slice, place, prompts)?;
        let mut labels = self.sheets[slice].labels.clone();
        // What a person points out takes its pixels from other structures.
        Zip::from(&mut labels).and(&found.mask).for_each(|label, &inside| {
            if inside {
                *label = structure;
            } else if *label == structure {
                *label = 0;
            }
        });
        self.proposal = Some((slice, labels.clone()));
        Ok(Answer { labels, predicted_iou: found.predicted_iou })
    }

    fn decide(&mut self, slice: usize, decision: Decision) -> Result<(), DeskError> {
        let standing = &self.sheets[slice];
        let sheet = match decision {
            Decision::Keep => match self.proposal.take_if(|(proposed, _)| *proposed == slice) {
                Some((_, labels)) => Sheet::new(labels, SliceState::Drawn),
                None => {
                    return Err(DeskError::NotNow(format!("nothing is proposed on slice {slice}: click on it first")));
                }
            },
            Decision::Accept if standing.is_blank => Sheet { state: SliceState::Empty, ..standing.clone() },
            Decision::Accept => Sheet { state: SliceState::Accepted, ..standing.clone() },
            Decision::Reject => Sheet { state: SliceState::Rejected, ..standing.clone() },
            Decision::Empty => Sheet::new(Array2::zeros(standing.labels.dim()), SliceState::Empty),
        };
        self.change(slice, sheet);
        Ok(())
    }

    fn undo(&mut self) -> Result<Option<usize>, DeskError> {
        let Some((slice, before)) = self.history.pop() else { return Ok(None) };
        self.sheets[slice] = before;
        self.proposal = None;
        self.unsaved += 1;
        Ok(Some(slice))
    }

    fn save(&mut self) -> Result<Saved, DeskError> {
        self.case.options.save(self.mask().view(), &self.case.scan, &self.case.structures, "reviewed")?;
        self.write_record().context("the mask is written, but not what was decided")?;
        self.unsaved = 0;
        let is_rejected = |(_, state): &(usize, SliceState)| *state == SliceState::Rejected;
        let left_out = self.states().into_iter().filter(is_rejected).map(|(slice, _)| slice).collect();
        Ok(Saved { path: self.case.options.out.display().to_string(), left_out })
    }
}

#[cfg(test)]
mod tests;
