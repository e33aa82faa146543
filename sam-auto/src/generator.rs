//! Slices, and the generators that prompt them without a person.

use std::{fmt::Debug, sync::Arc};

use burn::tensor::backend::Backend;
use ndarray::ArrayView3;
use sam_core::ImageEmbedding;
use sam_prompt::Prompts;

use crate::AutoError;

/// A slice of a volume, or an image of a set, to be prompted.
#[derive(Debug)]
#[non_exhaustive]
pub struct SliceContext<'a, B: Backend> {
    /// Position in the volume, counted from 0.
    pub index: usize,
    /// The image in 8-bit levels: `[rows, columns, channels]`.
    pub image: ArrayView3<'a, u8>,
    /// The embedded image.
    pub embedding: &'a ImageEmbedding<B>,
}

impl<'a, B: Backend> SliceContext<'a, B> {
    /// A slice with its position, image and embedding.
    ///
    /// # Shapes
    /// - image: `[rows, columns, channels]`
    pub fn new(index: usize, image: ArrayView3<'a, u8>, embedding: &'a ImageEmbedding<B>) -> Self {
        Self { index, image, embedding }
    }
}

/// Prompt generator: prompts slices without a person, after it was fitted to annotated slices of the same volume or set.
///
/// Object-safe, so that generators can be selected at run time and combined in an ensemble; `Send + Sync`, so that they can be stored
/// and shared between threads.
pub trait PromptGenerator<B: Backend>: Debug + Send + Sync {
    /// Returns prompts for the structure on a slice, or `None` if the generator does not find it there.
    ///
    /// The prompts of a slice do not depend on how often or in which order slices are prompted.
    ///
    /// # Errors
    /// If the slice does not match those that the generator was fitted to.
    fn generate(&self, slice: &SliceContext<'_, B>) -> Result<Option<Prompts>, AutoError>;
}

impl<B: Backend, G: PromptGenerator<B> + ?Sized> PromptGenerator<B> for &G {
    fn generate(&self, slice: &SliceContext<'_, B>) -> Result<Option<Prompts>, AutoError> {
        (**self).generate(slice)
    }
}

impl<B: Backend, G: PromptGenerator<B> + ?Sized> PromptGenerator<B> for Box<G> {
    fn generate(&self, slice: &SliceContext<'_, B>) -> Result<Option<Prompts>, AutoError> {
        (**self).generate(slice)
    }
}

impl<B: Backend, G: PromptGenerator<B> + ?Sized> PromptGenerator<B> for Arc<G> {
    fn generate(&self, slice: &SliceContext<'_, B>) -> Result<Option<Prompts>, AutoError> {
        (**self).generate(slice)
    }
}
