//! The searches behind ggml's reference quantisers (`quantize_row_*_ref` in `ggml-quants.c`), in
//! the same order of float operations so that the bytes come out equal.

use half::f16;

use crate::bits::pack_scale_min;

/// The values of whole blocks as arrays.
pub fn blocks<const N: usize>(values: &[f32]) -> impl Iterator<Item = &[f32; N]> {
    values.as_chunks::<N>().0.iter()
}

/// 1 / d, or 0 for d = 0.
pub fn inverse(d: f32) -> f32 {
    if d == 0.0 { 0.0 } else { 1.0 / d }
}

/// Nearest integer, ties to even, of |x| < 2^22: the sum with 1.5 * 2^23 has no room for a
/// fraction, so its mantissa is the answer. Baseline x86-64 and wasm have no faster instruction.
pub fn nearest(x: f32) -> i32 {
    let bits = (x + 12_582_912.0).to_bits();
    (bits & 0x007f_ffff) as i32 - 0x0040_0000
}

/// The first value of greatest magnitude, with its sign; 0 for none.
pub fn extreme(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |best: f32, &x| if best.abs() < x.abs() { x } else { best })
}

/// (smallest, largest) value.
pub fn range(values: &[f32]) -> (f32, f32) {
    values.iter().fold((f32::MAX, -f32::MAX), |(low, high), &x| (if x < low { x } else { low }, if x > high { x } else { high }))
}

/// Byte j of 16 from the 4 low bits of codes j (low nibble) and j + 16 (high nibble).
pub fn nibble_halves(codes: &[u8; 32]) -> [u8; 16] {
    std::array::from_fn(|j| codes[j] & 15 | codes[j + 16] << 4)
}

/// Bit e from bit 4 of code e.
pub fn fifth_bits(codes: &[u8; 32]) -> u32 {
    codes.iter().enumerate().fold(0, |bits, (e, &code)| bits | u32::from(code >> 4 & 1) << e)
}

/// How [`affine`] searches: codes 0..=`max_code`; steps `first + 0.1 s`, s = 0..=`steps`.
pub struct AffineSearch {
    pub max_code: u8,
    pub first: f32,
    pub steps: u8,
}

/// Codes, scale and min (of x = scale * code - min) of 32 values that minimise
/// sum w (scale * code - min - x)^2 over a few candidate scales (`make_qkx2_quants`).
pub fn affine(search: &AffineSearch, x: &[f32; 32], w: &[f32; 32]) -> ([u8; 32], f32, f32) {
    let (low, high) = range(x);
    let mut min = if low > 0.0 { 0.0 } else { low };
    if high == min {
        return ([0; 32], 0.0, -min);
    }
    let max_code = f32::from(search.max_code);
    let codes_at =
        |inverse: f32, min: f32| -> [u8; 32] { x.map(|x| nearest(inverse * (x - min)).clamp(0, i32::from(search.max_code)) as u8) };
    let error_of = |codes: &[u8; 32], scale: f32, min: f32| {
        codes.iter().zip(x).zip(w).fold(0.0, |error, ((&code, &x), &w)| {
            let diff = scale * f32::from(code) + min - x;
            error + w * (diff * diff)
        })
    };
    let sum_w = w[1..].iter().fold(w[0], |sum, &w| sum + w);
    let sum_x = w.iter().zip(x).skip(1).fold(w[0] * x[0], |sum, (&w, &x)| sum + w * x);

    let inverse = max_code / (high - min);
    let mut scale = 1.0 / inverse;
    let mut codes = codes_at(inverse, min);
    let mut best = error_of(&codes, scale, min);
    for step in 0..=search.steps {
        // `min` is the best one so far, as in the reference.
        let inverse = (search.first + 0.1 * f32::from(step) + max_code) / (high - min);
        let candidate = codes_at(inverse, min);
        let (mut sum_l, mut sum_l2, mut sum_xl) = (0.0, 0.0, 0.0);
        for ((&code, &x), &w) in candidate.iter().zip(x).zip(w) {
            let l = f32::from(code);
            sum_l += w * l;
            sum_l2 += w * l * l;
            sum_xl += w * l * x;
        }
        let determinant = sum_w * sum_l2 - sum_l * sum_l;
        if determinant > 0.0 {
            let mut this_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
            let mut this_min = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
            if this_min > 0.0 {
                (this_min, this_scale) = (0.0, sum_xl / sum_l2);
            }
            let error = error_of(&candidate, this_scale, this_min);
            if error < best {
                (codes, best, scale, min) = (candidate, error, this_scale, this_min);
            }
        }
    }
    (codes, scale, -min)
}

/// Codes and quantised scales of the 8 groups of a Q4_K or Q5_K block.
pub struct AffineBlock {
    /// `{f16 d; f16 dmin; u8 S[12]}`
    pub head: [u8; 16],
    pub codes: [[u8; 32]; 8],
}

/// Quantises 256 values as Q4_K and Q5_K do: a search per group, scales and mins rounded to 6
/// bits of their largest, then codes once more for the rounded ones.
pub fn affine_block(search: &AffineSearch, values: &[f32; 256]) -> AffineBlock {
    let mut codes = [[0; 32]; 8];
    let (mut scales, mut mins) = ([0.0f32; 8], [0.0f32; 8]);
    for (i, x) in blocks::<32>(values).enumerate() {
        let sum_x2 = x.iter().fold(0.0, |sum, &x| sum + x * x);
        let average = (sum_x2 / 32.0f32).sqrt();
        (codes[i], scales[i], mins[i]) = affine(search, x, &x.map(|x| average + x.abs()));
    }
    let largest = |parts: &[f32; 8]| parts.iter().fold(0.0, |a: f32, &b| if b > a { b } else { a });
    let round = |parts: &[f32; 8]| {
        let largest = largest(parts);
        let inverse = if largest > 0.0 { 63.0 / largest } else { 0.0 };
        // A negative scale wraps to the largest code, as in the reference.
        parts.map(|part| (nearest(inverse * part) as u8).min(63))
    };
    let (ls, lm) = (round(&scales), round(&mins));
    let d = f16::from_f32(largest(&scales) / 63.0);
    let dmin = f16::from_f32(largest(&mins) / 63.0);

    for (i, x) in blocks::<32>(values).enumerate() {
        let (scale, min) = (d.to_f32() * f32::from(ls[i]), dmin.to_f32() * f32::from(lm[i]));
        if scale != 0.0 {
            codes[i] = x.map(|x| nearest((x + min) / scale).clamp(0, i32::from(search.max_code)) as u8);
        }
    }
    let mut head = [0; 16];
    head[..2].copy_from_slice(&d.to_le_bytes());
    head[2..4].copy_from_slice(&dmin.to_le_bytes());
    head[4..].copy_from_slice(&pack_scale_min(&ls, &lm));
    AffineBlock { head, codes }
}

/// Byte 32c + l of 128: the 4 low bits of element l of groups 2c (low nibble) and 2c + 1 (high).
pub fn nibble_sides(codes: &[[u8; 32]; 8]) -> [u8; 128] {
    std::array::from_fn(|at| {
        let (c, l) = (at / 32, at % 32);
        codes[2 * c][l] & 15 | codes[2 * c + 1][l] << 4
    })
}

/// Codes (0..64 for -32..32) and scale of 16 values that minimise sum x^2 (scale * code - x)^2
/// over a few candidate scales (`make_qx_quants` with nmax 32, rmse type 1).
pub fn symmetric(x: &[f32; 16]) -> ([u8; 16], f32) {
    let max = extreme(x);
    if max.abs() < NEGLIGIBLE {
        return ([0; 16], 0.0);
    }
    let at = |inverse: f32| {
        let (mut sum_lx, mut sum_l2) = (0.0, 0.0);
        let codes = x.map(|x| {
            let code = nearest(inverse * x).clamp(-32, 31);
            let (w, l) = (x * x, code as f32);
            sum_lx += w * x * l;
            sum_l2 += w * l * l;
            (code + 32) as u8
        });
        (codes, sum_lx, sum_l2)
    };
    let (mut codes, sum_lx, sum_l2) = at(-32.0 / max);
    let mut scale = if sum_l2 == 0.0 { 0.0 } else { sum_lx / sum_l2 };
    let mut best = scale * sum_lx;
    for step in (-9i8..=9).filter(|&step| step != 0) {
        let (candidate, sum_lx, sum_l2) = at(-(32.0 + 0.1 * f32::from(step)) / max);
        if sum_l2 > 0.0 && sum_lx * sum_lx > best * sum_l2 {
            scale = sum_lx / sum_l2;
            best = scale * sum_lx;
            codes = candidate;
        }
    }
    (codes, scale)
}

/// Magnitudes below this count as zero.
pub const NEGLIGIBLE: f32 = 1e-15;
