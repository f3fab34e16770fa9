//! Rotary embedding of a packed row of examples.

use crate::backward::Backward;
use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use, spread};
use crate::qkv::{ROPE_LOW, rope_tables};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

#[cfg(feature = "cases")]
pub mod cases;

/// Heads of `x` turned by the position of their token: `y_i = x_i cos - x_{i+h} sin`, `y_{i+h} = x_{i+h} cos + x_i sin` for pairs
/// `(i, i + h)`, h = head_dim / 2 (NeoX), by the negative angle if `inverse`. Each is the other's gradient.
///
/// Operands: `x: [tokens, heads * head_dim]`, `rope_low: [256, head_dim]`, `rope_high: [n, head_dim]` (see [`rope_tables`]; at
/// least `tokens / 256` rows), words `starts: [tokens]`, out `y: [tokens, heads * head_dim]`.
///
/// The step is a packed row of examples: token t belongs to the example that begins at token `starts[t]` and stands at position
/// `t - starts[t]`. Where `starts[t] > t` the row is padding and becomes zeros. Source: Su et al. 2021.
#[derive(Debug, Clone)]
pub struct Rotate {
    pub heads: u32,
    /// A multiple of 8.
    pub head_dim: u32,
    pub inverse: bool,
}

impl Graph {
    /// Heads of `x: [tokens, heads * head_dim]` turned by their tokens' positions; `rope`: the lower and the upper table.
    pub fn rotate(&mut self, op: Rotate, x: Value, rope: [Value; 2], starts: Value) -> Value {
        self.one(op, &[x, rope[0], rope[1], starts])
    }
}

const WORKGROUP: u32 = 64;

/// Whether words are `starts` of `tokens` tokens: 0 words stand for as many as there are.
pub(crate) fn are_starts(words: &Type, tokens: u32) -> bool {
    words.number == Number::Words && (words.cols == 0 || words.cols == tokens)
}

/// As [`are_starts`], where the words lie in a buffer.
pub(crate) fn check_starts(op: &str, words: &rullama_gpu::Slice, tokens: u32) -> Result<(), GpuError> {
    if words.size >= u64::from(tokens) * 4 {
        return Ok(());
    }
    let message = format!("`starts` has {} words for {tokens} tokens", words.size / 4);
    Err(GpuError::Validation { what: format!("operands of `{op}`"), message })
}

impl Op for Rotate {
    fn name(&self) -> &'static str {
        "rotate"
    }

    fn uses(&self) -> Vec<Use> {
        [[Use::Read; 4].as_slice(), &[Use::Write]].concat()
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x, low, high, starts] = take(inputs)?;
        let n = self.head_dim;
        let heads = x.number == Number::F32 && n > 0 && n.is_multiple_of(8) && x.cols == self.heads * n;
        let tables = low == Type::f32(ROPE_LOW, n) && high == Type::f32(high.rows, n) && high.rows >= x.rows.div_ceil(ROPE_LOW);
        let fits = heads && tables && are_starts(&starts, x.rows);
        fit(fits, &[("x", &x), ("rope_low", &low), ("rope_high", &high), ("starts", &starts)])?;
        Ok(vec![x])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let [x, low, high, y] = [operands[0].tensor()?, operands[1].tensor()?, operands[2].tensor()?, operands[4].tensor()?];
        let starts = operands[3].words()?;
        check_starts(self.name(), starts, x.rows)?;
        let kernel = Link::new("rotate", rullama_quant::wgsl!("rotate.wgsl"), context.caps)
            .flag("inverse", self.inverse)
            .constant("WG", WORKGROUP)
            .constant("LOW", ROPE_LOW)
            .kernel()?;
        let count = x.rows * x.cols / 8;
        let dispatch = context.recorder.dispatch(&kernel, spread(count.div_ceil(WORKGROUP), context.caps.max_groups));
        dispatch.param("count", count).param("heads", self.heads).param("half", self.head_dim / 8);
        dispatch.param("stride", x.stride / 4).param("offset", x.offset / 4);
        dispatch.param("low_stride", low.stride / 4).param("low_offset", low.offset / 4);
        dispatch.param("high_stride", high.stride / 4).param("high_offset", high.offset / 4);
        dispatch.bind("x", &x.slice).bind("rope_low", &low.slice).bind("rope_high", &high.slice);
        dispatch.bind("starts", starts).bind("y", &y.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, low, high, starts, y] = operands else { panic!("rotate takes 5 operands") };
        let (x, low, high, starts, y) = (x.tensor(), low.tensor(), high.tensor(), starts.words(), y.tensor_mut());
        let (n, half) = (self.head_dim as usize, self.head_dim as usize / 2);
        let angle = |table: &Array, row: usize, i: usize| f64::from(table.row(row)[half + i]).atan2(f64::from(table.row(row)[i]));
        for (t, start) in starts.iter().enumerate().take(x.rows) {
            let Some(position) = t.checked_sub(*start as usize) else {
                y.row_mut(t).fill(0.0);
                continue;
            };
            let rows = (position % ROPE_LOW as usize, position / ROPE_LOW as usize);
            for (from, to) in x.row(t).chunks_exact(n).zip(y.row_mut(t).chunks_exact_mut(n)) {
                for i in 0..half {
                    let angle = angle(low, rows.0, i) + angle(high, rows.1, i);
                    let (sin, cos) = if self.inverse { -angle } else { angle }.sin_cos();
                    let (a, b) = (f64::from(from[i]), f64::from(from[half + i]));
                    to[i] = (a * cos - b * sin) as f32;
                    to[half + i] = (b * cos + a * sin) as f32;
                }
            }
        }
    }

    fn backward(&self, back: &mut Backward) -> Result<(), String> {
        let (rope, starts, Some(g)) = ([back.operand(1), back.operand(2)], back.operand(3), back.gradient(4)) else { return Ok(()) };
        if back.wants(0) {
            let op = Rotate { inverse: !self.inverse, ..self.clone() };
            let dx = back.graph.rotate(op, g, rope, starts);
            back.give(0, dx);
        }
        Ok(())
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        self.inverse.to_string()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        self.clone().case(&[0, 0, 2, 2, 2, u32::MAX], false)
    }
}

impl Rotate {
    /// A case of these `starts`; with `partial`, all pairs but the first quarter stay.
    fn case(self, starts: &[u32], partial: bool) -> Case {
        let (tokens, n) = (starts.len(), self.head_dim as usize);
        let (mut rng, cols) = (Rng::new((tokens * n) as u64), self.heads as usize * n);
        let turned = if partial { n / 8 } else { n / 2 };
        let frequency = |i: usize| if i < turned { 1e4f64.powf(-2.0 * i as f64 / n as f64) } else { 0.0 };
        let (low, high) = rope_tables(&(0..n / 2).map(frequency).collect::<Vec<_>>(), tokens as u32);
        let table = |data: Vec<f32>| Host::from(Array { rows: data.len() / n, cols: n, data });
        let x = rng.tensor(tokens, cols).into();
        let operands = vec![x, table(low), table(high), Host::Words(starts.to_vec()), Array::zeros(tokens, cols).into()];
        let name = format!("{} heads of {n}, {tokens} tokens, partial {partial}, inverse {}", self.heads, self.inverse);
        Case::new(name, self, operands, 16)
    }
}
