//! Slicing of arrays.

use std::ops::Range;

use ndarray::{AxisDescription, Slice};

/// The range of each axis, for `slice_each_axis` and similar methods; axes without a range are kept whole.
///
/// Used instead of ndarray's `s!`, which expands to unsafe code.
pub(crate) fn within<const N: usize>(ranges: [Range<usize>; N]) -> impl FnMut(AxisDescription) -> Slice {
    move |axis| ranges.get(axis.axis.index()).map_or(Slice::from(..), |range| Slice::from(range.clone()))
}
