//! Gradient of the gate.

use super::WORKGROUP;
use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host, gelu};
use crate::op::{Context, Op, Operand, Use, spread};
use crate::shader::Link;
use crate::tolerance::{gelu_error, gelu_slope_error, product_error};
use rullama_gpu::{Caps, GpuError};

/// `d_gate = dy * up * gelu'(gate)`, `d_up = dy * gelu(gate)`: the gradient of [`GeluMul`](super::GeluMul).
///
/// Operands: `gate`, `up`, `dy`, outs `d_gate`, `d_up`, all `[tokens, dim]`. With `z = sqrt(2/pi) (x + 0.044715 x^3)` and
/// `t = tanh(z)`, `gelu'(x) = (1 + t)/2 + x/2 (1 - t^2) sqrt(2/pi) (1 + 0.134145 x^2)`; beyond |z| = 10, where `t` is 1 in f32,
/// it is 0 or 1, also for gates whose cube overflows.
/// Source: the derivative of Hendrycks & Gimpel 2016.
#[derive(Debug, Clone)]
pub struct GeluMulBack;

impl Graph {
    /// The gradients of `gate` and `up` where that of `gelu(gate) * up` is `dy`, all `[tokens, dim]`.
    pub fn gelu_mul_back(&mut self, gate: Value, up: Value, dy: Value) -> [Value; 2] {
        let made = self.add(GeluMulBack, &[gate, up, dy]);
        [made[0], made[1]]
    }
}

/// `gelu'` in f64.
fn slope(x: f64) -> f64 {
    let k = std::f64::consts::FRAC_2_PI.sqrt();
    let t = (k * (x + 0.044715 * x * x * x)).tanh();
    0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * k * (1.0 + 0.134145 * x * x)
}

impl Op for GeluMulBack {
    fn name(&self) -> &'static str {
        "gelu_mul_back"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Read, Use::Write, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [gate, up, dy] = take(inputs)?;
        let fits = gate == up && gate == dy && gate.number == Number::F32 && gate.cols.is_multiple_of(4);
        fit(fits, &[("gate", &gate), ("up", &up), ("dy", &dy)])?;
        Ok(vec![gate, up])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let [gate, up, dy] = [operands[0].tensor()?, operands[1].tensor()?, operands[2].tensor()?];
        let kernel = Link::new("gelu_mul_back", rullama_quant::wgsl!("gelu_back.wgsl"), context.caps).constant("WG", WORKGROUP).kernel()?;
        let count = gate.rows * gate.cols / 4;
        let dispatch = context.recorder.dispatch(&kernel, spread(count.div_ceil(WORKGROUP), context.caps.max_groups));
        dispatch.param("count", count).param("dim", gate.cols / 4);
        dispatch.param("gate_stride", gate.stride / 4).param("gate_offset", gate.offset / 4).bind("gate", &gate.slice);
        dispatch.param("up_stride", up.stride / 4).param("up_offset", up.offset / 4).bind("up", &up.slice);
        dispatch.param("dy_stride", dy.stride / 4).param("dy_offset", dy.offset / 4).bind("dy", &dy.slice);
        dispatch.bind("d_gate", &operands[3].tensor()?.slice).bind("d_up", &operands[4].tensor()?.slice);
        Ok(())
    }

    fn allowance(&self, operands: &[Host], _: f32) -> Option<Vec<f32>> {
        let [gate, up, dy] = [0, 1, 2].map(|i| operands[i].tensor());
        let number = |x: f32| (f64::from(x), 0.0);
        let of_gate = (0..gate.data.len()).map(|i| {
            let x = f64::from(gate.data[i]);
            let (g, up) = (number(dy.data[i]), number(up.data[i]));
            let turned = (g.0 * slope(x), product_error(g, (slope(x), gelu_slope_error(x))));
            product_error(turned, up) as f32
        });
        let of_up = (0..gate.data.len()).map(|i| {
            let x = f64::from(gate.data[i]);
            product_error(number(dy.data[i]), (gelu(x), gelu_error(x, 0.0))) as f32
        });
        Some(of_gate.chain(of_up).collect())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [gate, up, dy, d_gate, d_up] = operands else { panic!("gelu_mul_back takes 5 operands") };
        let (gate, up, dy) = (&gate.tensor().data, &up.tensor().data, &dy.tensor().data);
        for (i, (d_gate, d_up)) in d_gate.tensor_mut().data.iter_mut().zip(&mut d_up.tensor_mut().data).enumerate() {
            let (x, g) = (f64::from(gate[i]), f64::from(dy[i]));
            *d_gate = (g * f64::from(up[i]) * slope(x)) as f32;
            *d_up = (g * gelu(x)) as f32;
        }
    }

    fn smoke(&self, _: &[Type]) -> Case {
        case(3, 64, 50.0)
    }
}

/// Gates up to `far` from 0.
pub(super) fn case(rows: usize, dim: usize, far: f32) -> Case {
    let mut rng = Rng::new((rows * dim) as u64 + 11);
    let mut gate = rng.tensor_scaled(rows, dim, far);
    // Where cubes overflow and tanh is flat.
    for (x, huge) in gate.data.iter_mut().zip([1e12, -1e13, 3e38, -3e38, -0.0, 40.0, -40.0, 5.418_707_4, -5.418_707_4]) {
        *x = huge;
    }
    let mut operands = vec![gate.into()];
    operands.extend((0..2).map(|_| Host::from(rng.tensor(rows, dim))));
    operands.extend((0..2).map(|_| Host::from(Array::zeros(rows, dim))));
    Case::new(format!("{rows}x{dim}, gates up to {far}"), GeluMulBack, operands, 256)
}
