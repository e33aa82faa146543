//! Drawing of episodes: which annotated slices are support and which are query.

use rand::{Rng, RngExt, seq::SliceRandom};

use crate::config::EpisodeConfig;

/// Slices of one episode, by index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Episode {
    pub(crate) support: Vec<usize>,
    pub(crate) query: Vec<usize>,
}

impl EpisodeConfig {
    /// Splits the annotated slices at random. No slice is both support and query, and at least one support slice shows the object.
    ///
    /// If only one slice shows the object, it is always support. If it is the only slice, it is also the query.
    pub(crate) fn draw(self, shows_object: &[bool], rng: &mut impl Rng) -> Episode {
        let mut rest: Vec<usize> = (0..shows_object.len()).collect();
        rest.shuffle(rng);
        // Without the object in its support, an episode has nothing to train on.
        let Some(first) = rest.iter().position(|&slice| shows_object[slice]).map(|at| rest.remove(at)) else {
            return Episode { support: rest, query: Vec::new() };
        };
        let most = self.query.min(rest.len());
        if most == 0 {
            return Episode { support: vec![first], query: vec![first] };
        }
        let query = rest.split_off(rest.len() - rng.random_range(1..=most));
        let mut support = vec![first];
        support.extend(rest.into_iter().take(self.support - 1));
        Episode { support, query }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    proptest! {
        #[test]
        fn splits_the_annotated_slices(
            mut shows_object in prop::collection::vec(any::<bool>(), 1..9),
            at: prop::sample::Index,
            (support, query) in (1_usize..5, 1_usize..5),
            seed: u64,
        ) {
            let at = at.index(shows_object.len());
            shows_object[at] = true;
            let draw = || EpisodeConfig { support, query }.draw(&shows_object, &mut ChaCha8Rng::seed_from_u64(seed));
            let episode = draw();
            prop_assert_eq!(&episode, &draw());
            prop_assert!((1..=support).contains(&episode.support.len()));
            prop_assert!((1..=query).contains(&episode.query.len()));
            prop_assert!(episode.support.iter().any(|&slice| shows_object[slice]));
            let twice = episode.support.iter().any(|slice| episode.query.contains(slice));
            prop_assert_eq!(twice, shows_object.len() == 1);
        }
    }
}
