//! Top-K post-processing: what the number of objects says about a mask.

use std::cmp::Reverse;

use ndarray::{Array, ArrayView, ArrayViewMut, Dimension, IntoDimension};

/// The largest connected components of a mask, at most `count` of them; all the rest is removed.
///
/// Pixels that touch at a corner are connected: 8 neighbours in an image, 26 in a volume. Of components of one size, the
/// first in the array's order is kept. For objects of a known number alone, such as 1 liver or 2 kidneys.
///
/// # Source
/// Paper, section 3.2.2 (post-processing of the coarse mask).
pub fn largest_components<D: Dimension>(mask: ArrayView<'_, bool, D>, count: usize) -> Array<bool, D> {
    let (labels, sizes) = components(mask);
    let mut ranked: Vec<usize> = (0..sizes.len()).collect();
    ranked.sort_by_key(|&component| Reverse(sizes[component]));
    let mut kept = vec![false; sizes.len()];
    ranked.into_iter().take(count).for_each(|component| kept[component] = true);
    labels.mapv(|label| label > 0 && kept[label as usize - 1])
}

/// Numbers the components from 1 in the array's order, 0 outside; and how many pixels each has.
fn components<D: Dimension>(mask: ArrayView<'_, bool, D>) -> (Array<u32, D>, Vec<usize>) {
    let mut labels = Array::zeros(mask.raw_dim());
    let mut sizes = Vec::new();
    let starts = mask.indexed_iter().filter(|&(_, &inside)| inside).map(|(at, _)| at.into_dimension());
    for start in starts {
        if labels[start.clone()] == 0 {
            let label = sizes.len() as u32 + 1;
            sizes.push(flood(mask.view(), labels.view_mut(), start, label));
        }
    }
    (labels, sizes)
}

/// Labels all that is connected to a pixel of the mask, and counts it.
fn flood<D: Dimension>(
    mask: ArrayView<'_, bool, D>,
    mut labels: ArrayViewMut<'_, u32, D>,
    start: D,
    label: u32,
) -> usize {
    let mut size = 0;
    labels[start.clone()] = label;
    let mut pending = vec![start];
    while let Some(at) = pending.pop() {
        size += 1;
        for_neighbours(&at, &mask.raw_dim(), |next| {
            if mask[next.clone()] && labels[next.clone()] == 0 {
                labels[next.clone()] = label;
                pending.push(next);
            }
        });
    }
    size
}

/// Visits the pixel and all that touch it, corners included.
fn for_neighbours<D: Dimension>(at: &D, shape: &D, mut visit: impl FnMut(D)) {
    let axes = at.ndim();
    for code in 0..3_usize.pow(axes as u32) {
        let (mut next, mut rest) = (at.clone(), code);
        let inside = (0..axes).all(|axis| {
            let moved = at[axis] + rest % 3;
            rest /= 3;
            next[axis] = moved.wrapping_sub(1);
            (1..=shape[axis]).contains(&moved)
        });
        if inside {
            visit(next);
        }
    }
}
