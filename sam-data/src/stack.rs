//! Stacks: the slices of a volume, or the images of a data set, in 8-bit levels and with their labels.

use std::sync::Arc;

use ndarray::{Array2, Array3, Axis};
use sam_prompt::PixelAspect;

use crate::{
    Case, DataError, LabelVolume, LoadedCase, ResolvedWindow, SliceAxis, SlicePlane, Volume, Window, WindowError,
    slice::expected,
};

/// One slice of a volume, or one image of a data set, with its labels.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Slice {
    /// Index in the stack, from 0.
    pub index: usize,
    /// The 8-bit levels that a model sees: `[rows, columns, channels]`, with one channel for grey and three for colour.
    pub image: Array3<u8>,
    /// Label values: `[rows, columns]`. All instances have the value 1. Without labels, everything is 0.
    pub labels: Array2<u16>,
    /// Distance between rows and between columns, in mm; `None` for an image, whose spacing is unknown.
    pub spacing: Option<(f64, f64)>,
}

/// A stack: the slices of one volume along an axis, or the images of one data set. Slices are cut on demand.
///
/// The volume is shared, not copied. All slices of a volume have the same window; each image of a set has its own.
///
/// ```
/// use std::sync::Arc;
///
/// use sam_data::{PhantomConfig, SliceAxis, Stack, Window};
///
/// let phantom = PhantomConfig::default().with_shape([64, 48, 16]).generate();
/// let volume = Arc::new(phantom.volume);
/// let stack = Stack::new("phantom", volume.clone(), SliceAxis::Axial, &Window::Abdomen)?.with_labels(phantom.labels)?;
/// assert_eq!((stack.len(), stack.image(8).dim()), (16, (48, 64, 1)));
/// assert_eq!(stack.mask(8, &[1]).dim(), (48, 64));
/// # Ok::<(), sam_data::DataError>(())
/// ```
///
/// # Panics
/// Functions with an index panic if it is not below [`Stack::len`]; see [`Stack::check`].
#[derive(Debug, Clone)]
pub struct Stack {
    name: String,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Volume(Box<CutVolume>),
    Images(Vec<SeenImage>),
}

/// A volume with its slice plane and window.
#[derive(Debug, Clone)]
struct CutVolume {
    volume: Arc<Volume>,
    labels: Option<Arc<LabelVolume>>,
    plane: SlicePlane,
    window: ResolvedWindow,
}

/// An image with its window.
#[derive(Debug, Clone)]
struct SeenImage {
    image: Array3<f32>,
    labels: Array2<u16>,
    window: ResolvedWindow,
}

impl Stack {
    /// A stack of the slices of a volume, without labels.
    ///
    /// # Errors
    /// [`DataError::Shape`] if the voxel array differs in shape from the grid; [`DataError::InvalidGrid`]; [`DataError::Window`] if the
    /// window cannot be applied.
    pub fn new(
        name: impl Into<String>,
        volume: impl Into<Arc<Volume>>,
        axis: SliceAxis,
        window: &Window,
    ) -> Result<Self, DataError> {
        let volume = volume.into();
        volume.grid.check()?;
        check_shape(volume.grid.shape, volume.voxels.dim())?;
        let plane = SlicePlane::new(&volume.grid, axis);
        let window = window.resolve(volume.voxels.view())?;
        let cut = CutVolume { volume, labels: None, plane, window };
        Ok(Self { name: name.into(), source: Source::Volume(Box::new(cut)) })
    }

    /// This stack with the labels of its volume. Does not change the labels of images.
    ///
    /// # Errors
    /// [`DataError::Shape`] if the labels differ in shape from the volume. Their position is not checked here but in
    /// [`Scan::read_labels`](crate::Scan::read_labels).
    pub fn with_labels(mut self, labels: impl Into<Arc<LabelVolume>>) -> Result<Self, DataError> {
        if let Source::Volume(cut) = &mut self.source {
            let labels = labels.into();
            check_shape(cut.volume.grid.shape, labels.labels.dim())?;
            cut.labels = Some(labels);
        }
        Ok(self)
    }

    /// The stack of a loaded case: the slices of its volume, or its single image.
    ///
    /// # Errors
    /// As [`Stack::new`]; [`DataError::Window`] for a window in HU on a single image.
    pub fn of_case(
        name: impl Into<String>,
        case: LoadedCase,
        axis: SliceAxis,
        window: &Window,
    ) -> Result<Self, DataError> {
        match case {
            LoadedCase::Volume { volume, labels } => Self::new(name, volume, axis, window)?.with_labels(labels),
            LoadedCase::Image { image, labels } => {
                let image = SeenImage::new(image, labels, window)?;
                Ok(Self { name: name.into(), source: Source::Images(vec![image]) })
            }
        }
    }

    /// The stacks of a data set: one for each volume, and one called `images` for all single images, which share their annotations (the
    /// paper's 2-D protocol).
    ///
    /// # Errors
    /// [`DataError::Case`] if a case cannot be read, or its window cannot be applied.
    pub fn of_cases(cases: &[Case], axis: SliceAxis, window: &Window) -> Result<Vec<Self>, DataError> {
        let (mut stacks, mut images) = (Vec::new(), Vec::new());
        for case in cases {
            let failed = |source| DataError::Case { name: case.name.clone(), source: Box::new(source) };
            let stack = case.stack(axis, window).map_err(failed)?;
            match stack.source {
                Source::Images(own) => images.extend(own),
                Source::Volume(_) => stacks.push(stack),
            }
        }
        if !images.is_empty() {
            stacks.push(Self { name: "images".to_owned(), source: Source::Images(images) });
        }
        Ok(stacks)
    }

    /// The name of the case or data set.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The volume of the stack; `None` for images.
    pub fn volume(&self) -> Option<&Arc<Volume>> {
        self.cut().map(|cut| &cut.volume)
    }

    /// The slice plane of the volume; `None` for images.
    pub fn plane(&self) -> Option<&SlicePlane> {
        self.cut().map(|cut| &cut.plane)
    }

    /// The window of the volume; `None` for images, because each has its own.
    pub fn window(&self) -> Option<&ResolvedWindow> {
        self.cut().map(|cut| &cut.window)
    }

    /// Whether neighbouring slices are adjacent in the body: true for slices of a volume, false for images.
    pub fn is_ordered(&self) -> bool {
        self.cut().is_some()
    }

    /// Number of slices.
    pub fn len(&self) -> usize {
        match &self.source {
            Source::Volume(cut) => cut.plane.count(),
            Source::Images(images) => images.len(),
        }
    }

    /// Whether the stack has no slices.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks that a slice exists.
    ///
    /// # Errors
    /// [`DataError::NoSuchSlice`].
    pub fn check(&self, index: usize) -> Result<(), DataError> {
        let count = self.len();
        if index < count { Ok(()) } else { Err(DataError::NoSuchSlice { index, count }) }
    }

    /// One slice with its labels.
    #[track_caller]
    pub fn get(&self, index: usize) -> Slice {
        let spacing = self.plane().map(SlicePlane::spacing);
        Slice { index, image: self.image(index), labels: self.labels(index), spacing }
    }

    /// The aspect of the pixels of all slices. Pixels of images are square.
    pub fn pixel_aspect(&self) -> PixelAspect {
        let spacing = self.plane().map(SlicePlane::spacing);
        // The volume's grid was checked, so its spacing is above 0.
        spacing.and_then(|(rows, columns)| PixelAspect::of_spacing(rows, columns)).unwrap_or_default()
    }

    /// All slices in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Slice> + '_ {
        (0..self.len()).map(|index| self.get(index))
    }

    /// One slice in its stored intensities (HU, MR units or levels): `[rows, columns, channels]`.
    #[track_caller]
    pub fn intensities(&self, index: usize) -> Array3<f32> {
        expected(self.check(index));
        match &self.source {
            Source::Volume(cut) => cut.plane.extract(cut.volume.voxels.view(), index).insert_axis(Axis(2)),
            Source::Images(images) => images[index].image.clone(),
        }
    }

    /// One slice through the window, in 8-bit levels: `[rows, columns, channels]`.
    #[track_caller]
    pub fn image(&self, index: usize) -> Array3<u8> {
        expected(self.check(index));
        match &self.source {
            Source::Volume(cut) => {
                let slice = cut.plane.extract(cut.volume.voxels.view(), index);
                cut.window.apply(slice.view()).insert_axis(Axis(2))
            }
            Source::Images(images) => images[index].window.apply(images[index].image.view()),
        }
    }

    /// The label values of one slice, `[rows, columns]`; zeros if there are no labels.
    #[track_caller]
    pub fn labels(&self, index: usize) -> Array2<u16> {
        expected(self.check(index));
        match &self.source {
            Source::Volume(cut) => match &cut.labels {
                Some(labels) => cut.plane.extract(labels.labels.view(), index),
                None => Array2::zeros(cut.plane.size()),
            },
            Source::Images(images) => images[index].labels.clone(),
        }
    }

    /// The mask of some label values on one slice: `[rows, columns]`.
    #[track_caller]
    pub fn mask(&self, index: usize, values: &[u16]) -> Array2<bool> {
        self.labels(index).mapv(|label| values.contains(&label))
    }

    fn cut(&self) -> Option<&CutVolume> {
        match &self.source {
            Source::Volume(cut) => Some(cut),
            Source::Images(_) => None,
        }
    }
}

impl SeenImage {
    fn new(image: Array3<f32>, labels: Array2<u16>, window: &Window) -> Result<Self, DataError> {
        if window.is_ct() {
            return Err(DataError::Window { window: window.to_string(), source: WindowError::HounsfieldUnits });
        }
        let window = window.resolve(image.view())?;
        Ok(Self { image, labels, window })
    }
}

fn check_shape(expected: [usize; 3], (i, j, k): (usize, usize, usize)) -> Result<(), DataError> {
    let found = [i, j, k];
    if expected == found { Ok(()) } else { Err(DataError::Shape { expected, found }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Grid, PhantomKind, error::error_chain};

    const AFFINE: [[f64; 4]; 4] =
        [[2.0, 0.0, 0.0, 0.0], [0.0, 3.0, 0.0, 0.0], [0.0, 0.0, 5.0, 0.0], [0.0, 0.0, 0.0, 1.0]];

    fn volume() -> Volume {
        Volume::new(Array3::from_shape_fn((4, 3, 2), |(i, _, k)| (100 * k + i) as f32), AFFINE)
    }

    #[test]
    fn a_volume_is_cut_with_its_labels_and_shared() -> Result<(), DataError> {
        let volume = Arc::new(volume());
        let stack = Stack::new("scan", volume.clone(), SliceAxis::Axial, &Window::BYTE)?;
        assert!(Arc::ptr_eq(stack.volume().expect("a volume"), &volume));
        assert_eq!(stack.labels(1), Array2::<u16>::zeros((3, 4)), "without labels");
        let labels = Array3::from_shape_fn((4, 3, 2), |(i, _, k)| (k * i) as u16);
        let stack = stack.with_labels(LabelVolume::new(labels, AFFINE))?;
        let second = stack.iter().nth(1).expect("two slices");
        assert_eq!((second.index, second.image.dim(), second.spacing), (1, (3, 4, 1), Some((3.0, 2.0))));
        assert_eq!(Some(stack.pixel_aspect()), PixelAspect::of_spacing(3.0, 2.0));
        // The patient's right, where i is larger, is on the left.
        assert_eq!((second.image[(0, 0, 0)], second.labels[(0, 0)]), (103, 3));
        assert_eq!(stack.mask(1, &[1, 3]).row(0).to_vec(), [true, false, true, false]);
        assert!(stack.is_ordered() && stack.window().is_some());
        let other = LabelVolume::new(Array3::zeros((3, 4, 2)), AFFINE);
        assert!(matches!(stack.clone().with_labels(other), Err(DataError::Shape { .. })));
        assert!(matches!(stack.check(2), Err(DataError::NoSuchSlice { index: 2, count: 2 })));
        Ok(())
    }

    #[test]
    fn one_window_for_all_channels_keeps_the_colour() -> Result<(), DataError> {
        let image = Array3::from_shape_fn((2, 2, 3), |(_, _, channel)| 30000.0 * channel as f32);
        let case = LoadedCase::Image { image, labels: Array2::from_elem((2, 2), 7) };
        let stack = Stack::of_case("one", case.clone(), SliceAxis::Axial, &Window::MinMax)?;
        let only = stack.get(0);
        assert_eq!((stack.len(), only.spacing, only.labels[(1, 1)]), (1, None, 7));
        assert!(stack.pixel_aspect().is_square());
        assert_eq!([0, 1, 2].map(|channel| only.image[(0, 0, channel)]), [0, 128, 255]);
        assert_eq!(stack.intensities(0)[(0, 0, 2)] as u16, 60000);
        let refused = Stack::of_case("one", case, SliceAxis::Axial, &Window::Abdomen).expect_err("no HU");
        assert!(error_chain(&refused).contains("minmax"), "{refused}");
        Ok(())
    }

    #[test]
    fn images_of_a_set_are_one_stack() -> Result<(), DataError> {
        let kidneys = PhantomKind::KidneyUltrasound.dataset(3, 0);
        let stacks = Stack::of_cases(&kidneys.cases, SliceAxis::Auto, &Window::Auto)?;
        let [stack] = &stacks[..] else { panic!("one stack, found {}", stacks.len()) };
        assert_eq!((stack.name(), stack.len(), stack.is_ordered(), stack.window()), ("images", 3, false, None));
        let second = kidneys.cases[1].stack(SliceAxis::Auto, &Window::Auto)?;
        assert_eq!((stack.image(1), stack.labels(1)), (second.image(0), second.labels(0)));
        let failed = Stack::of_cases(&kidneys.cases, SliceAxis::Auto, &Window::Lung).expect_err("no HU");
        assert!(failed.to_string().contains(&kidneys.cases[0].name), "{failed}");
        Ok(())
    }

    #[test]
    fn volumes_that_do_not_fit_their_grid_are_refused() {
        let cut = |volume: Volume| Stack::new("scan", volume, SliceAxis::Auto, &Window::BYTE);
        let flat =
            Volume { voxels: Array3::zeros((4, 3, 0)), grid: Grid { shape: [4, 3, 0], affine: AFFINE }, header: None };
        assert!(matches!(cut(flat), Err(DataError::InvalidGrid { .. })));
        let mut nowhere = volume();
        nowhere.grid.affine = [[0.0; 4]; 4];
        assert!(matches!(cut(nowhere), Err(DataError::InvalidGrid { .. })));
        let mut other = volume();
        other.voxels = Array3::zeros((4, 3, 5));
        assert!(matches!(cut(other), Err(DataError::Shape { .. })));
    }

    #[test]
    #[should_panic(expected = "there are 2 slice(s), counted from 1, but slice 3 was asked for")]
    fn a_slice_beyond_the_last_panics_with_both_numbers() {
        Stack::new("scan", volume(), SliceAxis::Axial, &Window::BYTE).expect("a volume").image(2);
    }
}
