//! Another rate to 16 kHz, while a file is decoded.

use super::RATE;
use crate::MediaError;
use rubato::{FftFixedIn, Resampler as _};

/// Samples that are resampled at a time, about.
const CHUNK: usize = 4096;

/// Takes samples of one channel and keeps them at [`RATE`], in time with what came in.
pub struct Resampler {
    /// None where the rate is right.
    filter: Option<FftFixedIn<f32>>,
    waiting: Vec<f32>,
    out: Vec<f32>,
    rate: u32,
    taken: u64,
}

impl Resampler {
    pub fn new(rate: u32) -> Result<Self, MediaError> {
        let filter = if rate == RATE {
            None
        } else {
            // Twice what both rates have whole samples of: the filter's middle, which is its delay, is a whole sample then.
            let whole = 2 * (rate / gcd(rate, RATE)).max(1) as usize;
            let made = FftFixedIn::new(rate as usize, RATE as usize, (CHUNK / whole).max(1) * whole, 1, 1);
            Some(made.map_err(|_| MediaError::Rate { rate })?)
        };
        Ok(Resampler { filter, waiting: Vec::new(), out: Vec::new(), rate, taken: 0 })
    }

    pub fn push(&mut self, samples: &[f32]) -> Result<(), MediaError> {
        self.taken += samples.len() as u64;
        let Some(filter) = &mut self.filter else {
            self.out.extend_from_slice(samples);
            return Ok(());
        };
        self.waiting.extend_from_slice(samples);
        while self.waiting.len() >= filter.input_frames_next() {
            let rest = self.waiting.split_off(filter.input_frames_next());
            let chunk = std::mem::replace(&mut self.waiting, rest);
            let made = filter.process(&[chunk], None).map_err(|_| MediaError::Rate { rate: self.rate })?;
            made.iter().for_each(|channel| self.out.extend_from_slice(channel));
        }
        Ok(())
    }

    /// All samples: as many as the time that came in has.
    pub fn finish(mut self) -> Result<Vec<f32>, MediaError> {
        let Some(filter) = &mut self.filter else { return Ok(self.out) };
        let wanted = (self.taken * u64::from(RATE)).div_ceil(self.rate.into()) as usize;
        let delay = filter.output_delay();
        let mut last = Some(self.waiting);
        while self.out.len() < wanted + delay {
            let rest = last.take().filter(|rest| !rest.is_empty()).map(|rest| [rest]);
            let made = filter
                .process_partial(rest.as_ref().map(|rest| rest.as_slice()), None)
                .map_err(|_| MediaError::Rate { rate: self.rate })?;
            if made.iter().all(Vec::is_empty) {
                break;
            }
            made.iter().for_each(|channel| self.out.extend_from_slice(channel));
        }
        self.out.drain(..delay.min(self.out.len()));
        self.out.truncate(wanted);
        Ok(self.out)
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
