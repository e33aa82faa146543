//! What one learning is about, as the network sees it: the slices of a volume, or the images of a data set.

use anyhow::{Context, Result};
use ndarray::{Array2, Array3};
use sam_data::{Case, LabelVolume, LoadedCase, ResolvedWindow, SliceAxis, Slices, Volume, Window};
use sam_prompt::ndarray;

/// The slices of a volume, or the images of a folder, with labels.
#[derive(Debug)]
pub struct Stack {
    /// The case's name.
    pub name: String,
    source: Source,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "few stacks are in memory, and their voxels lie elsewhere")]
enum Source {
    Volume(Slices),
    /// One slice each.
    Images(Vec<Slices>),
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
        let slices = Slices::new(LoadedCase::Volume { volume, labels }, axis, window)?;
        Ok(Self { name, source: Source::Volume(slices) })
    }

    /// The cases of a data set: a stack for each volume, and one for all single images together, which share their annotations
    /// (the paper's 2-D protocol). The window of an image is its own.
    ///
    /// # Errors
    /// If a case cannot be read, or not be seen through the window.
    pub fn of_cases(cases: &[Case], axis: SliceAxis, window: &Window) -> Result<Vec<Self>> {
        let mut stacks = Vec::new();
        let mut images = Vec::new();
        for case in cases {
            let slices = case.slices(axis, window).with_context(|| format!("case {}", case.name))?;
            if slices.plane().is_some() {
                stacks.push(Self { name: case.name.clone(), source: Source::Volume(slices) });
            } else {
                images.push(slices);
            }
        }
        if !images.is_empty() {
            stacks.push(Self { name: "images".to_owned(), source: Source::Images(images) });
        }
        Ok(stacks)
    }

    /// The intensities that were black and white to the network; `None` for images, each of which has its own.
    pub fn window(&self) -> Option<&ResolvedWindow> {
        match &self.source {
            Source::Volume(slices) => Some(slices.window()),
            Source::Images(_) => None,
        }
    }

    /// Whether neighbours show neighbouring parts of one body: slices of a volume do, images of a folder do not.
    pub fn is_ordered(&self) -> bool {
        matches!(self.source, Source::Volume(_))
    }

    /// How many slices there are.
    pub fn len(&self) -> usize {
        match &self.source {
            Source::Volume(slices) => slices.len(),
            Source::Images(images) => images.len(),
        }
    }

    /// Whether there is no slice.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One slice as 8-bit levels: `[rows, columns, channels]`.
    pub fn image(&self, index: usize) -> Array3<f32> {
        let (slices, index) = self.find(index);
        slices.image(index)
    }

    /// Where one slice shows any of some label values: `[rows, columns]`.
    pub fn mask(&self, index: usize, values: &[u16]) -> Array2<bool> {
        let (slices, index) = self.find(index);
        slices.mask(index, values)
    }

    /// The case that holds a slice, and the slice's place in it.
    fn find(&self, index: usize) -> (&Slices, usize) {
        match &self.source {
            Source::Volume(slices) => (slices, index),
            Source::Images(images) => (&images[index], 0),
        }
    }
}
