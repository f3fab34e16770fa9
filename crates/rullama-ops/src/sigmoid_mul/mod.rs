//! Gates of the logistic function: SiLU, GLU and the quick form of GELU.

mod quick_gelu;

pub use quick_gelu::QuickGeluMul;

use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use, spread};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

#[cfg(feature = "cases")]
pub mod cases;

/// `y = a / (1 + exp(-b))`.
///
/// Operands: `a: [tokens, dim]`, `b: [tokens, dim]`, out `y: [tokens, dim]`. Source: Dauphin et al. 2017 (GLU).
#[derive(Debug, Clone)]
pub struct SigmoidMul;

/// `y = x / (1 + exp(-x))`.
///
/// Operands: `x: [tokens, dim]`, out `y: [tokens, dim]`. Source: Hendrycks and Gimpel 2016 (SiLU).
#[derive(Debug, Clone)]
pub struct Silu;

impl Graph {
    /// `a` times the logistic function of `b`, both `[tokens, dim]`.
    pub fn sigmoid_mul(&mut self, a: Value, b: Value) -> Value {
        self.one(SigmoidMul, &[a, b])
    }

    /// `x: [tokens, dim]` times its own logistic function.
    pub fn silu(&mut self, x: Value) -> Value {
        self.one(Silu, &[x])
    }
}

const WORKGROUP: u32 = 64;

/// `quick`: `b` is a factor of the quick form of GELU.
fn record(context: &mut Context, [a, b, y]: [&Operand; 3], quick: bool) -> Result<(), GpuError> {
    let squared = std::ptr::eq(a, b);
    let [a, b, y] = [a.tensor()?, b.tensor()?, y.tensor()?];
    let kernel = Link::new("sigmoid_mul", rullama_quant::wgsl!("sigmoid_mul.wgsl"), context.caps)
        .flag("squared", squared)
        .flag("quick", quick)
        .constant("WG", WORKGROUP)
        .kernel()?;
    let count = y.rows * y.cols / 4;
    let dispatch = context.recorder.dispatch(&kernel, spread(count.div_ceil(WORKGROUP), context.caps.max_groups));
    dispatch.param("count", count).param("dim", y.cols / 4);
    dispatch.param("a_stride", a.stride / 4).param("a_offset", a.offset / 4);
    dispatch.param("b_stride", b.stride / 4).param("b_offset", b.offset / 4);
    dispatch.bind("a", &a.slice);
    if !squared {
        dispatch.bind("b", &b.slice);
    }
    dispatch.bind("y", &y.slice);
    Ok(())
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// WGSL: `exp(x)` is off by `3 + 2 |x|` ULP, a quotient by 2.5, sum and product by 1 each; below `exp(-87)` nothing need be left.
fn error(a: f32, b: f32) -> f32 {
    let (a, b) = (f64::from(a).abs(), f64::from(b));
    let ulps = 8.5 + 2.0 * b.abs().min(87.0);
    (a * (sigmoid(b) * ulps / f64::from(1u32 << 23) + (-87f64).exp()) + f64::from(f32::MIN_POSITIVE)) as f32
}

fn operation<'a>(a: &'a Array, b: &'a Array) -> impl Iterator<Item = f32> + 'a {
    a.data.iter().zip(&b.data).map(|(&a, &b)| (f64::from(a) * sigmoid(f64::from(b))) as f32)
}

impl Op for SigmoidMul {
    fn name(&self) -> &'static str {
        "sigmoid_mul"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [a, b] = take(inputs)?;
        fit(a == b && a.number == Number::F32 && a.cols.is_multiple_of(4), &[("a", &a), ("b", &b)])?;
        Ok(vec![a])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        record(context, [&operands[0], &operands[1], &operands[2]], false)
    }

    fn allowance(&self, operands: &[Host], _: f32) -> Option<Vec<f32>> {
        let [a, b] = [operands[0].tensor(), operands[1].tensor()];
        Some(a.data.iter().zip(&b.data).map(|(a, b)| error(*a, *b)).collect())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [a, b, y] = operands else { panic!("sigmoid_mul takes 3 operands") };
        y.tensor_mut().data = operation(a.tensor(), b.tensor()).collect();
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        SigmoidMul.case(3, 64, 100.0)
    }
}

impl Op for Silu {
    fn name(&self) -> &'static str {
        "silu"
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
        record(context, [&operands[0], &operands[0], &operands[1]], false)
    }

    fn allowance(&self, operands: &[Host], _: f32) -> Option<Vec<f32>> {
        Some(operands[0].tensor().data.iter().map(|x| error(*x, *x)).collect())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, y] = operands else { panic!("silu takes 2 operands") };
        y.tensor_mut().data = operation(x.tensor(), x.tensor()).collect();
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        Silu.case(3, 64, 100.0)
    }
}

impl SigmoidMul {
    fn case(self, rows: usize, dim: usize, far: f32) -> Case {
        let mut rng = Rng::new((rows * dim) as u64 + 41);
        let operands = vec![rng.tensor(rows, dim).into(), rng.tensor_scaled(rows, dim, far).into(), Array::zeros(rows, dim).into()];
        Case::new(format!("{rows}x{dim} to {far}"), self, operands, 1)
    }
}

impl Silu {
    fn case(self, rows: usize, dim: usize, far: f32) -> Case {
        let x = Rng::new((rows * dim) as u64 + 43).tensor_scaled(rows, dim, far);
        Case::new(format!("{rows}x{dim} to {far}"), self, vec![x.into(), Array::zeros(rows, dim).into()], 1)
    }
}
