//! Intensity windows from HU or MR units to 8-bit levels, as networks are trained on.

use std::{fmt, str::FromStr};

use ndarray::{Array, ArrayView, ArrayView3, Dimension};
use serde::{Deserialize, Serialize};

use crate::{DataError, WindowError};

/// An intensity window: the intensities that become black and white.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Window {
    /// [`Window::Abdomen`] for CT, no change for 8-bit images, [`Window::PERCENTILE`] for everything else.
    ///
    /// A volume is CT if its lowest intensity is -150 or less and at least 1 % of its voxels are below -30, like fat and air in HU. MR that
    /// was resampled or corrected has few such voxels. It is an 8-bit image if all values are whole numbers from 0 to 255.
    #[default]
    Auto,
    /// Soft tissue: width 400, level 40, -160 to 240 HU.
    Abdomen,
    /// Lung: width 1500, level -600, -1350 to 150 HU.
    Lung,
    /// Brain: width 80, level 40, 0 to 80 HU.
    Brain,
    /// Bone: width 1800, level 400, -500 to 1300 HU.
    Bone,
    /// The given intensities.
    Range {
        /// The intensity that becomes black.
        low: f32,
        /// The intensity that becomes white.
        high: f32,
    },
    /// Percentiles of the non-zero voxels, because MR has no absolute scale.
    Percentile {
        /// The percentile that becomes black.
        low: f32,
        /// The percentile that becomes white.
        high: f32,
    },
    /// The full range of intensities: over all slices of a volume, or all channels of a single image.
    MinMax,
}

/// If no intensity is this low, a volume has neither air nor noisy fat in HU.
const DARK_HU: f32 = -150.0;
/// HU of fat are below this value.
const FAT_HU: f32 = -30.0;
/// Smallest share of fat and air in a CT.
const DARK_SHARE: f64 = 0.01;

impl Window {
    /// The full range of 8-bit images.
    pub const BYTE: Self = Self::Range { low: 0.0, high: 255.0 };
    /// The 0.5th to the 99.5th percentile.
    pub const PERCENTILE: Self = Self::Percentile { low: 0.5, high: 99.5 };

    /// Computes the intensities of black and white, once for a whole volume.
    ///
    /// # Errors
    /// [`DataError::Window`] if white is not above black, or a percentile is not from 0 to 100.
    pub fn resolve(&self, voxels: ArrayView3<'_, f32>) -> Result<ResolvedWindow, DataError> {
        let refuse = |source| Err(DataError::Window { window: self.to_string(), source });
        let (low, high) = match *self {
            Self::Auto => return Self::chosen_for(voxels).resolve(voxels),
            Self::Abdomen => (-160.0, 240.0),
            Self::Lung => (-1350.0, 150.0),
            Self::Brain => (0.0, 80.0),
            Self::Bone => (-500.0, 1300.0),
            Self::Range { low, high } if low < high => (low, high),
            Self::Range { .. } => return refuse(WindowError::Order),
            Self::Percentile { low, high } if !(0.0 <= low && low < high && high <= 100.0) => {
                return refuse(WindowError::Percentiles);
            }
            Self::Percentile { low, high } => percentiles(voxels, low, high),
            Self::MinMax => extremes(voxels),
        };
        Ok(ResolvedWindow { low, high, name: self.to_string() })
    }

    /// Whether the window is in HU, which only CT has.
    pub const fn is_ct(&self) -> bool {
        matches!(self, Self::Abdomen | Self::Lung | Self::Brain | Self::Bone)
    }

    /// The window that [`Window::Auto`] chooses for a volume.
    fn chosen_for(voxels: ArrayView3<'_, f32>) -> Self {
        let lowest = voxels.iter().copied().fold(f32::INFINITY, f32::min);
        let is_level = |voxel: &f32| voxel.fract() == 0.0 && (0.0..=255.0).contains(voxel);
        let dark = voxels.iter().filter(|&&voxel| voxel < FAT_HU).count();
        if lowest <= DARK_HU && dark as f64 >= DARK_SHARE * voxels.len() as f64 {
            Self::Abdomen
        } else if voxels.iter().all(is_level) {
            Self::BYTE
        } else {
            Self::PERCENTILE
        }
    }
}

/// The lowest and the highest of the finite voxels; zeros if there are none.
fn extremes(voxels: ArrayView3<'_, f32>) -> (f32, f32) {
    let ends = |(low, high): (f32, f32), &voxel: &f32| (low.min(voxel), high.max(voxel));
    let (low, high) = voxels.iter().filter(|voxel| voxel.is_finite()).fold((f32::INFINITY, f32::NEG_INFINITY), ends);
    if low <= high { (low, high) } else { (0.0, 0.0) }
}

/// Percentiles of the finite, non-zero voxels; zeros if there are none.
fn percentiles(voxels: ArrayView3<'_, f32>, low: f32, high: f32) -> (f32, f32) {
    let mut values: Vec<f32> = voxels.iter().copied().filter(|&voxel| voxel != 0.0 && voxel.is_finite()).collect();
    if values.is_empty() {
        return (0.0, 0.0);
    }
    let last = values.len() - 1;
    let mut at = |percent: f32| {
        let rank = (f64::from(percent) / 100.0 * last as f64).round() as usize;
        *values.select_nth_unstable_by(rank, f32::total_cmp).1
    };
    (at(low), at(high))
}

impl FromStr for Window {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let expected =
            "auto, abdomen, lung, brain, bone, minmax, percentile, percentile:LOW:HIGH or LOW:HIGH (such as -160:240)";
        let unknown = || DataError::Word { expected, found: text.to_owned() };
        let pair = |pair: &str| {
            let (low, high) = pair.split_once(':')?;
            let (low, high) = (low.trim().parse::<f32>().ok()?, high.trim().parse::<f32>().ok()?);
            (low.is_finite() && high.is_finite()).then_some((low, high))
        };
        match text.to_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "abdomen" => Ok(Self::Abdomen),
            "lung" => Ok(Self::Lung),
            "brain" => Ok(Self::Brain),
            "bone" => Ok(Self::Bone),
            "minmax" => Ok(Self::MinMax),
            "percentile" => Ok(Self::PERCENTILE),
            other => match other.strip_prefix("percentile:") {
                Some(percents) => pair(percents).map(|(low, high)| Self::Percentile { low, high }),
                None => pair(other).map(|(low, high)| Self::Range { low, high }),
            }
            .ok_or_else(unknown),
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Abdomen => f.write_str("abdomen"),
            Self::Lung => f.write_str("lung"),
            Self::Brain => f.write_str("brain"),
            Self::Bone => f.write_str("bone"),
            Self::MinMax => f.write_str("minmax"),
            Self::Range { low, high } => write!(f, "{low}:{high}"),
            Self::Percentile { low, high } => write!(f, "percentile:{low}:{high}"),
        }
    }
}

/// A window with known intensities of black and white, saved with the results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResolvedWindow {
    /// The intensity that becomes 0.
    pub low: f32,
    /// The intensity that becomes 255.
    pub high: f32,
    /// The window's name.
    pub name: String,
}

impl ResolvedWindow {
    /// Applies the window: converts intensities to 8-bit levels, as the model sees them.
    ///
    /// If the window has no width, because the volume is constant, everything becomes black. NaN becomes black.
    ///
    /// # Shapes
    /// - slice and output: the same shape, such as `[rows, columns]` or `[rows, columns, channels]`
    pub fn apply<D: Dimension>(&self, slice: ArrayView<'_, f32, D>) -> Array<u8, D> {
        let width = self.high - self.low;
        if width <= 0.0 {
            return Array::zeros(slice.raw_dim());
        }
        // The cast to 8 bits saturates at both ends.
        slice.mapv(|value| ((value - self.low) / width * 255.0).round() as u8)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;
    use proptest::prelude::*;

    use super::*;

    fn volume(values: Vec<f32>) -> Array3<f32> {
        Array3::from_shape_vec((values.len(), 1, 1), values).expect("one column")
    }

    #[test]
    fn auto_tells_ct_images_and_mr_apart() {
        let chosen = |values: Vec<f32>| Window::chosen_for(volume(values).view());
        assert_eq!(chosen(vec![-1024.0, 30.0, 900.0]), Window::Abdomen);
        assert_eq!(chosen(vec![0.0, 30.0, 255.0]), Window::BYTE);
        assert_eq!(chosen(vec![0.0, 30.0, 900.0]), Window::PERCENTILE);
        // Resampled MR undershoots at sharp edges, in a few voxels.
        let ringing = (0..1000).map(|voxel| if voxel < 5 { -400.0 } else { voxel as f32 }).collect();
        assert_eq!(chosen(ringing), Window::PERCENTILE);
    }

    #[test]
    fn constant_volumes_and_voxels_that_are_no_number_are_black() {
        for value in [0.0, 100.5, -1000.0] {
            let constant = volume(vec![value; 9]);
            for window in [Window::PERCENTILE, Window::MinMax] {
                let resolved = window.resolve(constant.view()).expect("a window");
                assert!(resolved.apply(constant.index_axis(ndarray::Axis(2), 0)).iter().all(|&level| level == 0));
            }
        }
        let odd = volume(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 40.0]);
        let levels = Window::Abdomen.resolve(odd.view()).expect("a window").apply(odd.index_axis(ndarray::Axis(2), 0));
        assert_eq!(levels.iter().copied().collect::<Vec<_>>(), [0, 255, 0, 128]);
        assert!(Window::PERCENTILE.resolve(odd.view()).is_ok());
        let ends = Window::MinMax.resolve(volume(vec![f32::NAN, -2.5, f32::INFINITY, 4.0]).view()).expect("a window");
        assert_eq!((ends.low, ends.high), (-2.5, 4.0));
        assert!(Window::MinMax.resolve(Array3::zeros((0, 0, 0)).view()).is_ok());
        assert!(Window::Auto.resolve(Array3::zeros((0, 0, 0)).view()).is_ok());
    }

    #[test]
    fn windows_travel_as_json() {
        for text in ["auto", "lung", "minmax", "percentile:1:99", "-160:240"] {
            let window: Window = text.parse().expect("a window");
            let json = serde_json::to_string(&window).expect("plain data");
            assert_eq!(serde_json::from_str::<Window>(&json).expect("just written"), window);
        }
    }

    #[test]
    fn windows_are_read_back_and_nonsense_is_refused() {
        for text in ["auto", "abdomen", "lung", "brain", "bone", "minmax", "percentile:0.5:99.5", "-160:240"] {
            assert_eq!(text.parse::<Window>().expect("a window").to_string(), text);
        }
        for text in ["", "liver", "1", "a:b", "nan:1", "percentile:1"] {
            assert!(text.parse::<Window>().is_err(), "{text}");
        }
        let any = volume(vec![1.0, 2.0]);
        assert!(Window::Range { low: 3.0, high: 3.0 }.resolve(any.view()).is_err());
        assert!(Window::Percentile { low: -1.0, high: 3.0 }.resolve(any.view()).is_err());
    }

    #[test]
    fn percentiles_ignore_zeros() {
        let values = (0..1000).map(|value| if value < 500 { 0.0 } else { value as f32 }).collect();
        let window = Window::Percentile { low: 0.0, high: 100.0 }.resolve(volume(values).view()).expect("a window");
        assert_eq!((window.low, window.high), (500.0, 999.0));
    }

    proptest! {
        #[test]
        fn levels_rise_with_intensities(mut values in prop::collection::vec(-3000.0_f32..3000.0, 2..50)) {
            values.sort_by(f32::total_cmp);
            let volume = volume(values);
            for window in [Window::Auto, Window::Abdomen, Window::Lung, Window::PERCENTILE, Window::MinMax] {
                let resolved = window.resolve(volume.view()).expect("a window");
                let levels = resolved.apply(volume.index_axis(ndarray::Axis(2), 0));
                prop_assert!(levels.iter().zip(levels.iter().skip(1)).all(|(a, b)| a <= b));
            }
        }
    }
}
