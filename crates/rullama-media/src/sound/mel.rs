//! The log-mel spectrogram of Gemma 4's audio encoder.

use super::RATE;
use rustfft::algorithm::Radix4;
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftDirection};
use std::f64::consts::PI;

/// Samples of a frame and between two.
const FRAME: usize = 320;
const HOP: usize = 160;

/// Points of the transform; the frame stands at its beginning.
const POINTS: usize = 512;

/// Added to a band before its logarithm.
const FLOOR: f64 = 1e-3;

/// Fewest samples that make a frame.
pub(super) const LEAST: usize = FRAME + 1 - HOP;

/// Frames of so many samples.
pub(super) fn rows(samples: usize) -> usize {
    (samples + HOP).checked_sub(FRAME + 1).map_or(0, |last| last / HOP + 1)
}

/// The natural logarithms `[frames, bins]` of magnitudes by mel bands, of at least [`LEAST`] samples at 16 kHz; nothing of fewer.
///
/// Half a frame of zeros stands before the samples; frames of 20 ms every 10 ms under a periodic Hann window in f32, as the reference
/// has it; magnitudes of a transform of 512 points in f64; bands are triangles between neighbours of `bins + 2` points that are
/// equally far apart in mel (HTK) from 0 to 8 kHz, 1 at their peak; `ln(band + 0.001)`.
pub fn log_mel(samples: &[f32], bins: u32) -> Vec<f32> {
    let frames = rows(samples.len());
    let window: Vec<f32> = (0..FRAME).map(|i| (0.5 - 0.5 * (2.0 * PI * i as f64 / FRAME as f64).cos()) as f32).collect();
    let bands = bands(bins as usize);
    let transform = Radix4::new(POINTS, FftDirection::Forward);
    let mut scratch = vec![Complex::default(); transform.get_inplace_scratch_len()];
    let mut out = Vec::with_capacity(frames * bands.len());
    let mut points = vec![Complex::<f64>::default(); POINTS];
    for first in (0..frames).map(|frame| frame * HOP) {
        points.fill(Complex::default());
        for (i, (point, weight)) in points.iter_mut().zip(&window).enumerate() {
            let sample = (first + i).checked_sub(HOP).map_or(0.0, |at| samples[at]);
            point.re = f64::from(sample * weight);
        }
        transform.process_with_scratch(&mut points, &mut scratch);
        let magnitude = |at: usize| points[at].norm();
        out.extend(bands.iter().map(|band| {
            let sum: f64 = band.weights.iter().enumerate().map(|(i, weight)| weight * magnitude(band.first + i)).sum();
            (sum + FLOOR).ln() as f32
        }));
    }
    out
}

/// Weights of the transform's points from `first` on; none where no point is within.
struct Band {
    first: usize,
    weights: Vec<f64>,
}

fn bands(count: usize) -> Vec<Band> {
    let mel = |hertz: f64| 2595.0 * (1.0 + hertz / 700.0).log10();
    let top = mel(f64::from(RATE) / 2.0);
    let edge = |i: usize| 700.0 * (10f64.powf(top * i as f64 / (count + 1) as f64 / 2595.0) - 1.0);
    let place = |at: usize| at as f64 * f64::from(RATE) / POINTS as f64;
    let band = |i: usize| {
        let [low, peak, high] = [edge(i), edge(i + 1), edge(i + 2)];
        let weight = |at: usize| ((place(at) - low) / (peak - low)).min((high - place(at)) / (high - peak)).max(0.0);
        let first = (0..=POINTS / 2).find(|at| weight(*at) > 0.0).unwrap_or(0);
        let weights = (first..=POINTS / 2).map(weight).take_while(|weight| *weight > 0.0).collect();
        Band { first, weights }
    };
    (0..count).map(band).collect()
}
