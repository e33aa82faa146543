//! Structures of a session: those of its header, and those that were added or renamed since.

use std::{collections::BTreeMap, path::Path};

use sam_data::SlicePlane;
use sam_files::sanitize;
use sam_prompt::ndarray::ArrayView2;

use super::{
    Header, Session, SessionError, SessionEvent, SessionState,
    folder::{open_log, refuse_links},
};
use crate::annotations::list_structures;

impl Session {
    /// Names of the structures, by label value: those of the header, with the names that were given since.
    pub fn structures(&self) -> BTreeMap<u16, String> {
        self.structures_in(self.state())
    }

    /// Names of the structures in an earlier state, by label value.
    pub fn structures_in(&self, state: &SessionState) -> BTreeMap<u16, String> {
        let mut structures = self.header().structures.clone();
        structures.extend(state.names.iter().map(|(&label, name)| (label, name.clone())));
        structures
    }

    /// Names of the structures of the session in a folder, by label value, for programs that do not have its scan or model yet. `None` if
    /// there is no session.
    ///
    /// # Errors
    /// Those of [`Session::open`] for a session that is damaged or in use.
    pub fn structures_of(folder: impl AsRef<Path>) -> Result<Option<BTreeMap<u16, String>>, SessionError> {
        let folder = folder.as_ref();
        refuse_links(folder)?;
        let Some((header, hash)) = Header::read_with_hash(folder)? else { return Ok(None) };
        let log = open_log(folder, hash, SlicePlane::new(&header.scan.grid, header.axis).count())?;
        let mut structures = header.structures;
        structures.extend(SessionState::after(log.entries()).names);
        Ok(Some(structures))
    }

    /// Records the name of a label value. A new value becomes a structure of the session, a known one is renamed. Control characters are
    /// replaced. Returns the event's number.
    ///
    /// # Errors
    /// [`SessionError::BackgroundLabel`]; [`SessionError::NotSaved`]. On error, nothing has changed.
    pub fn name_structure(&mut self, label: u16, name: &str) -> Result<u64, SessionError> {
        if label == 0 {
            return Err(SessionError::BackgroundLabel);
        }
        let kept = self.push(SessionEvent::Named { label, name: sanitize(name) });
        kept.map_err(|source| self.not_saved(format!("the name of label value {label}"), source))
    }

    /// Refuses labels of another size than the slice, and label values that are not structures of the session.
    pub(super) fn check_labels(&self, slice: usize, labels: ArrayView2<'_, u16>) -> Result<(), SessionError> {
        self.check_slice(slice)?;
        let (expected, found) = (self.plane().size(), labels.dim());
        if found != expected {
            return Err(SessionError::SliceSize { slice, expected, found });
        }
        let structures = self.structures();
        match labels.iter().find(|&&label| label != 0 && !structures.contains_key(&label)) {
            Some(&label) => Err(SessionError::UnknownLabel { slice, label, structures: list_structures(&structures) }),
            None => Ok(()),
        }
    }
}
