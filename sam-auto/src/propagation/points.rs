//! The paper's Algorithm 1: points on an annotated slice move on to its neighbours as long as intensities stay similar.

use std::collections::BTreeMap;

use burn::tensor::backend::Backend;
use ndarray::{Array2, ArrayView2, Axis};
use sam_core::{AnnotatedSlice, CoreError, SliceSource};
use sam_prompt::{
    ConfigError, Label, Point, Prompts, Replacement, SamplingScheme,
    progress::{Observer, Progress, Stage},
};
use serde::{Deserialize, Serialize};

use crate::{AutoError, PromptGenerator, SliceContext, random::stream_of};

/// Configuration of point propagation. The paper states the procedure; the default values are ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PointPropagationConfig {
    /// Number of points drawn inside the outline of each annotated slice.
    pub points: usize,
    /// How they are sampled.
    pub sampling: SamplingScheme,
    /// A point stays if its intensity is within this many standard deviations of the mean.
    pub tolerance: f32,
    /// Intensities are averaged over a square window of this many pixels a side.
    pub window: usize,
    /// How far mean and standard deviation adapt to the points of the last slice: 0 not at all, 1 fully.
    pub adaption: f32,
    /// Minimum standard deviation in 8-bit levels; the default is 5 % of the intensity window.
    pub least_deviation: f32,
    /// Maximum distance, in pixels, by which a point moves if its intensity does not fit. In the paper, points do not move: 0.
    pub drift: usize,
    /// Maximum distance from the annotated slice, in slices; `None`, as in the paper, for no limit.
    pub max_distance: Option<usize>,
    /// Random seed of the points.
    pub seed: u64,
}

sam_assist::__setters!(PointPropagationConfig {
    with_points => points: usize,
    with_sampling => sampling: SamplingScheme,
    with_tolerance => tolerance: f32,
    with_window => window: usize,
    with_adaption => adaption: f32,
    with_least_deviation => least_deviation: f32,
    with_drift => drift: usize,
    with_max_distance => max_distance: Option<usize>,
    with_seed => seed: u64,
});

impl Default for PointPropagationConfig {
    fn default() -> Self {
        Self {
            points: 5,
            sampling: SamplingScheme::Uniform,
            tolerance: 2.0,
            window: 5,
            adaption: 0.3,
            least_deviation: 0.05 * 255.0,
            drift: 0,
            max_distance: None,
            seed: 0,
        }
    }
}

impl PointPropagationConfig {
    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] names the first one that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        ConfigError::check_count("propagation.points", self.points)?;
        ConfigError::check(self.window % 2 == 1, "propagation.window", || self.window.to_string(), "an odd number")?;
        ConfigError::check_not_negative("propagation.tolerance", self.tolerance)?;
        ConfigError::check_not_negative("propagation.least_deviation", self.least_deviation)?;
        let adaption = self.adaption;
        ConfigError::check((0.0..=1.0).contains(&adaption), "propagation.adaption", || adaption.to_string(), "0 to 1")
    }

    /// Point propagation from each annotated slice in both directions. Returns one generator for each slice that shows the structure, in
    /// the order given.
    ///
    /// The paper takes the union of their masks: [`Vote::Union`](crate::Vote). Only the slices that points reach are read, and none is
    /// embedded. The observer is called with [`Stage::Fit`] after each slice that was read. The total is the number of slices that points
    /// can reach.
    ///
    /// # Errors
    /// [`AutoError::Config`]; [`AutoError::NothingAnnotated`]; [`CoreError::NoSuchSlice`]; [`AutoError::Slice`] if a slice cannot be
    /// read; [`CoreError::OutlineSize`] if slices differ in size; [`AutoError::Stopped`] if the observer stops it before the last slice.
    pub fn fit<B: Backend>(
        &self,
        annotated: &[AnnotatedSlice<B>],
        source: &dyn SliceSource<B>,
        observer: &mut Observer<'_>,
    ) -> Result<Vec<PointGenerator>, AutoError> {
        self.check()?;
        let shown: Vec<_> = annotated.iter().filter(|slice| !slice.is_empty()).collect();
        if shown.is_empty() {
            return Err(AutoError::NothingAnnotated);
        }
        let within_reach = |slice: &&AnnotatedSlice<B>| self.within_reach(slice.index(), source.count());
        let total = shown.iter().map(within_reach).sum();
        let mut before = 0;
        let spread = |slice: &AnnotatedSlice<B>| {
            let mut done = before;
            before += within_reach(&slice);
            self.spread(slice, source, &mut |index| {
                done += 1;
                let stops = observer(&Progress::new(Stage::Fit, done, total).at_slice(index)).is_break();
                if stops && done < total { Err(AutoError::Stopped) } else { Ok(()) }
            })
        };
        shown.into_iter().map(spread).collect()
    }

    /// Number of slices that points of slice `index` can reach, including that slice.
    fn within_reach(&self, index: usize, count: usize) -> usize {
        let after = count.saturating_sub(index + 1);
        let [before, after] = [index, after].map(|slices| self.max_distance.map_or(slices, |most| most.min(slices)));
        before + 1 + after
    }

    fn spread<B: Backend>(
        &self,
        slice: &AnnotatedSlice<B>,
        source: &dyn SliceSource<B>,
        slice_done: &mut dyn FnMut(usize) -> Result<(), AutoError>,
    ) -> Result<PointGenerator, AutoError> {
        let (index, count) = (slice.index(), source.count());
        if index >= count {
            return Err(CoreError::NoSuchSlice { index, count }.into());
        }
        let outline = slice.outline();
        let image = levels(source, index, outline.dim())?;
        let mut rng = stream_of(self.seed, index);
        let drawn = self.sampling.sampler(Replacement::Without).sample(
            outline.view(),
            Label::Foreground,
            self.points,
            &mut rng,
        )?;
        let seeds: Vec<Pixel> = drawn.iter().map(|point| (point.y as usize, point.x as usize)).collect();
        let inside = outline.indexed_iter().filter(|&(_, &inside)| inside).map(|(pixel, _)| pixel);
        let start = Intensity::of(inside.map(|pixel| self.level(image.view(), pixel)));
        let mut points = BTreeMap::from([(index, seeds)]);
        slice_done(index)?;
        for step in [-1, 1] {
            self.spread_towards(step, source, outline.dim(), (index, start), &mut points, slice_done)?;
        }
        Ok(PointGenerator { points })
    }

    /// Propagates the points of slice `index` in one direction until none is left.
    fn spread_towards<B: Backend>(
        &self,
        step: isize,
        source: &dyn SliceSource<B>,
        size: (usize, usize),
        (index, start): (usize, Intensity),
        points: &mut BTreeMap<usize, Vec<Pixel>>,
        slice_done: &mut dyn FnMut(usize) -> Result<(), AutoError>,
    ) -> Result<(), AutoError> {
        let (mut here, mut seeds, mut expected) = (index, points[&index].clone(), start);
        while let Some(next) = here.checked_add_signed(step).filter(|&next| next < source.count()) {
            if self.max_distance.is_some_and(|most| next.abs_diff(index) > most) {
                break;
            }
            let image = levels(source, next, size)?;
            seeds = seeds.iter().filter_map(|&pixel| self.follow(image.view(), pixel, expected)).collect();
            slice_done(next)?;
            if seeds.is_empty() {
                break;
            }
            let found = Intensity::of(seeds.iter().map(|&pixel| self.level(image.view(), pixel)));
            expected = expected.towards(found, self.adaption);
            points.insert(next, seeds.clone());
            here = next;
        }
        Ok(())
    }

    /// Position of a point on the next slice: the same pixel, or the fitting pixel of closest intensity within the drift. `None` if none
    /// fits.
    fn follow(&self, image: ArrayView2<'_, f32>, (row, column): Pixel, expected: Intensity) -> Option<Pixel> {
        let (rows, columns) = image.dim();
        let tolerance = self.tolerance * expected.deviation.max(self.least_deviation);
        let difference = |&pixel: &Pixel| (self.level(image, pixel) - expected.mean).abs();
        let fits = |pixel: &Pixel| difference(pixel) <= tolerance;
        if fits(&(row, column)) {
            return Some((row, column));
        }
        let near = |at: usize, count: usize| at.saturating_sub(self.drift)..(at + self.drift + 1).min(count);
        let around = near(row, rows).flat_map(|row| near(column, columns).map(move |column| (row, column)));
        around.filter(fits).min_by(|a, b| difference(a).total_cmp(&difference(b)))
    }

    /// Mean intensity over a pixel's window, clipped to the image.
    fn level(&self, image: ArrayView2<'_, f32>, (row, column): Pixel) -> f32 {
        let (rows, columns) = image.dim();
        let reach = self.window / 2;
        let (top, left) = (row.saturating_sub(reach), column.saturating_sub(reach));
        let (below, beyond) = ((row + reach + 1).min(rows), (column + reach + 1).min(columns));
        let square = image.slice_each_axis(|axis| match axis.axis {
            Axis(0) => (top..below).into(),
            _ => (left..beyond).into(),
        });
        square.sum() / square.len() as f32
    }
}

/// Row and column.
type Pixel = (usize, usize);

/// Mean and standard deviation of the expected intensities.
#[derive(Debug, Clone, Copy)]
struct Intensity {
    mean: f32,
    deviation: f32,
}

impl Intensity {
    fn of(levels: impl Iterator<Item = f32>) -> Self {
        let levels: Vec<_> = levels.collect();
        let count = levels.len().max(1) as f32;
        let mean = levels.iter().sum::<f32>() / count;
        let variance = levels.iter().map(|level| (level - mean).powi(2)).sum::<f32>() / count;
        Self { mean, deviation: variance.sqrt() }
    }

    fn towards(self, other: Self, share: f32) -> Self {
        let between = |from: f32, to: f32| (1.0 - share) * from + share * to;
        Self { mean: between(self.mean, other.mean), deviation: between(self.deviation, other.deviation) }
    }
}

/// Intensities of a slice, averaged over its channels.
fn levels<B: Backend>(
    source: &dyn SliceSource<B>,
    index: usize,
    expected: (usize, usize),
) -> Result<Array2<f32>, AutoError> {
    let image = source.image(index)?.mapv(f32::from);
    let (rows, columns, channels) = image.dim();
    if (rows, columns) != expected {
        return Err(CoreError::OutlineSize { index, found: expected, expected: (rows, columns) }.into());
    }
    Ok(image.sum_axis(Axis(2)) / channels.max(1) as f32)
}

/// Prompt generator that uses the points propagated from one annotated slice. It prompts only the slices that they reached.
#[derive(Debug, Clone, PartialEq)]
pub struct PointGenerator {
    points: BTreeMap<usize, Vec<Pixel>>,
}

impl PointGenerator {
    /// The slices that points reached, in order, including the annotated slice.
    pub fn reached(&self) -> impl Iterator<Item = usize> {
        self.points.keys().copied()
    }
}

impl<B: Backend> PromptGenerator<B> for PointGenerator {
    fn generate(&self, slice: &SliceContext<'_, B>) -> Result<Option<Prompts>, AutoError> {
        let click = |&(row, column): &Pixel| Point { x: column as f32, y: row as f32, label: Label::Foreground };
        Ok(self.points.get(&slice.index).map(|points| Prompts::from_points(points.iter().map(click).collect())))
    }
}
