//! Rotated ellipses in an image.

/// An ellipse with centre, radii and rotation, in pixels and radians.
pub(super) struct Ellipse {
    /// Row and column.
    pub(super) centre: [f32; 2],
    /// Radii along the first and the second axis.
    pub(super) radii: [f32; 2],
    /// Angle of the first axis from the direction of the rows.
    pub(super) turn: f32,
}

impl Ellipse {
    /// Offset of a position from the centre along each axis, in pixels.
    pub(super) fn along_axes(&self, row: f32, column: f32) -> [f32; 2] {
        let (down, across) = (row - self.centre[0], column - self.centre[1]);
        let (sine, cosine) = self.turn.sin_cos();
        [cosine * across + sine * down, cosine * down - sine * across]
    }
}
