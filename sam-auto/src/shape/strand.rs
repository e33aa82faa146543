//! Strands: parts of the structure that go on from one outline to the next.

use ndarray::Array2;
use sam_prompt::PixelAspect;

use super::{
    field::Field,
    matching::match_parts,
    outline::{Outline, Part},
};

/// A part of the structure in the gap between two outlines.
#[derive(Debug, Clone)]
pub(super) enum Strand {
    /// It goes through the gap.
    Through { lower: Side, upper: Side },
    /// It is on the lower outline alone.
    Ends(Side),
    /// It is on the upper outline alone.
    Begins(Side),
}

/// The end of a strand on an outline: one component, or several where components split or merge.
#[derive(Debug, Clone)]
pub(super) struct Side {
    whole: Whole,
    /// The distances to the edge of all components together.
    pub(super) field: Field,
}

/// Some components of an outline, together.
#[derive(Debug, Clone)]
struct Whole {
    /// By their index in [`Outline::parts`], in order.
    components: Vec<usize>,
    part: Part,
}

impl Whole {
    fn new(mut components: Vec<usize>, outline: &Outline) -> Option<Self> {
        components.sort_unstable();
        let mut masks = components.iter().map(|&component| outline.parts[component].mask.clone());
        let first = masks.next()?;
        Some(Self { part: Part::new(masks.fold(first, |whole, mask| whole | mask)), components })
    }
}

impl Side {
    pub(super) fn part(&self) -> &Part {
        &self.whole.part
    }

    fn is_same_as(&self, other: &Self) -> bool {
        self.whole.components == other.whole.components
    }

    /// Whether components split or merge between this side and the other one of a strand.
    pub(super) fn branches_to(&self, other: &Self) -> bool {
        self.whole.components.len() > 1 || other.whole.components.len() > 1
    }

    /// The distances of a strand that has this side alone, at a share of the gap away from it: gone halfway.
    pub(super) fn fading(&self, away: f32) -> Array2<f32> {
        let signed = self.field.in_place();
        let depth = signed.iter().copied().fold(0.0, f32::max);
        signed.mapv(|distance| distance - 2.0 * away * depth)
    }
}

/// The strands between each outline and the next.
pub(super) fn strands(outlines: &[Outline], aspect: PixelAspect) -> Vec<Vec<Strand>> {
    let matched = |pair: &[Outline]| -> Vec<_> {
        let groups = match_parts(&pair[0], &pair[1], aspect).into_iter();
        groups.map(|group| (Whole::new(group.lower, &pair[0]), Whole::new(group.upper, &pair[1]))).collect()
    };
    let gaps: Vec<_> = outlines.windows(2).map(matched).collect();
    // In pixels, since it gives a number of pixels.
    let step = |lower: &Whole, upper: &Whole| lower.part.distance(&upper.part, PixelAspect::SQUARE);
    let moves = gaps.iter().flatten().filter_map(|(lower, upper)| Some(step(lower.as_ref()?, upper.as_ref()?)));
    // The distances reach beyond the image as far as a strand moves; a curve can go a little farther than its ends.
    let beyond = (1.5 * moves.fold(0.0, f32::max)).ceil() as usize;
    let side = |whole: Whole| Side { field: Field::new(whole.part.mask.view(), beyond, aspect), whole };
    let strand = |(lower, upper): (Option<Whole>, Option<Whole>)| match (lower.map(side), upper.map(side)) {
        (Some(lower), Some(upper)) => Some(Strand::Through { lower, upper }),
        (Some(lower), None) => Some(Strand::Ends(lower)),
        (None, Some(upper)) => Some(Strand::Begins(upper)),
        (None, None) => None,
    };
    gaps.into_iter().map(|gap| gap.into_iter().filter_map(strand).collect()).collect()
}

impl Strand {
    /// Its lower end, if it goes through its gap and ends with the components that `next` begins with, in the gap above.
    pub(super) fn before(&self, next: &Side) -> Option<&Side> {
        match self {
            Self::Through { lower, upper } if upper.is_same_as(next) => Some(lower),
            _ => None,
        }
    }

    /// Its upper end, if it goes through its gap and begins with the components that `last` ends with, in the gap below.
    pub(super) fn after(&self, last: &Side) -> Option<&Side> {
        match self {
            Self::Through { lower, upper } if lower.is_same_as(last) => Some(upper),
            _ => None,
        }
    }
}
