//! What holds for every mask and seed: drawn prompts lie where they should, and mask operations agree with naive versions.

mod boxes;
mod correction;
mod masks;
mod prompts;
mod samplers;
mod slices;
mod strategies;
