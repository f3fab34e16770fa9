//! Pictures in other sizes: bicubic over an area that widens as they shrink, in fixed point, a pass across and one down.
//!
//! Source: Pillow, `Resample.c` (a = -0.5, weights of 22 bits, 8 bits between the passes).

use super::{Picture, Target};

/// Bits of a weight behind the point.
const PRECISION: u32 = 32 - 8 - 2;

/// Reach of the filter at its own size.
const SUPPORT: f64 = 2.0;

/// The bicubic filter of a = -0.5.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    match x {
        _ if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        _ if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

/// The first value that an output is made of, and weights from there on.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// Weights for each of `to` outputs from `from` inputs.
fn taps(from: u32, to: u32) -> Vec<Taps> {
    let scale = f64::from(from) / f64::from(to);
    let wide = scale.max(1.0);
    let reach = SUPPORT * wide;
    let mut all = Vec::with_capacity(to as usize);
    for i in 0..to {
        let centre = (f64::from(i) + 0.5) * scale;
        let first = (centre - reach + 0.5).max(0.0) as usize;
        let end = ((centre + reach + 0.5) as usize).min(from as usize);
        let weights: Vec<f64> = (first..end).map(|x| bicubic((x as f64 - centre + 0.5) * (1.0 / wide))).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: &f64| {
            let weight = if sum == 0.0 { *weight } else { weight / sum } * f64::from(1u32 << PRECISION);
            (if weight < 0.0 { weight - 0.5 } else { weight + 0.5 }) as i32
        };
        all.push(Taps { first, weights: weights.iter().map(fixed).collect() });
    }
    all
}

/// A sum of weighted values as a value.
fn rounded(sum: i64) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

const HALF: i64 = 1 << (PRECISION - 1);

fn across(picture: &Picture, width: u32) -> Picture {
    let taps = taps(picture.width, width);
    let line = picture.width as usize * 3;
    let mut rgb = Vec::with_capacity(width as usize * 3 * picture.height as usize);
    for row in picture.rgb.chunks_exact(line) {
        for Taps { first, weights } in &taps {
            let mut sums = [HALF; 3];
            for (pixel, weight) in row[first * 3..].chunks_exact(3).zip(weights) {
                sums.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += i64::from(*x) * i64::from(*weight));
            }
            rgb.extend(sums.map(rounded));
        }
    }
    Picture { width, height: picture.height, rgb }
}

fn down(picture: &Picture, height: u32) -> Picture {
    let line = picture.width as usize * 3;
    let mut rgb = Vec::with_capacity(line * height as usize);
    let mut sums = vec![HALF; line];
    for Taps { first, weights } in taps(picture.height, height) {
        sums.fill(HALF);
        for (row, weight) in picture.rgb[first * line..].chunks_exact(line).zip(weights) {
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += i64::from(*x) * i64::from(weight));
        }
        rgb.extend(sums.iter().map(|sum| rounded(*sum)));
    }
    Picture { width: picture.width, height, rgb }
}

impl Picture {
    /// Stretched to another size.
    pub fn resized(&self, width: u32, height: u32) -> Picture {
        match (width == self.width, height == self.height) {
            (true, true) => self.clone(),
            (false, true) => across(self, width),
            (true, false) => down(self, height),
            (false, false) if self.goes_down_first(width, height) => across(&down(self, height), width),
            (false, false) => down(&across(self, width), height),
        }
    }

    /// Values are rounded between the passes, so that their order shows. Pillow 13 begins with the pass down where that takes off
    /// more than twice as many rows as the other does columns (seen of its results; before, the pass across came first always).
    fn goes_down_first(&self, width: u32, height: u32) -> bool {
        let (rows, columns) = (i64::from(self.height) - i64::from(height), i64::from(self.width) - i64::from(width));
        rows > 0 && rows > 2 * columns
    }

    /// In a target's size: stretched to its inner part, in the middle of black.
    pub fn fitted(&self, target: Target) -> Picture {
        let inner = self.resized(target.inner.0, target.inner.1);
        if target.inner == (target.width, target.height) {
            return inner;
        }
        let line = target.width as usize * 3;
        let mut rgb = vec![0; line * target.height as usize];
        let (left, top) = (((target.width - inner.width) / 2) as usize, ((target.height - inner.height) / 2) as usize);
        let inner_line = inner.width as usize * 3;
        for (y, row) in inner.rgb.chunks_exact(inner_line).enumerate() {
            let at = (top + y) * line + left * 3;
            rgb[at..at + inner_line].copy_from_slice(row);
        }
        Picture { width: target.width, height: target.height, rgb }
    }
}
