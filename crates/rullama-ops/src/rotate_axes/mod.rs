//! Rotary embedding along several axes.

use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use, spread};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

#[cfg(feature = "cases")]
pub mod cases;

/// Each head of `x` in `axes` equal parts, each turned by angles of its own: `y_j = x_j cos - x_{j+h} sin`,
/// `y_{j+h} = x_{j+h} cos + x_j sin` for pairs `(j, j + h)` of a part, h = half a part (NeoX).
///
/// Operands: `x: [tokens, heads * head_dim]`, `turns: [tokens, head_dim]`, where each part has its h cosines, then its h sines, out
/// `y: [tokens, heads * head_dim]`. Source: Su et al. 2021; HF `Gemma4VisionRotaryEmbedding`.
#[derive(Debug, Clone)]
pub struct RotateAxes {
    pub heads: u32,
    /// A multiple of 4, and of `2 axes`.
    pub head_dim: u32,
    pub axes: u32,
}

impl Graph {
    /// Heads of `x: [tokens, heads * head_dim]` turned along axes by `turns: [tokens, head_dim]`.
    pub fn rotate_axes(&mut self, op: RotateAxes, x: Value, turns: Value) -> Value {
        self.one(op, &[x, turns])
    }
}

const WORKGROUP: u32 = 64;

impl Op for RotateAxes {
    fn name(&self) -> &'static str {
        "rotate_axes"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x, turns] = take(inputs)?;
        let n = self.head_dim;
        let parts = self.axes > 0 && n > 0 && n.is_multiple_of(4) && n.is_multiple_of(2 * self.axes);
        let fits = parts && x.number == Number::F32 && x.cols == self.heads * n && turns == Type::f32(x.rows, n);
        fit(fits, &[("x", &x), ("turns", &turns)])?;
        Ok(vec![x])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let [x, turns, y] = [operands[0].tensor()?, operands[1].tensor()?, operands[2].tensor()?];
        let kernel = Link::new("rotate_axes", rullama_quant::wgsl!("rotate_axes.wgsl"), context.caps).constant("WG", WORKGROUP).kernel()?;
        let count = x.rows * x.cols / 2;
        let dispatch = context.recorder.dispatch(&kernel, spread(count.div_ceil(WORKGROUP), context.caps.max_groups));
        dispatch.param("count", count).param("pairs", x.cols / 2).param("head", self.head_dim).param("half", self.head_dim / self.axes / 2);
        dispatch.param("stride", x.stride).param("offset", x.offset);
        dispatch.param("turns_stride", turns.stride).param("turns_offset", turns.offset).param("y_stride", y.cols);
        dispatch.bind("x", &x.slice).bind("turns", &turns.slice).bind("y", &y.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, turns, y] = operands else { panic!("rotate_axes takes 3 operands") };
        let (x, turns, y) = (x.tensor(), turns.tensor(), y.tensor_mut());
        let (n, part) = (self.head_dim as usize, (self.head_dim / self.axes) as usize);
        for t in 0..x.rows {
            for (i, to) in y.row_mut(t).iter_mut().enumerate() {
                let (head, at) = (i / n * n, i % n);
                let (first, within) = (at / part * part, at % part);
                let j = within % (part / 2);
                let of = |k: usize| f64::from(x.row(t)[head + first + k]);
                let [cos, sin] = [j, j + part / 2].map(|k| f64::from(turns.row(t)[first + k]));
                let (a, b) = (of(j), of(j + part / 2));
                *to = if within < part / 2 { a * cos - b * sin } else { b * cos + a * sin } as f32;
            }
        }
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        RotateAxes { heads: 2, head_dim: 24, axes: 2 }.case(5)
    }
}

impl RotateAxes {
    fn case(self, tokens: usize) -> Case {
        let (n, part) = (self.head_dim as usize, (self.head_dim / self.axes) as usize);
        let mut rng = Rng::new((tokens * n) as u64 + 29);
        let mut turns = Array::zeros(tokens, n);
        for (i, turn) in turns.data.iter_mut().enumerate() {
            // A pair's sine belongs to its cosine.
            let angle = ((i - i % part) * 7 + i % (part / 2)) as f32;
            *turn = if i % part < part / 2 { angle.cos() } else { angle.sin() };
        }
        let x = rng.tensor(tokens, self.heads as usize * n);
        let y = Array::zeros(tokens, self.heads as usize * n);
        Case::new(format!("{} heads of {n}, {} axes, {tokens} tokens", self.heads, self.axes), self, vec![x.into(), turns.into(), y.into()], 2)
    }
}
