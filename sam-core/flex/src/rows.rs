//! Broadcasting: maps rows of an output to rows of a smaller array.

/// Maps the rows of an output `[samples, pixels, channels]` to the rows of a smaller array `[1 or samples, 1 or pixels, channels]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows {
    pixels: usize,
    down: usize,
    right: usize,
}

impl Rows {
    /// From the dimensions of the smaller array and the output; missing dimensions count as 1.
    pub(super) fn of(dims: &[usize], output: &[usize]) -> Self {
        let [samples, pixels] = leading(dims);
        let [_, all_pixels] = leading(output);
        Self { pixels: all_pixels, down: if samples > 1 { pixels } else { 0 }, right: usize::from(pixels > 1) }
    }

    /// The smaller array's row that corresponds to a row of the output.
    pub(super) fn at(&self, row: usize) -> usize {
        row / self.pixels * self.down + row % self.pixels * self.right
    }
}

/// Numbers of samples and pixels: the product of all axes except the last two, and the second to last axis.
pub(super) fn leading(dims: &[usize]) -> [usize; 2] {
    match dims {
        [] | [_] => [1, 1],
        [samples @ .., pixels, _] => [samples.iter().product(), *pixels],
    }
}

/// The gradient of a broadcast array: for each of its rows, the sum over the corresponding output rows.
pub(super) fn gather(gradient: &[f32], width: usize, rows: Rows, size: usize) -> Vec<f32> {
    let mut gathered = vec![0.0; size];
    for (row, gradient) in gradient.chunks_exact(width.max(1)).enumerate() {
        let start = rows.at(row) * width;
        gathered[start..start + width].iter_mut().zip(gradient).for_each(|(sum, gradient)| *sum += gradient);
    }
    gathered
}
