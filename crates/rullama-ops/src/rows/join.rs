//! Blocks of rows, one below the other.

use super::WORKGROUP;
use crate::backward::Backward;
use crate::case::{Case, Rng};
use crate::graph::{Number, Type, misfit};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use, spread};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

/// The rows of `parts` matrices, one below the other.
///
/// Operands: `x_i: [rows_i, cols]` for each part, out `y: [sum of rows_i, cols]`.
#[derive(Debug, Clone, Copy)]
pub struct JoinRows {
    pub parts: u32,
}

/// Values that are taken together.
fn unit(cols: u32) -> u32 {
    if cols.is_multiple_of(4) { 4 } else { 1 }
}

impl JoinRows {
    /// Parts of so many rows.
    pub(super) fn case(rows: &[usize], cols: usize) -> Case {
        let mut rng = Rng::new((rows.len() * cols) as u64);
        let mut operands: Vec<Host> = rows.iter().map(|rows| rng.tensor(*rows, cols).into()).collect();
        operands.push(Array::zeros(rows.iter().sum(), cols).into());
        Case::new(format!("{rows:?} rows of {cols}"), JoinRows { parts: rows.len() as u32 }, operands, 1)
    }
}

impl Op for JoinRows {
    fn name(&self) -> &'static str {
        "join_rows"
    }

    fn uses(&self) -> Vec<Use> {
        [vec![Use::Read; self.parts as usize], vec![Use::Write]].concat()
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let Some(first) = inputs.first().filter(|_| inputs.len() == self.parts as usize) else {
            return Err(format!("takes {} inputs, not {}", self.parts, inputs.len()));
        };
        let alike = |of: &Type| of.number == Number::F32 && of.cols == first.cols;
        match inputs.iter().find(|of| !alike(of)) {
            Some(other) => Err(misfit(&[("the first", first), ("another", other)])),
            None => Ok(vec![Type::f32(inputs.iter().map(|of| of.rows).sum(), first.cols)]),
        }
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let [parts @ .., y] = operands else {
            return Err(GpuError::Validation { what: "operands of `join_rows`".into(), message: "there are none".into() });
        };
        let unit = unit(y.tensor()?.cols);
        let kernel = Link::new("rows/join", rullama_quant::wgsl!("join.wgsl"), context.caps)
            .flag("quads", unit == 4)
            .constant("WG", WORKGROUP)
            .kernel()?;
        let mut first = 0;
        for part in parts {
            let x = part.tensor()?;
            let count = x.rows * x.cols / unit;
            let dispatch = context.recorder.dispatch(&kernel, spread(count.div_ceil(WORKGROUP), context.caps.max_groups));
            dispatch.param("count", count).param("dim", x.cols / unit).param("stride", x.stride / unit).param("offset", x.offset / unit);
            dispatch.param("first", first).bind("x", &x.slice).bind("y", &y.tensor()?.slice);
            first += count;
        }
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let (y, parts) = operands.split_last_mut().expect("an output");
        y.tensor_mut().data = parts.iter().flat_map(|part| part.tensor().data.iter().copied()).collect();
    }

    fn backward(&self, back: &mut Backward) -> Result<(), String> {
        let parts = self.parts as usize;
        let Some(g) = back.gradient(parts) else { return Ok(()) };
        let (mut first, cols) = (0, back.graph.cols(g));
        for part in 0..parts {
            let of = back.operand(part);
            let rows = back.graph.rows(of);
            let rows_of = back.graph.view(g, (first, 0), (rows, cols));
            back.give(part, rows_of);
            first += rows;
        }
        Ok(())
    }

    fn kernels(&self, inputs: &[Type], _: &Caps) -> String {
        format!("by {}", unit(inputs[0].cols))
    }

    fn smoke(&self, inputs: &[Type]) -> Case {
        Self::case(&[3, 1], if unit(inputs[0].cols) == 4 { 68 } else { 66 })
    }
}
