//! Weights of linear interpolation.

/// Weights that interpolate `from` samples linearly to `to` samples, as PyTorch's `interpolate` does with `align_corners=False`.
///
/// The outer edges of both grids coincide. Beyond the outermost samples, their values are repeated.
///
/// Positions are computed in f32, as PyTorch computes them for f32 tensors (`area_pixel_compute_source_index`).
///
/// A bilinear resize is `rows * map * columns`, with these weights for the rows and, transposed, for the columns. In this form it is
/// exact and has a gradient on every backend of burn.
///
/// # Shapes
/// - output: `[to, from]`, row-major
pub fn interpolation_matrix(from: usize, to: usize) -> Vec<f32> {
    let mut weights = vec![0.0; to * from];
    let scale = from as f32 / to as f32;
    for (target, row) in weights.chunks_exact_mut(from.max(1)).enumerate() {
        let source = ((target as f32 + 0.5) * scale - 0.5).max(0.0);
        let low = (source as usize).min(from - 1);
        let high = (low + 1).min(from - 1);
        let fraction = source - low as f32;
        row[low] += 1.0 - fraction;
        row[high] += fraction;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_and_doubles_like_pytorch() {
        // torch.nn.functional.interpolate(torch.tensor([[[0., 1., 2., 3.]]]), size, mode="linear")
        let apply = |to: usize| -> Vec<f32> {
            interpolation_matrix(4, to)
                .chunks_exact(4)
                .map(|row| row.iter().zip([0.0, 1.0, 2.0, 3.0]).map(|(weight, value)| weight * value).sum())
                .collect()
        };
        assert_eq!(apply(2), [0.5, 2.5]);
        assert_eq!(apply(8), [0.0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.0]);
        assert_eq!(apply(4), [0.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn no_samples_have_no_weights() {
        assert!(interpolation_matrix(0, 3).is_empty());
        assert!(interpolation_matrix(3, 0).is_empty());
    }
}
