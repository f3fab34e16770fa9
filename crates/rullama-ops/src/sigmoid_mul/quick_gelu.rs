//! The gate of towers that were made with the quick form of GELU.

use super::{record, sigmoid};
use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use};
use rullama_gpu::{Caps, GpuError};

/// `y = x / (1 + exp(-1.702 x)) * e`.
///
/// Operands: `x: [tokens, dim]`, `e: [tokens, dim]`, out `y: [tokens, dim]`. It differs from [`GeluMul`](crate::GeluMul) by up to 0.02
/// times `e`. Source: Hendrycks and Gimpel 2016 (GELU, its approximation by the logistic function).
#[derive(Debug, Clone)]
pub struct QuickGeluMul;

/// Of the argument.
const SLOPE: f64 = 1.702;

impl Graph {
    /// `x` times the logistic function of `1.702 x` times `e`, both `[tokens, dim]`.
    pub fn quick_gelu_mul(&mut self, x: Value, e: Value) -> Value {
        self.one(QuickGeluMul, &[x, e])
    }
}

/// As that of the other gates, with an argument that is off by an ULP itself, and two products more.
fn error(x: f32, e: f32) -> f32 {
    let (x, e) = (f64::from(x), f64::from(e).abs());
    let b = SLOPE * x;
    let ulps = 11.5 + 3.0 * b.abs().min(87.0);
    let gate = x.abs() * (sigmoid(b) * ulps / f64::from(1u32 << 23) + (-87f64).exp()) + f64::from(f32::MIN_POSITIVE);
    (gate * e + f64::from(f32::MIN_POSITIVE)) as f32
}

impl Op for QuickGeluMul {
    fn name(&self) -> &'static str {
        "quick_gelu_mul"
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
        record(context, [&operands[0], &operands[1], &operands[2]], true)
    }

    fn allowance(&self, operands: &[Host], _: f32) -> Option<Vec<f32>> {
        let [x, e] = [operands[0].tensor(), operands[1].tensor()];
        Some(x.data.iter().zip(&e.data).map(|(x, e)| error(*x, *e)).collect())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, e, y] = operands else { panic!("quick_gelu_mul takes 3 operands") };
        let values = x.tensor().data.iter().zip(&e.tensor().data).map(|(&x, &e)| {
            let x = f64::from(x);
            (x * sigmoid(SLOPE * x) * f64::from(e)) as f32
        });
        y.tensor_mut().data = values.collect();
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        QuickGeluMul.case(3, 64, 50.0)
    }
}

impl QuickGeluMul {
    /// Gates up to `far` from 0.
    pub(super) fn case(self, rows: usize, dim: usize, far: f32) -> Case {
        let mut rng = Rng::new((rows * dim) as u64 + 47);
        let operands = vec![rng.tensor_scaled(rows, dim, far).into(), rng.tensor(rows, dim).into(), Array::zeros(rows, dim).into()];
        Case::new(format!("{rows}x{dim} to {far}"), self, operands, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_the_known_ones() {
        let row = |data: Vec<f32>| Host::from(Array { rows: 1, cols: data.len(), data });
        let mut operands = [row(vec![-1.0, 0.5, 1.0, 3.0]), row(vec![1.0, 1.0, 1.0, 2.0]), row(vec![0.0; 4])];
        QuickGeluMul.oracle(&mut operands);
        let want = [-0.154_204_23, 0.350_388_44, 0.845_795_77, 2.0 * 2.981_928_7];
        assert!(operands[2].tensor().data.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-6));
    }
}
