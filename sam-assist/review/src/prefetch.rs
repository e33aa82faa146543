//! Embedding of slices before they are clicked on.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, TryRecvError, channel},
    },
    thread,
};

use crate::{Ranking, ReviewError, SliceSegmenter};

/// How many slices to either side of the current one are embedded in advance.
const NEIGHBOURS: usize = 16;
/// How many slices that are next in the ranking are embedded in advance.
const RANKED: usize = 8;

/// Embeds slices on a background thread, in the order in which they will probably be viewed. The thread ends when this is dropped.
#[derive(Debug)]
pub struct Prefetch(Sender<usize>);

impl Prefetch {
    /// Starts the thread; it waits for the first [`Prefetch::viewing`]. `count` is the number of slices.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    pub fn new(model: Arc<dyn SliceSegmenter>, ranking: Ranking, count: usize) -> Result<Self, ReviewError> {
        let (sender, viewed) = channel();
        let work = move || embed_ahead(&viewed, &*model, &ranking, count);
        thread::Builder::new().name("prefetch".to_owned()).spawn(work).map_err(ReviewError::Thread)?;
        Ok(Self(sender))
    }

    /// Reports which slice the person views now.
    pub fn viewing(&self, slice: usize) {
        // If the thread has ended, a click embeds its slice itself.
        let _ = self.0.send(slice);
    }
}

fn embed_ahead(viewed: &Receiver<usize>, model: &dyn SliceSegmenter, ranking: &Ranking, count: usize) {
    let Ok(mut current) = viewed.recv() else { return };
    loop {
        match viewed.try_recv() {
            Ok(newer) => {
                current = newer;
                continue;
            }
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) => {}
        }
        let next = plan(current, ranking, count).into_iter().find(|&slice| !model.is_embedded(slice));
        // A slice that cannot be embedded is reported when it is clicked on. Until then, or until another slice is viewed, the thread
        // waits.
        let is_idle = next.is_none_or(|slice| model.embed(slice).is_err());
        if is_idle {
            let Ok(newer) = viewed.recv() else { return };
            current = newer;
        }
    }
}

/// The slices to embed: the current one, its nearest neighbours, the next ones of the ranking, then neighbours farther away.
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

    use sam_prompt::Prompts;

    use super::*;
    use crate::{BoxError, StructureMask};

    /// Records the slices that it embedded.
    #[derive(Debug, Default)]
    struct Notes(Mutex<Vec<usize>>);

    impl SliceSegmenter for Notes {
        fn is_embedded(&self, slice: usize) -> bool {
            self.0.lock().expect("no panic").contains(&slice)
        }

        fn embed(&self, slice: usize) -> Result<(), BoxError> {
            self.0.lock().expect("no panic").push(slice);
            Ok(())
        }

        fn segment(&self, _: usize, _: usize, _: &Prompts) -> Result<StructureMask, BoxError> {
            Err("nobody clicks".into())
        }
    }

    #[test]
    fn neighbours_come_first_then_the_ranking_and_nothing_beyond_the_scan() {
        let ranking = Ranking::in_order(5);
        assert_eq!(plan(3, &ranking, 5), [3, 4, 2, 1, 4, 0]);
        assert_eq!(plan(0, &Ranking::default(), 3), [0, 1, 2]);
    }

    #[test]
    fn slices_are_embedded_around_the_viewed_one() -> Result<(), ReviewError> {
        let notes = Arc::new(Notes::default());
        let prefetch = Prefetch::new(notes.clone(), Ranking::default(), 40)?;
        prefetch.viewing(20);
        let start = Instant::now();
        while notes.0.lock().expect("no panic").len() < 2 * NEIGHBOURS + 1 {
            assert!(start.elapsed() < Duration::from_secs(30), "{notes:?}");
            thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(notes.0.lock().expect("no panic")[..3], [20, 21, 19]);
        Ok(())
    }
}
