//! Properties of prompts, samplers, drawings and mask operations, on random masks and compared with naive implementations.

mod api;
mod boxes;
mod components;
mod correction;
mod document;
mod drawings;
mod masks;
mod prompts;
mod samplers;
mod slices;
mod strategies;
