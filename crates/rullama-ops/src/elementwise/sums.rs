//! Where gradients begin and add up: zeros, multiples, sums into columns.

use super::{WORKGROUP, record};
use crate::backward::Backward;
use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, misfit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use, spread};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

/// `y = by * x`. Operands: `x: [tokens, dim]`, out `y: [tokens, dim]`.
#[derive(Debug, Clone)]
pub struct Scale {
    pub by: f32,
}

/// `out = acc`, with `g` added to its columns `column .. column + n` from row `row` on: the gradient of a view, joined with the others'.
///
/// Operands: `acc: [rows, cols]`, `g: [m, n]`, out `out: [rows, cols]`, which may be `acc`; then only these values are touched.
#[derive(Debug, Clone)]
pub struct AddColumns {
    pub row: u32,
    pub column: u32,
}

impl AddColumns {
    /// Values that are taken together.
    fn unit(&self, acc: u32, g: u32) -> u32 {
        if [acc, g, self.column].iter().all(|n| n.is_multiple_of(4)) { 4 } else { 1 }
    }
}

/// `y = 0`. Operand: out `y: [rows, cols]`.
#[derive(Debug, Clone)]
pub struct Zeros {
    pub rows: u32,
    pub cols: u32,
}

impl Graph {
    /// `by * x`, of any `x: [tokens, dim]`.
    pub fn scale(&mut self, x: Value, by: f32) -> Value {
        self.one(Scale { by }, &[x])
    }

    /// `acc: [rows, cols]` with `g: [rows, n]` added to its columns from `column` on.
    pub fn add_columns(&mut self, acc: Value, g: Value, column: u32) -> Value {
        self.add_part(acc, g, (0, column))
    }

    /// `acc` with `g` added to its part of that size from a row and column on.
    pub fn add_part(&mut self, acc: Value, g: Value, (row, column): (u32, u32)) -> Value {
        self.one(AddColumns { row, column }, &[acc, g])
    }

    /// Zeros `[rows, cols]`.
    pub fn zeros(&mut self, rows: u32, cols: u32) -> Value {
        self.one(Zeros { rows, cols }, &[])
    }
}

impl Op for Scale {
    fn name(&self) -> &'static str {
        "scale"
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
        record(self.name(), context, &[operands[0].tensor()?], operands[1].tensor()?, self.by)
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, y] = operands else { panic!("scale takes 2 operands") };
        for (y, x) in y.tensor_mut().data.iter_mut().zip(&x.tensor().data) {
            *y = (f64::from(*x) * f64::from(self.by)) as f32;
        }
    }

    fn backward(&self, back: &mut Backward) -> Result<(), String> {
        let Some(g) = back.gradient(1) else { return Ok(()) };
        if back.wants(0) {
            let dx = back.graph.scale(g, self.by);
            back.give(0, dx);
        }
        Ok(())
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        Case::new("3x64", Scale { by: -0.7 }, vec![Rng::new(12).tensor(3, 64).into(), Array::zeros(3, 64).into()], 1)
    }
}

impl Op for AddColumns {
    fn name(&self) -> &'static str {
        "add_columns"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [acc, g] = take(inputs)?;
        let numbers = acc.number == Number::F32 && g.number == Number::F32;
        let fits = |first: u32, size: u32, all: u32| first.checked_add(size).is_some_and(|end| end <= all);
        let inside = fits(self.column, g.cols, acc.cols) && fits(self.row, g.rows, acc.rows);
        if numbers && inside {
            return Ok(vec![acc]);
        }
        Err(format!("{} at row {}, column {}", misfit(&[("acc", &acc), ("g", &g)]), self.row, self.column))
    }

    fn may_alias(&self) -> Option<(usize, usize)> {
        Some((2, 0))
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let [acc, g, out] = [operands[0].tensor()?, operands[1].tensor()?, operands[2].tensor()?];
        let in_place = acc.slice.same(&out.slice);
        let unit = self.unit(acc.cols, g.cols);
        let kernel = Link::new("add_columns", rullama_quant::wgsl!("add_columns.wgsl"), context.caps)
            .flag("in_place", in_place)
            .flag("quads", unit == 4)
            .constant("WG", WORKGROUP)
            .kernel()?;
        let count = if in_place { g.rows * g.cols / unit } else { out.rows * out.cols / unit };
        let dispatch = context.recorder.dispatch(&kernel, spread(count.div_ceil(WORKGROUP), context.caps.max_groups));
        dispatch.param("count", count).param("dim", out.cols / unit).param("width", g.cols / unit).param("column", self.column / unit);
        dispatch.param("row", self.row);
        dispatch.param("g_stride", g.stride / unit).param("g_offset", g.offset / unit).bind("g", &g.slice).bind("out", &out.slice);
        if !in_place {
            dispatch.param("rows", g.rows).param("acc_stride", acc.stride / unit).param("acc_offset", acc.offset / unit).bind("acc", &acc.slice);
        }
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [acc, g, out] = operands else { panic!("add_columns takes 3 operands") };
        let (acc, g, out) = (acc.tensor(), g.tensor(), out.tensor_mut());
        for row in 0..acc.rows {
            out.row_mut(row).copy_from_slice(acc.row(row));
        }
        for row in 0..g.rows {
            let columns = &mut out.row_mut(self.row as usize + row)[self.column as usize..][..g.cols];
            columns.iter_mut().zip(g.row(row)).for_each(|(to, g)| *to = (f64::from(*to) + f64::from(*g)) as f32);
        }
    }

    fn kernels(&self, inputs: &[Type], _: &Caps) -> String {
        format!("by {}", self.unit(inputs[0].cols, inputs[1].cols))
    }

    fn smoke(&self, inputs: &[Type]) -> Case {
        let (cols, part) = if self.unit(inputs[0].cols, inputs[1].cols) == 4 { (64, 12) } else { (66, 3) };
        let mut rng = Rng::new(13);
        let operands = vec![rng.tensor(3, cols).into(), rng.tensor(3, part).into(), Array::zeros(3, cols).into()];
        Case::new(format!("{part} of 3x{cols}"), AddColumns { row: 0, column: 8 }, operands, 1)
    }
}

impl Op for Zeros {
    fn name(&self) -> &'static str {
        "zeros"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [] = take(inputs)?;
        let made = Type::f32(self.rows, self.cols);
        fit((u64::from(self.rows) * u64::from(self.cols)).is_multiple_of(4), &[("y", &made)])?;
        Ok(vec![made])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let y = operands[0].tensor()?;
        let kernel = Link::new("zeros", rullama_quant::wgsl!("zeros.wgsl"), context.caps).constant("WG", WORKGROUP).kernel()?;
        let count = y.rows * y.cols / 4;
        let dispatch = context.recorder.dispatch(&kernel, spread(count.div_ceil(WORKGROUP), context.caps.max_groups));
        dispatch.param("count", count).bind("y", &y.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        operands[0].tensor_mut().data.fill(0.0);
    }

    fn work(&self, _: &[Type], _: u32) -> u64 {
        u64::from(self.rows) * u64::from(self.cols)
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        Zeros { rows: 3, cols: 68 }.case()
    }
}

impl Zeros {
    /// What is there before must go.
    pub(super) fn case(self) -> Case {
        let (rows, cols) = (self.rows as usize, self.cols as usize);
        let ones = Array { rows, cols, data: vec![1.0; rows * cols] };
        Case::new(format!("{rows}x{cols}"), self, vec![ones.into()], 1)
    }
}
