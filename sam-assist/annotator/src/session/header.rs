//! Header of a session. It is written once, when the session is created.

use std::{collections::BTreeMap, path::Path};

use sam_core::Precision;
use sam_data::{ResolvedWindow, ScanIdentity, SliceAxis};
use sam_files::{Sha256Id, read_bounded, sanitize};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::error::{BoxError, SessionError, Setting, from_json};
use crate::AnnotateConfig;

/// Version of the session format that is written. `FORMAT.md` says when it is raised. Sessions of earlier versions are read and continued.
pub const FORMAT_VERSION: u32 = 3;
/// Name of the header's file.
pub(super) const FILE_NAME: &str = "session.json";
/// Maximum file size. A header takes a few KB.
const MAX_BYTES: u64 = 1 << 20;

/// Header of a session: its scan, model, settings and structures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Header {
    /// Version of the format.
    pub format_version: u32,
    /// Name and version of the program that created the session.
    pub program: String,
    /// The scan.
    pub scan: ScanIdentity,
    /// The voxel index along which the scan is sliced: `i`, `j` or `k`.
    pub axis: SliceAxis,
    /// The intensities that are shown as black and white.
    pub window: ResolvedWindow,
    /// Names of the structures, by label value.
    pub structures: BTreeMap<u16, String>,
    /// SHA-256 of the model's weights, in hexadecimal.
    pub weights_sha256: String,
    /// The floating-point precision of the image encoder.
    #[serde(default)]
    pub precision: Precision,
    /// The configuration of the first round. Later rounds may have others.
    pub config: AnnotateConfig,
}

/// The field that every version has.
#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

/// Why a file is not a valid header.
#[derive(Debug, Error)]
enum HeaderFlaw {
    #[error("it has more than {MAX_BYTES} bytes, more than any header")]
    TooLarge,
    #[error("the name {0:?} contains control characters")]
    ControlCharacters(String),
}

impl Header {
    /// The header of a new session, with an image encoder in f32. Control characters in names are replaced.
    pub fn new(
        mut scan: ScanIdentity,
        axis: SliceAxis,
        window: ResolvedWindow,
        mut structures: BTreeMap<u16, String>,
        weights_sha256: String,
        config: AnnotateConfig,
    ) -> Self {
        for name in structures.values_mut().chain([&mut scan.name]) {
            *name = sanitize(name);
        }
        let program = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned();
        let (format_version, precision) = (FORMAT_VERSION, Precision::F32);
        Self { format_version, program, scan, axis, window, structures, weights_sha256, precision, config }
    }

    /// Sets the precision of the image encoder.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// Sets the name and version of the program that creates the session.
    #[must_use]
    pub fn with_program(self, program: &str) -> Self {
        Self { program: sanitize(program), ..self }
    }

    /// Reads the header of a session. Returns `None` if there is no session.
    ///
    /// # Errors
    /// [`SessionError::Read`]; [`SessionError::Header`] if it is damaged; [`SessionError::FormatVersion`].
    pub fn read(folder: impl AsRef<Path>) -> Result<Option<Self>, SessionError> {
        Ok(Self::read_with_hash(folder.as_ref())?.map(|(header, _)| header))
    }

    /// The header and the SHA-256 of its file.
    pub(super) fn read_with_hash(folder: &Path) -> Result<Option<(Self, Sha256Id)>, SessionError> {
        let path = folder.join(FILE_NAME);
        let unreadable = |source| SessionError::Read { path: path.clone(), source };
        if !path.try_exists().map_err(unreadable)? {
            return Ok(None);
        }
        let flawed = |source: BoxError| SessionError::Header { path: path.clone(), source };
        let bytes = read_bounded(&path, MAX_BYTES).map_err(unreadable)?;
        let bytes = bytes.ok_or_else(|| flawed(HeaderFlaw::TooLarge.into()))?;
        let Version { format_version } = from_json(&bytes).map_err(|error| flawed(error.into()))?;
        if !(1..=FORMAT_VERSION).contains(&format_version) {
            return Err(SessionError::FormatVersion { path, found: format_version, expected: FORMAT_VERSION });
        }
        let header: Self = from_json(&bytes).map_err(|error| flawed(error.into()))?;
        header.check_names().map_err(|error| flawed(error.into()))?;
        Ok(Some((header, Sha256Id::of(&bytes))))
    }

    /// Refuses names with control characters, which could manipulate a terminal. Sessions come from other people.
    fn check_names(&self) -> Result<(), HeaderFlaw> {
        let Self { program, scan, window, structures, weights_sha256, .. } = self;
        let mut names = structures.values().chain([program, &scan.name, &window.name, weights_sha256]);
        match names.find(|name| name.contains(char::is_control)) {
            Some(name) => Err(HeaderFlaw::ControlCharacters(name.clone())),
            None => Ok(()),
        }
    }

    /// The content of its file.
    pub(super) fn to_bytes(&self) -> serde_json::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Refuses another scan, axis, window or model than the session was created with.
    pub(super) fn check_same(&self, folder: &Path, now: &Self) -> Result<(), SessionError> {
        let scan = |Self { scan: ScanIdentity { name, sha256, volume_index, .. }, .. }: &Self| {
            format!("{name} (SHA-256 {sha256}, volume {})", volume_index + 1)
        };
        let window =
            |Self { window: ResolvedWindow { name, low, high, .. }, .. }: &Self| format!("{name} ({low} to {high})");
        let weights = |header: &Self| format!("of SHA-256 {}", header.weights_sha256);
        let other = |what, begun: String, found: String| {
            Err(SessionError::OtherSetting { folder: folder.to_path_buf(), what, begun, found })
        };
        if self.scan.sha256 != now.scan.sha256 || self.scan.volume_index != now.scan.volume_index {
            return other(Setting::Scan, scan(self), scan(now));
        }
        if let Err(source) = self.scan.grid.check_same(&now.scan.grid) {
            return Err(SessionError::OtherGrid { folder: folder.to_path_buf(), source });
        }
        if self.axis != now.axis {
            return other(Setting::Axis, self.axis.to_string(), now.axis.to_string());
        }
        if self.window != now.window {
            return other(Setting::Window, window(self), window(now));
        }
        if self.weights_sha256 != now.weights_sha256 {
            return other(Setting::Weights, weights(self), weights(now));
        }
        if self.precision != now.precision {
            return other(Setting::Precision, self.precision.to_string(), now.precision.to_string());
        }
        Ok(())
    }
}
