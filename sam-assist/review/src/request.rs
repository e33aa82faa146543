//! Requests of the page, validated before use.

use sam_prompt::{BoundingBox, Point, Prompts, SliceNumber};
use serde::Deserialize;
use thiserror::Error;

use crate::{Decision, Overview, SliceOverview};

/// Maximum number of points in a request.
const MOST_POINTS: usize = 100;
/// Maximum number of boxes in a request.
const MOST_BOXES: usize = 20;

/// Segment a structure on a slice.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SegmentRequest {
    pub(super) slice: usize,
    /// The structure's label value.
    pub(super) structure: u16,
    #[serde(default)]
    points: Vec<Point>,
    #[serde(default)]
    boxes: Vec<BoundingBox>,
}

/// Decide on a slice.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DecideRequest {
    pub(super) slice: usize,
    pub(super) decision: Decision,
    /// The version of the slice's labels that the page shows.
    pub(super) version: u64,
    /// The number of the proposal to keep.
    #[serde(default)]
    pub(super) answer: Option<u64>,
}

/// The slice that is viewed.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ViewRequest {
    pub(super) slice: usize,
}

/// Undo the last decision, or save.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RevisionRequest {
    /// The revision of the review that the page shows.
    pub(super) revision: u64,
}

/// Why a request was refused.
#[derive(Debug, Error)]
pub(super) enum RequestError {
    #[error("there is no slice {}: the scan has {count}, counted from 1", SliceNumber::of_index(*slice))]
    Slice { slice: usize, count: usize },
    #[error("there is no structure with the label value {0}")]
    Structure(u16),
    #[error("{found} {what} are too many for one request: at most {most} are allowed")]
    TooMany { what: &'static str, found: usize, most: usize },
    #[error("nothing was clicked: a request needs a point or a box")]
    NoPrompt,
    #[error(
        "this slice has changed since this page showed it, in another tab or window: look at it as it is now, then decide"
    )]
    OldSlice,
    #[error("something was decided in another tab or window since: look at the review as it is now, then do it again")]
    OldReview,
    #[error(transparent)]
    Prompt(#[from] sam_prompt::PromptError),
}

impl SegmentRequest {
    /// The request's prompts, after checking that the slice exists and that all prompts are inside it.
    pub(super) fn check(self, overview: &Overview) -> Result<Prompts, RequestError> {
        check_slice(self.slice, overview)?;
        if !overview.structures.iter().any(|structure| structure.value == self.structure) {
            return Err(RequestError::Structure(self.structure));
        }
        for (what, found, most) in [("points", self.points.len(), MOST_POINTS), ("boxes", self.boxes.len(), MOST_BOXES)]
        {
            if found > most {
                return Err(RequestError::TooMany { what, found, most });
            }
        }
        let prompts = Prompts { points: self.points, boxes: self.boxes, ..Prompts::default() };
        if prompts.is_empty() {
            return Err(RequestError::NoPrompt);
        }
        prompts.check(overview.rows, overview.columns)?;
        Ok(prompts)
    }
}

/// How a slice stands; refuses a slice that the scan does not have.
pub(super) fn check_slice(slice: usize, overview: &Overview) -> Result<SliceOverview, RequestError> {
    let count = overview.slices.len();
    overview.slices.get(slice).copied().ok_or(RequestError::Slice { slice, count })
}

/// Refuses a decision about labels that are no longer the slice's labels.
pub(super) fn check_version(slice: usize, version: u64, overview: &Overview) -> Result<(), RequestError> {
    let now = check_slice(slice, overview)?.version;
    if version == now { Ok(()) } else { Err(RequestError::OldSlice) }
}

/// Refuses a page that does not show the last decision.
pub(super) fn check_revision(revision: u64, overview: &Overview) -> Result<(), RequestError> {
    if revision == overview.revision { Ok(()) } else { Err(RequestError::OldReview) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{SliceState, StructureOverview};

    fn overview() -> Overview {
        Overview {
            name: "scan".to_owned(),
            out: "mask.nii.gz".to_owned(),
            rows: 10,
            columns: 20,
            spacing_mm: (1.0, 1.0),
            structures: vec![StructureOverview { value: 2, name: "liver".to_owned(), colour: "#000000".to_owned() }],
            slices: vec![SliceOverview::new(SliceState::Predicted, true, 0); 3],
            ranking: Vec::new(),
            next: None,
            changes: None,
            revision: 0,
            unsaved: 0,
            can_undo: false,
        }
    }

    #[test]
    fn a_page_that_shows_what_was_is_refused() {
        let mut overview = overview();
        overview.slices[1].version = 4;
        overview.revision = 4;
        assert!(check_version(0, 0, &overview).is_ok() && check_version(1, 4, &overview).is_ok());
        for (slice, version) in [(0, 4), (1, 0), (1, 3), (1, 5), (1, u64::MAX)] {
            assert!(matches!(check_version(slice, version, &overview), Err(RequestError::OldSlice)));
        }
        assert!(matches!(check_version(3, 0, &overview), Err(RequestError::Slice { slice: 3, count: 3 })));
        assert!(check_revision(4, &overview).is_ok());
        assert!(matches!(check_revision(3, &overview), Err(RequestError::OldReview)));
    }

    fn ask(text: &[u8]) -> Result<Prompts, String> {
        let question: SegmentRequest = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        question.check(&overview()).map_err(|error| error.to_string())
    }

    fn point(x: impl Into<Value>, y: impl Into<Value>) -> Value {
        json!({ "x": x.into(), "y": y.into(), "label": "foreground" })
    }

    #[test]
    fn prompts_on_the_slice_pass_and_anything_else_is_refused_with_a_reason() {
        let good = json!({ "slice": 2, "structure": 2, "points": [point(19.5, -0.5)], "boxes": [] });
        assert_eq!(ask(good.to_string().as_bytes()).expect("on the slice").points.len(), 1);
        let with = |name: &str, value: Value| {
            let mut changed = good.clone();
            changed[name] = value;
            changed.to_string()
        };
        let inverted = json!([{ "x_min": 5.0, "x_max": 4.0, "y_min": 0.0, "y_max": 1.0 }]);
        for (text, part) in [
            (with("slice", 3.into()), "no slice 4"),
            (with("slice", (-1).into()), "invalid value"),
            (with("structure", 1.into()), "label value 1"),
            (with("structure", 65536.into()), "invalid value"),
            (with("points", json!([])), "nothing was clicked"),
            (with("points", json!([point(20.0, 0.0)])), "outside"),
            (with("points", json!([point(Value::Null, 0.0)])), "null"),
            (with("points", vec![point(1.0, 1.0); 101].into()), "too many"),
            (with("boxes", vec![inverted[0].clone(); 21].into()), "too many"),
            (with("boxes", inverted), "inverted"),
            (with("mask", json!([])), "unknown field"),
            (good.to_string().replace("19.5", "1e39"), "out of range"),
            (good.to_string().replace("19.5", "1e999"), "out of range"),
            (good.to_string().replace("19.5", "NaN"), "expected"),
        ] {
            let error = ask(text.as_bytes()).expect_err("it makes no sense");
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    /// Values that an attacker or a broken page might send as numbers.
    fn number() -> impl Strategy<Value = Value> {
        prop_oneof![
            (-2.0..22.0).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            Just(Value::Null),
            ".{0,4}".prop_map(Value::from),
        ]
    }

    fn question() -> impl Strategy<Value = Value> {
        let points = prop::collection::vec((number(), number()).prop_map(|(x, y)| point(x, y)), 0..4);
        let corners = prop::array::uniform4(number());
        let part = corners.prop_map(|[a, b, c, d]| json!({ "x_min": a, "y_min": b, "x_max": c, "y_max": d }));
        let (slice, structure) =
            (prop_oneof![(0..4).prop_map(Value::from), number()], prop_oneof![Just(2.into()), number()]);
        (slice, structure, points, prop::collection::vec(part, 0..3)).prop_map(|(slice, structure, points, boxes)| {
            json!({ "slice": slice, "structure": structure, "points": points, "boxes": boxes })
        })
    }

    proptest! {
        #[test]
        fn any_request_is_refused_or_lies_on_the_slice(
            question in question(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        ) {
            let mut text = question.to_string().into_bytes();
            for (place, byte) in damage {
                let place = place.index(text.len());
                text[place] = byte;
            }
            if let Ok(prompts) = ask(&text) {
                prop_assert!(!prompts.is_empty() && prompts.check(10, 20).is_ok());
                prop_assert!(prompts.points.iter().all(|point| point.x.is_finite() && point.y.is_finite()));
            }
        }

        #[test]
        fn random_bytes_are_refused(text in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(ask(&text).is_err());
            prop_assert!(serde_json::from_slice::<DecideRequest>(&text).is_err());
        }
    }
}
