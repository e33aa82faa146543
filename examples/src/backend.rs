//! The choice of backend: the only place that names one.

#[cfg(feature = "flex")]
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use burn::tensor::backend::Backend;
use clap::ValueEnum;
use serde::Serialize;

/// The backends that this build can hold; each is a cargo feature of the same name.
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

/// Work that any backend can do.
pub trait Job: Send {
    /// What comes out.
    type Output: Send;

    /// Does the work.
    ///
    /// # Errors
    /// Whatever the work meets.
    fn run<B: Backend>(self, device: &B::Device) -> Result<Self::Output>;
}

impl BackendChoice {
    /// Does a job on this backend; with burn-flex, from within rayon's pool.
    ///
    /// # Errors
    /// Those of the job.
    pub fn run<J: Job>(self, job: J) -> Result<J::Output> {
        match self {
            #[cfg(feature = "flex")]
            Self::Flex => in_pool(|| default_device::<burn_flex::Flex, J>(job)),
            #[cfg(feature = "ndarray")]
            Self::Ndarray => default_device::<burn_ndarray::NdArray, J>(job),
            #[cfg(feature = "cuda")]
            Self::Cuda => default_device::<burn_cuda::Cuda, J>(job),
        }
    }
}

/// Does work from within rayon's pool. From any other thread each of the thousands of small products that a step of learning consists
/// of would be handed over to a sleeping pool, and waited for.
///
/// One after the other, unless the work is part of such already: burn-autodiff locks its graphs while their operations wait for the
/// pool, and a worker that took up other learning meanwhile would wait for itself.
#[cfg(feature = "flex")]
pub fn in_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    if rayon::current_thread_index().is_some() {
        return work();
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    rayon::scope(|_| work())
}

/// Does work: without burn-flex there is no pool that it has to be in.
#[cfg(not(feature = "flex"))]
pub fn in_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    work()
}

/// Does a job on a backend's first device.
fn default_device<B: Backend, J: Job>(job: J) -> Result<J::Output> {
    job.run::<B>(&B::Device::default())
}

impl Default for BackendChoice {
    /// The first of flex, ndarray and cuda that is compiled in.
    fn default() -> Self {
        Self::value_variants()[0]
    }
}

impl std::fmt::Display for BackendChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.to_possible_value().expect("no backend is hidden from the command line");
        f.write_str(value.get_name())
    }
}
