use super::LayerNorm;
use crate::case::Case;

/// One row and several, widths below, at and above the workgroups, rows that lie off zero.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 32, 0.0), (7, 96, 0.5), (3, 512, -2.0), (2, 516, 0.5), (5, 768, 0.0), (2, 3840, 1.0), (3, 6912, 0.5)];
    shapes.iter().flat_map(|&(rows, dim, mean)| [0, 1].map(|i| {
        let case = LayerNorm { eps: 1e-5 }.case(rows, dim, mean);
        if i == 0 { case } else { case.strided() }
    })).collect()
}
