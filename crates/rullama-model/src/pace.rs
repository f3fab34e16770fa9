//! How much of a recording is submitted at once.

use std::sync::atomic::{AtomicU64, Ordering};

/// Seconds that a submission should take: short enough to cancel between two, long against what submitting costs.
const WANTED: f64 = 0.06;
/// Seconds that no operation should take alone: operating systems reset a GPU after about two.
const LONGEST: f64 = 0.36;
/// Multiplications a second taken for granted before anything was measured: of a GPU a hundred times slower than a large one, and
/// of a CPU.
const FIRST: [f64; 2] = [1e11, 2e9];
/// Tokens of a product's tile.
const TILE_TOKENS: u32 = 64;
/// Fewest tokens of a prompt's chunk.
pub const MIN_CHUNK: u32 = 16;
/// Most tokens of a prompt's chunk.
pub const MAX_CHUNK: u32 = 512;
/// Most tokens of a step that must not be cut, whatever the pace: the 1,120 soft tokens of the largest picture, as steps are padded.
pub const MAX_BLOCK: u32 = 1152;

/// The measured speed of a device, shared by all who submit to it.
#[derive(Debug)]
pub struct Pace {
    /// Multiplications a second, as bits of an f64.
    speed: AtomicU64,
    /// Fewest tokens of a step whose time tells the speed: a GPU takes as long for fewer.
    least: u32,
}

impl Pace {
    pub fn new(software: bool) -> Self {
        Pace { speed: AtomicU64::new(FIRST[usize::from(software)].to_bits()), least: if software { 1 } else { TILE_TOKENS } }
    }

    fn speed(&self) -> f64 {
        f64::from_bits(self.speed.load(Ordering::Relaxed))
    }

    /// Work ([`rullama_ops::Op::work`]) of one submission.
    pub fn submission(&self) -> u64 {
        (self.speed() * WANTED) as u64
    }

    /// Tokens of a chunk whose largest operation does `work` for [`MAX_CHUNK`] tokens.
    pub fn chunk(&self, work: u64) -> u32 {
        let fitting = self.speed() * LONGEST / (work.max(1) as f64) * f64::from(MAX_CHUNK);
        let mut chunk = MAX_CHUNK;
        while chunk > MIN_CHUNK && f64::from(chunk) > fitting {
            chunk /= 2;
        }
        chunk
    }

    /// Learns from a submission of a step of `tokens`. One says little, a small one least, and a busy machine can hold up any:
    /// of a faster one half is believed, and of a slower one at most that the device is half as fast.
    pub fn learn(&self, tokens: u32, work: u64, seconds: f64) {
        if work == 0 || seconds <= 0.0 || tokens < self.least {
            return;
        }
        let (seen, old) = (work as f64 / seconds, self.speed());
        let new = if seen < old { seen.max(old / 2.0) } else { old + (seen - old) / 2.0 };
        self.speed.store(new.max(1e6).to_bits(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Submissions of work on a device of a given speed: the seconds of each.
    fn run(pace: &Pace, speed: f64, all: u64) -> Vec<f64> {
        let mut left = all;
        let mut times = Vec::new();
        while left > 0 {
            let part = pace.submission().clamp(1, left);
            times.push(part as f64 / speed);
            pace.learn(512, part, part as f64 / speed);
            left -= part;
        }
        times
    }

    #[test]
    fn submissions_come_to_the_wanted_time_from_below() {
        for speed in [1e10, 1e11, 1e12, 2e13] {
            let times = run(&Pace::new(false), speed, (speed * 3.0) as u64);
            assert!(times.iter().all(|t| *t < 1.0), "{speed:e}: {times:?}");
            let settled = &times[8..times.len() - 1];
            assert!(settled.iter().all(|t| (0.03..0.09).contains(t)), "{speed:e}: {settled:?}");
        }
    }

    #[test]
    fn a_chunk_shrinks_only_where_one_operation_is_too_long() {
        let pace = Pace::new(false);
        pace.learn(512, 1 << 30, (1u64 << 30) as f64 / 1e12);
        for (work, chunk) in [(1, 512), (100_000_000_000, 512), (1_000_000_000_000, 64), (u64::MAX, 16)] {
            assert_eq!(pace.chunk(work), chunk, "{work}");
        }
    }

    #[test]
    fn one_submission_held_up_does_not_shrink_a_chunk_to_the_least() {
        let pace = Pace::new(true);
        let before = pace.chunk(1 << 30);
        pace.learn(16, 1000, 0.2);
        assert!(pace.chunk(1 << 30) >= before / 2);
    }
}
