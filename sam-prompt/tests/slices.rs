//! Slice selection: which slices are chosen, and how often.

use proptest::prelude::*;
use sam_prompt::{SliceSelection, choose_background};

use crate::strategies::seeded;

const SELECTIONS: [SliceSelection; 3] = [SliceSelection::Normal, SliceSelection::Uniform, SliceSelection::Equidistant];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn chosen_slices_are_distinct_and_show_the_object(
        slices in proptest::collection::btree_set(0..200_usize, 0..40), count in 0..50_usize, seed: u64,
    ) {
        let foreground: Vec<_> = slices.iter().copied().collect();
        for selection in SELECTIONS {
            let chosen = selection.choose(&foreground, count, &mut seeded(seed));
            prop_assert_eq!(&chosen, &selection.choose(&foreground, count, &mut seeded(seed)));
            prop_assert_eq!(chosen.len(), count.min(foreground.len()));
            let mut distinct = chosen.clone();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(distinct.len(), chosen.len());
            prop_assert!(chosen.iter().all(|slice| slices.contains(slice)));
            match selection {
                SliceSelection::Equidistant => prop_assert!(chosen.is_sorted()),
                // A smaller choice is the beginning of a larger one. For `Uniform` this holds only for the distribution.
                SliceSelection::Normal => {
                    let fewer = selection.choose(&foreground, count / 2, &mut seeded(seed));
                    prop_assert_eq!(fewer.as_slice(), &chosen[..fewer.len()]);
                }
                _ => {}
            }
        }
    }

    #[test]
    fn chosen_background_is_distinct_and_background(
        slices in proptest::collection::btree_set(0..200_usize, 0..40), count in 0..50_usize, seed: u64,
    ) {
        let background: Vec<_> = slices.iter().copied().collect();
        let mut chosen = choose_background(&background, count, &mut seeded(seed));
        prop_assert_eq!(&chosen, &choose_background(&background, count, &mut seeded(seed)));
        chosen.sort_unstable();
        chosen.dedup();
        prop_assert_eq!(chosen.len(), count.min(background.len()));
        prop_assert!(chosen.iter().all(|slice| slices.contains(slice)));
    }
}

#[test]
fn slices_in_any_order_can_be_chosen_from() {
    let (ascending, shuffled) = ([2, 5, 9, 14, 20], [9, 2, 20, 5, 2, 14, 9]);
    for (selection, seed) in SELECTIONS.into_iter().flat_map(|selection| (0..9).map(move |seed| (selection, seed))) {
        let expected = selection.choose(&ascending, 3, &mut seeded(seed));
        assert_eq!(selection.choose(&shuffled, 3, &mut seeded(seed)), expected, "{selection:?}");
        assert_eq!(
            selection.choose(&shuffled, 9, &mut seeded(seed)).len(),
            5,
            "{selection:?}: a slice twice is one slice"
        );
    }
}

#[test]
fn every_slice_is_as_likely_in_a_uniform_choice() {
    let slices = [3, 8, 9, 20];
    let mut rng = seeded(5);
    let uniform: Vec<_> = (0..2000).flat_map(|_| SliceSelection::Uniform.choose(&slices, 1, &mut rng)).collect();
    let background: Vec<_> = (0..2000).flat_map(|_| choose_background(&slices, 1, &mut rng)).collect();
    for (chosen, slice) in slices.iter().flat_map(|slice| [(&uniform, slice), (&background, slice)]) {
        let times = chosen.iter().filter(|&other| other == slice).count();
        // Four standard deviations of a binomial distribution with 2000 trials and probability 1/4 are 77.
        assert!(times.abs_diff(500) < 78, "slice {slice}: {times}");
    }
}
