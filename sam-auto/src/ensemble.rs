//! Combines several masks of one slice, and measures their agreement.

use ndarray::{Array2, Zip};
use serde::{Deserialize, Serialize};

/// Vote of an ensemble: in how many masks a pixel must lie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Vote {
    /// One mask: the union, as in the paper for runs from several annotated slices.
    Union,
    /// More than half of the masks.
    #[default]
    Majority,
}

impl Vote {
    const fn is_enough(self, votes: usize, members: usize) -> bool {
        match self {
            Self::Union => votes > 0,
            Self::Majority => 2 * votes > members,
        }
    }
}

/// How many members label each pixel of a slice as the structure.
#[derive(Debug)]
pub(crate) struct Votes {
    of: Array2<usize>,
    members: usize,
}

impl Votes {
    /// No votes yet, on `[rows, columns]` pixels.
    pub(crate) fn none(size: (usize, usize)) -> Self {
        Self { of: Array2::zeros(size), members: 0 }
    }

    /// Adds a member: `is_inside` tells whether a value of its map is the structure.
    ///
    /// # Panics
    /// If the map has another size.
    pub(crate) fn add<T>(&mut self, map: &Array2<T>, is_inside: impl Fn(&T) -> bool) {
        Zip::from(&mut self.of).and(map).for_each(|votes, value| *votes += usize::from(is_inside(value)));
        self.members += 1;
    }

    /// How far the members agree with a mask, from 0 to 1: the fraction of members that label a pixel as the mask does, averaged over the
    /// pixels that any member labels as the structure; 1 if there are none.
    pub(crate) fn agreement(&self, mask: &Array2<bool>) -> f32 {
        let (mut agreeing, mut claimed) = (0, 0);
        Zip::from(&self.of).and(mask).for_each(|&votes, &inside| {
            if votes > 0 {
                agreeing += if inside { votes } else { self.members - votes };
                claimed += self.members;
            }
        });
        if claimed == 0 { 1.0 } else { agreeing as f32 / claimed as f32 }
    }
}

/// The pixelwise vote of masks of one size, and their agreement.
///
/// A member that does not find the structure votes with an empty mask. Without any members, the mask is empty and the agreement is 1.
///
/// # Shapes
/// - masks: `[rows, columns]` each; all have the size `size`
///
/// # Panics
/// If a mask has another size.
pub(crate) fn unite(masks: &[Array2<bool>], size: (usize, usize), vote: Vote) -> (Array2<bool>, f32) {
    let mut votes = Votes::none(size);
    for mask in masks {
        votes.add(mask, |&inside| inside);
    }
    let united = votes.of.mapv(|count| vote.is_enough(count, votes.members));
    let agreement = votes.agreement(&united);
    (united, agreement)
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agreement_is_a_share_and_unanimity_is_full(
            votes in proptest::collection::vec(proptest::collection::vec(any::<bool>(), 12), 1..6),
            majority in any::<bool>(),
        ) {
            let to_mask = |votes: &Vec<bool>| Array2::from_shape_vec((3, 4), votes.clone()).expect("12 pixels");
            let masks: Vec<_> = votes.iter().map(to_mask).collect();
            let vote = if majority { Vote::Majority } else { Vote::Union };
            let (united, agreement) = unite(&masks, (3, 4), vote);
            prop_assert!((0.0..=1.0).contains(&agreement));
            let unanimous = masks.iter().all(|mask| *mask == masks[0]);
            prop_assert_eq!(unanimous, agreement >= 1.0);
            prop_assert!(!unanimous || united == masks[0]);
        }
    }

    #[test]
    fn union_takes_what_one_says_and_majority_what_most_say() {
        let masks = [
            array![[true, true, false, false]],
            array![[true, false, true, false]],
            array![[true, true, false, false]],
        ];
        let (union, agreement) = unite(&masks, (1, 4), Vote::Union);
        assert_eq!(union, array![[true, true, true, false]]);
        assert!((agreement - 6.0 / 9.0).abs() < 1e-6);
        let (majority, agreement) = unite(&masks, (1, 4), Vote::Majority);
        assert_eq!(majority, array![[true, true, false, false]]);
        assert!((agreement - 7.0 / 9.0).abs() < 1e-6);
    }

    #[test]
    fn nobody_who_claims_anything_is_full_agreement() {
        for masks in [vec![], vec![Array2::from_elem((2, 2), false); 3]] {
            let (mask, agreement) = unite(&masks, (2, 2), Vote::Union);
            assert!(mask.iter().all(|&inside| !inside) && agreement >= 1.0);
        }
    }
}
