//! From an image to the model's input: resize the longest side, normalise, pad.

use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer, images::Image};
use ndarray::{Array3, ArrayView3, Axis, s};
use serde::{Deserialize, Serialize};

use crate::CoreError;

/// How an image's sides are brought to the model's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// The longest side fills the input; the other keeps its proportion, and padding follows.
    #[default]
    LongestSide,
    /// Both sides fill the input, whatever that does to proportions: `MedSAM`'s way.
    Stretch,
}

/// How pixels are made of an image's pixels when it is resized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResizeFilter {
    /// Pillow's antialiased bilinear filter on 8-bit pixels, as SAM's `ResizeLongestSide`.
    PillowBilinear,
    /// The mean over each target pixel's area; bilinear where it enlarges. OpenCV's `INTER_AREA`, as `LiteMedSAM`'s.
    Area,
    /// Catmull and Rom's cubic filter, antialiased where it shrinks. Near to `MedSAM`'s, which is scikit-image's cubic spline; single
    /// levels may differ at sharp edges.
    Bicubic,
}

/// How pixel values are brought to the model's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalise {
    /// Subtract a mean and divide by a standard deviation, for each colour.
    MeanStd {
        /// Means of red, green and blue, on the scale 0 to 255.
        mean: [f32; 3],
        /// Standard deviations, on the same scale.
        std: [f32; 3],
    },
    /// Stretch each image's own minimum and maximum to 0 and 1.
    MinMax,
}

/// How an image becomes the model's input: data that travels with the model, not constants in its code.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// Side of the model's (square) input, in pixels.
    pub image_size: usize,
    /// Which sides are resized to it.
    #[serde(default)]
    pub fit: Fit,
    /// With which filter.
    pub filter: ResizeFilter,
    /// How values are normalised, before zero padding at the bottom and right.
    pub normalise: Normalise,
}

/// Where an image lies in the model's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Frame {
    /// Rows and columns of the image as it came.
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

    /// The frame of an image both of whose sides are resized to `size`.
    pub const fn stretched(height: usize, width: usize, size: usize) -> Self {
        Self { original: (height, width), resized: (size, size), padded: size }
    }

    /// What image coordinates `(x, y)` are multiplied with to become model coordinates.
    pub fn scale(&self) -> (f32, f32) {
        let ratio = |resized: usize, original: usize| (resized as f64 / original as f64) as f32;
        (ratio(self.resized.1, self.original.1), ratio(self.resized.0, self.original.0))
    }
}

impl Preprocess {
    /// SAM's: Pillow's filter, `ImageNet`'s mean and standard deviation.
    pub const fn sam(image_size: usize) -> Self {
        let normalise = Normalise::MeanStd { mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375] };
        Self { image_size, fit: Fit::LongestSide, filter: ResizeFilter::PillowBilinear, normalise }
    }

    /// `LiteMedSAM`'s: area filter, each image's minimum and maximum.
    pub const fn lite_medsam(image_size: usize) -> Self {
        Self { image_size, fit: Fit::LongestSide, filter: ResizeFilter::Area, normalise: Normalise::MinMax }
    }

    /// `MedSAM`'s: both sides stretched, a cubic filter, each image's minimum and maximum.
    ///
    /// `MedSAM`'s checkpoint has the shapes of SAM's ViT-B, so this cannot be told from the file: put it into
    /// [`SamConfig::preprocess`](crate::SamConfig), or beside the model in [`SamPredictor::new`](crate::SamPredictor::new).
    ///
    /// Source: `MedSAM_Inference.py` in bowang-lab/MedSAM.
    pub const fn medsam(image_size: usize) -> Self {
        Self { image_size, fit: Fit::Stretch, filter: ResizeFilter::Bicubic, normalise: Normalise::MinMax }
    }

    /// Where an image of `height` x `width` pixels will lie in the model's input.
    pub fn frame(&self, height: usize, width: usize) -> Frame {
        match self.fit {
            Fit::LongestSide => Frame::new(height, width, self.image_size),
            Fit::Stretch => Frame::stretched(height, width, self.image_size),
        }
    }

    /// Prepares an image.
    ///
    /// # Shapes
    /// - image: `[rows, columns, channels]` with one channel (grey) or three (RGB)
    /// - output: `[3, image_size, image_size]`
    ///
    /// # Units
    /// Values are 8-bit levels, 0 to 255; they are rounded and clipped, because the models were trained on 8-bit images. Bring CT
    /// and MR there with a window first.
    ///
    /// # Errors
    /// [`CoreError::Image`] if the image is empty, has another number of channels, or holds a value that is not finite.
    pub fn apply(&self, image: ArrayView3<'_, f32>) -> Result<(Array3<f32>, Frame), CoreError> {
        let (rows, columns, channels) = image.dim();
        let refuse = |reason| Err(CoreError::Image { shape: image.shape().to_vec(), reason });
        if rows == 0 || columns == 0 {
            return refuse("it has no pixel");
        }
        if channels != 1 && channels != 3 {
            return refuse("expected [rows, columns, channels] with 1 channel (grey) or 3 (RGB)");
        }
        if image.iter().any(|value| !value.is_finite()) {
            return refuse("it holds NaN or infinite values: replace them first");
        }
        let frame = self.frame(rows, columns);
        let levels = image.mapv(|value| value.round().clamp(0.0, 255.0) as u8);
        let resized = self.resize(levels.view(), frame.resized);
        let mut input = Array3::zeros((3, self.image_size, self.image_size));
        let mut inside = input.slice_mut(s![.., ..frame.resized.0, ..frame.resized.1]);
        inside.assign(&self.normalised(resized.view()).permuted_axes([2, 0, 1]));
        Ok((input, frame))
    }

    /// Resizes 8-bit pixels `[rows, columns, channels]` with the configured filter.
    pub fn resize(&self, pixels: ArrayView3<'_, u8>, size: (usize, usize)) -> Array3<u8> {
        match self.filter {
            _ if size == (pixels.dim().0, pixels.dim().1) => pixels.to_owned(),
            ResizeFilter::PillowBilinear => resize_in_passes(pixels, size, FilterType::Bilinear),
            ResizeFilter::Bicubic => resize_in_passes(pixels, size, FilterType::CatmullRom),
            ResizeFilter::Area => resize_area(pixels, size),
        }
    }

    /// Grey is repeated to three channels.
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

/// A filter whose support grows with the scale, as Pillow applies it: along rows first, rounded, then along columns.
///
/// The two passes are separate calls because `fast_image_resize` chooses its own order, and each pass rounds to 8 bits.
fn resize_in_passes(pixels: ArrayView3<'_, u8>, (height, width): (usize, usize), filter: FilterType) -> Array3<u8> {
    let (rows, columns, channels) = pixels.dim();
    let mut resized = Array3::zeros((height, width, channels));
    for channel in 0..channels {
        let plane = pixels.index_axis(Axis(2), channel).iter().copied().collect();
        let wide = resize_plane(plane, (rows, columns), (rows, width), filter);
        let plane = resize_plane(wide, (rows, width), (height, width), filter);
        resized.index_axis_mut(Axis(2), channel).iter_mut().zip(plane).for_each(|(target, value)| *target = value);
    }
    resized
}

/// Resizes one plane of pixels from one size (rows, columns) to another.
fn resize_plane(plane: Vec<u8>, from: (usize, usize), to: (usize, usize), filter: FilterType) -> Vec<u8> {
    if from == to {
        return plane;
    }
    let source = Image::from_vec_u8(from.1 as u32, from.0 as u32, plane, PixelType::U8);
    let source = source.expect("a plane holds rows times columns pixels");
    let mut target = Image::new(to.1 as u32, to.0 as u32, PixelType::U8);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
    Resizer::new().resize(&source, &mut target, &options).expect("both planes are of the same pixel type");
    target.into_vec()
}

/// OpenCV's `INTER_AREA`, which averages areas only where both sides shrink.
fn resize_area(pixels: ArrayView3<'_, u8>, (height, width): (usize, usize)) -> Array3<u8> {
    let (rows, columns, _) = pixels.dim();
    if height <= rows && width <= columns { shrink(pixels, (height, width)) } else { enlarge(pixels, (height, width)) }
}

/// The mean over each target pixel's area: first along rows, then along columns, rounded once.
fn shrink(pixels: ArrayView3<'_, u8>, (height, width): (usize, usize)) -> Array3<u8> {
    let (rows, columns, channels) = pixels.dim();
    let (row_taps, column_taps) = (area_taps(rows, height), area_taps(columns, width));
    let along_rows = Array3::from_shape_fn((rows, width, channels), |(row, column, channel)| {
        column_taps[column]
            .iter()
            .map(|&(source, weight)| weight * f32::from(pixels[(row, source, channel)]))
            .sum::<f32>()
    });
    // OpenCV rounds halves up in its own way for half the size, and to the even number everywhere else.
    let is_half = rows == 2 * height && columns == 2 * width;
    Array3::from_shape_fn((height, width, channels), |(row, column, channel)| {
        let value: f32 =
            row_taps[row].iter().map(|&(source, weight)| weight * along_rows[(source, column, channel)]).sum();
        if is_half { (value + 0.5) as u8 } else { value.round_ties_even() as u8 }
    })
}

/// Between neighbours, in OpenCV's fixed-point arithmetic for 8-bit pixels: weights of 11 bits, of which the columns' product keeps 2.
fn enlarge(pixels: ArrayView3<'_, u8>, (height, width): (usize, usize)) -> Array3<u8> {
    let (rows, columns, channels) = pixels.dim();
    let (row_taps, column_taps) = (enlarging_taps(rows, height), enlarging_taps(columns, width));
    let along_rows = Array3::from_shape_fn((rows, width, channels), |(row, column, channel)| {
        column_taps[column]
            .map(|(source, weight)| weight * i32::from(pixels[(row, source, channel)]))
            .iter()
            .sum::<i32>()
    });
    Array3::from_shape_fn((height, width, channels), |(row, column, channel)| {
        let parts = row_taps[row].map(|(source, weight)| (weight * (along_rows[(source, column, channel)] >> 4)) >> 16);
        ((parts[0] + parts[1] + 2) >> 2) as u8
    })
}

/// For each target pixel, the source pixels under its area and the share of each.
fn area_taps(from: usize, to: usize) -> Vec<Vec<(usize, f32)>> {
    let scale = from as f64 / to as f64;
    let covered = |target: usize| {
        let (start, end) = (target as f64 * scale, (target as f64 + 1.0) * scale);
        (start as usize..from.min(end.ceil() as usize))
            .map(|source| (source, end.min(source as f64 + 1.0) - start.max(source as f64)))
            .filter(|(_, share)| *share > 1e-3)
            .map(|(source, share)| (source, (share / scale) as f32))
            .collect()
    };
    (0..to).map(covered).collect()
}

/// For each target pixel, the two source pixels between which OpenCV's `INTER_AREA` interpolates when it enlarges, and their weights
/// of 2048.
fn enlarging_taps(from: usize, to: usize) -> Vec<[(usize, i32); 2]> {
    let (scale, inverse) = (from as f64 / to as f64, to as f64 / from as f64);
    let weight = |share: f32| (share * 2048.0).round_ties_even() as i32;
    let between = |target: usize| {
        let source = (target as f64 * scale).floor();
        let beyond = ((target as f64 + 1.0) - (source + 1.0) * inverse) as f32;
        let fraction = if beyond <= 0.0 { 0.0 } else { beyond - beyond.floor() };
        let low = (source as usize).min(from - 1);
        [(low, weight(1.0 - fraction)), ((low + 1).min(from - 1), weight(fraction))]
    };
    (0..to).map(between).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

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
        // Means 2.5, 4.5, 10.5 and 12.5, halves rounded up.
        assert_eq!(preprocess.resize(pixels.view(), (2, 2)).into_raw_vec_and_offset().0, [3, 5, 11, 13]);
        let constant = Array3::from_elem((5, 7, 3), 77);
        for size in [(3, 4), (10, 14), (7, 5)] {
            assert!(preprocess.resize(constant.view(), size).iter().all(|&value| value == 77), "{size:?}");
        }
    }

    #[test]
    fn stretched_images_fill_the_input_and_prompts_follow() {
        let preprocess = Preprocess::medsam(8);
        let image = Array3::from_shape_fn((4, 16, 1), |(row, _, _)| 50.0 * row as f32);
        let (input, frame) = preprocess.apply(image.view()).expect("a valid image");
        assert_eq!((frame, frame.scale()), (preprocess.frame(4, 16), (0.5, 2.0)));
        assert_eq!(frame.resized, (8, 8));
        // Rows keep their order, columns are alike, and nothing is padding.
        assert!(input.slice(s![0, .., 3]).windows(2).into_iter().all(|pair| pair[0] <= pair[1]));
        assert!(input.slice(s![0, .., 0]) == input.slice(s![0, .., 7]));
        assert!(input[(0, 0, 0)].abs() < 1e-6 && (input[(0, 7, 0)] - 1.0).abs() < 1e-6);
        let config: Preprocess =
            serde_json::from_str("{\"image_size\": 8, \"filter\": \"area\", \"normalise\": \"min_max\"}")
                .expect("what was written before there was a choice");
        assert_eq!(config, Preprocess::lite_medsam(8));
    }

    #[test]
    fn padding_is_zero_after_normalisation_and_bad_images_are_refused() {
        let image = Array3::from_elem((2, 4, 1), 200.0);
        let (input, frame) = Preprocess::sam(8).apply(image.view()).expect("a valid image");
        assert_eq!((input.dim(), frame.resized), ((3, 8, 8), (4, 8)));
        assert!(input.slice(s![.., 4.., ..]).iter().all(|&value| value == 0.0));
        assert!((input[(0, 0, 0)] - (200.0 - 123.675) / 58.395).abs() < 1e-5);
        for bad in [Array3::zeros((0, 4, 1)), Array3::zeros((4, 4, 2)), Array3::from_elem((2, 2, 3), f32::NAN)] {
            assert!(matches!(Preprocess::sam(8).apply(bad.view()), Err(CoreError::Image { .. })));
        }
    }
}
