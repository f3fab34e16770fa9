//! Rows in the place of others.

use super::{WORKGROUP, groups, holds, invalid};
use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

/// `y[t] = with[places[t]]` where there is such a row, else `x[t]`: soft embeddings in the place of tokens'.
///
/// Operands: `x: [tokens, cols]`, `with: [rows, cols]`, `places: [tokens]` words, or more, out `y: [tokens, cols]`. Any `cols`.
#[derive(Debug, Clone, Copy)]
pub struct ReplaceRows;

impl Graph {
    /// `x: [tokens, cols]` with rows of `with` where `places` names one.
    pub fn replace_rows(&mut self, x: Value, with: Value, places: Value) -> Value {
        self.one(ReplaceRows, &[x, with, places])
    }
}

impl Op for ReplaceRows {
    fn name(&self) -> &'static str {
        "replace_rows"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x, with, places] = take(inputs)?;
        let f32s = x.number == Number::F32 && with.number == Number::F32 && places.number == Number::Words;
        fit(f32s && x.cols == with.cols && x.cols > 0, &[("x", &x), ("with", &with), ("places", &places)])?;
        Ok(vec![x])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let (x, with, places, y) = (operands[0].tensor()?, operands[1].tensor()?, operands[2].words()?, operands[3].tensor()?);
        if !holds(places, x.rows) {
            return Err(invalid(self, format!("{} bytes of places for {} rows", places.size, x.rows)));
        }
        let groups = groups(self, context, y.rows, y.cols)?;
        let kernel = Link::new("rows/replace", rullama_quant::wgsl!("replace.wgsl"), context.caps).constant("WG", WORKGROUP).kernel()?;
        let dispatch = context.recorder.dispatch(&kernel, groups);
        dispatch.param("count", y.rows * y.cols).param("cols", y.cols).param("rows", with.rows);
        dispatch.param("stride", x.stride).param("offset", x.offset).param("with_stride", with.stride).param("with_offset", with.offset);
        dispatch.bind("x", &x.slice).bind("source", &with.slice).bind("places", places).bind("y", &y.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, with, places, y] = operands else { panic!("replace_rows takes 4 operands") };
        let (x, with, y) = (x.tensor(), with.tensor(), y.tensor_mut());
        for (t, &place) in places.words().iter().enumerate().take(x.rows) {
            let row = if (place as usize) < with.rows { with.row(place as usize) } else { x.row(t) };
            y.row_mut(t).copy_from_slice(row);
        }
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        ReplaceRows.case(3, 6, &[u32::MAX, 2, 0, 3, 1])
    }
}

impl ReplaceRows {
    pub(super) fn case(self, rows: usize, cols: usize, places: &[u32]) -> Case {
        let mut rng = Rng::new((rows * cols) as u64 + 41);
        let (x, with) = (rng.tensor(places.len(), cols), rng.tensor(rows, cols));
        let y = Array::zeros(places.len(), cols);
        Case::new(format!("{} by {rows} of {cols}", places.len()), self, vec![x.into(), with.into(), Host::Words(places.to_vec()), y.into()], 1)
    }
}
