//! Gradients of queries, keys and values.

use super::SelfAttention;
use super::kernels::{self, Given, Parts};
use super::oracle;
use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, misfit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use, reducing_variants};
use crate::shader::Link;
use crate::tolerance::rms;
use rullama_gpu::{Caps, GpuError};

/// `D[t, head] = sum of dy y` over the head's values: what each softmax takes off its gradient.
///
/// Operands: `dy` and `y: [tokens, heads * head_dim]` (gradient and result of [`SelfAttention`]), out `delta: [tokens, heads]`.
/// Source: Dao et al. 2022.
#[derive(Debug, Clone)]
pub struct SelfAttentionDelta {
    pub heads: u32,
    pub head_dim: u32,
}

/// `dq = dS K` with `P = exp(q K^T - lse)` and `dS = P (dy V^T - D)`: the gradient of the queries of [`SelfAttention`].
///
/// Operands: `q`, `k`, `v` as there, `dy: [tokens, heads * head_dim]`, `lse: [tokens, heads]` as made there,
/// `delta: [tokens, heads]` of [`SelfAttentionDelta`], words `starts: [tokens]`, out `dq: [tokens, heads * head_dim]`.
/// Source: Dao et al. 2022.
#[derive(Debug, Clone)]
pub struct SelfAttentionBackQuery {
    pub of: SelfAttention,
}

/// `dk = dS^T q` and `dv = P^T dy`, summed over the query heads that share them: the gradients of keys and values.
///
/// Operands: as [`SelfAttentionBackQuery`], outs `dk` and `dv: [tokens, kv_heads * head_dim]`.
/// Source: Dao et al. 2022.
#[derive(Debug, Clone)]
pub struct SelfAttentionBackKeys {
    pub of: SelfAttention,
}

impl Graph {
    /// Sums over `dy y` of each head `[tokens, heads]`, both `[tokens, heads * head_dim]`.
    pub fn self_attention_delta(&mut self, of: &SelfAttention, dy: Value, y: Value) -> Value {
        self.one(SelfAttentionDelta { heads: of.heads, head_dim: of.head_dim }, &[dy, y])
    }

    /// The gradient of the queries; `operands`: q, k, v, dy, lse, delta, starts.
    pub fn self_attention_back_query(&mut self, of: &SelfAttention, operands: [Value; 7]) -> Value {
        self.one(SelfAttentionBackQuery { of: of.clone() }, &operands)
    }

    /// The gradients of keys and values; `operands`: q, k, v, dy, lse, delta, starts.
    pub fn self_attention_back_keys(&mut self, of: &SelfAttention, operands: [Value; 7]) -> [Value; 2] {
        let made = self.add(SelfAttentionBackKeys { of: of.clone() }, &operands);
        [made[0], made[1]]
    }
}

/// Operands that gradients are made from.
const READ: usize = 7;

impl SelfAttention {
    /// Types of queries and keys, where the operands of a gradient fit.
    fn check_back(&self, inputs: &[Type]) -> Result<[Type; 2], String> {
        let [q, k, v, dy, lse, delta, starts] = take(inputs)?;
        let [queries, keys, sums] = self.types(q.rows);
        let named = [
            ("q", &q, queries),
            ("k", &k, keys),
            ("v", &v, keys),
            ("dy", &dy, queries),
            ("lse", &lse, sums),
            ("delta", &delta, sums),
        ];
        self.check(&named, &starts)?;
        Ok([queries, keys])
    }

    /// q, k, v, dy, lse, delta, starts of a step with these `operands` (q, k, v, starts), by the oracles.
    pub(super) fn back_operands(&self, operands: Vec<Host>) -> Vec<Host> {
        let (tokens, width) = (operands[0].tensor().rows, operands[0].tensor().cols);
        let mut all = operands;
        all.extend([Array::zeros(tokens, width).into(), Array::zeros(tokens, self.heads as usize).into()]);
        self.oracle(&mut all);
        let dy = Host::from(Rng::new((tokens * width) as u64 + 21).tensor(tokens, width));
        let mut delta = [dy.clone(), all[4].clone(), Array::zeros(tokens, self.heads as usize).into()];
        SelfAttentionDelta { heads: self.heads, head_dim: self.head_dim }.oracle(&mut delta);
        let [_, _, delta] = delta;
        let [q, k, v, starts, _, lse] = &all[..] else { panic!("six operands") };
        vec![q.clone(), k.clone(), v.clone(), dy, lse.clone(), delta, starts.clone()]
    }

    /// What each value of dq, dk and dv may be off by. Gradients are differences that cancel, wholly where a token sees itself alone;
    /// so it is a share, as of the forward step and some for twice as many sums, of what they come to without that: of
    /// `sqrt(head_dim) |dy| |v| |k|` by root mean squares for dq, the same with q for dk, `|dy|` for dv, the last two for every head.
    fn off(&self, operands: &[Host]) -> [f32; 3] {
        let rms = |at: usize| rms(operands[at].tensor().data.iter().map(|x| f64::from(*x))) as f32;
        let [q, k, v, dy] = [0, 1, 2, 3].map(rms);
        let tokens = operands[0].tensor().rows;
        let share = 4.0 * self.tolerance(tokens);
        let (weights, heads) = ((self.head_dim as f32).sqrt() * dy * v, (self.shared_by() as f32).sqrt());
        [share * weights * k, share * weights * q * heads, share * dy * heads]
    }

    /// Cases of the gradients of such a step.
    pub(super) fn back_cases(&self, operands: Vec<Host>, name: &str) -> [Case; 2] {
        let (tokens, width, kv_width) = (operands[0].tensor().rows, operands[0].tensor().cols, operands[1].tensor().cols);
        let operands = self.back_operands(operands);
        let zeros = |width| Host::from(Array::zeros(tokens, width));
        let name = format!("{}, {name}", self.described(tokens));
        let n = self.head_dim as usize;
        let query = [operands.clone(), vec![zeros(width)]].concat();
        let keys = [operands, vec![zeros(kv_width), zeros(kv_width)]].concat();
        [
            Case::new(&name, SelfAttentionBackQuery { of: self.clone() }, query, n),
            Case::new(&name, SelfAttentionBackKeys { of: self.clone() }, keys, n),
        ]
    }
}

impl Op for SelfAttentionDelta {
    fn name(&self) -> &'static str {
        "self_attention_delta"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [dy, y] = take(inputs)?;
        if dy != y || y.number != Number::F32 || y.cols != self.heads * self.head_dim || !self.head_dim.is_multiple_of(4) {
            return Err(format!("{} for {} heads of {}", misfit(&[("dy", &dy), ("y", &y)]), self.heads, self.head_dim));
        }
        Ok(vec![Type::f32(y.rows, self.heads)])
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        reducing_variants(caps)
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let subgroups = context.variant(self, operands)? == "subgroups";
        let [dy, y, delta] = [operands[0].tensor()?, operands[1].tensor()?, operands[2].tensor()?];
        let kernel = Link::new("self_attention/delta", rullama_quant::wgsl!("delta.wgsl"), context.caps)
            .flag("subgroups", subgroups)
            .constant("WG", 64)
            .kernel()?;
        let dispatch = context.recorder.dispatch(&kernel, [self.heads, y.rows, 1]);
        dispatch.param("heads", self.heads).param("quads", self.head_dim / 4);
        dispatch.param("dy_stride", dy.stride / 4).param("dy_offset", dy.offset / 4).bind("dy", &dy.slice);
        dispatch.param("y_stride", y.stride / 4).param("y_offset", y.offset / 4).bind("y", &y.slice).bind("delta", &delta.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [dy, y, delta] = operands else { panic!("self_attention_delta takes 3 operands") };
        let n = self.head_dim as usize;
        let heads = dy.tensor().data.chunks_exact(n).zip(y.tensor().data.chunks_exact(n));
        for ((dy, y), sum) in heads.zip(&mut delta.tensor_mut().data) {
            *sum = dy.iter().zip(y).map(|(dy, y)| f64::from(*dy) * f64::from(*y)).sum::<f64>() as f32;
        }
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        self.case(3)
    }
}

impl SelfAttentionDelta {
    pub(super) fn case(&self, tokens: usize) -> Case {
        let (heads, n) = (self.heads as usize, self.head_dim as usize);
        let mut rng = Rng::new((tokens * heads * n) as u64 + 22);
        let mut tensor = || Host::from(rng.tensor(tokens, heads * n));
        let operands = vec![tensor(), tensor(), Array::zeros(tokens, heads).into()];
        Case::new(format!("{tokens} tokens, {heads} heads of {n}"), self.clone(), operands, n)
    }
}

/// By name, from the operands of a gradient.
fn named<'a>(op: &str, operands: &'a [Operand]) -> Result<(Parts<'a>, Given<'a>), GpuError> {
    let [q, k, v, dy, lse, delta, starts] = &operands[..READ] else {
        return Err(GpuError::Validation { what: format!("operands of `{op}`"), message: "some are missing".into() });
    };
    let parts = Parts::new(op, [q, k, v, starts])?;
    Ok((parts, Given { dy: dy.tensor()?, lse: lse.tensor()?, delta: delta.tensor()? }))
}

/// The same on the CPU; and what is made.
fn hosts<'a>(of: &'a SelfAttention, operands: &'a mut [Host]) -> (oracle::Step<'a>, oracle::Given<'a>, &'a mut [Host]) {
    let (read, made) = operands.split_at_mut(READ);
    let [q, k, v, dy, lse, delta, starts] = read else { panic!("seven operands are read") };
    let step = oracle::Step { op: of, q: q.tensor(), k: k.tensor(), starts: starts.words() };
    (step, oracle::Given { v: v.tensor(), dy: dy.tensor(), lse: lse.tensor(), delta: delta.tensor() }, made)
}

impl Op for SelfAttentionBackQuery {
    fn name(&self) -> &'static str {
        "self_attention_back_query"
    }

    fn uses(&self) -> Vec<Use> {
        [[Use::Read; READ].as_slice(), &[Use::Write]].concat()
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [queries, _] = self.of.check_back(inputs)?;
        Ok(vec![queries])
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        kernels::variants(caps)
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let naive = context.variant(self, operands)? == "naive";
        let (parts, given) = named(self.name(), operands)?;
        self.of.record_back_query(context, (&parts, &given), operands[READ].tensor()?, naive)
    }

    fn allowance(&self, operands: &[Host], _: f32) -> Option<Vec<f32>> {
        Some(vec![self.of.off(operands)[0]; operands[READ].tensor().data.len()])
    }

    fn oracle(&self, operands: &mut [Host]) {
        let (step, given, made) = hosts(&self.of, operands);
        step.back_query(&given, made[0].tensor_mut());
    }

    fn work(&self, inputs: &[Type], _: u32) -> u64 {
        self.of.products(inputs[0].rows, 3)
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        self.of.key()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        let (op, operands) = self.of.smoke_operands();
        let [query, _] = op.back_cases(operands, "small");
        query
    }
}

impl Op for SelfAttentionBackKeys {
    fn name(&self) -> &'static str {
        "self_attention_back_keys"
    }

    fn uses(&self) -> Vec<Use> {
        [[Use::Read; READ].as_slice(), &[Use::Write; 2]].concat()
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [_, keys] = self.of.check_back(inputs)?;
        Ok(vec![keys, keys])
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        kernels::variants(caps)
    }

    fn scratch(&self, caps: &Caps, operands: &[Operand]) -> u64 {
        operands[0].tensor().map_or(0, |q| self.of.key_scratch(q.rows, caps))
    }

    fn scratch_for(&self, inputs: &[Type], caps: &Caps) -> u64 {
        self.of.key_scratch(inputs[0].rows, caps)
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let naive = context.variant(self, operands)? == "naive";
        let (parts, given) = named(self.name(), operands)?;
        let made = [operands[READ].tensor()?, operands[READ + 1].tensor()?];
        self.of.record_back_keys(context, (&parts, &given), made, naive)
    }

    fn allowance(&self, operands: &[Host], _: f32) -> Option<Vec<f32>> {
        let ([_, dk, dv], count) = (self.of.off(operands), operands[READ].tensor().data.len());
        Some([vec![dk; count], vec![dv; count]].concat())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let (step, given, made) = hosts(&self.of, operands);
        let [dk, dv] = made else { panic!("two operands are made") };
        step.back_keys(&given, dk.tensor_mut(), dv.tensor_mut());
    }

    fn work(&self, inputs: &[Type], _: u32) -> u64 {
        self.of.products(inputs[0].rows, 5)
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        self.of.key()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        let (op, operands) = self.of.smoke_operands();
        let [_, keys] = op.back_cases(operands, "small");
        keys
    }
}
