//! Strands: parts of the structure that go on from one outline to the next.

use ndarray::Array2;

use super::{
    matching::match_parts,
    outline::{Outline, Part},
};

/// A part of the structure in the gap between two outlines: one component on each side, or several where components split or merge. A
/// strand that ends in the gap has one side only.
#[derive(Debug, Clone)]
pub(super) struct Strand {
    lower: Option<Side>,
    upper: Option<Side>,
}

/// The end of a strand on an outline.
#[derive(Debug, Clone)]
struct Side {
    /// Its components, by their index in [`Outline::parts`], in order.
    components: Vec<usize>,
    /// All of them together.
    whole: Part,
}

impl Side {
    fn new(mut components: Vec<usize>, outline: &Outline) -> Option<Self> {
        components.sort_unstable();
        let mut masks = components.iter().map(|&component| outline.parts[component].mask.clone());
        let first = masks.next()?;
        Some(Self { whole: Part::new(masks.fold(first, |whole, mask| whole | mask)), components })
    }
}

/// The strands between two outlines.
pub(super) fn strands(lower: &Outline, upper: &Outline) -> Vec<Strand> {
    let groups = match_parts(lower, upper).into_iter();
    groups.map(|group| Strand { lower: Side::new(group.lower, lower), upper: Side::new(group.upper, upper) }).collect()
}

impl Strand {
    /// Both ends of a strand that goes through the gap.
    pub(super) fn pair(&self) -> Option<(&Part, &Part)> {
        Some((&self.lower.as_ref()?.whole, &self.upper.as_ref()?.whole))
    }

    /// The lower end of this strand, if `next`, in the gap above, begins with the components that this one ends with.
    pub(super) fn continued_by(&self, next: &Self) -> Option<&Part> {
        let (lower, upper, begins) = (self.lower.as_ref()?, self.upper.as_ref()?, next.lower.as_ref()?);
        (upper.components == begins.components).then_some(&lower.whole)
    }

    /// The upper end of `next`, in the gap above, if it begins with the components that this strand ends with.
    pub(super) fn continues_in<'a>(&self, next: &'a Self) -> Option<&'a Part> {
        let (upper, begins, ends) = (self.upper.as_ref()?, next.lower.as_ref()?, next.upper.as_ref()?);
        (upper.components == begins.components).then_some(&ends.whole)
    }

    /// Whether components split or merge in the gap.
    pub(super) fn branches(&self) -> bool {
        [&self.lower, &self.upper].into_iter().flatten().any(|side| side.components.len() > 1)
    }

    /// Lets the distances reach this many pixels beyond the image.
    pub(super) fn widen(&mut self, beyond: usize) {
        [&mut self.lower, &mut self.upper].into_iter().flatten().for_each(|side| side.whole.widen(beyond));
    }

    /// The distances of a strand that ends in the gap: gone halfway.
    pub(super) fn ending(&self, part: f32) -> Array2<f32> {
        let (side, away) = match (&self.lower, &self.upper) {
            (Some(lower), _) => (lower, part),
            (None, Some(upper)) => (upper, 1.0 - part),
            (None, None) => return Array2::from_elem((0, 0), f32::NEG_INFINITY),
        };
        let signed = side.whole.field.in_place();
        let depth = signed.iter().copied().fold(0.0, f32::max);
        signed.mapv(|distance| distance - 2.0 * away * depth)
    }
}
