//! Random grids like those of scanners, for property tests.

use proptest::prelude::*;
use sam_data::Grid;

/// A rotated grid: axes at right angles, some of them flipped, with any spacing and origin.
pub(crate) fn grids() -> impl Strategy<Value = Grid> {
    let shape = prop::array::uniform3(1_usize..9);
    let spacing = prop::array::uniform3(0.3_f64..6.0);
    let angles = prop::array::uniform3(-3.2_f64..3.2);
    let origin = prop::array::uniform3(-500.0_f64..500.0);
    (shape, spacing, angles, origin, any::<bool>()).prop_map(|(shape, spacing, angles, origin, mirrored)| {
        let mut rows = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, if mirrored { -1.0 } else { 1.0 }]];
        for (angle, (a, b)) in angles.into_iter().zip([(0, 1), (0, 2), (1, 2)]) {
            let before: [[f64; 3]; 3] = rows;
            for column in 0..3 {
                rows[a][column] = angle.cos() * before[a][column] - angle.sin() * before[b][column];
                rows[b][column] = angle.sin() * before[a][column] + angle.cos() * before[b][column];
            }
        }
        let row =
            |row: usize| [rows[row][0] * spacing[0], rows[row][1] * spacing[1], rows[row][2] * spacing[2], origin[row]];
        Grid::new(shape, [row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]])
    })
}
