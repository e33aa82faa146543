//! A case as what the network sees of it: a stack of windowed slices with their labels.

use anyhow::{Context, Result};
use ndarray::{Array2, Array3, Axis};
use sam_data::{Case, LabelVolume, LoadedCase, ResolvedWindow, SliceAxis, SlicePlane, Volume, Window};
use sam_prompt::ndarray;

/// The slices of a volume, or the images of a folder, with labels.
#[derive(Debug)]
pub struct Stack {
    /// The case's name.
    pub name: String,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Volume { volume: Volume, labels: LabelVolume, plane: SlicePlane, window: ResolvedWindow },
    Images(Vec<(Array3<f32>, Array2<u16>)>),
}

impl Stack {
    /// A volume, cut along an axis and seen through a window.
    ///
    /// # Errors
    /// If the window cannot be applied to the volume.
    pub fn of_volume(
        name: String,
        volume: Volume,
        labels: LabelVolume,
        axis: SliceAxis,
        window: &Window,
    ) -> Result<Self> {
        let plane = SlicePlane::new(&volume.grid, axis);
        let window = window.resolve(volume.voxels.view())?;
        Ok(Self { name, source: Source::Volume { volume, labels, plane, window } })
    }

    /// The cases of a folder: a stack for each volume, and one for all single images together, which share their annotations
    /// (the paper's 2-D protocol).
    ///
    /// # Errors
    /// If a case cannot be read.
    pub fn of_cases(cases: &[Case], axis: SliceAxis, window: &Window) -> Result<Vec<Self>> {
        let mut stacks = Vec::new();
        let mut images = Vec::new();
        for case in cases {
            let loaded = case.load().with_context(|| format!("case {}", case.name))?;
            match loaded {
                LoadedCase::Volume { volume, labels } => {
                    stacks.push(Self::of_volume(case.name.clone(), volume, labels, axis, window)?);
                }
                LoadedCase::Image { image, labels } => images.push((image, labels)),
            }
        }
        if !images.is_empty() {
            stacks.push(Self { name: "images".to_owned(), source: Source::Images(images) });
        }
        Ok(stacks)
    }

    /// The intensities that were black and white to the network; `None` for images that are seen as they are.
    pub fn window(&self) -> Option<&ResolvedWindow> {
        match &self.source {
            Source::Volume { window, .. } => Some(window),
            Source::Images(_) => None,
        }
    }

    /// Whether neighbours show neighbouring parts of one body: slices of a volume do, images of a folder do not.
    pub fn is_ordered(&self) -> bool {
        matches!(self.source, Source::Volume { .. })
    }

    /// How many slices there are.
    pub fn len(&self) -> usize {
        match &self.source {
            Source::Volume { plane, .. } => plane.count(),
            Source::Images(images) => images.len(),
        }
    }

    /// Whether there is no slice.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One slice as 8-bit levels: `[rows, columns, channels]`.
    pub fn image(&self, index: usize) -> Array3<f32> {
        match &self.source {
            Source::Volume { volume, plane, window, .. } => {
                window.apply(plane.extract(volume.voxels.view(), index).view()).insert_axis(Axis(2))
            }
            Source::Images(images) => images[index].0.clone(),
        }
    }

    /// Where one slice shows any of some label values: `[rows, columns]`.
    pub fn mask(&self, index: usize, values: &[u16]) -> Array2<bool> {
        let is_one = |label: u16| values.contains(&label);
        match &self.source {
            Source::Volume { labels, plane, .. } => plane.extract(labels.labels.view(), index).mapv(is_one),
            Source::Images(images) => images[index].1.mapv(is_one),
        }
    }
}
