//! A small scan, and a tiny model of random weights.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use safetensors::SafeTensors;
use sam_data::{Phantom, PhantomConfig, SlicePlane};
use sam_prompt::ndarray::Array2;

/// The model of sam-core's tests, whose weights lie in two files for their size.
pub(crate) fn weights() -> Result<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sam-core/tests/goldens");
    let read = |name: &str| fs::read(folder.join(name)).with_context(|| name.to_owned());
    let parts = [read("sam_tiny_encoder.safetensors")?, read("sam_tiny_rest.safetensors")?];
    let parts = parts.iter().map(|part| SafeTensors::deserialize(part)).collect::<Result<Vec<_>, _>>()?;
    let tensors: Vec<_> = parts.iter().flat_map(SafeTensors::tensors).collect();
    Ok(safetensors::serialize(tensors, None)?)
}

/// A scan of eight slices.
pub(crate) fn phantom(seed: u64) -> Phantom {
    PhantomConfig::default().with_shape([40, 36, 8]).with_seed(seed).generate()
}

/// The label value of which a phantom shows most.
pub(crate) fn structure(phantom: &Phantom) -> Result<u16> {
    let labels = &phantom.labels;
    let count = |&value: &u16| labels.labels.iter().filter(|&&label| label == value).count();
    labels.values().into_iter().max_by_key(count).context("a phantom has structures")
}

/// The labels without those of other structures.
pub(crate) fn only(labels: Array2<u16>, value: u16) -> Array2<u16> {
    labels.mapv(|label| if label == value { label } else { 0 })
}

/// The slices on which a phantom shows its structure, and those on which it does not.
pub(crate) fn slices(phantom: &Phantom, plane: &SlicePlane) -> Result<(Vec<usize>, Vec<usize>)> {
    let value = structure(phantom)?;
    let shows = |&slice: &usize| plane.extract(phantom.labels.labels.view(), slice).iter().any(|&label| label == value);
    Ok((0..plane.count()).partition(shows))
}
