//! The vocabulary of SAM^auto: slices, annotated slices, and what prompts them without a person.

use std::collections::BTreeMap;

use burn::tensor::backend::Backend;
use ndarray::{Array2, Array3, ArrayView3};
use sam_core::{ImageEmbedding, SamPredictor};
use sam_prompt::Prompts;

use crate::{AutoError, masks};

/// A slice of a volume, or an image of a set, that is to be prompted.
#[derive(Debug)]
pub struct SliceContext<'a, B: Backend> {
    /// Its place in the volume, from 0.
    pub index: usize,
    /// What the model sees: `[rows, columns, channels]`, 8-bit levels.
    pub image: ArrayView3<'a, f32>,
    /// The same, embedded.
    pub embedding: &'a ImageEmbedding<B>,
}

/// Prompts a slice without a person. A generator was fitted to the annotated slices of the same volume or set.
///
/// Object-safe, so that generators can be chosen at run time and joined in an ensemble.
pub trait PromptGenerator<B: Backend> {
    /// Prompts for the object on a slice; `None` where the generator sees no object.
    ///
    /// The same slice is prompted alike however often and in whatever order slices come.
    ///
    /// # Errors
    /// If the slice is unlike those that the generator was fitted to.
    fn generate(&self, slice: &SliceContext<'_, B>) -> Result<Option<Prompts>, AutoError>;
}

/// A slice that a person annotated: what generators are fitted to.
///
/// An empty outline is an annotation, too: the person looked, and the object is not there.
#[derive(Debug, Clone)]
pub struct SupportSlice<B: Backend> {
    index: usize,
    embedding: ImageEmbedding<B>,
    outline: Array2<bool>,
}

impl<B: Backend> SupportSlice<B> {
    /// Joins an embedded slice and what a person outlined on it.
    ///
    /// # Shapes
    /// - outline: `[rows, columns]` of the image that was embedded
    ///
    /// # Errors
    /// [`AutoError::OutlineSize`] if the sizes differ.
    pub fn new(index: usize, embedding: ImageEmbedding<B>, outline: Array2<bool>) -> Result<Self, AutoError> {
        let (found, expected) = (outline.dim(), embedding.frame.original);
        if found != expected {
            return Err(AutoError::OutlineSize { index, found, expected });
        }
        Ok(Self { index, embedding, outline })
    }

    /// Its place in the volume, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The embedded slice.
    pub fn embedding(&self) -> &ImageEmbedding<B> {
        &self.embedding
    }

    /// What the person outlined: `[rows, columns]`.
    pub fn outline(&self) -> &Array2<bool> {
        &self.outline
    }

    /// How many pixels of it the object has.
    pub fn pixels(&self) -> usize {
        masks::pixels(&self.outline)
    }
}

/// What the source of a slice may say when it has none.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Where slices come from: a volume cut along an axis, or a set of images.
///
/// Embedding is nearly all of the work, and several generators ask for the same slice: a source keeps what it has embedded.
pub trait SliceSource<B: Backend> {
    /// How many slices there are.
    fn count(&self) -> usize;

    /// One slice as the model sees it: `[rows, columns, channels]`, 8-bit levels.
    ///
    /// # Errors
    /// If the slice cannot be had.
    fn image(&mut self, index: usize) -> Result<Array3<f32>, SourceError>;

    /// One slice, embedded.
    ///
    /// # Errors
    /// If the slice cannot be had or embedded.
    fn embedding(&mut self, index: usize) -> Result<ImageEmbedding<B>, SourceError>;
}

/// Images in memory, each embedded when it is first asked for.
#[derive(Debug)]
pub struct ImageSlices<'a, B: Backend> {
    predictor: &'a SamPredictor<B>,
    images: Vec<Array3<f32>>,
    embedded: BTreeMap<usize, ImageEmbedding<B>>,
}

impl<'a, B: Backend> ImageSlices<'a, B> {
    /// None embedded so far.
    ///
    /// # Shapes
    /// - images: each `[rows, columns, channels]`, 8-bit levels
    pub fn new(predictor: &'a SamPredictor<B>, images: Vec<Array3<f32>>) -> Self {
        Self { predictor, images, embedded: BTreeMap::new() }
    }

    fn find(&self, index: usize) -> Result<&Array3<f32>, AutoError> {
        self.images.get(index).ok_or(AutoError::NoSuchSlice { index, count: self.images.len() })
    }
}

impl<B: Backend> SliceSource<B> for ImageSlices<'_, B> {
    fn count(&self) -> usize {
        self.images.len()
    }

    fn image(&mut self, index: usize) -> Result<Array3<f32>, SourceError> {
        Ok(self.find(index)?.clone())
    }

    fn embedding(&mut self, index: usize) -> Result<ImageEmbedding<B>, SourceError> {
        if let Some(known) = self.embedded.get(&index) {
            return Ok(known.clone());
        }
        let embedding = self.predictor.embed(self.find(index)?.view())?;
        self.embedded.insert(index, embedding.clone());
        Ok(embedding)
    }
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
