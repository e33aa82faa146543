//! Interactive segmentation of a slice with correcting clicks: the paper's active sampling.

use ndarray::{Array2, ArrayView2};
use rand_chacha::rand_core::Rng;
use sam_prompt::{BoundingBox, ClickReach, CorrectionClick, Label, Point, PromptError, Prompts};

/// The prediction of a segmenter for a slice.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction<S = ()> {
    /// The object: `[rows, columns]`.
    pub mask: Array2<bool>,
    /// The segmenter's own estimate of the intersection over union, in [0, 1], if it gives one.
    pub predicted_iou: Option<f64>,
    /// State that the segmenter needs to correct this prediction, for example SAM's low-res logits.
    pub state: S,
}

/// Segments one part of an object. The second argument is its earlier prediction, which it may feed back.
pub(crate) type Segment<'a, S, E> = dyn FnMut(&Prompts, Option<&Prediction<S>>) -> Result<Prediction<S>, E> + 'a;

/// The predictions after each interaction.
#[derive(Debug, Clone, Default)]
pub struct InteractionSeries {
    /// All boxes, and all clicks in their order.
    pub prompts: Prompts,
    /// The mask after each interaction. There are fewer than requested if the object was segmented exactly.
    pub masks: Vec<Array2<bool>>,
    /// The segmenter's estimate of the last mask's intersection over union, if it gives one and the object has one part.
    pub predicted_iou: Option<f64>,
}

/// A part of the object with its own prompts, because SAM reads one box at a time.
struct Part<S> {
    prompts: Prompts,
    prediction: Option<Prediction<S>>,
}

/// Segments a slice from boxes, one for each part of the object, and then from up to `clicks` clicks, each at the largest remaining
/// error. Without boxes, the first click is on the object.
///
/// A foreground click goes to the part whose box is nearest, a background click to every part whose mask holds it. Only those parts
/// are segmented again. A clicked pixel is not clicked again, whatever the prediction there is. With a `reach`, only the region around a
/// click is taken from the new prediction.
///
/// # Errors
/// Those of the segmenter, or of the click's sampler.
pub(crate) fn correct<S, E: From<PromptError>>(
    boxes: Vec<BoundingBox>,
    truth: ArrayView2<'_, bool>,
    clicks: usize,
    (correction, reach): (CorrectionClick, Option<ClickReach>),
    rng: &mut dyn Rng,
    segment: &mut Segment<'_, S, E>,
) -> Result<InteractionSeries, E> {
    let whole = boxes.is_empty();
    let mut series = InteractionSeries { prompts: Prompts::from_boxes(boxes.clone()), ..InteractionSeries::default() };
    let part = |prompts| Part { prompts, prediction: None };
    let of_box = |one: BoundingBox| part(Prompts::from_boxes(vec![one]));
    let mut parts: Vec<Part<S>> =
        if whole { vec![part(Prompts::default())] } else { boxes.into_iter().map(of_box).collect() };
    if !whole {
        parts.iter_mut().try_for_each(|part| part.segment(segment))?;
        series.masks.push(union(&parts, truth.dim()));
    }
    for _ in 0..clicks {
        let mut seen = series.masks.last().cloned().unwrap_or_else(|| Array2::from_elem(truth.dim(), false));
        for click in &series.prompts.points {
            seen[pixel(click)] = truth[pixel(click)];
        }
        let Some(click) = correction.next(seen.view(), truth, rng)? else { break };
        series.prompts.points.push(click);
        for part in parts_of(&mut parts, click, reach.is_some()) {
            part.prompts.points.push(click);
            part.segment(segment)?;
        }
        let predicted = union(&parts, truth.dim());
        let mask = match (reach, series.masks.last()) {
            (Some(reach), Some(before)) => reach.apply(before.view(), predicted.view(), click)?,
            _ => predicted,
        };
        series.masks.push(mask);
    }
    if let [Part { prediction: Some(prediction), .. }] = &parts[..] {
        series.predicted_iou = prediction.predicted_iou;
    }
    Ok(series)
}

impl<S> Part<S> {
    fn segment<E>(&mut self, segment: &mut Segment<'_, S, E>) -> Result<(), E> {
        self.prediction = Some(segment(&self.prompts, self.prediction.as_ref())?);
        Ok(())
    }

    /// The distance of a click from the part's box: 0 inside it, and without a box.
    fn distance(&self, click: Point) -> f32 {
        self.prompts.boxes.first().map_or(0.0, |part| part.distance(click.x, click.y))
    }

    fn holds(&self, click: Point) -> bool {
        self.prediction.as_ref().is_some_and(|prediction| prediction.mask[pixel(&click)])
    }
}

/// The parts that a click corrects. With a reach, surplus can be left from an earlier prediction: then no part holds a background click, and
/// it goes to the nearest one.
fn parts_of<S>(parts: &mut [Part<S>], click: Point, has_reach: bool) -> Vec<&mut Part<S>> {
    let to_nearest = match click.label {
        Label::Foreground => true,
        Label::Background => has_reach && !parts.iter().any(|part| part.holds(click)),
    };
    if to_nearest {
        return parts.iter_mut().min_by(|a, b| a.distance(click).total_cmp(&b.distance(click))).into_iter().collect();
    }
    parts.iter_mut().filter(|part| part.holds(click)).collect()
}

fn union<S>(parts: &[Part<S>], size: (usize, usize)) -> Array2<bool> {
    let nothing = Array2::from_elem(size, false);
    parts.iter().filter_map(|part| part.prediction.as_ref()).fold(nothing, |all, prediction| all | &prediction.mask)
}

/// Row and column of a click's pixel. A click is at the centre of a pixel.
fn pixel(click: &Point) -> (usize, usize) {
    (click.y as usize, click.x as usize)
}

#[cfg(test)]
mod tests {
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
    use sam_prompt::{component_boxes, component_masks, dilate};

    use super::*;

    type Segment<'a> = super::Segment<'a, (), PromptError>;

    fn found(mask: Array2<bool>) -> Prediction {
        Prediction { mask, predicted_iou: Some(1.0), state: () }
    }

    /// Two separate squares.
    fn squares() -> Array2<bool> {
        Array2::from_shape_fn((20, 40), |(row, column)| {
            (5..12).contains(&row) && ((4..11).contains(&column) || (25..32).contains(&column))
        })
    }

    fn square_boxes() -> Vec<BoundingBox> {
        component_boxes(squares().view(), 1)
    }

    fn run(boxes: Vec<BoundingBox>, clicks: usize, segment: &mut Segment<'_>) -> InteractionSeries {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let correction = CorrectionClick::default();
        correct(boxes, squares().view(), clicks, (correction, None), &mut rng, segment)
            .expect("the segmenter never fails")
    }

    /// A perfect segmenter: returns what is in the box or, without a box, the components that contain a click.
    fn perfect(prompts: &Prompts) -> Prediction {
        let hit = |part: &Array2<bool>| {
            let boxed = part.indexed_iter().any(|((row, column), &inside)| {
                inside && prompts.boxes.iter().any(|part| part.contains(column as f32, row as f32))
            });
            boxed || prompts.points.iter().any(|click| part[pixel(click)])
        };
        let parts = component_masks(squares().view(), 1);
        found(parts.into_iter().filter(hit).fold(Array2::from_elem((20, 40), false), |all, part| all | part))
    }

    #[test]
    fn what_is_found_exactly_is_not_clicked_on() {
        let series = run(square_boxes(), 5, &mut |prompts, _| Ok(perfect(prompts)));
        assert_eq!(series.masks, [squares()]);
        assert_eq!(series.predicted_iou, None, "found in two pieces");
        assert!(series.prompts.points.is_empty() && series.prompts.boxes.len() == 2);
    }

    #[test]
    fn without_boxes_each_part_needs_its_click() {
        let series = run(Vec::new(), 5, &mut |prompts, _| Ok(perfect(prompts)));
        assert_eq!(series.masks.len(), 2);
        assert_eq!(series.masks[1], squares());
        assert!(series.prompts.points.iter().all(|click| click.label == Label::Foreground && squares()[pixel(click)]));
    }

    #[test]
    fn a_click_goes_to_the_part_it_speaks_of_and_what_was_found_is_handed_back() {
        // The mask of the left part is too large until it gets a click; the mask of the right part is exact at once.
        let mut calls = Vec::new();
        let series = run(square_boxes(), 5, &mut |prompts, earlier| {
            let left = prompts.boxes[0].x_min < 20.0;
            calls.push((left, prompts.points.len(), earlier.is_some()));
            let right_size = perfect(prompts).mask;
            let large = left && prompts.points.is_empty();
            Ok(found(if large { dilate(right_size.view(), 2) } else { right_size }))
        });
        assert_eq!(calls.iter().filter(|call| call.0).collect::<Vec<_>>(), [&(true, 0, false), &(true, 1, true)]);
        assert_eq!(calls.iter().filter(|call| !call.0).collect::<Vec<_>>(), [&(false, 0, false)]);
        assert_eq!(series.prompts.points.iter().map(|click| click.label).collect::<Vec<_>>(), [Label::Background]);
        assert_eq!(series.masks.last(), Some(&squares()));
    }

    #[test]
    fn a_missed_place_is_told_to_the_nearest_box() {
        let mut told = Vec::new();
        let only_right = square_boxes().into_iter().filter(|part| part.x_min > 20.0).collect();
        run(only_right, 1, &mut |prompts, _| {
            told.push(prompts.points.clone());
            let right = Prompts { points: Vec::new(), ..prompts.clone() };
            Ok(perfect(&right))
        });
        let [first, second] = &told[..] else { panic!("two predictions, found {told:?}") };
        assert!(first.is_empty() && second[0].x < 12.0 && second[0].label == Label::Foreground);
    }

    #[test]
    fn with_a_reach_a_click_spoils_nothing_elsewhere() {
        // From the second prediction on, the right square is lost.
        let mut segment = |prompts: &Prompts, _: Option<&Prediction>| {
            let mut mask = squares();
            mask[(5, 4)] = false;
            if !prompts.points.is_empty() {
                mask.indexed_iter_mut().for_each(|((_, column), inside)| *inside &= column < 20);
                mask[(5, 4)] = true;
            }
            Ok(found(mask))
        };
        let one = || vec![sam_prompt::bounding_box(squares().view()).expect("not empty")];
        let spoilt = run(one(), 1, &mut segment);
        assert!(!spoilt.masks[1][(6, 28)]);
        let (mut rng, clicks) =
            (ChaCha8Rng::seed_from_u64(1), (CorrectionClick::default(), Some(ClickReach::default())));
        let series = correct(one(), squares().view(), 1, clicks, &mut rng, &mut segment).expect("it never fails");
        assert_eq!(series.masks.last(), Some(&squares()));
    }

    #[test]
    fn no_pixel_is_clicked_twice() {
        let series = run(Vec::new(), 8, &mut |_, _| Ok(found(Array2::from_elem((20, 40), false))));
        let mut clicked: Vec<_> = series.prompts.points.iter().map(pixel).collect();
        clicked.sort_unstable();
        clicked.dedup();
        assert_eq!((clicked.len(), series.masks.len()), (8, 8));
    }
}
