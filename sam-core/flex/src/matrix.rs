//! Matrix products on slices.

use std::ops::Range;

/// A view of a matrix with strides: the steps from one row and one column to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    size: [usize; 2],
    strides: [usize; 2],
}

/// A mutable view of a matrix.
#[derive(Debug)]
pub(super) struct MatrixMut<'a> {
    values: &'a mut [f32],
    size: [usize; 2],
    strides: [usize; 2],
}

/// Whether a matrix fits into `length` values.
fn fits([rows, columns]: [usize; 2], [down, right]: [usize; 2], length: usize) -> bool {
    let last = || (rows - 1).checked_mul(down)?.checked_add((columns - 1).checked_mul(right)?);
    rows == 0 || columns == 0 || last().is_some_and(|last| last < length)
}

/// Whether no two elements of a matrix share a position. Sufficient check: each row starts after the end of the row before, or the same
/// holds for columns.
fn is_distinct([rows, columns]: [usize; 2], [down, right]: [usize; 2]) -> bool {
    let behind = |outer: usize, step: usize, inner: usize, stride: usize| {
        (outer <= 1 || step > inner.saturating_sub(1) * stride) && (inner <= 1 || stride > 0)
    };
    rows == 0 || columns == 0 || behind(rows, down, columns, right) || behind(columns, right, rows, down)
}

impl<'a> Matrix<'a> {
    /// A matrix in row-major order.
    pub(super) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(values, [rows, columns], [columns, 1])
    }

    /// # Panics
    /// If the matrix does not fit into the slice.
    pub(super) fn strided(values: &'a [f32], size: [usize; 2], strides: [usize; 2]) -> Self {
        assert!(fits(size, strides, values.len()), "a matrix of {size:?} by {strides:?} in {} values", values.len());
        Self { values, size, strides }
    }

    pub(super) fn rows(&self) -> usize {
        self.size[0]
    }

    pub(super) fn columns(&self) -> usize {
        self.size[1]
    }

    /// The underlying values.
    pub(super) fn values(self) -> &'a [f32] {
        self.values
    }

    pub(super) fn transposed(self) -> Self {
        let ([rows, columns], [down, right]) = (self.size, self.strides);
        Self { size: [columns, rows], strides: [right, down], ..self }
    }

    /// The values of a row.
    pub(super) fn row(self, row: usize) -> impl Iterator<Item = f32> + 'a {
        (0..self.size[1]).map(move |column| self.values[row * self.strides[0] + column * self.strides[1]])
    }

    /// The values of a row, if they are contiguous.
    pub(super) fn contiguous_row(self, row: usize) -> Option<&'a [f32]> {
        let side_by_side = self.strides[1] == 1 || self.size[1] <= 1;
        side_by_side.then(|| &self.values[row * self.strides[0]..][..self.size[1]])
    }

    pub(super) fn at(self, row: usize, column: usize) -> f32 {
        self.values[row * self.strides[0] + column * self.strides[1]]
    }

    /// A range of rows.
    pub(super) fn slice_rows(self, rows: Range<usize>) -> Self {
        Self::strided(&self.values[rows.start * self.strides[0]..], [rows.len(), self.size[1]], self.strides)
    }

    /// A range of columns.
    pub(super) fn slice_columns(self, columns: Range<usize>) -> Self {
        Self::strided(&self.values[columns.start * self.strides[1]..], [self.size[0], columns.len()], self.strides)
    }
}

impl<'a> MatrixMut<'a> {
    /// A matrix in row-major order.
    pub(super) fn new(values: &'a mut [f32], rows: usize, columns: usize) -> Self {
        Self::strided(values, [rows, columns], [columns, 1])
    }

    /// # Panics
    /// If the matrix does not fit into the slice, or two of its elements share a position.
    pub(super) fn strided(values: &'a mut [f32], size: [usize; 2], strides: [usize; 2]) -> Self {
        assert!(fits(size, strides, values.len()), "a matrix of {size:?} by {strides:?} in {} values", values.len());
        assert!(is_distinct(size, strides), "elements of a matrix of {size:?} by {strides:?} share their places");
        Self { values, size, strides }
    }

    pub(super) fn size(&self) -> [usize; 2] {
        self.size
    }

    /// A square block, and the distance between its rows; `None` if it exceeds the matrix, or the values of a row are not contiguous.
    pub(super) fn block(&mut self, row: usize, column: usize, side: usize) -> Option<(&mut [f32], usize)> {
        let ([rows, columns], [down, right]) = (self.size, self.strides);
        let whole = row + side <= rows && column + side <= columns && right == 1;
        whole.then(|| (&mut self.values[row * down + column..], down))
    }

    /// Adds a square block; the part outside the matrix is ignored.
    pub(super) fn add_block(&mut self, row: usize, column: usize, block: &[f32], side: usize) {
        let ([rows, columns], [down, right]) = (self.size, self.strides);
        for (row, block) in (row..rows).zip(block.chunks_exact(side)) {
            for (column, value) in (column..columns).zip(block) {
                self.values[row * down + column * right] += value;
            }
        }
    }

    /// A range of columns.
    pub(super) fn slice_columns(self, columns: Range<usize>) -> Self {
        let start = columns.start * self.strides[1];
        Self::strided(&mut self.values[start..], [self.size[0], columns.len()], self.strides)
    }

    /// `self = factor * left * right`.
    pub(super) fn assign(self, factor: f32, left: Matrix<'_>, right: Matrix<'_>) {
        self.product(factor, left, right, false, gemm::Parallelism::None);
    }

    /// `self += factor * left * right`.
    pub(super) fn add(self, factor: f32, left: Matrix<'_>, right: Matrix<'_>) {
        self.product(factor, left, right, true, gemm::Parallelism::None);
    }

    /// `self = left * right`, on all cores.
    pub(super) fn assign_parallel(self, left: Matrix<'_>, right: Matrix<'_>) {
        self.product(1.0, left, right, false, gemm::Parallelism::Rayon(0));
    }

    #[expect(
        unsafe_code,
        reason = "gemm takes pointers; the sizes are checked here, the extents where the matrices are made"
    )]
    fn product(self, factor: f32, left: Matrix<'_>, right: Matrix<'_>, onto: bool, parallelism: gemm::Parallelism) {
        let [rows, columns] = self.size;
        assert_eq!([left.rows(), right.columns()], [rows, columns], "the product's size");
        assert_eq!(left.columns(), right.rows(), "the inner sizes of the product");
        let step = |stride: usize| stride as isize;
        // SAFETY: gemm reads `left` and `right` and writes `self` at the rows and columns of their sizes alone. The sizes fit each
        // other, as was just checked; each matrix lies within its slice, as was checked when it was made, so all strides that are used
        // fit an `isize`. `self` is borrowed mutably, so it overlaps neither input, and its elements have places of their own, so
        // threads that share the work write to different ones. All values are initialised: they come from slices of `f32`.
        unsafe {
            gemm::gemm(
                rows,
                columns,
                left.columns(),
                self.values.as_mut_ptr(),
                step(self.strides[1]),
                step(self.strides[0]),
                onto,
                left.values.as_ptr(),
                step(left.strides[1]),
                step(left.strides[0]),
                right.values.as_ptr(),
                step(right.strides[1]),
                step(right.strides[0]),
                1.0,
                factor,
                false,
                false,
                false,
                parallelism,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference implementation of the product.
    fn naive(left: Matrix<'_>, right: Matrix<'_>) -> Vec<f32> {
        let right = right.transposed();
        let rows = (0..left.rows()).flat_map(|row| (0..right.rows()).map(move |column| (row, column)));
        rows.map(|(row, column)| left.row(row).zip(right.row(column)).map(|(a, b)| a * b).sum()).collect()
    }

    #[test]
    fn products_are_those_of_their_elements_in_any_order() {
        let values: Vec<f32> = (0_u8..60).map(|value| f32::from(value % 7) - 3.0).collect();
        let left = Matrix::new(&values[..15], 5, 3);
        for right in [
            Matrix::new(&values, 3, 4),
            Matrix::new(&values, 4, 3).transposed(),
            Matrix::new(&values, 3, 12).slice_columns(5..9),
        ] {
            let expected = naive(left, right);
            let mut found = vec![1.0; 20];
            MatrixMut::new(&mut found, 5, 4).assign(2.0, left, right);
            MatrixMut::new(&mut found, 5, 4).add(-1.0, left, right);
            assert_eq!(found, expected);
            let mut wide = vec![9.0; 30];
            MatrixMut::new(&mut wide, 5, 6).slice_columns(1..5).assign(1.0, left, right);
            let framed: Vec<f32> = expected.chunks(4).flat_map(|row| [&[9.0], row, &[9.0]].concat()).collect();
            assert_eq!(wide, framed, "the columns beside it are left alone");
            MatrixMut::new(&mut found, 5, 4).assign_parallel(left, right);
            assert_eq!(found, expected);
        }
        let nothing = Matrix::new(&[], 0, 3);
        MatrixMut::new(&mut [], 0, 3).assign(1.0, nothing, Matrix::new(&values, 3, 3));
    }

    #[test]
    fn what_reaches_beyond_its_values_is_refused() {
        let values = vec![0.0; 12];
        for (size, strides) in [
            ([4, 4], [4, 1]),
            ([3, 4], [5, 1]),
            ([1, 2], [0, 12]),
            ([2, 2], [usize::MAX, 1]),
            ([3, 1], [usize::MAX / 2 + 1, 1]),
        ] {
            assert!(
                std::panic::catch_unwind(|| Matrix::strided(&values, size, strides)).is_err(),
                "{size:?} {strides:?}"
            );
        }
    }

    #[test]
    fn elements_to_be_written_have_places_of_their_own() {
        for (size, strides, expected) in [
            ([3, 4], [4, 1], true),
            ([3, 4], [1, 3], true),
            ([3, 4], [8, 2], true),
            ([1, 4], [0, 1], true),
            ([4, 1], [1, 0], true),
            ([0, 4], [0, 0], true),
            ([3, 4], [3, 1], false),
            ([3, 4], [0, 1], false),
            ([3, 4], [4, 0], false),
            ([1, 2], [7, 0], false),
        ] {
            assert_eq!(is_distinct(size, strides), expected, "{size:?} {strides:?}");
        }
    }
}
