//! Cubic Hermite curves through outlines at unequal distances.

/// The value at the end of a gap between two outlines, and the slope there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Knots {
    /// Length of the gap, in slices.
    pub(super) gap: f32,
    /// Distance from the outline before the gap to its lower end, if there is one.
    pub(super) before: Option<f32>,
    /// Distance from the gap's upper end to the outline after it, if there is one.
    pub(super) after: Option<f32>,
}

impl Knots {
    /// The value at `part` of the gap, from 0 to 1, of the curve through `low` and `high` at its ends. The slope at an end is that of a
    /// parabola through the value there and its two neighbours (Catmull-Rom for unequal steps); without a neighbour beyond, it is that of
    /// the gap. Equal values give a constant curve, exactly.
    ///
    /// `before` and `after` are the values at the outlines beyond the gap; they are used where their distances are known.
    pub(super) fn at(&self, part: f32, before: Option<f32>, low: f32, high: f32, after: Option<f32>) -> f32 {
        let slope = (high - low) / self.gap;
        let bent = |distance: Option<f32>, beyond: Option<f32>| match (distance, beyond) {
            (Some(distance), Some(beyond)) => (beyond * self.gap + slope * distance) / (self.gap + distance),
            _ => slope,
        };
        let slope_before = self.before.zip(before).map(|(distance, before)| (low - before) / distance);
        let slope_after = self.after.zip(after).map(|(distance, after)| (after - high) / distance);
        let (at_low, at_high) = (bent(self.before, slope_before), bent(self.after, slope_after));
        let (square, cube) = (part * part, part * part * part);
        let rise = (high - low) * (3.0 * square - 2.0 * cube);
        low + rise + self.gap * (at_low * (cube - 2.0 * square + part) + at_high * (cube - square))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_goes_through_its_outlines_and_equal_values_stay() {
        let knots = Knots { gap: 4.0, before: Some(2.0), after: Some(3.0) };
        let at_low = knots.at(0.0, Some(1.0), 5.0, -2.0, Some(7.0));
        assert_eq!(at_low.to_bits(), 5.0_f32.to_bits());
        assert!((knots.at(1.0, Some(1.0), 5.0, -2.0, Some(7.0)) + 2.0).abs() < 1e-5);
        for part in [0.1, 0.37, 0.5, 0.93] {
            let constant = knots.at(part, Some(0.3), 0.3, 0.3, Some(0.3));
            assert_eq!(constant.to_bits(), 0.3_f32.to_bits());
            // A straight line stays one, whatever the steps.
            let line = knots.at(part, Some(-4.0), 0.0, 8.0, Some(14.0));
            assert!((line - 8.0 * part).abs() < 1e-5, "{line}");
        }
    }
}
