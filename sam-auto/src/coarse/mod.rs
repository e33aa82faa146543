//! Prompts from a coarse map: how probable the object is, pixel by pixel, as a method fitted to SAM's features says.
//!
//! SAP-Net and PANet come from the crate sapnet, whose [`CoarseSegmenter`] the linear classifier implements, and others can as well.

mod classifier;
mod framing;

use std::{fmt, ops::ControlFlow, rc::Rc};

use burn::tensor::{Tensor, backend::Backend};
use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sam_core::ImageEmbedding;
use sam_prompt::Prompts;
use sapnet::{AnnotatedSlices, CoarseSegmenter, PaNet, SapNet, SapNetConfig, SupportConfig};
use serde::{Deserialize, Serialize};

pub use classifier::{ClassifierConfig, LinearClassifier};

use crate::{AutoError, HandOver, PromptGenerator, SliceContext, SupportSlice};

/// What makes the coarse map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CoarseMethod {
    /// Prototypes of the frozen features: nothing is trained.
    Panet(SupportConfig),
    /// The spatial-aware prototypical network, trained on the annotated slices.
    Sapnet(SapNetConfig),
    /// A linear classifier of the frozen features.
    Classifier(ClassifierConfig),
}

impl Default for CoarseMethod {
    fn default() -> Self {
        Self::Sapnet(SapNetConfig::default())
    }
}

/// Every number of a generator from coarse maps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CoarseConfig {
    /// What makes the map.
    pub method: CoarseMethod,
    /// What of it is handed on.
    pub hand_over: HandOver,
}

impl CoarseConfig {
    /// Fits the method to the annotated slices. SAP-Net takes some seconds.
    ///
    /// # Errors
    /// [`AutoError::Config`]; [`AutoError::NothingAnnotated`]; [`AutoError::Coarse`] if the method cannot be fitted.
    pub fn fit<B: Backend>(&self, annotated: &[SupportSlice<B>]) -> Result<CoarseGenerator<B>, AutoError> {
        self.hand_over.check()?;
        let slices = annotated_slices(annotated)?;
        let segmenter: Rc<dyn CoarseSegmenter<B>> = match &self.method {
            CoarseMethod::Panet(config) => Rc::new(PaNet::fit(&slices, config)?),
            CoarseMethod::Sapnet(config) => Rc::new(SapNet::fit(&slices, config, &mut |_| ControlFlow::Continue(()))?),
            CoarseMethod::Classifier(config) => Rc::new(config.fit(&slices)?),
        };
        CoarseGenerator::new(segmenter, self.hand_over.clone())
    }
}

/// The annotated slices as sapnet takes them.
fn annotated_slices<B: Backend>(annotated: &[SupportSlice<B>]) -> Result<AnnotatedSlices<B>, AutoError> {
    if annotated.iter().all(|slice| slice.pixels() == 0) {
        return Err(AutoError::NothingAnnotated);
    }
    let features: Vec<_> = annotated.iter().map(|slice| slice.embedding().features.clone()).collect();
    let device = features[0].device();
    let outlines = annotated.iter().map(|slice| (slice.outline(), &slice.embedding().frame));
    let [object, background] = framing::masks::<B>(outlines, &device);
    Ok(AnnotatedSlices::new(Tensor::cat(features, 0), object, background)?)
}

/// Prompts from the coarse maps of a fitted method.
#[derive(Clone)]
pub struct CoarseGenerator<B: Backend> {
    segmenter: Rc<dyn CoarseSegmenter<B>>,
    hand_over: HandOver,
}

impl<B: Backend> fmt::Debug for CoarseGenerator<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoarseGenerator").field("hand_over", &self.hand_over).finish_non_exhaustive()
    }
}

impl<B: Backend> CoarseGenerator<B> {
    /// From any fitted method.
    ///
    /// # Errors
    /// [`AutoError::Config`] if nothing would be handed over.
    pub fn new(segmenter: Rc<dyn CoarseSegmenter<B>>, hand_over: HandOver) -> Result<Self, AutoError> {
        hand_over.check()?;
        Ok(Self { segmenter, hand_over })
    }

    /// The same fitted method with something else handed on.
    ///
    /// # Errors
    /// As [`CoarseGenerator::new`].
    pub fn with_hand_over(&self, hand_over: HandOver) -> Result<Self, AutoError> {
        Self::new(self.segmenter.clone(), hand_over)
    }

    /// How probable the object is.
    ///
    /// # Shapes
    /// - output: `[rows, columns]` of the image, in [0, 1]
    ///
    /// # Errors
    /// [`AutoError::Coarse`] if the features are unlike those of the annotated slices.
    pub fn map(&self, embedding: &ImageEmbedding<B>) -> Result<Array2<f32>, AutoError> {
        let frame = &embedding.frame;
        let map = self.segmenter.predict(embedding.features.clone(), [frame.padded; 2])?;
        Ok(framing::to_image(map, frame))
    }

    /// Where the object is the likelier of the two, as prompts see it: components that are too small or too many are gone.
    ///
    /// # Shapes
    /// - output: `[rows, columns]` of the image
    ///
    /// # Errors
    /// As [`CoarseGenerator::map`].
    pub fn mask(&self, embedding: &ImageEmbedding<B>) -> Result<Array2<bool>, AutoError> {
        Ok(self.cleaned(&self.map(embedding)?))
    }

    fn cleaned(&self, map: &Array2<f32>) -> Array2<bool> {
        let parts = self.hand_over.parts(map.mapv(|share| share > 0.5).view());
        parts.iter().fold(Array2::from_elem(map.dim(), false), |whole, part| whole | part)
    }

    /// The map as low-res logits, on the grid of the model's own.
    fn logits(&self, embedding: &ImageEmbedding<B>) -> Result<Array2<f32>, AutoError> {
        let [.., height, width] = embedding.features.dims();
        let map = self.segmenter.predict(embedding.features.clone(), [4 * height, 4 * width])?;
        let strength = self.hand_over.mask_strength;
        Ok(framing::to_array(map).mapv(|share| (share / (1.0 - share)).ln().clamp(-strength, strength)))
    }
}

impl<B: Backend> PromptGenerator<B> for CoarseGenerator<B> {
    fn generate(&self, slice: &SliceContext<'_, B>) -> Result<Option<Prompts>, AutoError> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.hand_over.seed);
        // Each slice draws its own points, whatever was drawn on others before.
        rng.set_stream(slice.index as u64);
        let map = self.map(slice.embedding)?;
        let (mask, confidence) = (self.cleaned(&map), self.hand_over.point_confidence);
        let is_sure = |at: (usize, usize)| (2.0 * map[at] - 1.0).abs() >= confidence;
        let Some(prompts) = self.hand_over.prompts_where(mask.view(), &is_sure, &mut rng)? else { return Ok(None) };
        let logits = if self.hand_over.mask { Some(self.logits(slice.embedding)?) } else { None };
        Ok(Some(Prompts { mask: logits, ..prompts }))
    }
}
