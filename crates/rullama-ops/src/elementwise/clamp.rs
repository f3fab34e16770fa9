//! Values held between bounds.

use super::WORKGROUP;
use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use, spread};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

/// `y = min(max(x, low), high)`. Operands: `x: [tokens, dim]`, out `y: [tokens, dim]`.
#[derive(Debug, Clone)]
pub struct Clamp {
    pub low: f32,
    /// At least `low`.
    pub high: f32,
}

impl Graph {
    /// `x: [tokens, dim]` held between two bounds; `x` itself where they are infinite.
    pub fn clamp(&mut self, x: Value, low: f32, high: f32) -> Value {
        let bounded = low > f32::MIN || high < f32::MAX;
        if bounded { self.one(Clamp { low, high }, &[x]) } else { x }
    }
}

impl Op for Clamp {
    fn name(&self) -> &'static str {
        "clamp"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x] = take(inputs)?;
        fit(x.number == Number::F32 && x.cols.is_multiple_of(4), &[("x", &x)])?;
        if self.low <= self.high { Ok(vec![x]) } else { Err(format!("{} is not below {}", self.low, self.high)) }
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let [x, y] = [operands[0].tensor()?, operands[1].tensor()?];
        let kernel = Link::new("clamp", rullama_quant::wgsl!("clamp.wgsl"), context.caps).constant("WG", WORKGROUP).kernel()?;
        let count = y.rows * y.cols / 4;
        let dispatch = context.recorder.dispatch(&kernel, spread(count.div_ceil(WORKGROUP), context.caps.max_groups));
        dispatch.param("count", count).param("dim", y.cols / 4).param("stride", x.stride / 4).param("offset", x.offset / 4);
        dispatch.param("low", self.low.max(f32::MIN)).param("high", self.high.min(f32::MAX));
        dispatch.bind("x", &x.slice).bind("y", &y.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, y] = operands else { panic!("clamp takes 2 operands") };
        for (y, x) in y.tensor_mut().data.iter_mut().zip(&x.tensor().data) {
            *y = x.max(self.low).min(self.high);
        }
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        Clamp { low: -0.5, high: 0.25 }.case(3, 64)
    }
}

impl Clamp {
    /// Values on both sides of the bounds.
    pub(super) fn case(self, rows: usize, dim: usize) -> Case {
        let x = Rng::new((rows * dim) as u64 + 3).tensor(rows, dim);
        Case::new(format!("{rows}x{dim} to {} .. {}", self.low, self.high), self, vec![x.into(), Array::zeros(rows, dim).into()], 1)
    }
}
