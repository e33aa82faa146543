//! The choice of backend: the only place that names one.

use anyhow::Result;
use burn::tensor::backend::Backend;
use clap::ValueEnum;
use serde::Serialize;

/// The backends of this build; each is a cargo feature of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendChoice {
    /// Pure-Rust CPU backend, the fastest on a CPU.
    #[cfg(feature = "flex")]
    Flex,
    /// burn-ndarray, on the CPU.
    #[cfg(feature = "ndarray")]
    Ndarray,
    /// The first NVIDIA GPU.
    #[cfg(feature = "cuda")]
    Cuda,
}

/// A task that any backend can compute.
pub trait Job: Send {
    /// The result.
    type Output: Send;

    /// Runs the task.
    ///
    /// # Errors
    /// Any error of the task.
    fn run<B: Backend>(self, device: &B::Device) -> Result<Self::Output>;
}

impl BackendChoice {
    /// Runs a job on the first device of this backend, in rayon's thread pool.
    ///
    /// # Errors
    /// Those of the job.
    pub fn run<J: Job>(self, job: J) -> Result<J::Output> {
        match self {
            #[cfg(feature = "flex")]
            Self::Flex => sam_threads::in_pool(|| on_default_device::<burn_flex::Flex, J>(job)),
            #[cfg(feature = "ndarray")]
            Self::Ndarray => on_default_device::<burn_ndarray::NdArray, J>(job),
            #[cfg(feature = "cuda")]
            Self::Cuda => on_default_device::<burn_cuda::Cuda, J>(job),
        }
    }
}

fn on_default_device<B: Backend, J: Job>(job: J) -> Result<J::Output> {
    job.run::<B>(&B::Device::default())
}

impl Default for BackendChoice {
    /// The first backend of this build, in the order flex, ndarray, cuda.
    fn default() -> Self {
        Self::value_variants()[0]
    }
}

impl std::fmt::Display for BackendChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            #[cfg(feature = "flex")]
            Self::Flex => "flex",
            #[cfg(feature = "ndarray")]
            Self::Ndarray => "ndarray",
            #[cfg(feature = "cuda")]
            Self::Cuda => "cuda",
        })
    }
}
