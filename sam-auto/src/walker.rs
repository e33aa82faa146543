//! Random walker: which of the given seeds a random walk from each pixel meets first, if it seldom crosses edges of the image.

use ndarray::{Array2, ArrayView2};
use sam_prompt::{ConfigError, PixelAspect};
use serde::{Deserialize, Serialize};

/// Added to each weight, so that a walk can leave every pixel.
const MIN_WEIGHT: f64 = 1e-10;
/// Neighbours of a pixel: above, below, left and right.
const NEIGHBOURS: usize = 4;

/// Configuration of the random walker.
///
/// # Source
/// L. Grady, "Random Walks for Image Segmentation", IEEE PAMI 28(11), 2006. The weights of edges are those of scikit-image's
/// `random_walker`: `exp(-beta * gradient² / (10 * standard deviation of the image)) + 1e-10`, where the gradient is the difference over the
/// distance between the pixels. Where pixels are not square, a weight is multiplied by the length of the side that both pixels share, over
/// the distance between them, as in finite volumes: otherwise a walk would go farther along the longer side of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RandomWalker {
    /// How much a difference of intensity hinders a walk.
    pub beta: f32,
    /// The solver ends when the residual is this share of the right side.
    pub tolerance: f32,
    /// Maximum number of iterations of the solver.
    pub max_iterations: usize,
}

sam_assist::__setters!(RandomWalker {
    with_beta => beta: f32,
    with_tolerance => tolerance: f32,
    with_max_iterations => max_iterations: usize,
});

impl Default for RandomWalker {
    fn default() -> Self {
        Self { beta: 100.0, tolerance: 1e-5, max_iterations: 2000 }
    }
}

/// What is known of a pixel before the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seed {
    /// It is inside the structure.
    Inside,
    /// It is outside the structure.
    Outside,
    /// It is not known.
    Open,
}

impl RandomWalker {
    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] names the first one that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        ConfigError::check_positive("walker.beta", self.beta)?;
        ConfigError::check_positive("walker.tolerance", self.tolerance)?;
        let found = || self.max_iterations.to_string();
        ConfigError::check(self.max_iterations > 0, "walker.max_iterations", found, "at least 1")
    }

    /// The probability of each pixel that a walk from it meets a seed inside the structure first: 1 and 0 at the seeds. `None` if there is
    /// no seed of one of the two kinds, or the sizes differ.
    ///
    /// # Shapes
    /// - image: `[rows, columns]`, in any unit; the differences count in relation to its standard deviation
    /// - seeds: the same
    pub fn probabilities(
        &self,
        image: ArrayView2<'_, f32>,
        seeds: ArrayView2<'_, Seed>,
        aspect: PixelAspect,
    ) -> Option<Array2<f32>> {
        let has = |kind: Seed| seeds.iter().any(|&seed| seed == kind);
        if image.dim() != seeds.dim() || !has(Seed::Inside) || !has(Seed::Outside) {
            return None;
        }
        let mut found = seeds.mapv(|seed| f32::from(u8::from(seed == Seed::Inside)));
        let system = System::new(self.beta.into(), image, seeds, aspect);
        let solved = system.solve(self.tolerance.into(), self.max_iterations);
        for (&at, probability) in system.places.iter().zip(solved) {
            found[at] = (probability as f32).clamp(0.0, 1.0);
        }
        Some(found)
    }
}

/// The linear equations of the open pixels: each probability is the weighted mean of its neighbours'.
struct System {
    /// Row and column of each open pixel.
    places: Vec<(usize, usize)>,
    rows: Vec<Row>,
    /// The weights to neighbours that are inside.
    right: Vec<f64>,
}

/// The equation of an open pixel.
#[derive(Clone, Copy, Default)]
struct Row {
    /// The sum of the weights to all neighbours.
    diagonal: f64,
    /// Number of each open neighbour, and the weight to it; the weight is 0 where there is none.
    open: [(u32, f64); NEIGHBOURS],
}

impl System {
    fn new(beta: f64, image: ArrayView2<'_, f32>, seeds: ArrayView2<'_, Seed>, aspect: PixelAspect) -> Self {
        let mut numbers = Array2::zeros(seeds.dim());
        let mut places = Vec::new();
        for (at, _) in seeds.indexed_iter().filter(|&(_, &seed)| seed == Seed::Open) {
            numbers[at] = places.len() as u32;
            places.push(at);
        }
        let deviation = deviation(image);
        // A constant image has no edges.
        let scale = if deviation > 0.0 { -beta / (10.0 * deviation) } else { 0.0 };
        let (rows_apart, columns_apart) = (f64::from(aspect.rows()), f64::from(aspect.columns()));
        let weight = |here: (usize, usize), there: (usize, usize)| {
            let is_along_rows = here.0 == there.0;
            let (distance, side) =
                if is_along_rows { (columns_apart, rows_apart) } else { (rows_apart, columns_apart) };
            let gradient = (f64::from(image[here]) - f64::from(image[there])) / distance;
            ((scale * gradient * gradient).exp() + MIN_WEIGHT) * (side / distance)
        };
        let (rows, columns) = seeds.dim();
        let mut right = vec![0.0; places.len()];
        let row = |(number, &(row, column)): (usize, &(usize, usize))| {
            let around = [
                row.checked_sub(1).map(|row| (row, column)),
                (row + 1 < rows).then_some((row + 1, column)),
                column.checked_sub(1).map(|column| (row, column)),
                (column + 1 < columns).then_some((row, column + 1)),
            ];
            let mut equation = Row::default();
            for (neighbour, there) in equation.open.iter_mut().zip(around) {
                let Some(there) = there else { continue };
                let weight = weight((row, column), there);
                equation.diagonal += weight;
                match seeds[there] {
                    Seed::Open => *neighbour = (numbers[there], weight),
                    Seed::Inside => right[number] += weight,
                    Seed::Outside => {}
                }
            }
            equation
        };
        let rows = places.iter().enumerate().map(row).collect();
        Self { places, rows, right }
    }

    /// The matrix times a vector.
    fn apply(&self, vector: &[f64], product: &mut [f64]) {
        for ((row, &here), product) in self.rows.iter().zip(vector).zip(product) {
            let around: f64 = row.open.iter().map(|&(number, weight)| weight * vector[number as usize]).sum();
            *product = row.diagonal * here - around;
        }
    }

    /// Conjugate gradients with the diagonal as preconditioner, as scikit-image's mode `cg_j`.
    fn solve(&self, tolerance: f64, max_iterations: usize) -> Vec<f64> {
        let count = self.rows.len();
        let dot = |first: &[f64], second: &[f64]| first.iter().zip(second).map(|(a, b)| a * b).sum::<f64>();
        let precondition = |residual: &[f64], into: &mut Vec<f64>| {
            into.clear();
            into.extend(residual.iter().zip(&self.rows).map(|(residual, row)| residual / row.diagonal));
        };
        let (mut solution, mut residual, mut product) = (vec![0.0; count], self.right.clone(), vec![0.0; count]);
        let mut scaled = Vec::with_capacity(count);
        precondition(&residual, &mut scaled);
        let mut direction = scaled.clone();
        let mut norm = dot(&residual, &scaled);
        let enough = tolerance * tolerance * dot(&self.right, &self.right);
        for _ in 0..max_iterations {
            if dot(&residual, &residual) <= enough {
                break;
            }
            self.apply(&direction, &mut product);
            let step = norm / dot(&direction, &product);
            solution.iter_mut().zip(&direction).for_each(|(solution, direction)| *solution += step * direction);
            residual.iter_mut().zip(&product).for_each(|(residual, product)| *residual -= step * product);
            precondition(&residual, &mut scaled);
            let before = norm;
            norm = dot(&residual, &scaled);
            let kept = norm / before;
            direction.iter_mut().zip(&scaled).for_each(|(direction, scaled)| *direction = scaled + kept * *direction);
        }
        solution
    }
}

/// The standard deviation of all pixels.
fn deviation(image: ArrayView2<'_, f32>) -> f64 {
    let count = image.len() as f64;
    let mean = image.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    let variance = image.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
    variance.sqrt()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    const SQUARE: PixelAspect = PixelAspect::SQUARE;

    #[test]
    fn without_edges_the_probability_falls_with_the_distance() {
        let image = Array2::zeros((1, 6));
        let mut seeds = Array2::from_elem((1, 6), Seed::Open);
        seeds[(0, 0)] = Seed::Inside;
        seeds[(0, 5)] = Seed::Outside;
        let found =
            RandomWalker::default().probabilities(image.view(), seeds.view(), SQUARE).expect("seeds of both kinds");
        for (found, expected) in found.iter().zip([1.0, 0.8, 0.6, 0.4, 0.2, 0.0]) {
            assert!((found - expected).abs() < 1e-4, "{found} and {expected}");
        }
    }

    #[test]
    fn a_walk_stays_on_its_side_of_an_edge() {
        let image = Array2::from_shape_fn((8, 9), |(_, column)| if column < 6 { 0.2 } else { 0.8 });
        let mut seeds = Array2::from_elem((8, 9), Seed::Open);
        seeds[(4, 0)] = Seed::Inside;
        seeds[(4, 8)] = Seed::Outside;
        let found =
            RandomWalker::default().probabilities(image.view(), seeds.view(), SQUARE).expect("seeds of both kinds");
        for ((_, column), &probability) in found.indexed_iter() {
            assert_eq!(probability > 0.5, column < 6, "{column}: {probability}");
        }
    }

    #[test]
    fn seeds_of_one_kind_and_other_sizes_give_nothing() {
        let image = array![[0.0, 1.0]];
        let walker = RandomWalker::default();
        assert_eq!(walker.probabilities(image.view(), array![[Seed::Inside, Seed::Open]].view(), SQUARE), None);
        assert_eq!(walker.probabilities(image.view(), array![[Seed::Inside], [Seed::Outside]].view(), SQUARE), None);
        let all = array![[Seed::Inside, Seed::Outside]];
        assert_eq!(walker.probabilities(image.view(), all.view(), SQUARE), Some(array![[1.0, 0.0]]));
        assert!(walker.with_beta(f32::NAN).check().is_err() && walker.check().is_ok());
    }
}
