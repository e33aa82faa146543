//! Matrix products on slices.

use std::ops::Range;

/// A matrix in memory, with the steps from one row or column to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    size: [usize; 2],
    strides: [usize; 2],
}

/// A matrix to be written.
#[derive(Debug)]
pub(super) struct MatrixMut<'a> {
    values: &'a mut [f32],
    size: [usize; 2],
    strides: [usize; 2],
}

/// How far into its slice a matrix reaches.
fn extent([rows, columns]: [usize; 2], [down, right]: [usize; 2]) -> usize {
    if rows == 0 || columns == 0 { 0 } else { (rows - 1) * down + (columns - 1) * right + 1 }
}

impl<'a> Matrix<'a> {
    /// In row-major order.
    pub(super) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(values, [rows, columns], [columns, 1])
    }

    /// # Panics
    /// If it does not fit into the slice.
    pub(super) fn strided(values: &'a [f32], size: [usize; 2], strides: [usize; 2]) -> Self {
        assert!(
            extent(size, strides) <= values.len(),
            "a matrix of {size:?} by {strides:?} in {} values",
            values.len()
        );
        Self { values, size, strides }
    }

    pub(super) fn rows(&self) -> usize {
        self.size[0]
    }

    pub(super) fn columns(&self) -> usize {
        self.size[1]
    }

    /// The values that it was made from.
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

    /// Some of the rows.
    pub(super) fn slice_rows(self, rows: Range<usize>) -> Self {
        Self::strided(&self.values[rows.start * self.strides[0]..], [rows.len(), self.size[1]], self.strides)
    }

    /// Some of the columns.
    pub(super) fn slice_columns(self, columns: Range<usize>) -> Self {
        Self::strided(&self.values[columns.start * self.strides[1]..], [self.size[0], columns.len()], self.strides)
    }
}

impl<'a> MatrixMut<'a> {
    /// In row-major order.
    pub(super) fn new(values: &'a mut [f32], rows: usize, columns: usize) -> Self {
        Self::strided(values, [rows, columns], [columns, 1])
    }

    /// # Panics
    /// If it does not fit into the slice.
    pub(super) fn strided(values: &'a mut [f32], size: [usize; 2], strides: [usize; 2]) -> Self {
        assert!(
            extent(size, strides) <= values.len(),
            "a matrix of {size:?} by {strides:?} in {} values",
            values.len()
        );
        Self { values, size, strides }
    }

    /// Some of the columns.
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
        // SAFETY: each matrix was checked to lie within its slice when it was made, the sizes fit each other, and the output is
        // borrowed mutably, so that it overlaps neither input.
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
