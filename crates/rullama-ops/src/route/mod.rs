//! Which experts a token goes to, and how much each counts.

use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, misfit};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use, spread};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

#[cfg(feature = "cases")]
pub mod cases;

/// Most experts that there may be: their logits stand in workgroup memory.
pub const MOST_EXPERTS: u32 = 1024;

/// The `used` experts with the largest `p = softmax(scale * s)` over all of them, largest first, ties to the lowest index, and
/// their weights `w_k = p_k / sum of the chosen p`, times the expert's factor where there are factors.
///
/// Operands: logits `s: [tokens, experts]`, factors `[1, experts]` if there are any, out indices `[tokens, used]` as whole numbers in
/// f32, out weights `[tokens, used]`.
/// Source: Shazeer et al. 2017, "Outrageously Large Neural Networks"; HF `Gemma4TextRouter`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Route {
    pub used: u32,
    pub scale: f32,
    pub factors: bool,
}

impl Graph {
    /// Indices and weights of the experts, both `[tokens, used]`, for logits `[tokens, experts]`; `factors` names a table `[1, experts]`.
    pub fn route(&mut self, logits: Value, factors: Option<&str>, used: u32, scale: f32) -> [Value; 2] {
        let op = Route { used, scale, factors: factors.is_some() };
        let mut inputs = vec![logits];
        if let Some(factors) = factors {
            let experts = self.cols(logits);
            inputs.push(self.vector(factors, experts));
        }
        let made = self.add(op, &inputs);
        [made[0], made[1]]
    }
}

impl Route {
    fn case(&self, rows: usize, experts: usize, spread: f32) -> Case {
        let mut rng = Rng::new((rows * experts) as u64 + u64::from(self.used));
        self.case_of(format!("{} of {experts} for {rows}", self.used), rng.tensor_scaled(rows, experts, spread))
    }

    fn case_of(&self, name: String, logits: Array) -> Case {
        let (rows, experts, used) = (logits.rows, logits.cols, self.used as usize);
        let mut operands: Vec<Host> = vec![logits.into()];
        if self.factors {
            operands.push(Rng::new(experts as u64).tensor(1, experts).into());
        }
        operands.extend([Array::zeros(rows, used).into(), Array::zeros(rows, used).into()]);
        Case::new(name, *self, operands, used)
    }
}

impl Op for Route {
    fn name(&self) -> &'static str {
        "route"
    }

    fn uses(&self) -> Vec<Use> {
        [vec![Use::Read; 1 + usize::from(self.factors)], vec![Use::Write; 2]].concat()
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let (logits, factors) = match inputs {
            [logits] if !self.factors => (logits, None),
            [logits, factors] if self.factors => (logits, Some(factors)),
            _ => return Err(format!("takes {} inputs, not {}", 1 + usize::from(self.factors), inputs.len())),
        };
        let counts = logits.number == Number::F32 && logits.cols <= MOST_EXPERTS && (1..=logits.cols).contains(&self.used);
        if !counts {
            return Err(format!("{} of them: {}", self.used, misfit(&[("logits", logits)])));
        }
        if let Some(factors) = factors {
            fit(*factors == Type::f32(1, logits.cols), &[("logits", logits), ("factors", factors)])?;
        }
        Ok(vec![Type::f32(logits.rows, self.used); 2])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        context.variant(self, operands)?;
        let logits = operands[0].tensor()?;
        let kernel = Link::new("route", rullama_quant::wgsl!("route.wgsl"), context.caps)
            .flag("factors", self.factors)
            .constant("EXPERTS", logits.cols)
            .constant("USED", self.used)
            .constant("WG", workgroup(logits.cols))
            .kernel()?;
        let dispatch = context.recorder.dispatch(&kernel, spread(logits.rows, context.caps.max_groups));
        dispatch.param("tokens", logits.rows).param("stride", logits.stride).param("offset", logits.offset);
        dispatch.param("scale", self.scale).bind("logits", &logits.slice);
        if self.factors {
            dispatch.bind("factors", &operands[1].tensor()?.slice);
        }
        let [ids, weights] = [&operands[operands.len() - 2], &operands[operands.len() - 1]];
        dispatch.bind("ids", &ids.tensor()?.slice).bind("weights", &weights.tensor()?.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let (inputs, made) = operands.split_at_mut(1 + usize::from(self.factors));
        let [ids, weights] = made else { panic!("route makes 2 matrices") };
        let (logits, used) = (inputs[0].tensor(), self.used as usize);
        for row in 0..logits.rows {
            let s = logits.row(row);
            let mut order: Vec<usize> = (0..s.len()).collect();
            // NaN first; the sort is stable, so that ties keep the lowest index.
            order.sort_by(|&a, &b| s[b].is_nan().cmp(&s[a].is_nan()).then(s[b].partial_cmp(&s[a]).unwrap_or(std::cmp::Ordering::Equal)));
            let best = f64::from(s[order[0]]);
            let p: Vec<f64> = s.iter().map(|&s| (f64::from(self.scale) * (f64::from(s) - best)).exp()).collect();
            let sum: f64 = order[..used].iter().map(|&expert| p[expert]).sum();
            for (k, &expert) in order[..used].iter().enumerate() {
                let factor = if self.factors { f64::from(inputs[1].tensor().data[expert]) } else { 1.0 };
                ids.tensor_mut().row_mut(row)[k] = expert as f32;
                weights.tensor_mut().row_mut(row)[k] = (p[expert] / sum * factor) as f32;
            }
        }
    }

    fn work(&self, inputs: &[Type], _: u32) -> u64 {
        u64::from(inputs[0].rows) * u64::from(inputs[0].cols) * u64::from(inputs[0].cols)
    }

    fn kernels(&self, inputs: &[Type], _: &Caps) -> String {
        format!("{} of {}, factors {}", self.used, inputs[0].cols, self.factors)
    }

    fn smoke(&self, inputs: &[Type]) -> Case {
        self.case(3, inputs[0].cols as usize, 3.0 / self.scale.abs().max(1e-3))
    }
}

fn workgroup(experts: u32) -> u32 {
    if experts <= 64 { 64 } else { 128 }
}
