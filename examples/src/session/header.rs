//! What a session is about: written once, when it begins.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, anyhow, bail, ensure};
use sam_core::{Precision, printable};
use sam_data::{Grid, ResolvedWindow, SliceAxis};
use serde::{Deserialize, Serialize};

use super::{ObjectId, RoundConfig, from_json};

/// As which version sessions are written; to be raised when what is written changes its meaning.
const FORMAT_VERSION: u32 = 1;
/// Name of the header's file.
pub(super) const FILE_NAME: &str = "session.json";
/// A header takes a few KB.
const MAX_BYTES: u64 = 1 << 20;
/// Affines may differ by this much, in mm: decimal digits round.
const TOLERANCE_MM: f64 = 1e-3;

/// What a session is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Version of the format.
    pub format_version: u32,
    /// Name and version of the program that began it.
    pub program: String,
    /// The scan.
    pub scan: ScanIdentity,
    /// The voxel index along which the scan is cut: `i`, `j` or `k`.
    pub axis: SliceAxis,
    /// The intensities that are black and white.
    pub window: ResolvedWindow,
    /// Names of the structures, by label value.
    pub structures: BTreeMap<u16, String>,
    /// SHA-256 of the model's weights.
    pub weights_sha256: String,
    /// What the image encoder computes in.
    #[serde(default)]
    pub precision: Precision,
    /// Every number of the first round; later ones may have others.
    pub config: RoundConfig,
}

/// Which scan it is, wherever it lies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScanIdentity {
    /// Name of its file or folder.
    pub name: String,
    /// SHA-256 of its file; of several files, of their SHA-256s in the order of the slices.
    pub sha256: ObjectId,
    /// Where its voxels lie.
    pub grid: Grid,
}

/// What every version has.
#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

impl Header {
    /// The header of a session that begins now, with an image encoder in f32.
    pub fn new(
        mut scan: ScanIdentity,
        axis: SliceAxis,
        window: ResolvedWindow,
        mut structures: BTreeMap<u16, String>,
        weights_sha256: String,
        config: RoundConfig,
    ) -> Self {
        // Names of files and of structures may hold anything.
        for name in structures.values_mut().chain([&mut scan.name]) {
            *name = printable(name);
        }
        let program = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned();
        Self {
            format_version: FORMAT_VERSION,
            program,
            scan,
            axis,
            window,
            structures,
            weights_sha256,
            precision: Precision::F32,
            config,
        }
    }

    /// Reads the header of a session; `None` where there is no session.
    ///
    /// # Errors
    /// If it cannot be read, or is of another format.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        Ok(Self::read_with_hash(folder)?.map(|(header, _)| header))
    }

    /// The header and the SHA-256 of its file.
    pub(super) fn read_with_hash(folder: &Path) -> Result<Option<(Self, ObjectId)>> {
        let path = folder.join(FILE_NAME);
        if !path.try_exists().with_context(|| format!("cannot read {}", path.display()))? {
            return Ok(None);
        }
        let read = || {
            ensure!(fs::metadata(&path)?.len() <= MAX_BYTES, "it is larger than any header");
            let bytes = fs::read(&path)?;
            let not_one = "it is no header of a session, or damaged: put it back from a copy";
            let Version { format_version } = from_json(&bytes).context(not_one)?;
            ensure!(
                format_version == FORMAT_VERSION,
                "it has format version {format_version}, this program reads version {FORMAT_VERSION}: use the program that wrote it, or \
                 begin another session"
            );
            let header: Self = from_json(&bytes).context(not_one)?;
            header.check_names()?;
            Ok((header, ObjectId::of(&bytes)))
        };
        read().with_context(|| format!("cannot read {}", path.display())).map(Some)
    }

    /// Refuses names that would steer a terminal: sessions travel between people.
    fn check_names(&self) -> Result<()> {
        let Self { program, scan, window, structures, weights_sha256, .. } = self;
        let mut names = structures.values().chain([program, &scan.name, &window.name, weights_sha256]);
        match names.find(|name| name.contains(char::is_control)) {
            Some(name) => bail!("the name {name:?} holds control characters: put it back from a copy"),
            None => Ok(()),
        }
    }

    /// Writes the header, whole or not at all, and gives the SHA-256 of its file.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Refuses to go on with another scan, axis, window or model than the session was begun with.
    ///
    /// # Errors
    /// Names what differs.
    pub fn check_same(&self, now: &Self) -> Result<()> {
        let differs = |what: &str, begun: String, now: String, option: &str| {
            anyhow!(
                "it was begun with the {what} {begun}, and this is {now}: give {option} as then, or begin another session"
            )
        };
        let scan = |scan: &ScanIdentity| format!("{} (SHA-256 {scan_hash})", scan.name, scan_hash = scan.sha256);
        if self.scan.sha256 != now.scan.sha256 {
            return Err(differs("scan", scan(&self.scan), scan(&now.scan), "--image"));
        }
        if let Err(mismatch) = self.scan.grid.compare(&now.scan.grid, TOLERANCE_MM) {
            return Err(anyhow!("it was begun with the same scan on another grid: {mismatch}"));
        }
        if self.axis != now.axis {
            return Err(differs("axis", self.axis.to_string(), now.axis.to_string(), "--axis"));
        }
        if self.window != now.window {
            let show = |window: &ResolvedWindow| format!("{} ({} to {})", window.name, window.low, window.high);
            return Err(differs("window", show(&self.window), show(&now.window), "--window"));
        }
        if self.weights_sha256 != now.weights_sha256 {
            let weights = [self, now].map(|header| format!("of SHA-256 {}", header.weights_sha256));
            let [begun, now] = weights;
            return Err(differs("weights", begun, now, "--weights"));
        }
        if self.precision != now.precision {
            return Err(differs("precision", self.precision.to_string(), now.precision.to_string(), "--precision"));
        }
        Ok(())
    }
}
