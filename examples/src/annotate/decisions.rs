//! What a person decided since the last round, told from the label map that they hand back.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use sam_data::LabelVolume;
use sam_prompt::ndarray::Array2;

use super::{Options, SliceList};
use crate::session::Session;

/// What a person decided.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Decisions {
    /// Slices that they outlined or corrected, with their labels.
    drawn: Vec<(usize, Array2<u16>)>,
    accepted: Vec<usize>,
    rejected: Vec<usize>,
}

impl Decisions {
    /// Compares a label map with all that is known, and reads the lists of the command line. Nothing is written yet.
    ///
    /// # Errors
    /// If the map is no corrected mask but one of outlines alone, or the lists contradict it or each other.
    pub(super) fn of(session: &Session, given: Option<&LabelVolume>, options: &Options) -> Result<Self> {
        let (accept, reject, empty) = (&options.session.accept, &options.session.reject, &options.empty);
        let (scan, count) = (options.scan.name(), session.plane().count());
        for (option, slices) in [("--accept", accept), ("--reject", reject), ("--empty", empty)] {
            slices.check(option, &scan, count)?;
        }
        let mut drawn = match given {
            Some(given) => corrected(session, given)?,
            None => Vec::new(),
        };
        if let Some(given) = given {
            check_whole(session, given, &drawn, options)?;
        }
        for slice in empty.iter() {
            ensure!(
                drawn.iter().all(|(index, labels)| *index != slice || is_empty(labels)),
                "--empty names slice {slice}, but {} has an outline there",
                options.annotations_name()
            );
            let nothing = Array2::zeros(session.plane().size());
            if drawn.iter().all(|(index, _)| *index != slice) && said(session, slice)?.as_ref() != Some(&nothing) {
                drawn.push((slice, nothing));
            }
        }
        let is_drawn = |slice: usize| drawn.iter().any(|(index, _)| *index == slice);
        for slice in reject.iter() {
            ensure!(!accept.contains(slice), "slice {slice} cannot be accepted and rejected at once");
            ensure!(!is_drawn(slice), "slice {slice} was corrected, and is rejected: do one of both");
        }
        // What was corrected, or is theirs anyway, needs not be accepted.
        let is_theirs = |slice: usize| session.state().slices.contains_key(&slice) || is_drawn(slice);
        let accepted: Vec<_> = accept.iter().filter(|&slice| !is_theirs(slice)).collect();
        let rejected = reject.iter().filter(|slice| !session.state().rejected.contains(slice)).collect();
        Ok(Self { drawn, accepted, rejected })
    }

    /// Keeps all of it, and tells.
    ///
    /// # Errors
    /// If something cannot be kept.
    pub(super) fn keep(self, session: &mut Session) -> Result<()> {
        let list = |slices: &mut dyn Iterator<Item = usize>| slices.collect::<SliceList>().to_string();
        for (what, slices) in [
            ("drawn", list(&mut self.drawn.iter().map(|(slice, _)| *slice))),
            ("accepted", list(&mut self.accepted.iter().copied())),
            ("rejected", list(&mut self.rejected.iter().copied())),
        ] {
            if !slices.is_empty() {
                println!("Slices {what}: {slices}");
            }
        }
        for (slice, labels) in &self.drawn {
            session.draw(*slice, labels.view())?;
        }
        if !self.accepted.is_empty() {
            let found = session.found()?.context("there is nothing to accept yet: the first round comes first")?;
            for &slice in &self.accepted {
                let labels = session.plane().extract(found.labels.view(), slice);
                session.accept_as(slice, labels.view())?;
            }
        }
        self.rejected.iter().try_for_each(|&slice| session.reject(slice).map(drop))
    }
}

/// Slices that differ from what the person said of them, and from every mask that was found there: so they were drawn since.
fn corrected(session: &Session, given: &LabelVolume) -> Result<Vec<(usize, Array2<u16>)>> {
    let plane = session.plane();
    let cut = |slice: usize| plane.extract(given.labels.view(), slice);
    let mut open = BTreeSet::new();
    for slice in 0..plane.count() {
        if said(session, slice)?.is_none_or(|labels| labels != cut(slice)) {
            open.insert(slice);
        }
    }
    // Masks of rounds that were undone, too: a person may have corrected a copy of one.
    let current = session.state().round.as_ref();
    for (_, round) in session.rounds() {
        match session.mask_of(round) {
            Ok(mask) => open.retain(|&slice| plane.extract(mask.labels.view(), slice) != cut(slice)),
            Err(error) if current == Some(round) => return Err(error),
            Err(error) => eprintln!("note: {error:#}"),
        }
    }
    // Before the first round, a slice without a label was not looked at.
    let drawn = open.into_iter().map(|slice| (slice, cut(slice)));
    Ok(drawn.filter(|(_, labels)| current.is_some() || !is_empty(labels)).collect())
}

/// Refuses a map of a few outlines in place of a corrected mask: all other slices would be taken for emptied.
fn check_whole(
    session: &Session,
    given: &LabelVolume,
    drawn: &[(usize, Array2<u16>)],
    options: &Options,
) -> Result<()> {
    let Some(mask) = session.found()? else { return Ok(()) };
    let plane = session.plane();
    let found = |slice: usize| plane.extract(mask.labels.view(), slice);
    let is_emptied = |(slice, labels): &&(usize, Array2<u16>)| {
        is_empty(labels) && !is_empty(&found(*slice)) && !options.empty.contains(*slice)
    };
    let emptied: SliceList = drawn.iter().filter(is_emptied).map(|(slice, _)| *slice).collect();
    let is_kept = |slice: usize| {
        let found = found(slice);
        !session.state().slices.contains_key(&slice)
            && !is_empty(&found)
            && found == plane.extract(given.labels.view(), slice)
    };
    ensure!(
        emptied.iter().next().is_none() || (0..plane.count()).any(is_kept),
        "{} keeps no slice of the last mask, and has nothing on slices {emptied}: correct a copy of the mask, {}, instead of a map of \
         outlines alone; if nothing is on these slices indeed, say --empty {emptied}",
        options.annotations_name(),
        options.scan.out.display()
    );
    Ok(())
}

/// What the person said of a slice, if it is theirs.
fn said(session: &Session, slice: usize) -> Result<Option<Array2<u16>>> {
    session.state().slices.get(&slice).map(|person| session.labels_of(slice, person)).transpose()
}

fn is_empty(labels: &Array2<u16>) -> bool {
    labels.iter().all(|&label| label == 0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::Parser;
    use sam_data::{Grid, ResolvedWindow, SliceAxis, Volume};
    use sam_prompt::ndarray::Array3;
    use tempfile::TempDir;

    use super::*;
    use crate::{
        session::{Header, ObjectId, Origin, RoundConfig, RoundResult, ScanIdentity},
        trust::TrustConfig,
    };

    const SHAPE: [usize; 3] = [2, 3, 5];
    const AFFINE: [[f64; 4]; 4] =
        [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 1.0]];

    fn options(words: &str) -> Options {
        let words = format!("annotate --session s --image scan.nii --out mask.nii {words}");
        Options::try_parse_from(words.split_whitespace()).expect("options")
    }

    fn session(folder: &TempDir) -> Result<Session> {
        let prompting = options("").auto.prompting(0)?;
        let config = RoundConfig { learning: prompting.learning(0, 1), prompting, trust: TrustConfig::default() };
        let grid = Grid::new(SHAPE, AFFINE);
        let scan = ScanIdentity { name: "scan.nii".to_owned(), sha256: ObjectId::of(b"scan"), grid };
        let window = ResolvedWindow { low: 0.0, high: 1.0, name: "0:1".to_owned() };
        let structures = [(1, "cyst".to_owned())].into();
        Session::start(folder.path(), Header::new(scan, SliceAxis::K, window, structures, "0".repeat(64), config))
    }

    /// A map whose slices hold so many labelled pixels each.
    fn map(pixels: [usize; 5]) -> LabelVolume {
        let labels = Array3::from_shape_fn(SHAPE, |(i, j, k)| u16::from(3 * i + j < pixels[k]));
        LabelVolume::new(labels, AFFINE)
    }

    fn round(session: &mut Session, mask: &LabelVolume) -> Result<u64> {
        let (config, cards, backend) = (session.header().config.clone(), BTreeMap::new(), "none".to_owned());
        let labels = mask.labels.view();
        let result = RoundResult { seed: 0, config, backend, warm_start: None, cards: &cards, labels, ranking: None };
        session.record_round(result, &Volume::new(Array3::zeros(SHAPE), AFFINE))
    }

    /// What is decided by a map and by words, as slices drawn, accepted and rejected.
    fn decide(session: &Session, given: [usize; 5], words: &str) -> Result<[Vec<usize>; 3]> {
        let decisions = Decisions::of(session, Some(&map(given)), &options(words))?;
        let drawn = decisions.drawn.iter().map(|(slice, _)| *slice).collect();
        Ok([drawn, decisions.accepted, decisions.rejected])
    }

    fn nothing() -> [Vec<usize>; 3] {
        Default::default()
    }

    fn refused(outcome: Result<[Vec<usize>; 3]>) -> String {
        format!("{:#}", outcome.expect_err("it is refused"))
    }

    #[test]
    fn before_the_first_round_what_is_outlined_is_drawn() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let mut session = session(&folder)?;
        assert_eq!(decide(&session, [0, 2, 0, 3, 0], "--empty 4")?, [vec![1, 3, 4], vec![], vec![]]);
        assert!(refused(decide(&session, [0, 2, 0, 3, 0], "--empty 3")).contains("has an outline there"));
        Decisions::of(&session, Some(&map([0, 2, 0, 3, 0])), &options("--empty 4"))?.keep(&mut session)?;
        // A run that was interrupted here finds all of it again.
        assert_eq!(decide(&session, [0, 2, 0, 3, 0], "--empty 4")?, nothing());
        let accept = Decisions::of(&session, None, &options("--accept 2"))?;
        assert!(accept.keep(&mut session).expect_err("nothing was found").to_string().contains("first round"));
        Ok(())
    }

    #[test]
    fn later_what_differs_from_the_mask_is_drawn_and_the_rest_is_nobody_s() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let mut session = session(&folder)?;
        Decisions::of(&session, Some(&map([0, 2, 0, 0, 0])), &options(""))?.keep(&mut session)?;
        round(&mut session, &map([1, 2, 3, 0, 4]))?;
        assert_eq!(decide(&session, [1, 2, 3, 0, 4], "")?, nothing());
        assert_eq!(decide(&session, [1, 5, 2, 0, 0], "")?, [vec![1, 2, 4], vec![], vec![]], "corrected, and emptied");
        let words = "--accept 0-2 --reject 4 --empty 3";
        assert_eq!(decide(&session, [1, 2, 6, 0, 4], words)?, [vec![2, 3], vec![0], vec![4]]);
        assert!(refused(decide(&session, [1, 2, 3, 0, 4], "--accept 5")).contains("--accept names slice 5"));
        assert!(refused(decide(&session, [1, 2, 3, 0, 4], "--accept 4 --reject 4")).contains("at once"));
        assert!(refused(decide(&session, [1, 2, 3, 0, 5], "--reject 4")).contains("do one of both"));

        let decisions = Decisions::of(&session, Some(&map([1, 2, 6, 0, 4])), &options(words))?;
        decisions.keep(&mut session)?;
        assert_eq!(session.state().slices_of(Origin::Drawn), [1, 2, 3]);
        assert_eq!(session.state().slices_of(Origin::Accepted), [0]);
        // A copy of the mask as it was found, without the correction, takes nothing back.
        assert_eq!(decide(&session, [1, 2, 3, 0, 4], "")?, nothing());
        // Nor does one of a round that was undone draw anything.
        round(&mut session, &map([1, 2, 6, 0, 2]))?;
        session.undo()?;
        assert_eq!(decide(&session, [1, 2, 6, 0, 2], "")?, nothing());
        Ok(())
    }

    #[test]
    fn a_map_of_outlines_alone_is_no_corrected_mask() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let mut session = session(&folder)?;
        Decisions::of(&session, Some(&map([0, 2, 0, 0, 0])), &options(""))?.keep(&mut session)?;
        round(&mut session, &map([1, 2, 3, 0, 4]))?;
        let error = refused(decide(&session, [0, 2, 0, 2, 0], ""));
        assert!(error.contains("nothing on slices 0,2,4") && error.contains("--empty 0,2,4"), "{error}");
        assert_eq!(decide(&session, [0, 2, 0, 2, 0], "--empty 0,2,4")?, [vec![0, 2, 3, 4], vec![], vec![]]);
        Ok(())
    }
}
