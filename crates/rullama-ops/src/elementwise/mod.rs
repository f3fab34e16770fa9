//! Operations on one element at a time.

mod affine;
mod clamp;
mod dropout;
mod gelu;
mod sums;

pub use affine::Affine;
pub use clamp::Clamp;
pub use dropout::Dropout;
pub use gelu::GeluMulBack;
pub use sums::{AddColumns, Scale, Zeros};

use crate::backward::Backward;
use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host, gelu};
use crate::op::{Context, Op, Operand, StepState, Tensor, Use, spread, state};
use crate::shader::Link;
use crate::tolerance::{gelu_error, product_error, softcap_error};
use rullama_gpu::{Caps, GpuError};

#[cfg(feature = "cases")]
pub mod cases;

const WORKGROUP: u32 = 64;

/// `y = (h + a) * scale`. Operands: `a: [tokens, dim]`, `h: [tokens, dim]`, out `y: [tokens, dim]`.
#[derive(Debug, Clone)]
pub struct AddScale {
    pub scale: f32,
}

/// `y = cap * tanh(x / cap)`. Operands: `x: [tokens, dim]`, out `y: [tokens, dim]`.
#[derive(Debug, Clone)]
pub struct Softcap {
    pub cap: f32,
}

/// `y = gelu(x) * e`, gelu with tanh. Operands: `x: [tokens, dim]`, `e: [tokens, dim]`, out `y: [tokens, dim]`.
#[derive(Debug, Clone)]
pub struct GeluMul;

/// `y = x[tokens - 1]`: the last real row of a padded step. Operands: `x: [rows, dim]`,
/// `state: Words` (its `TOKENS`), out `y: [1, dim]`.
#[derive(Debug, Clone)]
pub struct LastRow;

impl Graph {
    /// `(h + a) * scale`, all `[tokens, dim]`.
    pub fn add_scale(&mut self, a: Value, h: Value, scale: f32) -> Value {
        self.one(AddScale { scale }, &[a, h])
    }

    /// `cap * tanh(x / cap)`; `x` itself where the cap is 0.
    pub fn softcap(&mut self, x: Value, cap: f32) -> Value {
        if cap > 0.0 { self.one(Softcap { cap }, &[x]) } else { x }
    }

    /// `gelu(x) * e`, both `[tokens, dim]`.
    pub fn gelu_mul(&mut self, x: Value, e: Value) -> Value {
        self.one(GeluMul, &[x, e])
    }

    /// The row `[1, dim]` of the step's last real token.
    pub fn last_row(&mut self, x: Value, state: Value) -> Value {
        self.one(LastRow, &[x, state])
    }
}

/// How the kernel's function of one or two elements is chosen.
fn record(name: &'static str, context: &mut Context, inputs: &[&Tensor], y: &Tensor, number: f32) -> Result<(), GpuError> {
    let in_place = inputs.iter().position(|x| x.slice.same(&y.slice));
    let kernel = Link::new(name, rullama_quant::wgsl!("elementwise.wgsl"), context.caps)
        .flag(name, true)
        .flag("two", inputs.len() == 2)
        .flag("in_place", in_place == Some(1))
        .constant("WG", WORKGROUP)
        .kernel()?;
    let count = y.rows * y.cols / 4;
    let dispatch = context.recorder.dispatch(&kernel, spread(count.div_ceil(WORKGROUP), context.caps.max_groups));
    dispatch.param("count", count).param("dim", y.cols / 4).param("number", number);
    dispatch.param("a_stride", inputs[0].stride / 4).param("a_offset", inputs[0].offset / 4).bind("a", &inputs[0].slice);
    if let Some(b) = inputs.get(1) {
        dispatch.param("b_stride", b.stride / 4).param("b_offset", b.offset / 4);
        if in_place != Some(1) {
            dispatch.bind("b", &b.slice);
        }
    }
    dispatch.bind("y", &y.slice);
    Ok(())
}

impl Op for AddScale {
    fn name(&self) -> &'static str {
        "add_scale"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [a, h] = take(inputs)?;
        fit(a == h && h.cols.is_multiple_of(4), &[("a", &a), ("h", &h)])?;
        Ok(vec![h])
    }

    fn may_alias(&self) -> Option<(usize, usize)> {
        Some((2, 1))
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let [a, h, y] = [operands[0].tensor()?, operands[1].tensor()?, operands[2].tensor()?];
        record(self.name(), context, &[a, h], y, self.scale)
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [a, h, y] = operands else { panic!("add_scale takes 3 operands") };
        for ((y, h), a) in y.tensor_mut().data.iter_mut().zip(&h.tensor().data).zip(&a.tensor().data) {
            *y = ((f64::from(*h) + f64::from(*a)) * f64::from(self.scale)) as f32;
        }
    }

    fn backward(&self, back: &mut Backward) -> Result<(), String> {
        let Some(g) = back.gradient(2) else { return Ok(()) };
        let g = if self.scale == 1.0 { g } else { back.graph.scale(g, self.scale) };
        back.give(0, g);
        back.give(1, g);
        Ok(())
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        let mut rng = Rng::new(4);
        let operands = vec![rng.tensor(3, 64).into(), rng.tensor(3, 64).into(), Array::zeros(3, 64).into()];
        Case::new("3x64", AddScale { scale: 0.3 }, operands, 2)
    }
}

impl Op for Softcap {
    fn name(&self) -> &'static str {
        "softcap"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x] = take(inputs)?;
        fit(x.number == Number::F32 && x.cols.is_multiple_of(4), &[("x", &x)])?;
        Ok(vec![x])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        record(self.name(), context, &[operands[0].tensor()?], operands[1].tensor()?, self.cap)
    }

    fn allowance(&self, operands: &[Host], _: f32) -> Option<Vec<f32>> {
        let error = |x: &f32| softcap_error(f64::from(*x), f64::from(self.cap), 0.0) as f32;
        Some(operands[0].tensor().data.iter().map(error).collect())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, y] = operands else { panic!("softcap takes 2 operands") };
        let cap = f64::from(self.cap);
        for (y, &x) in y.tensor_mut().data.iter_mut().zip(&x.tensor().data) {
            *y = (cap * (f64::from(x) / cap).tanh()) as f32;
        }
    }

    fn smoke(&self, _: &[Type]) -> Case {
        let x = Rng::new(5).tensor_scaled(3, 64, 4.0 * self.cap);
        Case::new("3x64", self.clone(), vec![x.into(), Array::zeros(3, 64).into()], 16)
    }
}

impl Op for GeluMul {
    fn name(&self) -> &'static str {
        "gelu_mul"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x, e] = take(inputs)?;
        fit(x == e && x.number == Number::F32 && x.cols.is_multiple_of(4), &[("x", &x), ("e", &e)])?;
        Ok(vec![x])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        record(self.name(), context, &[operands[0].tensor()?, operands[1].tensor()?], operands[2].tensor()?, 0.0)
    }

    fn allowance(&self, operands: &[Host], _: f32) -> Option<Vec<f32>> {
        let error = |(x, e): (&f32, &f32)| {
            let x = f64::from(*x);
            product_error((gelu(x), gelu_error(x, 0.0)), (f64::from(*e), 0.0)) as f32
        };
        Some(operands[0].tensor().data.iter().zip(&operands[1].tensor().data).map(error).collect())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, e, y] = operands else { panic!("gelu_mul takes 3 operands") };
        for ((y, &x), &e) in y.tensor_mut().data.iter_mut().zip(&x.tensor().data).zip(&e.tensor().data) {
            *y = (gelu(f64::from(x)) * f64::from(e)) as f32;
        }
    }

    fn backward(&self, back: &mut Backward) -> Result<(), String> {
        let (x, e, Some(g)) = (back.operand(0), back.operand(1), back.gradient(2)) else { return Ok(()) };
        let [dx, de] = back.graph.gelu_mul_back(x, e, g);
        back.give(0, dx);
        back.give(1, de);
        Ok(())
    }

    fn smoke(&self, _: &[Type]) -> Case {
        let mut rng = Rng::new(6);
        // As far as an unguarded tanh overflows.
        let operands = vec![rng.tensor_scaled(3, 64, 50.0).into(), rng.tensor(3, 64).into(), Array::zeros(3, 64).into()];
        Case::new("3x64", self.clone(), operands, 16)
    }
}

impl Op for LastRow {
    fn name(&self) -> &'static str {
        "last_row"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x, state] = take(inputs)?;
        let fits = x.number == Number::F32 && state.number == Number::Words && x.cols.is_multiple_of(4);
        fit(fits, &[("x", &x), ("state", &state)])?;
        Ok(vec![Type::f32(1, x.cols)])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let (x, y) = (operands[0].tensor()?, operands[2].tensor()?);
        let kernel = Link::new("last_row", rullama_quant::wgsl!("last_row.wgsl"), context.caps)
            .constant("WG", WORKGROUP)
            .constant("TOKENS", state::TOKENS)
            .kernel()?;
        let dispatch = context.recorder.dispatch(&kernel, [(x.cols / 4).div_ceil(WORKGROUP), 1, 1]);
        dispatch.param("dim", x.cols / 4).param("rows", x.rows).param("stride", x.stride / 4).param("offset", x.offset / 4);
        dispatch.bind("x", &x.slice).bind("step", operands[1].words()?).bind("y", &y.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, step, y] = operands else { panic!("last_row takes 3 operands") };
        let row = step.words()[state::TOKENS as usize] as usize - 1;
        y.tensor_mut().data.copy_from_slice(x.tensor().row(row));
    }

    fn smoke(&self, _: &[Type]) -> Case {
        let x = Rng::new(7).tensor(5, 64);
        let step = StepState { tokens: 3, ..Default::default() };
        let words = Host::Words(bytemuck::cast_slice(&[step]).to_vec());
        Case::new("3 of 5", LastRow, vec![x.into(), words, Array::zeros(1, 64).into()], 1)
    }
}
