//! Which components of two outlines are the same part of the structure.

use sam_prompt::PixelAspect;

use super::outline::{Outline, Part};

/// Components farther apart than this many times the sum of their radii are different parts.
const MAX_DISTANCE: f32 = 2.0;

/// Components of a lower and an upper outline that are one part of the structure: by their index in [`Outline::parts`]. Where parts split or
/// merge, a group has several on one side. A part that ends between the outlines has none on the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) lower: Vec<usize>,
    pub(super) upper: Vec<usize>,
}

/// Groups the components of two outlines. Components that share a pixel are in one group. Of the others, the nearest pair is matched first,
/// as long as their centroids are at most twice the sum of their radii apart.
pub(super) fn match_parts(lower: &Outline, upper: &Outline, aspect: PixelAspect) -> Vec<Group> {
    let mut groups = overlapping(&lower.parts, &upper.parts);
    let is_alone = |group: &Group| group.lower.is_empty() || group.upper.is_empty();
    let (mut alone, joined): (Vec<_>, Vec<_>) = groups.drain(..).partition(is_alone);
    groups = joined;
    while let Some((first, second)) = nearest(&alone, &lower.parts, &upper.parts, aspect) {
        // The larger index first, so that the smaller one stays valid.
        let other = alone.swap_remove(first.max(second));
        let mut group = alone.swap_remove(first.min(second));
        group.lower.extend(other.lower);
        group.upper.extend(other.upper);
        groups.push(group);
    }
    groups.extend(alone);
    groups
}

/// Connected groups of components that share pixels.
fn overlapping(lower: &[Part], upper: &[Part]) -> Vec<Group> {
    let mut groups: Vec<Group> =
        (0..lower.len()).map(|index| Group { lower: vec![index], upper: Vec::new() }).collect();
    for (index, part) in upper.iter().enumerate() {
        let shares = |group: &Group| group.lower.iter().any(|&other| lower[other].overlaps(part));
        let (touched, others): (Vec<_>, Vec<_>) = groups.into_iter().partition(shares);
        groups = others;
        let mut group = Group { lower: Vec::new(), upper: vec![index] };
        for mut other in touched {
            group.lower.append(&mut other.lower);
            group.upper.append(&mut other.upper);
        }
        groups.push(group);
    }
    groups
}

/// The indices of a lone lower and a lone upper component that are nearest, measured by their radii, if they are near enough.
fn nearest(alone: &[Group], lower: &[Part], upper: &[Part], aspect: PixelAspect) -> Option<(usize, usize)> {
    let lone = |side: fn(&Group) -> &[usize]| {
        alone.iter().enumerate().filter_map(move |(place, group)| Some((place, *side(group).first()?)))
    };
    let pairs = lone(|group| &group.lower).flat_map(|(first, below)| {
        lone(|group| &group.upper).map(move |(second, above)| {
            let (below, above) = (&lower[below], &upper[above]);
            (below.distance(above, aspect) / (below.radius() + above.radius()), first, second)
        })
    });
    let near = pairs.filter(|&(ratio, ..)| ratio <= MAX_DISTANCE);
    near.min_by(|first, second| first.0.total_cmp(&second.0)).map(|(_, first, second)| (first, second))
}
