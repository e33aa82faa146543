//! The result: a segmented scan.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use sam_assist::PromptCard;
use sam_auto::{RankedSlice, SegmentedSlice};
use sam_data::{LabelVolume, ResolvedWindow, Scan, Segment, SliceAxis};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    AnnotateConfig, AnnotateError, AnnotationSummary, CheckedOutput, Expectation, KeptMasks, LeftOutDice, StageSeconds,
};

/// A segmented scan: the result of an [`Annotator`](crate::Annotator).
///
/// If [`Annotated::stopped`] is set, the result is partial. It contains the structures that were learned, segmented and ranked before the
/// stop. Of the other structures it contains only the person's outlines.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Annotated {
    /// Label map on the scan's grid. The person's slices are unchanged.
    pub labels: LabelVolume,
    /// The structures, in the order of their label values.
    pub structures: Vec<AnnotatedStructure>,
    /// What was understood of the annotations before anything was learned.
    pub summary: Arc<AnnotationSummary>,
    /// The axis along which the scan was sliced.
    pub axis: SliceAxis,
    /// The intensities that the model saw as black and white.
    pub window: ResolvedWindow,
    /// The configuration.
    pub config: AnnotateConfig,
    /// Number of slices whose embedding was computed.
    pub embedded: usize,
    /// Whether the event receiver stopped the work, so that structures are missing.
    pub stopped: bool,
}

/// One structure of a segmented scan.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AnnotatedStructure {
    /// Its label value.
    pub value: u16,
    /// Its name.
    pub name: String,
    /// Number of slices on which it was annotated: outlined, or absent according to the person.
    pub annotated: usize,
    /// Its mask on each slice, before overlapping structures were joined.
    pub slices: Vec<SegmentedSlice>,
    /// Agreement of an ensemble's generators, or of the parts of the fusion, on each slice, from 0 to 1: see
    /// [`Segmentation::agreement`](sam_auto::Segmentation).
    pub agreement: BTreeMap<usize, f32>,
    /// Slices on which nobody annotated it, least trusted first; those far from the structure are missing
    /// ([`TrustMeterConfig::reach`](sam_auto::TrustMeterConfig)).
    pub ranking: Vec<RankedSlice>,
    /// What was fused, and what Dice is to be expected between its outlines. `None` if another strategy segmented it, if
    /// [`AnnotateConfig::expected_dice`] is off, or if a stop came first.
    pub expected_dice: Option<Expectation>,
    /// What was kept of the round before. `None` if there is none, or if it did not look for the structure.
    pub kept: Option<KeptMasks>,
    /// The Dice of left-out outlines in the round before, of those that a new round can be compared on.
    pub(crate) left_out_before: LeftOutDice,
    /// The card that was learned or given. An improved card ([`Start::Improve`](crate::Start)) is the mean of all its scans, and not
    /// what segmented this one.
    pub card: PromptCard,
    /// Learning time in seconds, without embedding; `None` if a card was given.
    pub learning_seconds: Option<f64>,
    /// How long each stage took.
    pub seconds: StageSeconds,
}

impl Annotated {
    /// All slices on which a structure was looked for, least trusted first. If there are several structures, the lowest trust counts.
    pub fn to_check(&self) -> Vec<SliceTrust> {
        let several = self.structures.len() > 1;
        let of = |structure: &AnnotatedStructure, ranked: &RankedSlice| {
            let named = if several { format!("{}: ", structure.name) } else { String::new() };
            SliceTrust { index: ranked.slice, trust: ranked.trust, reason: named + &ranked.reason }
        };
        let structures = self.structures.iter();
        least_trusted(
            structures.flat_map(|structure| structure.ranking.iter().map(move |ranked| of(structure, ranked))),
        )
    }

    /// The cards that were learned, by label value. Cards that were given are left out.
    pub fn learned_cards(&self) -> BTreeMap<u16, PromptCard> {
        let learned = self.structures.iter().filter(|structure| structure.learning_seconds.is_some());
        learned.map(|structure| (structure.value, structure.card.clone())).collect()
    }

    /// What was kept of the round before, by label value.
    pub fn kept(&self) -> BTreeMap<u16, KeptMasks> {
        let kept = self.structures.iter().map(|structure| Some((structure.value, structure.kept.clone()?)));
        kept.flatten().collect()
    }

    /// Writes the mask, DICOM SEG if the output has it, and the record (configuration and results). Returns the mask's paths.
    ///
    /// # Errors
    /// As [`CheckedOutput::write`].
    pub fn save(&self, scan: &Scan, output: &CheckedOutput) -> Result<Vec<PathBuf>, AnnotateError> {
        let segment = |structure: &AnnotatedStructure| Segment::new(structure.value, &structure.name);
        let segments: Vec<_> = self.structures.iter().map(segment).collect();
        output.write(scan, &self.labels, &segments, "", self.record())
    }

    /// The record that is written with the mask: configuration and results.
    pub fn record(&self) -> Map<String, Value> {
        let is_given = |structure: &AnnotatedStructure| structure.learning_seconds.is_none();
        // Cards of other scans: used as they are, or improved.
        let of_others =
            |structure: &&AnnotatedStructure| is_given(structure) || !structure.card.metadata().earlier.is_empty();
        let cards: Vec<_> =
            self.structures.iter().filter(of_others).map(|structure| structure.card.metadata()).collect();
        let learning = (!self.structures.iter().any(is_given)).then_some(&self.config.learning);
        let agreement: BTreeMap<_, _> = self.by_name(|structure| &structure.agreement);
        let agreement: BTreeMap<_, _> = agreement.into_iter().filter(|(_, slices)| !slices.is_empty()).collect();
        let record = json!({
            "axis": self.axis, "understood": &*self.summary, "window": self.window, "learning": learning, "cards": cards, "prompting": self.config.strategy,
            "agreement": agreement, "trust": self.config.trust, "ranking": self.by_name(|structure| &structure.ranking),
            "seconds": self.by_name(|structure| structure.seconds), "embedded": self.embedded,
        });
        let Value::Object(mut record) = record else { return Map::new() };
        if self.structures.iter().any(|structure| structure.expected_dice.is_some()) {
            let expected = self.by_name(|structure| &structure.expected_dice);
            record.insert("expected_dice".to_owned(), json!(expected));
        }
        if self.stopped {
            record.insert("stopped".to_owned(), Value::Bool(true));
        }
        record
    }

    fn by_name<'a, T>(&'a self, part: impl Fn(&'a AnnotatedStructure) -> T) -> BTreeMap<&'a str, T> {
        self.structures.iter().map(|structure| (structure.name.as_str(), part(structure))).collect()
    }
}

/// How far the mask of a slice can be trusted, and why no further.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SliceTrust {
    /// The slice, counted from 0.
    pub index: usize,
    /// Its trust, from 0 to 1.
    pub trust: f32,
    /// What lowers its trust most, for people; empty if it is not known. Of several structures, it names the one it is about.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl SliceTrust {
    /// A slice and its trust, without a reason.
    pub fn new(index: usize, trust: f32) -> Self {
        Self { index, trust, reason: String::new() }
    }

    /// Sets the reason.
    #[must_use]
    pub fn with_reason(self, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..self }
    }
}

/// Each slice once with its lowest trust, least trusted first.
fn least_trusted(slices: impl Iterator<Item = SliceTrust>) -> Vec<SliceTrust> {
    let mut least: BTreeMap<usize, SliceTrust> = BTreeMap::new();
    for slice in slices {
        if least.get(&slice.index).is_none_or(|known| slice.trust < known.trust) {
            least.insert(slice.index, slice);
        }
    }
    let mut slices: Vec<_> = least.into_values().collect();
    slices.sort_by(|one, other| one.trust.total_cmp(&other.trust));
    slices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_structures_the_least_trusted_counts() {
        let ranked = [(3, 0.5, "a"), (1, 0.75, "b"), (1, 0.25, "c"), (3, 0.5, "d"), (2, 0.5, "e")];
        let ranked = ranked.map(|(index, trust, reason)| SliceTrust::new(index, trust).with_reason(reason));
        let expected = [2, 4, 0].map(|place: usize| ranked[place].clone());
        assert_eq!(least_trusted(ranked.into_iter()), expected);
    }
}
