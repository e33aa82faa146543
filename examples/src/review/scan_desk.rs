//! A desk on a scan with a mask.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, Result};
use ndarray::{Array2, Array3, Axis, Zip};
use sam_data::{ResolvedWindow, Segment, SlicePlane};
use sam_prompt::{Prompts, ndarray};

use super::{
    Answer, Decision, Desk, DeskError, Ledger, Overview, Prefetch, Ranking, Saved, Segmenter, Sheet, SliceOverview,
    SliceState, StructureOverview,
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

/// A person's review of one scan.
pub struct ScanDesk {
    case: ReviewCase,
    images: Arc<Vec<Array2<u8>>>,
    sheets: Vec<Sheet>,
    model: Arc<dyn Segmenter>,
    prefetch: Prefetch,
    /// The last answer, and its slice.
    proposal: Option<(usize, Array2<u16>)>,
    /// Where decisions are kept.
    ledger: Box<dyn Ledger>,
    /// How many changes the written mask lacks.
    unsaved: usize,
}

impl ScanDesk {
    /// Lays out a scan's slices for review.
    ///
    /// # Errors
    /// If the system gives no thread for the slices that are embedded in advance.
    pub fn new(
        case: ReviewCase,
        sheets: Vec<Sheet>,
        ledger: Box<dyn Ledger>,
        images: Arc<Vec<Array2<u8>>>,
        model: Arc<dyn Segmenter>,
    ) -> Result<Self> {
        let prefetch = Prefetch::new(Arc::clone(&model), case.ranking.clone(), sheets.len())?;
        Ok(Self { case, images, sheets, model, prefetch, proposal: None, ledger, unsaved: 0 })
    }

    /// What was decided, by slice; slices that nobody decided on are left out.
    pub fn states(&self) -> BTreeMap<usize, SliceState> {
        let states = self.sheets.iter().map(|sheet| sheet.state).enumerate();
        states.filter(|&(_, state)| state != SliceState::Predicted).collect()
    }

    /// Slices of which nothing is written: rejected ones, where nothing else will be found there.
    fn left_out(&self) -> Vec<usize> {
        let is_left_out = |sheet: &Sheet| sheet.state == SliceState::Rejected && !self.ledger.writes_rejected();
        (0..self.sheets.len()).filter(|&slice| is_left_out(&self.sheets[slice])).collect()
    }

    /// The mask as it is written.
    fn mask(&self, left_out: &[usize]) -> Array3<u16> {
        let mut mask = Array3::zeros(self.case.scan.volume.voxels.dim());
        for (slice, sheet) in self.sheets.iter().enumerate().filter(|(slice, _)| !left_out.contains(slice)) {
            self.case.plane.insert(&mut mask, slice, sheet.labels.view());
        }
        mask
    }

    /// Writes beside the mask what was decided, and with what.
    fn write_record(&self) -> Result<()> {
        let (ending, field, content) = self.ledger.record(&self.states());
        let mut record = self.case.record.clone();
        record.insert(field.to_owned(), content);
        let path = self.case.options.out.with_extension("").with_extension(ending);
        Ok(sam_data::write_atomically(&path, |file| writeln!(file, "{:#}", serde_json::Value::Object(record)))?)
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
            can_undo: self.ledger.can_undo(),
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
        let decided = match decision {
            Decision::Keep => match &self.proposal {
                Some((proposed, labels)) if *proposed == slice => Sheet::new(labels.clone(), SliceState::Drawn),
                _ => return Err(DeskError::NotNow(format!("nothing is proposed on slice {slice}: click on it first"))),
            },
            Decision::Accept if standing.is_blank => Sheet { state: SliceState::Empty, ..standing.clone() },
            Decision::Accept => Sheet { state: SliceState::Accepted, ..standing.clone() },
            Decision::Reject => Sheet { state: SliceState::Rejected, ..standing.clone() },
            Decision::Empty => Sheet::new(Array2::zeros(standing.labels.dim()), SliceState::Empty),
        };
        self.sheets[slice] = self.ledger.keep(slice, standing, decided)?;
        self.proposal = None;
        self.unsaved += 1;
        Ok(())
    }

    fn undo(&mut self) -> Result<Option<usize>, DeskError> {
        let Some((slice, sheet)) = self.ledger.undo()? else { return Ok(None) };
        self.sheets[slice] = sheet;
        self.proposal = None;
        self.unsaved += 1;
        Ok(Some(slice))
    }

    fn save(&mut self) -> Result<Saved, DeskError> {
        let ReviewCase { options, scan, structures, .. } = &self.case;
        let left_out = self.left_out();
        options.save(self.mask(&left_out).view(), scan, structures, &self.ledger.describe())?;
        self.write_record().context("the mask is written, but not what was decided")?;
        self.unsaved = 0;
        Ok(Saved { path: self.case.options.out.display().to_string(), left_out })
    }
}

#[cfg(test)]
mod tests;
