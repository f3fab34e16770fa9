//! Dropout, the same whenever it is computed again.

use super::WORKGROUP;
use crate::backward::Backward;
use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use, spread};
use crate::sample::philox2x32;
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

/// `y = x * mask / (1 - rate)`, each value's mask 0 with probability `rate`, else 1. Its own gradient: the mask is a function of
/// seed, step, salt and the value's index.
///
/// Operands: `x: [tokens, dim]`, words `chance: [3]` (seed, low and high word; number of the step), out `y: [tokens, dim]`.
/// Value i of the whole, of which `x` is the rows from `first_row` on, takes word `i % 2` of Philox-2x32 at counter
/// `(i / 2, b ^ seed_high)` under key `a`, where `(a, b)` is Philox-2x32 at counter `(step, salt)` under `seed_low`, and is dropped where
/// that is below `rate * 2^32`.
/// Source: Srivastava et al. 2014; Salmon et al. 2011.
#[derive(Debug, Clone)]
pub struct Dropout {
    /// At least 0, below 1.
    pub rate: f32,
    /// Another for each use in a step.
    pub salt: u32,
    /// Rows before those of `x`, where they are a block of others.
    pub first_row: u32,
}

impl Graph {
    /// `x: [tokens, dim]` with a share of `rate` of its values dropped, the others scaled up; `chance`: words of seed and step.
    pub fn dropout(&mut self, x: Value, chance: Value, op: Dropout) -> Value {
        self.one(op, &[x, chance])
    }
}

/// Words of `chance`.
const CHANCE_WORDS: u32 = 3;

impl Dropout {
    /// Random words below it drop their value.
    fn dropped(&self) -> u32 {
        (f64::from(self.rate) * 2f64.powi(32)) as u32
    }

    fn keeps(&self, chance: &[u32], index: usize) -> bool {
        let [key, high] = philox2x32([chance[2], self.salt], chance[0]);
        philox2x32([(index / 2) as u32, high ^ chance[1]], key)[index % 2] >= self.dropped()
    }

    pub(super) fn case(self, rows: usize, dim: usize, chance: [u32; 3]) -> Case {
        let x = Rng::new((rows * dim) as u64 + 14).tensor(rows, dim).into();
        let name = format!("{rows}x{dim} from row {} on, rate {}, chance {chance:?}", self.first_row, self.rate);
        Case::new(name, self, vec![x, Host::Words(chance.to_vec()), Array::zeros(rows, dim).into()], 2)
    }
}

impl Op for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x, chance] = take(inputs)?;
        if !(0.0..1.0).contains(&self.rate) {
            return Err(format!("a rate of {} is not at least 0 and below 1", self.rate));
        }
        let words = chance.number == Number::Words && (chance.cols == 0 || chance.cols >= CHANCE_WORDS);
        fit(words && x.number == Number::F32 && x.cols.is_multiple_of(4), &[("x", &x), ("chance", &chance)])?;
        Ok(vec![x])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let (x, y) = (operands[0].tensor()?, operands[2].tensor()?);
        let kernel = Link::new("dropout", rullama_quant::wgsl!("dropout.wgsl"), context.caps).constant("WG", WORKGROUP).kernel()?;
        let count = x.rows * x.cols / 4;
        let dispatch = context.recorder.dispatch(&kernel, spread(count.div_ceil(WORKGROUP), context.caps.max_groups));
        dispatch.param("count", count).param("dim", x.cols / 4).param("stride", x.stride / 4).param("offset", x.offset / 4);
        dispatch
            .param("first", self.first_row * (x.cols / 4))
            .param("salt", self.salt)
            .param("dropped", self.dropped())
            .param("kept", 1.0 / (1.0 - self.rate));
        dispatch.bind("x", &x.slice).bind("chance", operands[1].words()?).bind("y", &y.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, chance, y] = operands else { panic!("dropout takes 3 operands") };
        let first = self.first_row as usize * x.tensor().cols;
        for (i, (y, x)) in y.tensor_mut().data.iter_mut().zip(&x.tensor().data).enumerate() {
            let kept = f64::from(*x) / (1.0 - f64::from(self.rate));
            *y = if self.keeps(chance.words(), first + i) { kept as f32 } else { 0.0 };
        }
    }

    fn backward(&self, back: &mut Backward) -> Result<(), String> {
        let (chance, Some(g)) = (back.operand(1), back.gradient(2)) else { return Ok(()) };
        if back.wants(0) {
            let dx = back.graph.dropout(g, chance, self.clone());
            back.give(0, dx);
        }
        Ok(())
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        Dropout { rate: 0.3, salt: 5, first_row: 0 }.case(3, 64, [1, 2, 3])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_met_and_steps_and_salts_differ() {
        let count = 40_000;
        let kept =
            |rate, salt, chance: [u32; 3]| (0..count).map(|i| Dropout { rate, salt, first_row: 0 }.keeps(&chance, i)).collect::<Vec<_>>();
        for rate in [0.0, 0.1, 0.5, 0.95f32] {
            let share = kept(rate, 7, [1, 2, 3]).iter().filter(|kept| !**kept).count() as f64 / count as f64;
            let spread = (f64::from(rate) * (1.0 - f64::from(rate)) / count as f64).sqrt();
            assert!((share - f64::from(rate)).abs() <= 4.0 * spread, "{rate}: {share}");
        }
        let first = kept(0.5, 7, [1, 2, 3]);
        for (salt, chance) in [(8, [1, 2, 3]), (7, [2, 2, 3]), (7, [1, 3, 3]), (7, [1, 2, 4])] {
            let equal = kept(0.5, salt, chance).iter().zip(&first).filter(|(a, b)| a == b).count() as f64 / count as f64;
            assert!((equal - 0.5).abs() < 0.01, "salt {salt}, {chance:?}: {equal}");
        }
    }
}
