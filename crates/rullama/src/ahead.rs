//! How far steps are queued ahead of their tokens where rows of a table are streamed.
//!
//! A step whose token's row was not there is void, and all behind it are. One group less than is under way is lost then, half of it on
//! average, and the next one.

/// How often a token's row was there: an exponential mean, which one answer leaves to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ahead {
    /// Part of the rows that were missed.
    missed: f64,
}

impl Default for Ahead {
    fn default() -> Self {
        Ahead { missed: Self::FIRST }
    }
}

impl Ahead {
    /// Weight of what came last.
    const NEW: f64 = 1.0 / 16.0;
    /// Taken for granted before an answer's first tokens.
    const FIRST: f64 = 0.5;
    /// Where more is missed, steps wait for their tokens: a void step is a step's time lost, waiting a tenth of one (E2B on an H200, `bench
    /// --fresh`: 3.8 ms a token in place of 3.4), in browsers more.
    const WAITED: f64 = 0.15;
    /// Steps that may be lost, as a part of all.
    const LOST: f64 = 0.1;
    /// Groups that are lost with each row that is missed.
    const GROUPS: f64 = 1.5;

    /// Learns whether a token's row was there.
    pub fn learn(&mut self, there: bool) {
        self.missed += Self::NEW * (f64::from(u8::from(!there)) - self.missed);
    }

    /// Most steps of a group, of which two are under way; `None` where a step waits for its token.
    pub fn steps(&self) -> Option<usize> {
        let few = self.missed <= Self::WAITED;
        few.then(|| ((Self::LOST / (Self::GROUPS * self.missed)) as usize).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::Ahead;

    fn after(rows: impl IntoIterator<Item = bool>) -> Option<usize> {
        let mut ahead = Ahead::default();
        rows.into_iter().for_each(|there| ahead.learn(there));
        ahead.steps()
    }

    #[test]
    fn hits_lengthen_groups_and_misses_end_them() {
        assert_eq!(after([]), None);
        assert_eq!(after([true; 24]), Some(1));
        assert!(after([true; 80]) >= Some(8));
        // One row in many.
        assert_eq!(after([true; 200].into_iter().chain([false])), Some(1));
        assert!(after([true; 200].into_iter().chain([false]).chain([true; 40])) >= Some(8));
        assert_eq!(after((0..200).map(|i| i % 2 == 0)), None);
        assert_eq!(after((0..200).map(|i| i % 16 != 0)), Some(1));
    }

    /// Of rows that are missed at random about as many steps are lost as may be.
    #[test]
    fn few_steps_are_lost() {
        for (nth, most) in [(64, 0.12), (32, 0.12), (10, 0.2)] {
            let (mut ahead, mut lost, mut state) = (Ahead::default(), 0.0, 1u64);
            let tokens = 20_000;
            for _ in 0..tokens {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let there = !(state >> 33).is_multiple_of(nth);
                lost += if there { 0.0 } else { ahead.steps().map_or(0.0, |steps| 1.5 * steps.min(8) as f64) };
                ahead.learn(there);
            }
            assert!(lost / f64::from(tokens) < most, "one in {nth}: {lost} of {tokens}");
        }
    }
}
