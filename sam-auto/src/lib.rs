//! SAM^auto: the rest of a volume without clicks, from a few annotated slices.
//!
//! A [`PromptGenerator`] is fitted to the annotated slices and then prompts others; a [`VolumeSegmenter`] hands its prompts to SAM.
//!
//! - [`CoarseConfig`]: prompts from coarse maps of SAP-Net, PANet or a [`LinearClassifier`]; [`HandOver`] says what of a rough mask is handed on.
//! - [`GateConfig`]: whether the object is on a slice at all; a [`Gated`] generator is asked only where it is.
//! - [`propagate_masks`]: outwards from the annotated slices, each slice prompted by its segmented neighbour.
//! - [`TrustMeter`] and [`TrustModel`]: how far each slice can be trusted; [`rank`]: which a person should look at first.
//! - [`SliceSource`]: where slices come from; [`ImageSlices`] for those in memory.
//!
//! ```
//! use burn_flex::Flex;
//! use ndarray::{Array2, Array3};
//! use sam_auto::{CoarseConfig, ImageSlices, SegmenterConfig, SliceSource, SupportSlice, VolumeSegmenter};
//! use sam_core::{SamConfig, SamPredictor, ViTConfig};
//!
//! let config = SamConfig::vit(ViTConfig::new(32, 1, 2).with_image_size(64));
//! let predictor = SamPredictor::new(config.init::<Flex>(&Default::default()), config.preprocess);
//! let outline = Array2::from_shape_fn((40, 50), |(row, column)| row > 20 && column > 25);
//! let image = outline.mapv(|inside| if inside { 200.0 } else { 20.0 }).insert_axis(ndarray::Axis(2));
//! let mut slices = ImageSlices::new(&predictor, vec![image; 4]);
//!
//! let annotated = [SupportSlice::new(2, slices.embedding(2)?, outline.clone())?];
//! let generator = CoarseConfig::default().fit(&annotated)?;
//! let segmenter = VolumeSegmenter::new(&predictor, vec![&generator], SegmenterConfig::default())?;
//! let found = segmenter.segment(&mut slices, &[(2, outline)].into(), &mut |_| ())?;
//! assert_eq!(found.slices.len(), 4);
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```

#![forbid(unsafe_code)]

mod coarse;
mod ensemble;
mod error;
mod gate;
mod generator;
mod hand_over;
mod masks;
mod propagation;
mod segmenter;
mod trust;

pub use coarse::{ClassifierConfig, CoarseConfig, CoarseGenerator, CoarseMethod, LinearClassifier};
pub use ensemble::{Agreement, Vote};
pub use error::AutoError;
pub use gate::{Gate, GateConfig, Gated};
pub use generator::{ImageSlices, PromptGenerator, SliceContext, SliceSource, SourceError, SupportSlice};
pub use hand_over::HandOver;
pub use propagation::{MaskPropagationConfig, SeedGenerator, SeedPropagationConfig, propagate_masks};
pub use segmenter::{CleanUp, Segmentation, SegmentedSlice, SegmenterConfig, VolumeSegmenter};
pub use trust::{
    LinearTrust, RankedSlice, Signal, TrustMeter, TrustMeterConfig, TrustModel, TrustSignals, rank, suggest_next,
};
