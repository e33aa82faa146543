//! Masks that were rejected are evidence: nobody should trust the same mask again.

use burn::tensor::backend::Backend;
use sam_auto::{RankedSlice, Segmentation};
use sam_prompt::{mask_dice, ndarray::Array2};

use super::Run;

/// From this Dice on, a mask is the rejected one again.
const SAME: f64 = 0.95;
/// Trust in a mask that was rejected, at most.
const DOUBTED: f32 = 0.5;
/// Why it is not trusted.
const REASON: &str = "nearly the mask that was rejected";

impl<B: Backend> Run<'_, B> {
    /// Lowers the trust of slices whose mask is again the one that the person rejected. Of several structures, it is not known which one was
    /// wrong.
    pub(super) fn doubt_rejected(&self, value: u16, found: &Segmentation, ranking: &mut [RankedSlice]) {
        let Some(before) = self.before.filter(|before| before.annotated.contains_key(&value)) else { return };
        if self.annotated.len() > 1 {
            return;
        }
        for ranked in ranking.iter_mut().filter(|ranked| before.just_rejected.contains(&ranked.slice)) {
            let rejected = self.mask_before(before, value, ranked.slice);
            if is_same(&rejected, found.slices[ranked.slice].mask()) {
                ranked.trust = ranked.trust.min(DOUBTED);
                REASON.clone_into(&mut ranked.reason);
            }
        }
        ranking.sort_by(|one, other| one.trust.total_cmp(&other.trust).then(one.slice.cmp(&other.slice)));
    }
}

/// Whether a mask is nearly the rejected one. To find nothing again is the same, too.
fn is_same(rejected: &Array2<bool>, found: Option<&Array2<bool>>) -> bool {
    let dice = found.map(|found| mask_dice(rejected.view(), found.view()).unwrap_or(0.0));
    dice.map_or_else(|| !rejected.iter().any(|&inside| inside), |dice| dice >= SAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_the_same_mask_and_nothing_again_count_as_rejected() {
        let rows = |count: usize| Array2::from_shape_fn((50, 2), |(row, _)| row < count);
        for (rejected, found, expected) in [
            (40, Some(40), true),
            (40, Some(41), true),
            (40, Some(30), false),
            (40, None, false),
            (0, Some(40), false),
            (0, None, true),
        ] {
            let found = found.map(rows);
            assert_eq!(is_same(&rows(rejected), found.as_ref()), expected, "{rejected} rows");
        }
    }
}
