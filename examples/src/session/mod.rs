//! A session: what a person outlined, accepted and rejected on one scan, what was learned from it and what was found, kept as it comes.
//!
//! A folder holds
//! - `session.json`: the [`Header`], which scan and which model it is about; written once.
//! - `log.jsonl`: one [`Event`] a line. It only grows, and each line is on the disk before anything follows from it: a decision that was
//!   taken survives any crash. Each line holds the SHA-256 of the one before, so that damage is found, and where.
//! - `objects/`: what events name by its SHA-256: labels of slices, prompt cards, masks, rankings. Written before the event, and never
//!   changed.
//!
//! Where the session stands is no file but what follows from the events: [`Session::state`]. Nothing is ever deleted; undoing is an
//! event like others.

mod event;
mod header;
mod log;
mod objects;
mod provenance;
mod read;
mod state;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use sam_assist::PromptCard;
use sam_core::{Precision, printable};
use sam_data::{LabelVolume, SlicePlane, Volume};
use sam_prompt::ndarray::{ArrayView2, ArrayView3};
use serde::de::DeserializeOwned;

use self::log::Log;
pub use self::{
    event::{Entry, Event, Round, RoundConfig},
    header::{Header, ScanIdentity},
    objects::{Kind, ObjectId, Objects},
    state::{Origin, PersonSlice, State},
};

/// Name of the objects' folder.
const OBJECTS: &str = "objects";

/// What JSON says; what is wrong with it in words that a terminal can show.
fn from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    serde_json::from_slice(text).map_err(|error| anyhow!(printable(&error.to_string())))
}

/// A session that is open: no other program can open it meanwhile.
#[derive(Debug)]
pub struct Session {
    folder: PathBuf,
    header: Header,
    plane: SlicePlane,
    objects: Objects,
    log: Log,
    state: State,
}

/// What a person says of a scan.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotations {
    /// The labels of their slices, on the scan's grid.
    pub labels: LabelVolume,
    /// Slices on which they have seen that no structure is.
    pub empty: Vec<usize>,
}

/// What came out of a round.
#[derive(Debug)]
pub struct RoundResult<'a> {
    /// Seed of all its drawing.
    pub seed: u64,
    /// Every number of it.
    pub config: RoundConfig,
    /// The backend that computed it.
    pub backend: String,
    /// The round from whose cards its learning went on, if it did.
    pub warm_start: Option<usize>,
    /// What was learned, by label value.
    pub cards: &'a BTreeMap<u16, PromptCard>,
    /// The label map that was found, the person's slices in it.
    pub labels: ArrayView3<'a, u16>,
    /// Slices and how much each is to be trusted, if that was computed.
    pub ranking: Option<&'a [(usize, f32)]>,
}

impl Session {
    /// Opens the session of a folder, or begins one there.
    ///
    /// # Errors
    /// As [`Session::open`] and [`Session::create`].
    pub fn start(folder: &Path, header: Header) -> Result<Self> {
        if Header::read(folder)?.is_some() { Self::open(folder, &header) } else { Self::create(folder, header) }
    }

    /// Opens a session to go on as it was begun, with the scan and the weights at hand.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn resume(folder: &Path, scan: ScanIdentity, weights_sha256: String, precision: Precision) -> Result<Self> {
        let begun = Header::read(folder)?;
        let begun = begun.with_context(|| format!("there is no session in {}: check its name", folder.display()))?;
        Self::open(folder, &Header { scan, weights_sha256, precision, ..begun })
    }

    /// Begins a session.
    ///
    /// # Errors
    /// If there is one already, another program works there, or the folder cannot be written to.
    pub fn create(folder: &Path, header: Header) -> Result<Self> {
        let create = || -> Result<Self> {
            fs::create_dir_all(folder)?;
            refuse_links(folder)?;
            let (plane, bytes) = (SlicePlane::new(&header.scan.grid, header.axis), header.to_bytes()?);
            let path = folder.join(header::FILE_NAME);
            let check_free = || -> Result<()> {
                ensure!(!path.exists(), "there is a session already");
                Ok(())
            };
            check_free()?;
            let log = Log::open(&folder.join(log::FILE_NAME), ObjectId::of(&bytes), plane.count())?;
            // From here on the folder is ours; until here it may have been another program's.
            check_free()?;
            ensure!(
                log.entries().is_empty(),
                "there is a log, but {} is missing: put it back from a copy",
                path.display()
            );
            let objects = Objects::open(&folder.join(OBJECTS))?;
            sam_data::write_atomically(&path, |file| file.write_all(&bytes))?;
            objects::sync_folder(folder)?;
            if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                objects::sync_folder(parent)?;
            }
            Ok(Self { folder: folder.to_path_buf(), header, plane, objects, log, state: State::default() })
        };
        create().with_context(|| format!("cannot begin a session in {}", folder.display()))
    }

    /// Opens a session, to go on as `now` says.
    ///
    /// # Errors
    /// If there is none, or it is damaged: the line is named; if another program works with it, or the folder cannot be written to; if
    /// it was begun with another scan, axis, window or model.
    pub fn open(folder: &Path, now: &Header) -> Result<Self> {
        let open = || -> Result<Self> {
            let (header, hash) = Header::read_with_hash(folder)?.context("there is none: check the folder's name")?;
            header.check_same(now)?;
            refuse_links(folder)?;
            let plane = SlicePlane::new(&header.scan.grid, header.axis);
            let log = Log::open(&folder.join(log::FILE_NAME), hash, plane.count())?;
            let objects = Objects::open(&folder.join(OBJECTS))?;
            let state = State::after(log.entries());
            Ok(Self { folder: folder.to_path_buf(), header, plane, objects, log, state })
        };
        open().with_context(|| format!("cannot open the session in {}", folder.display()))
    }

    /// What it is about.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How the scan is cut.
    pub fn plane(&self) -> &SlicePlane {
        &self.plane
    }

    /// Where it stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// All that happened, in its order.
    pub fn entries(&self) -> &[Entry] {
        self.log.entries()
    }

    /// The last event that was not taken back: what [`Session::undo`] takes back next.
    pub fn last(&self) -> Option<&Event> {
        self.log.last_in_effect().map(|entry| &entry.event)
    }

    /// Keeps a slice as the person outlined or corrected it; without any label, as one on which no structure is.
    ///
    /// # Errors
    /// If there is no such slice, it is of another size, or it holds a label that is none of the session's structures; if it cannot be
    /// written: nothing has then changed.
    pub fn draw(&mut self, slice: usize, labels: ArrayView2<'_, u16>) -> Result<u64> {
        self.check_labels(slice, labels)?;
        let draw = |session: &mut Self| {
            let labels = session.objects.put_slice(labels)?;
            session.push(Event::Drawn { slice, labels })
        };
        draw(self).with_context(|| self.not_kept(&format!("slice {slice}, as drawn,")))
    }

    /// Keeps a slice as the current round found it: it is the person's from now on.
    ///
    /// # Errors
    /// If there is no such slice or no round; if something is damaged or cannot be written: nothing has then changed.
    pub fn accept(&mut self, slice: usize) -> Result<u64> {
        let found = self.found()?.context("there is nothing to accept yet: the first round comes first")?;
        self.check_slice(slice)?;
        let labels = self.plane.extract(found.labels.view(), slice);
        self.accept_as(slice, labels.view())
    }

    /// As [`Session::accept`], where the caller has what the current round found there.
    ///
    /// # Errors
    /// As [`Session::draw`].
    pub fn accept_as(&mut self, slice: usize, labels: ArrayView2<'_, u16>) -> Result<u64> {
        self.check_labels(slice, labels)?;
        let accept = |session: &mut Self| {
            let labels = session.objects.put_slice(labels)?;
            session.push(Event::Accepted { slice, labels })
        };
        accept(self).with_context(|| self.not_kept(&format!("slice {slice}, as accepted,")))
    }

    /// Says that a slice is wrong; it is no longer the person's, if it was.
    ///
    /// # Errors
    /// If there is no such slice, or this cannot be written.
    pub fn reject(&mut self, slice: usize) -> Result<u64> {
        self.check_slice(slice)?;
        self.push(Event::Rejected { slice }).with_context(|| self.not_kept(&format!("slice {slice}, as rejected,")))
    }

    /// Keeps what came out of a round; its mask is the current one from now on.
    ///
    /// # Errors
    /// If a slice of the person's has other labels in it; if it cannot be written: nothing has then changed.
    pub fn record_round(&mut self, result: RoundResult<'_>, image: &Volume) -> Result<u64> {
        for (&slice, person) in &self.state.slices {
            let drawn = self.objects.slice(person.labels, self.plane.size())?;
            ensure!(
                self.plane.extract(result.labels, slice) == drawn,
                "the round's mask differs from what the person said of slice {slice}: this must not happen"
            );
        }
        let record = |session: &mut Self| {
            let put = |(&value, card): (&u16, &PromptCard)| {
                Ok((value, session.objects.put(Kind::Card, |path| Ok(card.save(path)?))?))
            };
            let cards = result.cards.iter().map(put).collect::<Result<_>>()?;
            let write = |path: &Path| Ok(sam_data::write_labels(path, result.labels, image)?);
            let mask = session.objects.put(Kind::Mask, write)?;
            let put_ranking = |ranking: &[(usize, f32)]| {
                let text = serde_json::to_vec(ranking)?;
                session
                    .objects
                    .put(Kind::Ranking, |path| Ok(sam_data::write_atomically(path, |file| file.write_all(&text))?))
            };
            let ranking = result.ranking.map(put_ranking).transpose()?;
            let number = session.rounds().count() + 1;
            let RoundResult { seed, config, backend, warm_start, .. } = result;
            session.push(Event::Round(Round { number, seed, config, backend, warm_start, cards, mask, ranking }))
        };
        record(self).with_context(|| self.not_kept("the round"))
    }

    /// Takes back the last event that was not taken back yet, and gives it.
    ///
    /// # Errors
    /// If there is none, or this cannot be written.
    pub fn undo(&mut self) -> Result<Event> {
        let last = self.log.last_in_effect().context("there is nothing to undo")?.clone();
        self.push(Event::Undone { event: last.number }).with_context(|| self.not_kept("the undoing"))?;
        Ok(last.event)
    }

    fn push(&mut self, event: Event) -> Result<u64> {
        let number = self.log.push(event)?;
        self.state = State::after(self.log.entries());
        Ok(number)
    }

    fn not_kept(&self, what: &str) -> String {
        format!(
            "{what} could not be kept in {}, and nothing has changed: make room there or see that it can be written to, and do it again",
            self.folder.display()
        )
    }

    fn check_slice(&self, slice: usize) -> Result<()> {
        let count = self.plane.count();
        ensure!(
            slice < count,
            "there is no slice {slice}: {} has {count}, from 0 to {}",
            self.header.scan.name,
            count - 1
        );
        Ok(())
    }

    fn check_labels(&self, slice: usize, labels: ArrayView2<'_, u16>) -> Result<()> {
        self.check_slice(slice)?;
        let (expected, found) = (self.plane.size(), labels.dim());
        ensure!(found == expected, "slice {slice} has {expected:?} rows and columns, and these labels {found:?}");
        let structures = &self.header.structures;
        if let Some(label) = labels.iter().find(|&&label| label != 0 && !structures.contains_key(&label)) {
            bail!(
                "slice {slice} holds the label value {label}, and the session was begun with {structures:?}: draw with these, or begin \
                 another session"
            );
        }
        Ok(())
    }
}

/// A session from somebody else must not lead out of its folder: what a link points to would be read, and written to.
fn refuse_links(folder: &Path) -> Result<()> {
    for name in [header::FILE_NAME, log::FILE_NAME, OBJECTS] {
        let path = folder.join(name);
        let is_link = fs::symlink_metadata(&path).is_ok_and(|about| about.is_symlink());
        ensure!(!is_link, "{} is a link: put what it points to in its place", path.display());
    }
    Ok(())
}
