//! The random walker against scikit-image; the reference values are from `fixtures/generate_walker.py`.

use ndarray::Array2;
use sam_auto::{RandomWalker, Seed};
use serde::Deserialize;

/// What scikit-image computed.
#[derive(Deserialize)]
struct Reference {
    beta: f32,
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
    assert_eq!(cases.len(), 3);
    for Reference { beta, image, seeds, expected } in cases {
        let size = (image.len(), image[0].len());
        let image = Array2::from_shape_fn(size, |(row, column)| image[row][column]);
        let seeds = Array2::from_shape_fn(size, |(row, column)| match seeds[row][column] {
            0 => Seed::Open,
            1 => Seed::Inside,
            _ => Seed::Outside,
        });
        let walker = RandomWalker::default().with_beta(beta);
        let found = walker.probabilities(image.view(), seeds.view()).expect("seeds of both kinds");
        for ((row, column), &found) in found.indexed_iter() {
            let expected = expected[row][column];
            assert!((found - expected).abs() < 1e-3, "beta {beta}, {row}, {column}: {found} and {expected}");
        }
    }
}
