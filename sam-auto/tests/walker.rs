//! The random walker against scikit-image; the reference values are from `fixtures/generate_walker.py`.

use ndarray::Array2;
use sam_auto::{RandomWalker, Seed};
use sam_prompt::PixelAspect;
use serde::Deserialize;

/// What scikit-image computed.
#[derive(Deserialize)]
struct Reference {
    beta: f32,
    spacing: (f64, f64),
    image: Vec<Vec<f32>>,
    seeds: Vec<Vec<u8>>,
    expected: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct File {
    cases: Vec<Reference>,
}

#[test]
fn probabilities_are_those_of_scikit_image() {
    let text = include_str!("fixtures/walker.json");
    let File { cases } = serde_json::from_str(text).expect("the file of its generator");
    assert_eq!(cases.len(), 7);
    for Reference { beta, spacing, image, seeds, expected } in cases {
        let size = (image.len(), image[0].len());
        let image = Array2::from_shape_fn(size, |(row, column)| image[row][column]);
        let seeds = Array2::from_shape_fn(size, |(row, column)| match seeds[row][column] {
            0 => Seed::Open,
            1 => Seed::Inside,
            _ => Seed::Outside,
        });
        let walker = RandomWalker::default().with_beta(beta);
        let aspect = PixelAspect::of_spacing(spacing.0, spacing.1).expect("positive numbers");
        let found = walker.probabilities(image.view(), seeds.view(), aspect).expect("seeds of both kinds");
        for ((row, column), &found) in found.indexed_iter() {
            let expected = expected[row][column];
            assert!(
                (found - expected).abs() < 1e-3,
                "beta {beta}, spacing {spacing:?}, {row}, {column}: {found} and {expected}"
            );
        }
    }
}
