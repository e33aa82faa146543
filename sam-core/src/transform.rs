//! Preprocessing of images: resize, normalise and pad to the model's input.

use ndarray::{Array3, ArrayView3};
use serde::{Deserialize, Serialize};

use crate::{CoreError, area, axes::within, pillow};

/// How an image is fitted to the model's square input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fit {
    /// The longest side fills the input; the aspect ratio is kept, and the rest is padding.
    #[default]
    LongestSide,
    /// Both sides fill the input, and the aspect ratio is lost. `MedSAM` uses it.
    Stretch,
}

/// Filter that resizes an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResizeFilter {
    /// Pillow's antialiased bilinear filter on 8-bit pixels, bit-exact; used by SAM's `ResizeLongestSide`.
    PillowBilinear,
    /// OpenCV's `INTER_AREA`, bit-exact: the mean over each target pixel's area, and bilinear where it enlarges. Used by `LiteMedSAM`.
    Area,
    /// Pillow's antialiased bicubic filter (Catmull-Rom), bit-exact. It is close to `MedSAM`'s filter, which is scikit-image's cubic
    /// spline; single grey levels may differ at sharp edges.
    Bicubic,
}

/// How pixel values are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Normalise {
    /// Subtract a mean and divide by a standard deviation, for each colour channel.
    MeanStd {
        /// Means of red, green and blue, on the scale 0 to 255.
        mean: [f32; 3],
        /// Standard deviations of red, green and blue, on the scale 0 to 255.
        std: [f32; 3],
    },
    /// Scale each image's own minimum and maximum to 0 and 1.
    MinMax,
}

/// Config of the preprocessing from an image to the model's input. It is stored with the model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Preprocess {
    /// Side of the model's (square) input, in pixels.
    pub image_size: usize,
    /// How the image is fitted to the input.
    #[serde(default)]
    pub fit: Fit,
    /// The resize filter.
    pub filter: ResizeFilter,
    /// How values are normalised, before zero padding at the bottom and right.
    pub normalise: Normalise,
}

/// Position of an image in the model's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Frame {
    /// Rows and columns of the original image.
    pub original: (usize, usize),
    /// Rows and columns after resizing; the rest of the input is padding.
    pub resized: (usize, usize),
    /// Side of the padded, square input.
    pub padded: usize,
}

impl Frame {
    /// The frame of an image whose longest side is resized to `size`.
    ///
    /// Sides are rounded as in segment-anything's `ResizeLongestSide.get_preprocess_shape`.
    pub fn new(height: usize, width: usize, size: usize) -> Self {
        let scale = size as f64 / height.max(width) as f64;
        let scaled = |side: usize| ((side as f64 * scale + 0.5) as usize).max(1);
        Self { original: (height, width), resized: (scaled(height), scaled(width)), padded: size }
    }

    /// The frame of an image whose sides are both resized to `size`.
    pub const fn stretched(height: usize, width: usize, size: usize) -> Self {
        Self { original: (height, width), resized: (size, size), padded: size }
    }

    /// Factors `(x, y)` from image coordinates to model coordinates.
    pub fn scale(&self) -> (f32, f32) {
        let ratio = |resized: usize, original: usize| (resized as f64 / original as f64) as f32;
        (ratio(self.resized.1, self.original.1), ratio(self.resized.0, self.original.0))
    }
}

/// Minimum number of rows and columns of an image; a smaller array is probably not an image, or its axes are in another order.
pub(crate) const MIN_SIDE: usize = 4;

impl Preprocess {
    /// SAM's preprocessing: Pillow's bilinear filter, `ImageNet`'s mean and standard deviation.
    pub const fn sam(image_size: usize) -> Self {
        let normalise = Normalise::MeanStd { mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375] };
        Self { image_size, fit: Fit::LongestSide, filter: ResizeFilter::PillowBilinear, normalise }
    }

    /// `LiteMedSAM`'s preprocessing: area filter, each image's minimum and maximum.
    pub const fn lite_medsam(image_size: usize) -> Self {
        Self { image_size, fit: Fit::LongestSide, filter: ResizeFilter::Area, normalise: Normalise::MinMax }
    }

    /// `MedSAM`'s preprocessing: both sides stretched, a cubic filter, each image's minimum and maximum.
    ///
    /// `MedSAM`'s checkpoint has the same shapes as SAM's ViT-B, so this preprocessing cannot be inferred from the file. Set it in
    /// [`SamConfig::preprocess`](crate::SamConfig), or pass it to [`SamPredictor::new`](crate::SamPredictor::new).
    ///
    /// Source: `MedSAM_Inference.py` in bowang-lab/MedSAM.
    pub const fn medsam(image_size: usize) -> Self {
        Self { image_size, fit: Fit::Stretch, filter: ResizeFilter::Bicubic, normalise: Normalise::MinMax }
    }

    /// This preprocessing with another way to fit the sides.
    #[must_use]
    pub const fn with_fit(self, fit: Fit) -> Self {
        Self { fit, ..self }
    }

    /// This preprocessing with another filter.
    #[must_use]
    pub const fn with_filter(self, filter: ResizeFilter) -> Self {
        Self { filter, ..self }
    }

    /// This preprocessing with another normalisation.
    #[must_use]
    pub const fn with_normalise(self, normalise: Normalise) -> Self {
        Self { normalise, ..self }
    }

    /// Position of an image of `height` x `width` pixels in the model's input.
    pub fn frame(&self, height: usize, width: usize) -> Frame {
        match self.fit {
            Fit::LongestSide => Frame::new(height, width, self.image_size),
            Fit::Stretch => Frame::stretched(height, width, self.image_size),
        }
    }

    /// Preprocesses an image.
    ///
    /// # Shapes
    /// - image: `[rows, columns, channels]` with one channel (grey) or three (RGB)
    /// - output: `[3, image_size, image_size]`
    ///
    /// # Units
    /// Values are 8-bit levels, because the models were trained on 8-bit images. Convert CT and MR with a window first.
    ///
    /// # Errors
    /// [`CoreError::Image`] if the image has another number of channels, or a side below 4 pixels.
    pub fn apply(&self, image: ArrayView3<'_, u8>) -> Result<(Array3<f32>, Frame), CoreError> {
        let (rows, columns, channels) = image.dim();
        let refuse = |reason| Err(CoreError::Image { shape: image.shape().to_vec(), reason });
        if channels != 1 && channels != 3 {
            return refuse("expected [rows, columns, channels] with 1 channel (grey) or 3 (RGB)");
        }
        if rows.min(columns) < MIN_SIDE {
            return refuse(
                "expected [rows, columns, channels] with at least 4 rows and 4 columns; are the axes in this order?",
            );
        }
        let frame = self.frame(rows, columns);
        let resized = self.resize(image, frame.resized);
        let mut input = Array3::zeros((3, self.image_size, self.image_size));
        let mut inside = input.slice_each_axis_mut(within([0..3, 0..frame.resized.0, 0..frame.resized.1]));
        inside.assign(&self.normalised(resized.view()).permuted_axes([2, 0, 1]));
        Ok((input, frame))
    }

    /// Resizes 8-bit pixels `[rows, columns, channels]` with the configured filter.
    pub fn resize(&self, pixels: ArrayView3<'_, u8>, size: (usize, usize)) -> Array3<u8> {
        match self.filter {
            _ if size == (pixels.dim().0, pixels.dim().1) => pixels.to_owned(),
            ResizeFilter::PillowBilinear => pillow::resize(pixels, size, pillow::Filter::Bilinear),
            ResizeFilter::Bicubic => pillow::resize(pixels, size, pillow::Filter::Bicubic),
            ResizeFilter::Area => area::resize(pixels, size),
        }
    }

    /// Normalises values; grey is repeated to three channels.
    fn normalised(&self, pixels: ArrayView3<'_, u8>) -> Array3<f32> {
        let (rows, columns, channels) = pixels.dim();
        let values = pixels.mapv(f32::from);
        let (low, high) =
            values.iter().fold((f32::MAX, f32::MIN), |(low, high), &value| (low.min(value), high.max(value)));
        Array3::from_shape_fn((rows, columns, 3), |(row, column, colour)| {
            let value = values[(row, column, colour.min(channels - 1))];
            match self.normalise {
                Normalise::MeanStd { mean, std } => (value - mean[colour]) / std[colour],
                Normalise::MinMax => (value - low) / (high - low).max(1e-8),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, Axis};

    use super::*;

    #[test]
    fn longest_side_is_rounded_as_in_sam() {
        assert_eq!(Frame::new(480, 640, 1024).resized, (768, 1024));
        assert_eq!(Frame::new(1, 3000, 1024).resized, (1, 1024));
        assert_eq!(Frame::new(101, 122, 256).resized, (212, 256));
    }

    #[test]
    fn area_filter_averages_and_keeps_a_constant() {
        let pixels = Array3::from_shape_fn((4, 4, 1), |(row, column, _)| (row * 4 + column) as u8);
        let preprocess = Preprocess::lite_medsam(2);
        // Means 2.5, 4.5, 10.5 and 12.5; halves are rounded up.
        assert_eq!(preprocess.resize(pixels.view(), (2, 2)).into_raw_vec_and_offset().0, [3, 5, 11, 13]);
        let constant = Array3::from_elem((5, 7, 3), 77);
        for size in [(3, 4), (10, 14), (7, 5)] {
            assert!(preprocess.resize(constant.view(), size).iter().all(|&value| value == 77), "{size:?}");
        }
    }

    #[test]
    fn stretched_images_fill_the_input_and_prompts_follow() {
        let preprocess = Preprocess::medsam(8);
        let image = Array3::from_shape_fn((4, 16, 1), |(row, _, _)| 50 * row as u8);
        let (input, frame) = preprocess.apply(image.view()).expect("a valid image");
        assert_eq!((frame, frame.scale()), (preprocess.frame(4, 16), (0.5, 2.0)));
        assert_eq!(frame.resized, (8, 8));
        // Rows keep their order, columns are equal, and there is no padding.
        let red = input.index_axis(Axis(0), 0);
        assert!(red.column(3).windows(2).into_iter().all(|pair| pair[0] <= pair[1]));
        assert!(red.column(0) == red.column(7));
        assert!(input[(0, 0, 0)].abs() < 1e-6 && (input[(0, 7, 0)] - 1.0).abs() < 1e-6);
        let config: Preprocess =
            serde_json::from_str("{\"image_size\": 8, \"filter\": \"area\", \"normalise\": \"min_max\"}")
                .expect("what was written before there was a choice");
        assert_eq!(config, Preprocess::lite_medsam(8));
    }

    #[test]
    fn padding_is_zero_after_normalisation_and_bad_images_are_refused() {
        let image = Array3::from_elem((4, 8, 1), 200);
        let (input, frame) = Preprocess::sam(8).apply(image.view()).expect("a valid image");
        assert_eq!((input.dim(), frame.resized), ((3, 8, 8), (4, 8)));
        assert!(input.slice_axis(Axis(1), (4..).into()).iter().all(|&value| value == 0.0));
        assert!((input[(0, 0, 0)] - (200.0 - 123.675) / 58.395).abs() < 1e-5);
        for bad in [(0, 4, 1), (4, 4, 2), (3, 9, 1), (120, 3, 3), (3, 120, 120)] {
            let error = Preprocess::sam(8).apply(Array3::zeros(bad).view()).expect_err("it is no image");
            assert!(error.to_string().contains("expected [rows, columns, channels]"), "{bad:?}: {error}");
        }
    }
}
