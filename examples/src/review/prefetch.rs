//! Slices embedded before they are clicked on.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, TryRecvError, channel},
    },
    thread,
};

use anyhow::{Context, Result};

use super::{Ranking, Segmenter};

/// How many slices to either side of the current one are embedded in advance.
const NEIGHBOURS: usize = 16;
/// How many of the slices that the ranking names next.
const RANKED: usize = 8;

/// Embeds slices in the background, those first that will be looked at first. Ends when it is dropped.
#[derive(Debug)]
pub struct Prefetch(Sender<usize>);

impl Prefetch {
    /// Begins when it is told where a person looks.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn new(model: Arc<dyn Segmenter>, ranking: Ranking, count: usize) -> Result<Self> {
        let (sender, looks) = channel();
        let work = move || embed_ahead(&looks, &*model, &ranking, count);
        thread::Builder::new().name("prefetch".to_owned()).spawn(work).context("cannot start a thread")?;
        Ok(Self(sender))
    }

    /// A person looks at a slice.
    pub fn look(&self, slice: usize) {
        // Where the thread has ended, clicks embed their slices themselves.
        let _ = self.0.send(slice);
    }
}

fn embed_ahead(looks: &Receiver<usize>, model: &dyn Segmenter, ranking: &Ranking, count: usize) {
    let Ok(mut current) = looks.recv() else { return };
    loop {
        match looks.try_recv() {
            Ok(newer) => {
                current = newer;
                continue;
            }
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) => {}
        }
        let next = plan(current, ranking, count).into_iter().find(|&slice| !model.is_embedded(slice));
        // A slice that cannot be embedded says so when it is clicked on; until the person moves on nothing else is tried.
        let is_idle = next.is_none_or(|slice| model.embed(slice).is_err());
        if is_idle {
            let Ok(newer) = looks.recv() else { return };
            current = newer;
        }
    }
}

/// The slices to have at hand: the current one and its next neighbours, those that the ranking names next, and neighbours farther off.
fn plan(current: usize, ranking: &Ranking, count: usize) -> Vec<usize> {
    let ranked = ranking.slices();
    let place = ranked.iter().position(|ranked| ranked.slice == current);
    let after = place.map_or(0, |place| place + 1);
    let next = ranked.iter().skip(after).take(RANKED).map(|ranked| ranked.slice);
    let around = |distances: std::ops::RangeInclusive<usize>| {
        distances.flat_map(move |distance| [current.checked_add(distance), current.checked_sub(distance)]).flatten()
    };
    let wanted = [current].into_iter().chain(around(1..=2)).chain(next).chain(around(3..=NEIGHBOURS));
    wanted.filter(|&slice| slice < count).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Mutex,
        time::{Duration, Instant},
    };

    use anyhow::bail;
    use sam_prompt::Prompts;

    use super::*;
    use crate::review::Found;

    /// Remembers what it was asked to embed.
    #[derive(Debug, Default)]
    struct Notes(Mutex<Vec<usize>>);

    impl Segmenter for Notes {
        fn is_embedded(&self, slice: usize) -> bool {
            self.0.lock().expect("no panic").contains(&slice)
        }

        fn embed(&self, slice: usize) -> Result<()> {
            self.0.lock().expect("no panic").push(slice);
            Ok(())
        }

        fn segment(&self, _: usize, _: usize, _: &Prompts) -> Result<Found> {
            bail!("nobody clicks")
        }
    }

    #[test]
    fn the_nearest_come_first_then_the_ranking_and_nothing_beyond_the_scan() {
        let ranking = Ranking::in_order(5);
        assert_eq!(plan(3, &ranking, 5), [3, 4, 2, 1, 4, 0]);
        assert_eq!(plan(0, &Ranking::default(), 3), [0, 1, 2]);
    }

    #[test]
    fn slices_are_embedded_from_where_a_person_looks() -> Result<()> {
        let notes = Arc::new(Notes::default());
        let prefetch = Prefetch::new(notes.clone(), Ranking::default(), 40)?;
        prefetch.look(20);
        let start = Instant::now();
        while notes.0.lock().expect("no panic").len() < 2 * NEIGHBOURS + 1 {
            assert!(start.elapsed() < Duration::from_secs(30), "{notes:?}");
            thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(notes.0.lock().expect("no panic")[..3], [20, 21, 19]);
        Ok(())
    }
}
