//! A case cut into slices on demand, a volume and a single image alike.

use ndarray::{Array2, Array3, Axis};

use crate::{DataError, LabelVolume, LoadedCase, ResolvedWindow, SliceAxis, SlicePlane, Volume, Window};

/// One slice of a volume, or a single image, with its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice {
    /// Its place in the case, from 0.
    pub index: usize,
    /// What a network sees, whole levels from 0 to 255: `[rows, columns, channels]`, one channel for grey and three for colour.
    pub image: Array3<f32>,
    /// Label values: `[rows, columns]`. Instances all have 1.
    pub labels: Array2<u16>,
    /// Distance between rows and between columns, in mm; `None` for an image, which does not say.
    pub spacing: Option<(f64, f64)>,
}

/// The slices of one case, each cut when it is asked for.
#[derive(Debug, Clone)]
pub struct Slices {
    source: Source,
    window: ResolvedWindow,
}

#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "one case at a time is in memory, and its voxels lie elsewhere")]
enum Source {
    Volume { volume: Volume, labels: LabelVolume, plane: SlicePlane },
    Image { image: Array3<f32>, labels: Array2<u16> },
}

impl Slices {
    /// Decides how a case is cut and seen. A single image has no axis to cut along.
    ///
    /// # Errors
    /// [`DataError::Window`] if the window cannot be applied, as one in HU to a single image.
    pub fn new(case: LoadedCase, axis: SliceAxis, window: &Window) -> Result<Self, DataError> {
        let (source, window) = match case {
            LoadedCase::Volume { volume, labels } => {
                let plane = SlicePlane::new(&volume.grid, axis);
                let window = window.resolve(volume.voxels.view())?;
                (Source::Volume { volume, labels, plane }, window)
            }
            LoadedCase::Image { .. } if window.is_ct() => {
                let reason = "it is in HU, which a single image has not; use auto, minmax, percentile or LOW:HIGH";
                return Err(DataError::Window { window: window.to_string(), reason: reason.to_owned() });
            }
            LoadedCase::Image { image, labels } => {
                let window = window.resolve(image.view())?;
                (Source::Image { image, labels }, window)
            }
        };
        Ok(Self { source, window })
    }

    /// How a volume is cut; `None` for a single image.
    pub fn plane(&self) -> Option<&SlicePlane> {
        match &self.source {
            Source::Volume { plane, .. } => Some(plane),
            Source::Image { .. } => None,
        }
    }

    /// The intensities that are black and white.
    pub fn window(&self) -> &ResolvedWindow {
        &self.window
    }

    /// How many slices there are.
    pub fn len(&self) -> usize {
        self.plane().map_or(1, SlicePlane::count)
    }

    /// Whether there is no slice.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cuts one slice.
    ///
    /// # Panics
    /// If the index is not below [`Slices::len`].
    pub fn get(&self, index: usize) -> Slice {
        let spacing = self.plane().map(SlicePlane::spacing);
        Slice { index, image: self.image(index), labels: self.labels(index), spacing }
    }

    /// All slices, one after the other.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Slice> + '_ {
        (0..self.len()).map(|index| self.get(index))
    }

    /// One slice as it is stored, in HU, MR units or levels: `[rows, columns, channels]`.
    ///
    /// # Panics
    /// If the index is not below [`Slices::len`].
    pub fn intensities(&self, index: usize) -> Array3<f32> {
        self.check(index);
        match &self.source {
            Source::Volume { volume, plane, .. } => plane.extract(volume.voxels.view(), index).insert_axis(Axis(2)),
            Source::Image { image, .. } => image.clone(),
        }
    }

    /// One slice through the window, whole levels from 0 to 255: `[rows, columns, channels]`.
    ///
    /// # Panics
    /// If the index is not below [`Slices::len`].
    pub fn image(&self, index: usize) -> Array3<f32> {
        let mut image = self.intensities(index);
        for mut channel in image.axis_iter_mut(Axis(2)) {
            let levels = self.window.apply(channel.view());
            channel.assign(&levels);
        }
        image
    }

    /// The label values of one slice: `[rows, columns]`.
    ///
    /// # Panics
    /// If the index is not below [`Slices::len`].
    pub fn labels(&self, index: usize) -> Array2<u16> {
        self.check(index);
        match &self.source {
            Source::Volume { labels, plane, .. } => plane.extract(labels.labels.view(), index),
            Source::Image { labels, .. } => labels.clone(),
        }
    }

    /// Where one slice shows any of some label values: `[rows, columns]`.
    ///
    /// # Panics
    /// If the index is not below [`Slices::len`].
    pub fn mask(&self, index: usize, values: &[u16]) -> Array2<bool> {
        self.labels(index).mapv(|label| values.contains(&label))
    }

    fn check(&self, index: usize) {
        assert!(index < self.len(), "slice {index} of {} was asked for", self.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_and_an_image_are_cut_alike() {
        let affine = [[2.0, 0.0, 0.0, 0.0], [0.0, 3.0, 0.0, 0.0], [0.0, 0.0, 5.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let voxels = Array3::from_shape_fn((4, 3, 2), |(i, _, k)| (100 * k + i) as f32);
        let labels = Array3::from_shape_fn((4, 3, 2), |(i, _, k)| (k * i) as u16);
        let case = LoadedCase::Volume { volume: Volume::new(voxels, affine), labels: LabelVolume::new(labels, affine) };
        let slices = Slices::new(case, SliceAxis::Axial, &Window::Range { low: 0.0, high: 255.0 }).expect("a window");
        let second = slices.iter().nth(1).expect("two slices");
        assert_eq!((second.index, second.image.dim(), second.spacing), (1, (3, 4, 1), Some((3.0, 2.0))));
        // The patient's right, the larger i, is at the left.
        assert_eq!((second.image[(0, 0, 0)], second.labels[(0, 0)]), (103.0, 3));
        assert_eq!(slices.mask(1, &[1, 3]).row(0).to_vec(), [true, false, true, false]);

        // One window for all channels keeps the colour; 16 bits become 8.
        let image = Array3::from_shape_fn((2, 2, 3), |(_, _, channel)| 30000.0 * channel as f32);
        let labels = Array2::from_elem((2, 2), 7);
        let case = LoadedCase::Image { image, labels };
        let slices = Slices::new(case.clone(), SliceAxis::Axial, &Window::MinMax).expect("a window");
        let only = slices.get(0);
        assert_eq!((slices.len(), only.spacing, only.labels[(1, 1)]), (1, None, 7));
        assert_eq!([0, 1, 2].map(|channel| only.image[(0, 0, channel)] as u8), [0, 128, 255]);
        assert_eq!(slices.intensities(0)[(0, 0, 2)] as u16, 60000);
        let refused = Slices::new(case, SliceAxis::Axial, &Window::Abdomen).expect_err("no HU").to_string();
        assert!(refused.contains("minmax"), "{refused}");
    }
}
