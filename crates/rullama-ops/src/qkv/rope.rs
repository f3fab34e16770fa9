//! Tables of the rotary embedding.

/// Rows of the lower table; the upper one steps by as many positions.
pub const ROPE_LOW: u32 = 256;

/// cos and sin of `position * frequency` for all positions below `positions`, as two small tables:
/// row j of the lower holds cos(j f_i) in columns 0..n and sin(j f_i) in n..2n for the n pairs'
/// `frequencies` (radians a position, 0 for a pair that stays), row m of the upper the same of
/// 256 m f_i. Kernels join them by the addition theorems, so no large angle is ever taken in f32.
///
/// Returns `(low: [256, 2n], high: [ceil(positions / 256), 2n])`, made in f64.
pub fn rope_tables(frequencies: &[f64], positions: u32) -> (Vec<f32>, Vec<f32>) {
    rope_tables_ahead(frequencies, positions, 0)
}

/// The same of `(position + ahead) * frequency`, for what stands so far ahead of the position that it is given.
pub fn rope_tables_ahead(frequencies: &[f64], positions: u32, ahead: u32) -> (Vec<f32>, Vec<f32>) {
    let table = |rows: u32, step: u32, first: u32| {
        let mut out = Vec::with_capacity(rows as usize * 2 * frequencies.len());
        for row in 0..rows {
            let position = f64::from(first) + f64::from(row) * f64::from(step);
            out.extend(frequencies.iter().map(|f| (position * f).cos() as f32));
            out.extend(frequencies.iter().map(|f| (position * f).sin() as f32));
        }
        out
    };
    (table(ROPE_LOW, 1, ahead), table(positions.div_ceil(ROPE_LOW).max(1), ROPE_LOW, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_join_to_the_angle_of_every_position() {
        let frequencies = [1.0, 0.947463526, 0.0333762469, 0.0];
        let n = frequencies.len();
        let (low, high) = rope_tables(&frequencies, 262_144);
        assert_eq!((low.len(), high.len()), (256 * 2 * n, 1024 * 2 * n));
        for position in [0usize, 1, 255, 256, 257, 131_071, 262_143] {
            for (i, f) in frequencies.iter().enumerate() {
                let (j, m) = (position % 256 * 2 * n + i, position / 256 * 2 * n + i);
                let (cos_low, sin_low, cos_high, sin_high) = (low[j], low[j + n], high[m], high[m + n]);
                let (sin, cos) = (position as f64 * f).sin_cos();
                assert!((f64::from(cos_low * cos_high - sin_low * sin_high) - cos).abs() < 3e-7, "{position} {i}");
                assert!((f64::from(sin_low * cos_high + cos_low * sin_high) - sin).abs() < 3e-7, "{position} {i}");
            }
        }
    }

    #[test]
    fn what_stands_ahead_has_the_angle_of_a_later_position() {
        let frequencies = [1.0, 0.0333762469];
        let (plain, ahead) = (rope_tables(&frequencies, 600), rope_tables_ahead(&frequencies, 600, 1));
        assert_eq!(ahead.1, plain.1);
        assert_eq!(ahead.0[..255 * 4], plain.0[4..]);
        assert_eq!(ahead.0[255 * 4], 256f64.cos() as f32);
    }

    #[test]
    fn a_partial_block_of_positions_has_its_row() {
        assert_eq!(rope_tables(&[1.0], 257).1.len(), 2 * 2);
    }
}
