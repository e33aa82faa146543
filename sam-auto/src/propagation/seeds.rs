//! The paper's Algorithm 1: points on an annotated slice are handed on to neighbours as long as intensities stay alike.

use std::collections::BTreeMap;

use burn::tensor::backend::Backend;
use ndarray::{Array2, ArrayView2, Axis};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sam_prompt::{Label, Point, Prompts, SamplingScheme};
use serde::{Deserialize, Serialize};

use crate::{AutoError, PromptGenerator, SliceContext, SliceSource, SupportSlice};

/// How points are handed from slice to slice. The paper states the procedure; the numbers are ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SeedPropagationConfig {
    /// Points drawn on the object of each annotated slice.
    pub points: usize,
    /// Where they are drawn.
    pub sampling: SamplingScheme,
    /// A point stays if its intensity is within so many deviations of the mean.
    pub tolerance: f32,
    /// Intensities are means over a square of so many pixels a side.
    pub window: usize,
    /// How far mean and deviation follow those of the last slice's points: 0 never, 1 wholly.
    pub adaption: f32,
    /// The deviation is at least this, in 8-bit levels: 5 % of the intensity window.
    pub least_deviation: f32,
    /// A point whose intensity has left may move to the best pixel within this distance. Not in the paper, which leaves points
    /// where they are: 0.
    pub drift: usize,
    /// Points go at most this many slices far. The paper has no limit.
    pub max_distance: Option<usize>,
    /// Seed of the drawn points.
    pub seed: u64,
}

impl Default for SeedPropagationConfig {
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

impl SeedPropagationConfig {
    /// Checks every number.
    ///
    /// # Errors
    /// [`AutoError::Config`] names the first that makes no sense.
    pub fn check(&self) -> Result<(), AutoError> {
        AutoError::check(self.points > 0, "propagation.points", || "0".to_owned(), "at least 1")?;
        AutoError::check(self.window % 2 == 1, "propagation.window", || self.window.to_string(), "an odd number")?;
        for (name, value) in
            [("propagation.tolerance", self.tolerance), ("propagation.least_deviation", self.least_deviation)]
        {
            let holds = value.is_finite() && value >= 0.0;
            AutoError::check(holds, name, || value.to_string(), "a finite number of at least 0")?;
        }
        let adaption = self.adaption;
        AutoError::check((0.0..=1.0).contains(&adaption), "propagation.adaption", || adaption.to_string(), "0 to 1")
    }

    /// Hands on points from each annotated slice in both directions: one generator for each, in the order given.
    ///
    /// The paper unites their masks: [`Vote::Union`](crate::Vote). Slices are read as far as points get; none is embedded.
    ///
    /// # Errors
    /// [`AutoError::Config`]; [`AutoError::NothingAnnotated`]; [`AutoError::NoSuchSlice`]; [`AutoError::Slice`] if a slice cannot be
    /// had; [`AutoError::OutlineSize`] if slices differ in size.
    pub fn fit<B: Backend>(
        &self,
        annotated: &[SupportSlice<B>],
        source: &mut dyn SliceSource<B>,
    ) -> Result<Vec<SeedGenerator>, AutoError> {
        self.check()?;
        let shown: Vec<_> = annotated.iter().filter(|slice| slice.pixels() > 0).collect();
        if shown.is_empty() {
            return Err(AutoError::NothingAnnotated);
        }
        shown.into_iter().map(|slice| self.spread(slice, source)).collect()
    }

    fn spread<B: Backend>(
        &self,
        slice: &SupportSlice<B>,
        source: &mut dyn SliceSource<B>,
    ) -> Result<SeedGenerator, AutoError> {
        let (index, count) = (slice.index(), source.count());
        if index >= count {
            return Err(AutoError::NoSuchSlice { index, count });
        }
        let outline = slice.outline();
        let image = levels(source, index, outline.dim())?;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        // Each annotated slice draws its own points, whatever was drawn on others before.
        rng.set_stream(index as u64);
        let drawn = self.sampling.sampler(false).sample(outline.view(), Label::Foreground, self.points, &mut rng)?;
        let seeds: Vec<Pixel> = drawn.iter().map(|point| (point.y as usize, point.x as usize)).collect();
        let inside = outline.indexed_iter().filter(|&(_, &inside)| inside).map(|(pixel, _)| pixel);
        let start = Intensity::of(inside.map(|pixel| self.level(image.view(), pixel)));
        let mut points = BTreeMap::from([(index, seeds.clone())]);
        for step in [-1, 1] {
            let (mut here, mut seeds, mut expected) = (index, seeds.clone(), start);
            while let Some(next) = here.checked_add_signed(step).filter(|&next| next < count) {
                if self.max_distance.is_some_and(|most| next.abs_diff(index) > most) {
                    break;
                }
                let image = levels(source, next, outline.dim())?;
                seeds = seeds.iter().filter_map(|&pixel| self.follow(image.view(), pixel, expected)).collect();
                if seeds.is_empty() {
                    break;
                }
                let found = Intensity::of(seeds.iter().map(|&pixel| self.level(image.view(), pixel)));
                expected = expected.towards(found, self.adaption);
                points.insert(next, seeds.clone());
                here = next;
            }
        }
        Ok(SeedGenerator { points })
    }

    /// Where a point is on the next slice: at the same place, or at the nearest intensity within its drift; gone, if none fits.
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

    /// The mean over a pixel's square, as far as it lies in the image.
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

/// What intensities are expected.
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

/// A slice's intensities, the mean of its channels.
fn levels<B: Backend>(
    source: &mut dyn SliceSource<B>,
    index: usize,
    expected: (usize, usize),
) -> Result<Array2<f32>, AutoError> {
    let image = source.image(index).map_err(|source| AutoError::Slice { index, source })?;
    let (rows, columns, channels) = image.dim();
    if (rows, columns) != expected {
        return Err(AutoError::OutlineSize { index, found: expected, expected: (rows, columns) });
    }
    Ok(image.sum_axis(Axis(2)) / channels.max(1) as f32)
}

/// Points that were handed on from one annotated slice. Prompts the slices that they reached, and no other.
#[derive(Debug, Clone, PartialEq)]
pub struct SeedGenerator {
    points: BTreeMap<usize, Vec<Pixel>>,
}

impl SeedGenerator {
    /// The slices that points reached, in order, the annotated one among them.
    pub fn reached(&self) -> impl Iterator<Item = usize> {
        self.points.keys().copied()
    }
}

impl<B: Backend> PromptGenerator<B> for SeedGenerator {
    fn generate(&self, slice: &SliceContext<'_, B>) -> Result<Option<Prompts>, AutoError> {
        let click = |&(row, column): &Pixel| Point { x: column as f32, y: row as f32, label: Label::Foreground };
        Ok(self.points.get(&slice.index).map(|points| Prompts::from_points(points.iter().map(click).collect())))
    }
}
