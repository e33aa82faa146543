//! Top-K post-processing, compared with a naive implementation.

use ndarray::{Array2, Array3, Axis};
use proptest::prelude::*;
use sam_prompt::largest_components;

/// Finds components by spreading the largest number until nothing changes.
fn naive(mask: &Array3<bool>) -> Array3<usize> {
    let mut labels = Array3::from_shape_fn(mask.dim(), |(z, y, x)| {
        if mask[(z, y, x)] { 1 + (z * mask.dim().1 + y) * mask.dim().2 + x } else { 0 }
    });
    loop {
        let before = labels.clone();
        for ((z, y, x), label) in labels.indexed_iter_mut().filter(|(_, label)| **label > 0) {
            for ((other_z, other_y, other_x), &other) in before.indexed_iter() {
                if z.abs_diff(other_z).max(y.abs_diff(other_y)).max(x.abs_diff(other_x)) == 1 {
                    *label = other.max(*label);
                }
            }
        }
        if labels == before {
            return labels;
        }
    }
}

/// Each component's label and size.
fn sizes(labels: &Array3<usize>) -> Vec<(usize, usize)> {
    let mut found: Vec<usize> = labels.iter().copied().filter(|&label| label > 0).collect();
    found.sort_unstable();
    found.chunk_by(|a, b| a == b).map(|component| (component[0], component.len())).collect()
}

fn volume() -> impl Strategy<Value = Array3<bool>> {
    [1_usize..4, 1..6, 1..6].prop_flat_map(|[depth, rows, columns]| {
        prop::collection::vec(prop::bool::weighted(0.25), depth * rows * columns)
            .prop_map(move |values| Array3::from_shape_vec((depth, rows, columns), values).expect("as many values"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn keeps_the_largest_whole_components_and_no_more(mask in volume(), count in 0_usize..4) {
        let kept = largest_components(mask.view(), count);
        prop_assert!(kept.iter().zip(&mask).all(|(kept, inside)| *inside || !kept));

        let labels = naive(&mask);
        let components = sizes(&labels);
        let mut kept_sizes = Vec::new();
        for &(label, size) in &components {
            let remaining = labels.iter().zip(&kept).filter(|&(&found, &kept)| found == label && kept).count();
            prop_assert!(remaining == 0 || remaining == size, "a part of a component is left");
            kept_sizes.extend((remaining > 0).then_some(size));
        }
        let mut largest: Vec<usize> = components.iter().map(|&(_, size)| size).collect();
        largest.sort_unstable_by(|a, b| b.cmp(a));
        largest.truncate(count);
        kept_sizes.sort_unstable_by(|a, b| b.cmp(a));
        prop_assert_eq!(kept_sizes, largest);
    }

    #[test]
    fn an_image_is_a_volume_of_one_slice(values in prop::collection::vec(any::<bool>(), 30), count in 0_usize..4) {
        let image = Array2::from_shape_vec((5, 6), values).expect("30 values");
        let volume = image.clone().insert_axis(Axis(0));
        let flat = largest_components(volume.view(), count).remove_axis(Axis(0));
        prop_assert_eq!(largest_components(image.view(), count), flat);
    }
}
