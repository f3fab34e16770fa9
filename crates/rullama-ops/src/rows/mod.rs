//! Rows of an f32 matrix by their numbers, there and back.

mod join;
mod replace;

pub use join::JoinRows;
pub use replace::ReplaceRows;

use crate::backward::Backward;
use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Tensor, Use, spread};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError, Slice};

#[cfg(feature = "cases")]
pub mod cases;

/// `y[i] = x[index[i]]`; a row that there is none of gives zeros. Where `x` is computed and trained through, the rows differ from each
/// other.
///
/// Operands: `x: [rows, cols]`, `index: [count]` words, or more, out `y: [count, cols]`. Any `cols`.
#[derive(Debug, Clone, Copy)]
pub struct GatherRows {
    pub count: u32,
}

/// `y[index[i]] = x[i]`, zero elsewhere. Rows that there are none of go nowhere; the others differ from each other.
///
/// Operands: `x: [count, cols]`, `index: [count]` words, or more, out `y: [rows, cols]`. Any `cols`.
#[derive(Debug, Clone, Copy)]
pub struct ScatterRows {
    pub rows: u32,
}

/// `c[ids[t]] += g[t]`, ids may repeat: their rows are added in the order of the tokens. The id `skip`, and ids that `c` has no row
/// for, get nothing.
///
/// Operands: `ids: [tokens]` words, or more, `g: [tokens, cols]`, updated `c: [vocab, cols]`. Any `cols`.
#[derive(Debug, Clone, Copy)]
pub struct ScatterAdd {
    pub skip: Option<u32>,
}

impl Graph {
    /// The rows of all parts, one below the other.
    pub fn join_rows(&mut self, parts: &[Value]) -> Value {
        self.one(JoinRows { parts: parts.len() as u32 }, parts)
    }

    /// `x[index]`: `[count, cols]` of `x: [rows, cols]`.
    pub fn gather_rows(&mut self, x: Value, index: Value, count: u32) -> Value {
        self.one(GatherRows { count }, &[x, index])
    }

    /// A matrix of `rows` rows that has those of `x: [count, cols]` where `index` says.
    pub fn scatter_rows(&mut self, x: Value, index: Value, rows: u32) -> Value {
        self.one(ScatterRows { rows }, &[x, index])
    }

    /// Adds the rows of `g: [tokens, cols]` to those of `c` that `ids` says: `c` as it is then.
    pub fn scatter_add(&mut self, ids: Value, g: Value, c: Value, skip: Option<u32>) -> Value {
        self.one(ScatterAdd { skip }, &[ids, g, c])
    }
}

const WORKGROUP: u32 = 64;

fn invalid(op: &dyn Op, message: String) -> GpuError {
    GpuError::Validation { what: format!("operands of `{}`", op.name()), message }
}

/// Workgroups for a value an invocation; an error where there are more values than a kernel can count.
fn groups(op: &dyn Op, context: &Context, rows: u32, cols: u32) -> Result<[u32; 3], GpuError> {
    let count = rows.checked_mul(cols).filter(|count| *count <= u32::MAX - WORKGROUP);
    let count = count.ok_or_else(|| invalid(op, format!("[{rows}, {cols}] has 2^32 values or more")))?;
    Ok(spread(count.div_ceil(WORKGROUP), context.caps.max_groups))
}

/// Whether `words` holds so many.
fn holds(words: &Slice, count: u32) -> bool {
    words.size >= u64::from(count) * 4
}

/// Moves rows: `count` of them, of or into `rows`.
fn moved(op: &dyn Op, context: &mut Context, (x, index, y): (&Tensor, &Slice, &Tensor), scatter: bool) -> Result<(), GpuError> {
    let (count, rows) = if scatter { (x.rows, y.rows) } else { (y.rows, x.rows) };
    if x.cols != y.cols || y.stride != y.cols || y.offset != 0 || !holds(index, count) {
        let shapes = format!("x [{}, {}], index of {} bytes, y [{}, {}]", x.rows, x.cols, index.size, y.rows, y.cols);
        return Err(invalid(op, shapes));
    }
    let groups = groups(op, context, count, x.cols)?;
    let kernel =
        Link::new("rows/gather", rullama_quant::wgsl!("gather.wgsl"), context.caps).flag("scatter", scatter).constant("WG", WORKGROUP).kernel()?;
    let dispatch = context.recorder.dispatch(&kernel, groups);
    dispatch.param("count", count).param("rows", rows).param("cols", x.cols).param("offset", x.offset).param("stride", x.stride);
    dispatch.bind("index", index).bind("x", &x.slice).bind("y", &y.slice);
    Ok(())
}

/// A matrix and words, as both moves take them.
fn check(x: &Type, index: &Type) -> Result<(), String> {
    fit(x.number == Number::F32 && index.number == Number::Words && x.cols > 0, &[("x", x), ("index", index)])
}

impl Op for GatherRows {
    fn name(&self) -> &'static str {
        "gather_rows"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x, index] = take(inputs)?;
        check(&x, &index)?;
        Ok(vec![Type::f32(self.count, x.cols)])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        moved(self, context, (operands[0].tensor()?, operands[1].words()?, operands[2].tensor()?), false)
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, index, y] = operands else { panic!("gather_rows takes 3 operands") };
        let (x, y) = (x.tensor(), y.tensor_mut());
        for (i, &row) in index.words().iter().enumerate().take(y.rows) {
            match (row as usize) < x.rows {
                true => y.row_mut(i).copy_from_slice(x.row(row as usize)),
                false => y.row_mut(i).fill(0.0),
            }
        }
    }

    /// Of a trained matrix, rows may be read more than once, and their gradients are added up; of what is computed, once each.
    fn backward(&self, back: &mut Backward) -> Result<(), String> {
        let Some(dy) = back.gradient(2) else { return Ok(()) };
        let (x, index) = (back.operand(0), back.operand(1));
        let rows = back.graph.rows(x);
        let Some(trained) = back.trained(0) else {
            if back.wants(0) {
                let dx = back.graph.scatter_rows(dy, index, rows);
                back.give(0, dx);
            }
            return Ok(());
        };
        if (rows, back.graph.cols(x)) != (trained.rows, trained.cols) {
            return Err(format!("it reads a part of {}: only whole trained matrices are read by rows", trained.name));
        }
        let gradient = back.gradient_of(&trained);
        back.graph.scatter_add(index, dy, gradient, None);
        Ok(())
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        let x = Rng::new(11).tensor(9, 6);
        let index = Host::Words(vec![3, 0, u32::MAX, 8, 3]);
        Case::new("5 of 9", GatherRows { count: 5 }, vec![x.into(), index, Array::zeros(5, 6).into()], 1)
    }
}

impl Op for ScatterRows {
    fn name(&self) -> &'static str {
        "scatter_rows"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x, index] = take(inputs)?;
        check(&x, &index)?;
        Ok(vec![Type::f32(self.rows, x.cols)])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let [x, index, y] = [&operands[0], &operands[1], &operands[2]];
        let (x, index, y) = (x.tensor()?, index.words()?, y.tensor()?);
        let groups = groups(self, context, y.rows, y.cols)?;
        let kernel = Link::new("rows/clear", rullama_quant::wgsl!("clear.wgsl"), context.caps).constant("WG", WORKGROUP).kernel()?;
        context.recorder.dispatch(&kernel, groups).param("count", y.rows * y.cols).bind("y", &y.slice);
        moved(self, context, (x, index, y), true)
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, index, y] = operands else { panic!("scatter_rows takes 3 operands") };
        let (x, y) = (x.tensor(), y.tensor_mut());
        y.data.fill(0.0);
        for (i, &row) in index.words().iter().enumerate().take(x.rows) {
            if (row as usize) < y.rows {
                y.row_mut(row as usize).copy_from_slice(x.row(i));
            }
        }
    }

    /// `dx = dy[index]`.
    fn backward(&self, back: &mut Backward) -> Result<(), String> {
        let Some(dy) = back.gradient(2) else { return Ok(()) };
        let (x, index) = (back.operand(0), back.operand(1));
        if back.wants(0) {
            let rows = back.graph.rows(x);
            let dx = back.graph.gather_rows(dy, index, rows);
            back.give(0, dx);
        }
        Ok(())
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        let x = Rng::new(12).tensor(4, 6);
        let index = Host::Words(vec![3, 0, u32::MAX, 8]);
        Case::new("4 of 9", ScatterRows { rows: 9 }, vec![x.into(), index, Array::zeros(9, 6).into()], 1)
    }
}

impl Op for ScatterAdd {
    fn name(&self) -> &'static str {
        "scatter_add"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Update]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [ids, g, c] = take(inputs)?;
        let f32s = g.number == Number::F32 && c.number == Number::F32;
        fit(ids.number == Number::Words && f32s && g.cols == c.cols && g.cols > 0, &[("ids", &ids), ("g", &g), ("c", &c)])?;
        Ok(Vec::new())
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let (ids, g, c) = (operands[0].words()?, operands[1].tensor()?, operands[2].tensor()?);
        if g.cols != c.cols || !holds(ids, g.rows) {
            let shapes = format!("ids of {} bytes, g [{}, {}], c [{}, {}]", ids.size, g.rows, g.cols, c.rows, c.cols);
            return Err(invalid(self, shapes));
        }
        let groups = groups(self, context, g.rows, g.cols)?;
        let kernel = Link::new("rows/add", rullama_quant::wgsl!("add.wgsl"), context.caps).constant("WG", WORKGROUP).kernel()?;
        let dispatch = context.recorder.dispatch(&kernel, groups);
        // An id beyond the vocabulary skips nothing.
        dispatch.param("tokens", g.rows).param("vocab", c.rows).param("cols", g.cols).param("skip", self.skip.unwrap_or(u32::MAX));
        dispatch.param("g_offset", g.offset).param("g_stride", g.stride).param("c_offset", c.offset).param("c_stride", c.stride);
        dispatch.bind("ids", ids).bind("g", &g.slice).bind("c", &c.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [ids, g, c] = operands else { panic!("scatter_add takes 3 operands") };
        let (ids, g, c) = (ids.words(), g.tensor(), c.tensor_mut());
        let mut sums: Vec<f64> = c.data.iter().map(|v| f64::from(*v)).collect();
        for (token, &id) in ids.iter().enumerate().take(g.rows) {
            if (id as usize) < c.rows && Some(id) != self.skip {
                let row = &mut sums[id as usize * g.cols..][..g.cols];
                row.iter_mut().zip(g.row(token)).for_each(|(sum, g)| *sum += f64::from(*g));
            }
        }
        c.data = sums.into_iter().map(|sum| sum as f32).collect();
    }

    /// Each token looks through all of them.
    fn work(&self, inputs: &[Type], _: u32) -> u64 {
        u64::from(inputs[1].rows) * u64::from(inputs[1].rows) * u64::from(inputs[1].cols)
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        let mut rng = Rng::new(13);
        let operands = vec![Host::Words(vec![3, 0, 3, 8, 9, 2, 3]), rng.tensor(7, 6).into(), rng.tensor(9, 6).into()];
        Case::new("7 to 9", ScatterAdd { skip: Some(2) }, operands, 7)
    }
}
