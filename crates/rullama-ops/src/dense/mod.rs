//! Products of two f32 matrices: those of low rank beside a weight, and what becomes of their gradients.
//!
//! `long` is for long sums to few columns, `wide` for short sums to many; `wide` alone has no barriers. Both take any shape.

use crate::backward::Backward;
use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Tensor, Use, spread};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

#[cfg(feature = "cases")]
pub mod cases;
mod outer;

pub use outer::OuterSum;

/// `y = [acc +] scale * x M^T` with `m: [n, k]` where it is `transposed`, else `[acc +] scale * x M` with `m: [k, n]`.
///
/// Operands: `x: [tokens, k]`, `m`, with `add` also `acc: [tokens, n]`, out `y: [tokens, n]`, which may be `acc`. Any `k` and `n`;
/// sums in f32. Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dense {
    pub transposed: bool,
    pub scale: f32,
    pub add: bool,
}

impl Graph {
    /// `[acc +] scale * x M^T`: `[tokens, n]` of `x: [tokens, k]` and `m: [n, k]`.
    pub fn dense_transposed(&mut self, x: Value, m: Value, scale: f32, acc: Option<Value>) -> Value {
        self.dense_of(true, x, m, scale, acc)
    }

    /// `[acc +] scale * x M`: `[tokens, n]` of `x: [tokens, k]` and `m: [k, n]`.
    pub fn dense(&mut self, x: Value, m: Value, scale: f32, acc: Option<Value>) -> Value {
        self.dense_of(false, x, m, scale, acc)
    }

    fn dense_of(&mut self, transposed: bool, x: Value, m: Value, scale: f32, acc: Option<Value>) -> Value {
        let inputs: Vec<Value> = [x, m].into_iter().chain(acc).collect();
        self.one(Dense { transposed, scale, add: acc.is_some() }, &inputs)
    }
}

const WIDE_WORKGROUP: u32 = 64;
/// Tokens that an invocation of `wide` forms.
const WIDE_TOKENS: u32 = 8;
/// With the tokens and columns of `long`: 16 KiB of workgroup memory.
const LONG_WORKGROUP: u32 = 128;
/// Tokens and quads of columns that a workgroup of `long` forms.
const LONG_TOKENS: u32 = 4;
const LONG_COLUMNS: u32 = 2;

/// Whether rows can be read by quads.
fn by_quads(of: &Tensor) -> bool {
    (of.cols | of.stride | of.offset).is_multiple_of(4)
}

/// The values of a quad where rows are read by these.
fn unit(quads: bool) -> u32 {
    if quads { 4 } else { 1 }
}

/// Operands with checked shapes.
struct Product<'a> {
    op: &'a Dense,
    x: &'a Tensor,
    m: &'a Tensor,
    acc: Option<&'a Tensor>,
    y: &'a Tensor,
}

impl<'a> Product<'a> {
    fn new(op: &'a Dense, operands: &'a [Operand]) -> Result<Self, GpuError> {
        let invalid = |message: String| GpuError::Validation { what: "operands of a dense product".into(), message };
        let [x, m, rest @ .., y] = operands else { return Err(invalid(format!("{} are too few", operands.len()))) };
        let (x, m, y) = (x.tensor()?, m.tensor()?, y.tensor()?);
        let acc = match rest {
            [acc] if op.add => Some(acc.tensor()?),
            [] if !op.add => None,
            _ => return Err(invalid(format!("{op:?} does not take {} operands", operands.len()))),
        };
        let (n, k) = if op.transposed { (m.rows, m.cols) } else { (m.cols, m.rows) };
        let fits = x.cols == k && (y.rows, y.cols) == (x.rows, n) && acc.is_none_or(|acc| (acc.rows, acc.cols) == (y.rows, y.cols));
        if !fits || y.stride != y.cols || y.offset != 0 || x.rows == 0 || k == 0 || n == 0 {
            let shapes = [x, m, y].map(|of| format!("[{}, {}]", of.rows, of.cols)).join(", ");
            return Err(invalid(format!("{op:?}: x, m and y are {shapes}, acc {acc:?}")));
        }
        Ok(Product { op, x, m, acc, y })
    }

    fn long(&self, context: &mut Context) -> Result<(), GpuError> {
        let columns = if self.y.cols > 4 { LONG_COLUMNS } else { 1 };
        let counts = [("TOKENS", LONG_TOKENS), ("COLUMNS", columns)];
        let [y, z, _] = spread(self.y.rows.div_ceil(LONG_TOKENS), context.caps.max_groups);
        let groups = [self.y.cols.div_ceil(4 * columns), y, z];
        self.dispatch(context, ("dense/long", include_str!("long.wgsl")), &counts, LONG_WORKGROUP.min(context.caps.invocations), groups)
    }

    fn wide(&self, context: &mut Context) -> Result<(), GpuError> {
        let tokens = if self.y.rows == 1 { 1 } else { WIDE_TOKENS };
        let counts = [("TOKENS", tokens)];
        let [y, z, _] = spread(self.y.rows.div_ceil(tokens), context.caps.max_groups);
        let groups = [self.y.cols.div_ceil(4 * WIDE_WORKGROUP), y, z];
        self.dispatch(context, ("dense/wide", include_str!("wide.wgsl")), &counts, WIDE_WORKGROUP, groups)
    }

    fn dispatch(
        &self,
        context: &mut Context,
        (name, text): (&str, &'static str),
        counts: &[(&'static str, u32)],
        workgroup: u32,
        groups: [u32; 3],
    ) -> Result<(), GpuError> {
        let Product { op, x, m, acc, y } = self;
        let in_place = acc.is_some_and(|acc| acc.slice.same(&y.slice));
        let acc = acc.filter(|_| !in_place);
        let quads = [*x, *m, *y].into_iter().chain(acc).all(by_quads);
        let unit = unit(quads);
        let mut link = Link::new(name, text, context.caps);
        link.module("operands", include_str!("operands.wgsl")).flag("transposed", op.transposed);
        link.flag("quads", quads).flag("acc", acc.is_some()).flag("in_place", in_place).constant("WG", workgroup);
        for (name, value) in counts {
            link.constant(name, *value);
        }
        let kernel = link.kernel()?;
        let dispatch = context.recorder.dispatch(&kernel, groups);
        dispatch.param("tokens", x.rows).param("k", x.cols).param("n", y.cols).param("scale", op.scale);
        dispatch.param("x_offset", x.offset / unit).param("x_stride", x.stride / unit).bind("x", &x.slice);
        dispatch.param("m_offset", m.offset / unit).param("m_stride", m.stride / unit).bind("m", &m.slice);
        dispatch.bind("y", &y.slice);
        if let Some(acc) = acc {
            dispatch.param("acc_offset", acc.offset / unit).param("acc_stride", acc.stride / unit).bind("acc", &acc.slice);
        }
        Ok(())
    }
}

impl Op for Dense {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn uses(&self) -> Vec<Use> {
        [vec![Use::Read; 2 + usize::from(self.add)], vec![Use::Write]].concat()
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x, m, acc @ ..] = inputs else { return Err("takes x and m".into()) };
        let (n, k) = if self.transposed { (m.rows, m.cols) } else { (m.cols, m.rows) };
        let fits = x.number == Number::F32 && m.number == Number::F32 && x.cols == k;
        fit(fits && x.rows > 0 && k > 0 && n > 0, &[("x", x), ("m", m)])?;
        let y = Type::f32(x.rows, n);
        match acc {
            [] if !self.add => {}
            [acc] if self.add => fit(*acc == y, &[("acc", acc), ("y", &y)])?,
            _ => return Err(format!("{self:?} does not take {} operands", inputs.len())),
        }
        Ok(vec![y])
    }

    fn may_alias(&self) -> Option<(usize, usize)> {
        self.add.then_some((3, 2))
    }

    fn variants(&self, caps: &Caps, operands: &[Operand]) -> Vec<&'static str> {
        let Ok(Product { x, y, .. }) = Product::new(self, operands) else { return Vec::new() };
        let mut variants = vec!["wide"];
        if y.cols.div_ceil(4) <= caps.max_groups {
            variants.insert(usize::from(x.cols / 4 < y.cols || caps.software), "long");
        }
        variants
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let product = Product::new(self, operands)?;
        if context.variant(self, operands)? == "long" { product.long(context) } else { product.wide(context) }
    }

    fn oracle(&self, operands: &mut [Host]) {
        let (x, m) = (operands[0].tensor(), operands[1].tensor());
        let n = if self.transposed { m.rows } else { m.cols };
        let mut data = Vec::with_capacity(x.rows * n);
        for token in 0..x.rows {
            for column in 0..n {
                let of = |(i, &x): (usize, &f32)| f64::from(x) * f64::from(if self.transposed { m.row(column)[i] } else { m.row(i)[column] });
                let sum: f64 = x.row(token).iter().enumerate().map(of).sum();
                let before = if self.add { f64::from(operands[2].tensor().row(token)[column]) } else { 0.0 };
                data.push((before + f64::from(self.scale) * sum) as f32);
            }
        }
        operands.last_mut().expect("a product has an output").tensor_mut().data = data;
    }

    /// `dx = scale * dy M` and `dM = scale * dy^T x`, or with `M^T` and `x^T dy` where `m` is not transposed; `acc` gets `dy`.
    fn backward(&self, back: &mut Backward) -> Result<(), String> {
        let y = 2 + usize::from(self.add);
        let Some(dy) = back.gradient(y) else { return Ok(()) };
        let Dense { transposed, scale, add } = *self;
        if add {
            back.give(2, dy);
        }
        if back.wants(0) {
            let m = back.operand(1);
            back.add_to(0, |graph, sum| graph.dense_of(!transposed, dy, m, scale, sum));
        }
        if !back.wants(1) {
            return Ok(());
        }
        let Some(trained) = back.trained(1) else { return Err("its matrix is neither given nor trained, but computed".into()) };
        let (x, gradient) = (back.operand(0), back.gradient_of(&trained));
        let (a, b) = if transposed { (dy, x) } else { (x, dy) };
        back.graph.outer_sum(a, b, gradient, scale, trained.first_row);
        Ok(())
    }

    fn work(&self, inputs: &[Type], _: u32) -> u64 {
        u64::from(inputs[0].rows) * u64::from(inputs[1].rows) * u64::from(inputs[1].cols)
    }

    /// Sizes that no kernel tells apart are small in [`smoke`](Op::smoke).
    fn kernels(&self, inputs: &[Type], _: &Caps) -> String {
        let (x, m) = small(self, inputs);
        let Dense { transposed, add, .. } = self;
        format!("{transposed} {add} {x:?} {m:?}")
    }

    fn smoke(&self, inputs: &[Type]) -> Case {
        let (x, m) = small(self, inputs);
        let n = if self.transposed { m.0 } else { m.1 };
        let mut rng = Rng::new((x.0 * x.1 + n) as u64);
        let mut operands: Vec<Host> = vec![rng.tensor(x.0, x.1).into(), rng.tensor(m.0, m.1).into()];
        operands.extend(self.add.then(|| rng.tensor(x.0, n).into()));
        operands.push(Array::zeros(x.0, n).into());
        Case::new(format!("{}x{} to {n}", x.0, x.1), Dense { scale: 0.7, ..*self }, operands, x.1)
    }
}

/// Shapes of x and m that get the same kernels as `inputs`.
fn small(op: &Dense, inputs: &[Type]) -> ((usize, usize), (usize, usize)) {
    let few = |size: u32| if size <= 4 { size as usize } else { 20 + (size % 4) as usize };
    let (tokens, k, n) = (inputs[0].rows.min(9) as usize, few(inputs[0].cols), few(if op.transposed { inputs[1].rows } else { inputs[1].cols }));
    ((tokens, k), if op.transposed { (n, k) } else { (k, n) })
}
