//! Removal of small holes and islands.

use ndarray::{Array2, ArrayView2};
use sam_prompt::components;

/// Kind of small regions to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmallRegions {
    /// Holes: background regions become part of the mask.
    Holes,
    /// Islands: components of the mask are removed; if all are small, the largest stays.
    Islands,
}

/// Removes 8-connected holes or islands of fewer than `min_area` pixels; `None` if there are none.
///
/// Source: `remove_small_regions` in segment-anything's `utils/amg.py`. As in that code, a mask that is a single small island stays, but
/// counts as changed.
pub fn remove_small_regions(mask: ArrayView2<'_, bool>, min_area: usize, which: SmallRegions) -> Option<Array2<bool>> {
    let holes = which == SmallRegions::Holes;
    let (labels, count) = components(mask.mapv(|inside| inside != holes).view());
    let mut areas = vec![0; count];
    labels.iter().filter(|&&label| label > 0).for_each(|&label| areas[label as usize - 1] += 1);
    let is_small = |label: u32| label > 0 && areas[label as usize - 1] < min_area;
    if !(1..=count as u32).any(is_small) {
        return None;
    }
    if holes {
        return Some(labels.mapv(|label| label == 0 || is_small(label)));
    }
    // If several are largest, the first one, like numpy's argmax.
    let largest = (1..=count as u32).rev().max_by_key(|&label| areas[label as usize - 1]);
    let all_small = (1..=count as u32).all(is_small);
    Some(labels.mapv(|label| label > 0 && (!is_small(label) || (all_small && Some(label) == largest))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(rows: &[&str]) -> Array2<bool> {
        Array2::from_shape_fn((rows.len(), rows[0].len()), |(row, column)| rows[row].as_bytes()[column] == b'#')
    }

    #[test]
    fn small_holes_are_filled_and_large_ones_stay() {
        let ring = mask(&["#####.", "#.#.#.", "###.#.", "#####."]);
        let filled = remove_small_regions(ring.view(), 3, SmallRegions::Holes);
        assert_eq!(filled, Some(mask(&["#####.", "#####.", "#####.", "#####."])), "4 pixels at the right stay outside");
        assert_eq!(remove_small_regions(ring.view(), 1, SmallRegions::Holes), None);
    }

    #[test]
    fn small_islands_go_but_the_largest_stays() {
        let islands = mask(&["##..#", ".....", "#..##", "...##"]);
        assert_eq!(
            remove_small_regions(islands.view(), 2, SmallRegions::Islands),
            Some(mask(&["##...", ".....", "...##", "...##"]))
        );
        assert_eq!(
            remove_small_regions(islands.view(), 9, SmallRegions::Islands),
            Some(mask(&[".....", ".....", "...##", "...##"]))
        );
        let empty = mask(&["...."]);
        assert_eq!(remove_small_regions(empty.view(), 9, SmallRegions::Islands), None);
        let alone = mask(&[".##."]);
        assert_eq!(remove_small_regions(alone.view(), 9, SmallRegions::Islands), Some(alone), "it counts as changed");
    }
}
