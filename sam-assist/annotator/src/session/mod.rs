//! Sessions: what a person outlined, accepted and rejected on one scan, what was learned from it, and the resulting masks.
//!
//! A folder contains
//! - `session.json`: the [`Header`], which identifies the scan and the model. It is written once.
//! - `log.jsonl`: an append-only log with one [`LogEntry`] per line. Each line is on the disk before anything depends on it, so a
//!   decision survives any crash. Each line contains the SHA-256 of the line before, so damage is found and located. This finds damage,
//!   not intent: whoever changes a line can compute all SHA-256 values again. A log whose end was cut off is found by the record beside
//!   the mask: [`Session::check_record`].
//! - `objects/`: files that events name by their SHA-256: labels of slices, prompt cards, masks, rankings. They are written before the
//!   event and never changed.
//!
//! The state is not stored. It is computed from the events: [`Session::state`]. Nothing is ever deleted; undo is an event like the others.
//! `FORMAT.md` of this crate describes every field, and when the format's version is raised.

mod anchor;
mod error;
mod event;
mod folder;
mod header;
mod log;
mod objects;
mod partial;
mod provenance;
mod read;
mod state;
mod structures;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use sam_assist::PromptCard;
use sam_core::Precision;
use sam_data::{ScanIdentity, SlicePlane, Volume};
use sam_files::{Sha256Id, sync_folder, write_atomic};
use sam_prompt::{
    SliceNumber,
    ndarray::{ArrayView2, ArrayView3},
};

pub(crate) use self::error::BoxError;
pub use self::{
    error::{JsonError, LineError, SessionError, Setting},
    event::{LogEntry, Round, SessionEvent},
    header::{FORMAT_VERSION, Header},
    state::{Origin, PersonSlice, SessionState},
};
use self::{
    folder::{open_log, refuse_links},
    log::Log,
    objects::{ObjectKind, Objects},
};
use crate::{AnnotateConfig, KeptMasks, LeftOutDice, SliceTrust};

/// Name of the objects' folder.
const OBJECTS: &str = "objects";

/// An open session. No other process can open it at the same time.
#[derive(Debug)]
pub struct Session {
    folder: PathBuf,
    header: Header,
    plane: SlicePlane,
    objects: Objects,
    log: Log,
    state: SessionState,
}

/// The result of a round, to be recorded in a session.
#[derive(Debug)]
#[non_exhaustive]
pub struct RoundResult<'a> {
    /// Seed of everything random in the round.
    pub seed: u64,
    /// Configuration of the round.
    pub config: AnnotateConfig,
    /// The backend that computed the round.
    pub backend: String,
    /// The round whose cards learning started from, if any.
    pub warm_start: Option<usize>,
    /// The learned cards, by label value.
    pub cards: &'a BTreeMap<u16, PromptCard>,
    /// The label map of the round, including the person's slices: `[i, j, k]`.
    pub labels: ArrayView3<'a, u16>,
    /// Slices and their trust, least trusted first, if trust was estimated.
    pub ranking: Option<&'a [SliceTrust]>,
    /// The round of whose masks some were kept, if any.
    pub kept_from: Option<usize>,
    /// What was kept of that round, by label value.
    pub kept: BTreeMap<u16, KeptMasks>,
    /// The Dice of outlines that were left out, by label value: what the next round is compared with.
    pub left_out: BTreeMap<u16, LeftOutDice>,
}

impl<'a> RoundResult<'a> {
    /// The result of a round whose learning started from the model, without a ranking.
    ///
    /// # Shapes
    /// - labels: `[i, j, k]`
    pub fn new(
        config: AnnotateConfig,
        backend: impl Into<String>,
        cards: &'a BTreeMap<u16, PromptCard>,
        labels: ArrayView3<'a, u16>,
    ) -> Self {
        let (seed, backend, kept, left_out) = (config.seed(), backend.into(), BTreeMap::new(), BTreeMap::new());
        Self { seed, config, backend, warm_start: None, cards, labels, ranking: None, kept_from: None, kept, left_out }
    }

    /// Sets the seed. The default is that of the configuration.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Sets the round whose cards learning started from.
    #[must_use]
    pub fn with_warm_start(self, round: Option<usize>) -> Self {
        Self { warm_start: round, ..self }
    }

    /// Sets the ranking: slices and their trust, least trusted first.
    #[must_use]
    pub fn with_ranking(self, ranking: &'a [SliceTrust]) -> Self {
        Self { ranking: Some(ranking), ..self }
    }
}

impl Session {
    /// Whether a folder holds a session.
    pub fn exists(folder: impl AsRef<Path>) -> bool {
        folder.as_ref().join(header::FILE_NAME).exists()
    }

    /// Opens the session of a folder, or creates one there.
    ///
    /// # Errors
    /// As [`Session::open`] and [`Session::create`].
    pub fn start(folder: impl AsRef<Path>, header: Header) -> Result<Self, SessionError> {
        let folder = folder.as_ref();
        if Header::read(folder)?.is_some() { Self::open(folder, &header) } else { Self::create(folder, header) }
    }

    /// Opens a session with its own axis, window and structures.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn resume(
        folder: impl AsRef<Path>,
        scan: ScanIdentity,
        weights_sha256: &str,
        precision: Precision,
    ) -> Result<Self, SessionError> {
        let folder = folder.as_ref();
        let begun = Header::read(folder)?.ok_or_else(|| SessionError::NotFound { folder: folder.to_path_buf() })?;
        Self::open(folder, &Header { scan, weights_sha256: weights_sha256.to_owned(), precision, ..begun })
    }

    /// Creates a session.
    ///
    /// # Errors
    /// [`SessionError::Exists`]; [`SessionError::InUse`]; [`SessionError::Create`] if the folder cannot be written to;
    /// [`SessionError::LinkedFolder`] and [`SessionError::Link`] if it or a file in it is a symbolic link.
    pub fn create(folder: impl AsRef<Path>, header: Header) -> Result<Self, SessionError> {
        let folder = folder.as_ref();
        let failed = |source: BoxError| SessionError::Create { folder: folder.to_path_buf(), source };
        refuse_links(folder)?;
        fs::create_dir_all(folder).map_err(|error| failed(error.into()))?;
        let plane = SlicePlane::new(&header.scan.grid, header.axis);
        let bytes = header.to_bytes().map_err(|error| failed(error.into()))?;
        let path = folder.join(header::FILE_NAME);
        let check_free = || {
            if path.exists() { Err(SessionError::Exists { folder: folder.to_path_buf() }) } else { Ok(()) }
        };
        check_free()?;
        let log = open_log(folder, Sha256Id::of(&bytes), plane.count())?;
        // The folder is locked now. Before that, another process may have created a session in it.
        check_free()?;
        if !log.entries().is_empty() {
            return Err(SessionError::MissingHeader { path });
        }
        let write = || -> Result<Objects, BoxError> {
            let objects = Objects::open(&folder.join(OBJECTS))?;
            write_atomic(&path, |file| file.write_all(&bytes))?;
            sync_folder(folder)?;
            if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                sync_folder(parent)?;
            }
            Ok(objects)
        };
        let objects = write().map_err(failed)?;
        Ok(Self { folder: folder.to_path_buf(), header, plane, objects, log, state: SessionState::default() })
    }

    /// Opens a session to continue it. `now` must have the session's scan, axis, window and model.
    ///
    /// # Errors
    /// [`SessionError::NotFound`]; [`SessionError::Header`] and [`SessionError::Damaged`] if it is damaged; [`SessionError::InUse`];
    /// [`SessionError::OtherSetting`] and [`SessionError::OtherGrid`] if it was created with other settings;
    /// [`SessionError::LinkedFolder`] and [`SessionError::Link`] if the folder or a file in it is a symbolic link. A log whose end was cut
    /// off is found by [`Session::check_record`] only.
    pub fn open(folder: impl AsRef<Path>, now: &Header) -> Result<Self, SessionError> {
        let folder = folder.as_ref();
        let missing = || SessionError::NotFound { folder: folder.to_path_buf() };
        refuse_links(folder)?;
        let (header, hash) = Header::read_with_hash(folder)?.ok_or_else(missing)?;
        header.check_same(folder, now)?;
        let plane = SlicePlane::new(&header.scan.grid, header.axis);
        let log = open_log(folder, hash, plane.count())?;
        let path = folder.join(OBJECTS);
        let objects = Objects::open(&path).map_err(|source| SessionError::Read { path, source })?;
        let state = SessionState::after(log.entries());
        Ok(Self { folder: folder.to_path_buf(), header, plane, objects, log, state })
    }

    /// The session's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The session's header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How the scan is sliced.
    pub fn plane(&self) -> &SlicePlane {
        &self.plane
    }

    /// The current state.
    pub fn state(&self) -> &SessionState {
        &self.state
    }

    /// All events, in their order.
    pub fn entries(&self) -> &[LogEntry] {
        self.log.entries()
    }

    /// The last event in effect. [`Session::undo`] undoes it next.
    pub fn last(&self) -> Option<&SessionEvent> {
        self.log.last_in_effect().map(|entry| &entry.event)
    }

    /// Records a slice as the person outlined or corrected it, complete: a structure without a label is absent. Labels that are all 0 record
    /// that it shows no structure. Returns the event's number.
    ///
    /// # Shapes
    /// - labels: `[rows, columns]` of [`Session::plane`]
    ///
    /// # Errors
    /// [`SessionError::NoSuchSlice`]; [`SessionError::SliceSize`]; [`SessionError::UnknownLabel`]; [`SessionError::NotSaved`]. On error,
    /// nothing has changed.
    pub fn draw(&mut self, slice: usize, labels: ArrayView2<'_, u16>) -> Result<u64, SessionError> {
        self.draw_some(slice, labels, &self.values())
    }

    /// Records that the person accepted the current round's mask on a slice. Returns the event's number.
    ///
    /// # Errors
    /// [`SessionError::NothingToAccept`] before the first round; [`SessionError::NoSuchSlice`]; [`SessionError::Object`] if the mask is
    /// damaged; [`SessionError::NotSaved`]. On error, nothing has changed.
    pub fn accept(&mut self, slice: usize) -> Result<u64, SessionError> {
        let found = self.found()?.ok_or(SessionError::NothingToAccept)?;
        self.check_slice(slice)?;
        let labels = self.acceptable(slice, &found)?;
        self.accept_as(slice, labels.view())
    }

    /// Like [`Session::accept`], with the labels of the current round's mask on the slice. They decide on the structures that the round looked
    /// for, those with a label, and those that were decided before. Returns the event's number.
    ///
    /// # Errors
    /// As [`Session::draw`].
    pub fn accept_as(&mut self, slice: usize, labels: ArrayView2<'_, u16>) -> Result<u64, SessionError> {
        self.keep(Origin::Accepted, slice, labels, self.decided_with_round(slice))
    }

    /// Records that a slice is wrong. If it was the person's slice, it no longer is. Returns the event's number.
    ///
    /// # Errors
    /// [`SessionError::NoSuchSlice`]; [`SessionError::NotSaved`]. On error, nothing has changed.
    pub fn reject(&mut self, slice: usize) -> Result<u64, SessionError> {
        self.check_slice(slice)?;
        let kept = self.push(SessionEvent::Rejected { slice });
        kept.map_err(|source| self.not_saved(format!("slice {}, as rejected,", SliceNumber::of_index(slice)), source))
    }

    /// Records the result of a round. Its mask becomes the current mask. Returns the event's number.
    ///
    /// The mask's file takes its NIfTI header from `image`.
    ///
    /// # Errors
    /// [`SessionError::RoundContradicts`] if the mask differs from one of the person's slices; [`SessionError::NotSaved`]. On error,
    /// nothing has changed.
    pub fn record_round(&mut self, result: RoundResult<'_>, image: &Volume) -> Result<u64, SessionError> {
        for (&slice, person) in &self.state.slices {
            if !self.agrees(self.plane.extract(result.labels, slice).view(), slice, person)? {
                return Err(SessionError::RoundContradicts { slice });
            }
        }
        let recorded = self.store_round(result, image).and_then(|round| self.push(SessionEvent::Round(round)));
        recorded.map_err(|source| self.not_saved("the round".to_owned(), source))
    }

    /// Stores the objects of a round.
    fn store_round(&self, result: RoundResult<'_>, image: &Volume) -> Result<Round, BoxError> {
        let RoundResult { seed, config, backend, warm_start, kept_from, kept, left_out, .. } = result;
        let put = |(&value, card): (&u16, &PromptCard)| {
            Ok((value, self.objects.put(ObjectKind::Card, |path| card.save(path))?))
        };
        let cards = result.cards.iter().map(put).collect::<Result<_, BoxError>>()?;
        let mask = self.objects.put(ObjectKind::Mask, |path| sam_data::write_labels(path, result.labels, image))?;
        let put_ranking = |ranking: &[SliceTrust]| -> Result<Sha256Id, BoxError> {
            let text = serde_json::to_vec(ranking)?;
            Ok(self.objects.put(ObjectKind::Ranking, |path| write_atomic(path, |file| file.write_all(&text)))?)
        };
        let ranking = result.ranking.map(put_ranking).transpose()?;
        let number = self.next_round();
        Ok(Round { number, seed, config, backend, warm_start, cards, mask, ranking, kept_from, kept, left_out })
    }

    /// The number of the next round, counted from 1. Undone rounds keep their numbers.
    pub fn next_round(&self) -> usize {
        state::rounds(self.entries()).count() + 1
    }

    /// Undoes the last event in effect and returns it.
    ///
    /// # Errors
    /// [`SessionError::NothingToUndo`]; [`SessionError::NotSaved`].
    pub fn undo(&mut self) -> Result<SessionEvent, SessionError> {
        let last = self.log.last_in_effect().ok_or(SessionError::NothingToUndo)?.clone();
        let kept = self.push(SessionEvent::Undone { event: last.number });
        kept.map_err(|source| self.not_saved("the undoing".to_owned(), source))?;
        Ok(last.event)
    }

    fn push(&mut self, event: SessionEvent) -> Result<u64, BoxError> {
        let number = self.log.push(event)?;
        self.state = SessionState::after(self.log.entries());
        Ok(number)
    }

    fn not_saved(&self, what: String, source: BoxError) -> SessionError {
        SessionError::NotSaved { what, folder: self.folder.clone(), source }
    }

    pub(crate) fn check_slice(&self, slice: usize) -> Result<(), SessionError> {
        let count = self.plane.count();
        if slice < count {
            return Ok(());
        }
        Err(SessionError::NoSuchSlice { slice, scan: self.header.scan.name.clone(), count })
    }
}
