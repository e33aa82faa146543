//! What every comparison works with: a model, its embeddings, and a journal of what is done.

use std::cell::RefCell;

use anyhow::Result;
use burn::tensor::backend::Backend;
use sam_core::{SamPredictor, automatic::RunLengths, hexadecimal};
use sam_data::Structure;
use sam_prompt::ndarray::Array2;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::{disk_cache::DiskCache, journal::Journal, stack::Stack, weights::Weights};

/// A model, and what it has done.
#[derive(Debug)]
pub struct Study<'a, B: Backend> {
    /// The model as it came.
    pub predictor: SamPredictor<B>,
    /// The checkpoint that it came from.
    pub weights: &'a Weights,
    /// Where embeddings are kept.
    pub disk: Option<&'a DiskCache>,
    /// What is done.
    pub journal: &'a RefCell<Journal>,
}

/// A score, and the masks that it is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run<T> {
    /// What was reached.
    pub score: T,
    /// What was found on the test slices.
    pub masks: Vec<FoundMask>,
}

/// What was found on a slice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundMask {
    /// Its place in the stack.
    pub slice: usize,
    /// The mask: `[rows, columns]`.
    pub mask: RunLengths,
}

impl FoundMask {
    /// Keeps a mask.
    pub fn new(slice: usize, mask: &Array2<bool>) -> Self {
        Self { slice, mask: RunLengths::encode(mask.view()) }
    }
}

impl<'a, B: Backend> Study<'a, B> {
    /// Loads a checkpoint.
    ///
    /// # Errors
    /// If it is no SAM's.
    pub fn open(
        weights: &'a Weights,
        disk: Option<&'a DiskCache>,
        journal: &'a RefCell<Journal>,
        device: &B::Device,
    ) -> Result<Self> {
        Ok(Self { predictor: weights.predictor(device)?, weights, disk, journal })
    }

    /// Does a piece of work, unless the journal has its result.
    ///
    /// # Errors
    /// Those of the work, or if its result cannot be kept.
    pub fn once<T: Serialize + DeserializeOwned>(
        &self,
        depends_on: &impl Serialize,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let key = self.key(depends_on)?;
        if let Some(done) = self.journal.borrow().get(&key)? {
            return Ok(done);
        }
        let result = work()?;
        self.journal.borrow_mut().keep(key, &result)?;
        Ok(result)
    }

    /// Whether the journal has the result of a piece of work.
    ///
    /// # Errors
    /// If what it depends on cannot be written as JSON.
    pub fn has(&self, depends_on: &impl Serialize) -> Result<bool> {
        Ok(self.journal.borrow().has(&self.key(depends_on)?))
    }

    /// Names a piece of work with this model.
    fn key(&self, depends_on: &impl Serialize) -> Result<String> {
        Journal::key(&(env!("CARGO_PKG_VERSION"), &self.weights.sha256, self.weights.precision, depends_on))
    }
}

/// A digest of some slices as the network sees them, and of a structure's masks on them.
pub fn digest(stack: &Stack, structure: &Structure, slices: &[usize]) -> String {
    let mut digest = Sha256::new();
    for &index in slices {
        let image = stack.image(index);
        digest.update(format!("{index} {:?}", image.dim()));
        image.iter().for_each(|level| digest.update(level.to_le_bytes()));
        stack.mask(index, &structure.values).iter().for_each(|&inside| digest.update([u8::from(inside)]));
    }
    hexadecimal(&digest.finalize())
}
