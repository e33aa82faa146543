//! Prompts from a coarse map: a method that was fitted to SAM's features gives the probability of the structure at each pixel.
//!
//! SAP-Net and PANet are in the crate sapnet. Its trait [`CoarseSegmenter`] is implemented here for the linear classifier, and other crates
//! can implement it for their methods.

mod classification;
mod framing;

use std::{fmt, sync::Arc};

use burn::tensor::{Tensor, backend::Backend};
use ndarray::Array2;
use sam_core::{AnnotatedSlice, ImageEmbedding};
use sam_prompt::{
    Prompts,
    progress::{Observer, Progress, Stage},
};
use sapnet::{AnnotatedFeatures, CoarseSegmenter, PaNet, SapNet, SapNetConfig, SapnetError, SupportConfig};
use serde::{Deserialize, Serialize};

pub use classification::{ClassifierConfig, LinearClassifier};

use crate::{AutoError, PromptExtraction, PromptGenerator, SliceContext, random::stream_of};

/// A coarse segmenter that can be stored and shared between threads.
pub type SharedSegmenter<B> = Arc<dyn CoarseSegmenter<B>>;

/// Method that predicts the coarse map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CoarseMethod {
    /// PANet: prototypes of the frozen features. Nothing is trained.
    Panet(SupportConfig),
    /// SAP-Net: the spatial-aware prototypical network, trained on the annotated slices.
    Sapnet(SapNetConfig),
    /// A linear classifier of the frozen features.
    Classifier(ClassifierConfig),
}

impl Default for CoarseMethod {
    fn default() -> Self {
        Self::Sapnet(SapNetConfig::default())
    }
}

impl CoarseMethod {
    /// Checks every value.
    ///
    /// # Errors
    /// [`AutoError::Config`] or [`AutoError::Coarse`] names the first one that is out of range.
    pub fn check(&self) -> Result<(), AutoError> {
        match self {
            Self::Panet(config) => Ok(config.check()?),
            Self::Sapnet(config) => Ok(config.check()?),
            Self::Classifier(config) => config.check(),
        }
    }
}

/// Configuration of a generator from coarse maps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CoarseConfig {
    /// Method that predicts the map.
    pub method: CoarseMethod,
    /// Which prompts are extracted from it.
    #[serde(rename = "hand_over", alias = "extraction")]
    pub extraction: PromptExtraction,
}

sam_assist::__setters!(CoarseConfig {
    with_method => method: CoarseMethod,
    with_extraction => extraction: PromptExtraction,
});

impl CoarseMethod {
    /// Number of observer calls during the fit, if nothing stops it.
    pub(crate) fn iterations(&self) -> usize {
        match self {
            Self::Panet(_) => 1,
            Self::Sapnet(config) => config.iterations,
            Self::Classifier(config) => config.iterations,
        }
    }
}

impl CoarseConfig {
    /// Checks every value. [`CoarseConfig::fit`] does it first.
    ///
    /// # Errors
    /// [`AutoError::Config`] or [`AutoError::Coarse`] names the first one that is out of range.
    pub fn check(&self) -> Result<(), AutoError> {
        self.extraction.check()?;
        self.method.check()
    }

    /// Fits the method to the annotated slices, including those with an empty outline. SAP-Net takes some seconds. The observer is called
    /// with [`Stage::Fit`] after each iteration, and once for PANet. May be called on several threads at once; the trainings take turns.
    ///
    /// # Errors
    /// [`AutoError::Config`]; [`AutoError::NothingAnnotated`]; [`AutoError::Coarse`] if the method cannot be fitted; [`AutoError::Stopped`]
    /// if the observer stops it before the last iteration, because a half-trained network is of no use.
    pub fn fit<B: Backend>(
        &self,
        annotated: &[AnnotatedSlice<B>],
        observer: &mut Observer<'_>,
    ) -> Result<CoarseGenerator<B>, AutoError> {
        self.check()?;
        let slices = annotated_slices(annotated)?;
        let segmenter: SharedSegmenter<B> = match &self.method {
            CoarseMethod::Panet(config) => {
                let fitted = PaNet::fit(&slices, config)?;
                // Nothing is left to stop.
                let _ = observer(&Progress::new(Stage::Fit, 1, 1));
                Arc::new(fitted)
            }
            CoarseMethod::Sapnet(config) => Arc::new(train_sapnet(&slices, config, observer)?),
            CoarseMethod::Classifier(config) => Arc::new(config.fit(&slices, observer)?),
        };
        let indices = annotated.iter().map(AnnotatedSlice::index).collect();
        Ok(CoarseGenerator { indices, ..CoarseGenerator::new(segmenter, self.extraction.clone())? })
    }
}

/// Trains a SAP-Net to its end.
fn train_sapnet<B: Backend>(
    slices: &AnnotatedFeatures<B>,
    config: &SapNetConfig,
    observer: &mut Observer<'_>,
) -> Result<SapNet<B>, AutoError> {
    let trained = SapNet::fit(slices, config, observer)?;
    if trained.stop_reason().is_partial() { Err(AutoError::Stopped) } else { Ok(trained) }
}

/// Features and masks of the annotated slices, on the grid of the model's input.
fn annotated_slices<B: Backend>(annotated: &[AnnotatedSlice<B>]) -> Result<AnnotatedFeatures<B>, AutoError> {
    if annotated.iter().all(AnnotatedSlice::is_empty) {
        return Err(AutoError::NothingAnnotated);
    }
    let features: Vec<_> = annotated.iter().map(|slice| slice.embedding().features().clone()).collect();
    let device = features[0].device();
    let outlines = annotated.iter().map(|slice| (slice.outline(), slice.embedding().frame()));
    let [object, background] = framing::masks::<B>(outlines, &device);
    Ok(AnnotatedFeatures::new(Tensor::cat(features, 0), object, background)?)
}

/// Prompt generator that uses the coarse maps of a fitted method. A clone shares the fitted method.
#[derive(Clone)]
pub struct CoarseGenerator<B: Backend> {
    segmenter: SharedSegmenter<B>,
    extraction: PromptExtraction,
    /// The annotated slices, in the order in which the method was fitted to them; empty if they are not known.
    indices: Arc<[usize]>,
    in_volume: bool,
}

impl<B: Backend> fmt::Debug for CoarseGenerator<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoarseGenerator").field("extraction", &self.extraction).finish_non_exhaustive()
    }
}

impl<B: Backend> CoarseGenerator<B> {
    /// A generator that uses any fitted method.
    ///
    /// # Errors
    /// [`AutoError::Config`] if no prompt would be extracted.
    pub fn new(segmenter: SharedSegmenter<B>, extraction: PromptExtraction) -> Result<Self, AutoError> {
        extraction.check()?;
        Ok(Self { segmenter, extraction, indices: Arc::default(), in_volume: false })
    }

    /// A generator with the same fitted method and another extraction.
    ///
    /// # Errors
    /// As [`CoarseGenerator::new`].
    pub fn with_extraction(&self, extraction: PromptExtraction) -> Result<Self, AutoError> {
        extraction.check()?;
        Ok(Self { extraction, ..self.clone() })
    }

    /// A generator for slices of the volume that the annotated slices are from: they count by their nearness to a slice. The two around it
    /// count, the nearer one more; beyond them, only the nearest. It changes only generators that [`CoarseConfig::fit`] has made.
    #[must_use]
    pub fn in_volume(&self) -> Self {
        Self { in_volume: !self.indices.is_empty(), ..self.clone() }
    }

    /// Coarse map: the probability of the structure at each pixel. All annotated slices count alike.
    ///
    /// # Shapes
    /// - output: `[rows, columns]` of the image, in [0, 1]
    ///
    /// # Errors
    /// [`AutoError::Coarse`] if the features have another shape than those of the annotated slices, or a probability is NaN.
    pub fn map(&self, embedding: &ImageEmbedding<B>) -> Result<Array2<f32>, AutoError> {
        self.map_by(None, embedding)
    }

    /// Coarse map of the slice with this index. Annotated slices count by nearness if the generator is one [for a volume](Self::in_volume).
    ///
    /// # Shapes
    /// - output: `[rows, columns]` of the image, in [0, 1]
    ///
    /// # Errors
    /// As [`CoarseGenerator::map`].
    pub fn map_at(&self, index: usize, embedding: &ImageEmbedding<B>) -> Result<Array2<f32>, AutoError> {
        self.map_by(self.shares(index).as_deref(), embedding)
    }

    /// Mask of the pixels where the structure is likelier than the background, without the components that the extraction ignores.
    ///
    /// # Shapes
    /// - output: `[rows, columns]` of the image
    ///
    /// # Errors
    /// As [`CoarseGenerator::map`].
    pub fn mask(&self, embedding: &ImageEmbedding<B>) -> Result<Array2<bool>, AutoError> {
        Ok(self.cleaned(&self.map(embedding)?))
    }

    /// Like [`CoarseGenerator::mask`], from the [map of the slice with this index](Self::map_at).
    ///
    /// # Errors
    /// As [`CoarseGenerator::map`].
    pub fn mask_at(&self, index: usize, embedding: &ImageEmbedding<B>) -> Result<Array2<bool>, AutoError> {
        Ok(self.cleaned(&self.map_at(index, embedding)?))
    }

    fn map_by(&self, shares: Option<&[f32]>, embedding: &ImageEmbedding<B>) -> Result<Array2<f32>, AutoError> {
        let frame = embedding.frame();
        finite(framing::to_image(self.predict(shares, embedding, [frame.padded; 2])?, &frame))
    }

    fn predict(
        &self,
        shares: Option<&[f32]>,
        embedding: &ImageEmbedding<B>,
        size: [usize; 2],
    ) -> Result<Tensor<B, 3>, SapnetError> {
        let features = embedding.features().clone();
        match shares {
            Some(shares) => self.segmenter.predict_with_shares(features, size, shares),
            None => self.segmenter.predict(features, size),
        }
    }

    /// How much each annotated slice counts for a slice of the volume; `None` if all count alike.
    fn shares(&self, index: usize) -> Option<Vec<f32>> {
        self.in_volume.then(|| nearness(&self.indices, index))
    }

    fn cleaned(&self, map: &Array2<f32>) -> Array2<bool> {
        let parts = self.extraction.parts(map.mapv(|probability| probability > 0.5).view());
        parts.iter().fold(Array2::from_elem(map.dim(), false), |whole, part| whole | part)
    }

    /// The map as low-res logits, on the grid of the decoder's logits.
    fn logits(&self, index: usize, embedding: &ImageEmbedding<B>) -> Result<Array2<f32>, AutoError> {
        let [.., height, width] = embedding.features().dims();
        let map = self.predict(self.shares(index).as_deref(), embedding, [4 * height, 4 * width])?;
        let strength = self.extraction.mask_strength;
        let map = finite(framing::to_array(map))?;
        Ok(map.mapv(|share| (share / (1.0 - share)).ln().clamp(-strength, strength)))
    }
}

/// The shares of slices by their nearness to a slice: those of the two around it follow its distances from them, and the others have none.
/// Beyond all of them, the nearest has all.
fn nearness(slices: &[usize], index: usize) -> Vec<f32> {
    let below = (0..slices.len()).filter(|&at| slices[at] <= index).max_by_key(|&at| slices[at]);
    let above = (0..slices.len()).filter(|&at| slices[at] >= index).min_by_key(|&at| slices[at]);
    let mut shares = vec![0.0; slices.len()];
    match (below, above) {
        (Some(below), Some(above)) if slices[below] < slices[above] => {
            let part = (index - slices[below]) as f32 / (slices[above] - slices[below]) as f32;
            (shares[below], shares[above]) = (1.0 - part, part);
        }
        (Some(nearest), _) | (None, Some(nearest)) => shares[nearest] = 1.0,
        (None, None) => {}
    }
    shares
}

/// Refuses a map of NaN, which would be taken for background. The segmenter may be from another crate.
fn finite(map: Array2<f32>) -> Result<Array2<f32>, AutoError> {
    if map.iter().all(|share| share.is_finite()) {
        return Ok(map);
    }
    Err(SapnetError::NotFinite { tensor: "coarse maps" }.into())
}

impl<B: Backend> PromptGenerator<B> for CoarseGenerator<B> {
    fn generate(&self, slice: &SliceContext<'_, B>) -> Result<Option<Prompts>, AutoError> {
        let mut rng = stream_of(self.extraction.seed, slice.index);
        let map = self.map_at(slice.index, slice.embedding)?;
        let (mask, confidence) = (self.cleaned(&map), self.extraction.point_confidence);
        let is_certain = |at: (usize, usize)| (2.0 * map[at] - 1.0).abs() >= confidence;
        let Some(prompts) = self.extraction.prompts_where(mask.view(), &is_certain, &mut rng)? else { return Ok(None) };
        let logits = if self.extraction.mask { Some(self.logits(slice.index, slice.embedding)?) } else { None };
        Ok(Some(Prompts { mask: logits, ..prompts }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slices_around_count_by_their_nearness() {
        let shares = |index| nearness(&[20, 4, 8], index);
        assert_eq!(shares(5), [0.0, 0.75, 0.25], "in the order of the fit");
        assert_eq!(shares(14), [0.5, 0.0, 0.5]);
        assert_eq!(shares(8), [0.0, 0.0, 1.0]);
        assert_eq!(shares(1), [0.0, 1.0, 0.0]);
        assert_eq!(shares(30), [1.0, 0.0, 0.0]);
        assert_eq!(nearness(&[], 3), Vec::<f32>::new());
    }
}
