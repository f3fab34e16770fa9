//! Products with weights of any format.
//!
//! Two algorithms: `vector` decodes each weight once for a handful of tokens and is bound by
//! reading weights; `tile` decodes tiles into workgroup memory and is bound by arithmetic. What is multiplied and what becomes of
//! the sums are [parts](parts) that are linked in, as the weight's format is.

use crate::backward::Backward;
use crate::case::{Case, Rng};
use crate::codes::{self, GROUP};
use crate::graph::{Graph, Number, Type, Value, fit};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use};
use product::Product;
use rullama_gpu::{Caps, GpuError};
use rullama_quant::DType;
use sizes::{Dims, Sizes};

mod allowance;
#[cfg(feature = "cases")]
pub mod cases;
mod parts;
mod product;
pub mod sizes;
pub mod transposed;

pub use parts::{Epilogue, Prologue};
pub use transposed::MatmulT;

/// `y = epilogue(prologue(x) W^T)`.
///
/// Operands: `x: [tokens, cols]`, `w: [rows, cols]`, those of the prologue, those of the epilogue, out `y: [tokens, rows]`, or
/// half as many columns where rows are pairs: then chunks of `w` hold whole pairs. Sums in f32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Matmul {
    pub prologue: Prologue,
    pub epilogue: Epilogue,
}

impl Matmul {
    pub const PLAIN: Matmul = Matmul { prologue: Prologue::Plain, epilogue: Epilogue::Plain };

    /// A product with an epilogue alone.
    pub fn with(epilogue: Epilogue) -> Self {
        Matmul { epilogue, ..Self::PLAIN }
    }
}

impl Graph {
    /// `x Wᵀ`: `[tokens, rows]` of `x: [tokens, cols]` and `w: [rows, cols]`.
    pub fn matmul(&mut self, x: Value, w: Value) -> Value {
        self.one(Matmul::PLAIN, &[x, w])
    }
}

/// A product by the kernels that one of other dimensions gets: tests them on little data.
#[derive(Debug, Clone)]
struct Like {
    op: Matmul,
    dims: Dims,
}

impl Op for Like {
    fn name(&self) -> &'static str {
        self.op.name()
    }

    fn uses(&self) -> Vec<Use> {
        self.op.uses()
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        self.op.results(inputs)
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        self.dims.variants(caps)
    }

    fn scratch(&self, caps: &Caps, operands: &[Operand]) -> u64 {
        Product::new(&self.op, operands).map_or(0, |p| p.most_scratch(&self.dims, caps))
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let variant = context.variant(self, operands)?;
        record_sized(&self.op, context, operands, self.dims.sizes(variant, context.caps))
    }

    fn allowance(&self, operands: &[Host], sums: f32) -> Option<Vec<f32>> {
        self.op.allowance(operands, sums)
    }

    fn oracle(&self, operands: &mut [Host]) {
        self.op.oracle(operands);
    }

    fn smoke(&self, inputs: &[Type]) -> Case {
        self.op.smoke(inputs)
    }
}

/// Rows of a smoke case's weight.
const SMOKE_ROWS: usize = 24;
/// Where rows make codes, two workgroups' groups.
const SMOKE_ROWS_CODES: usize = 128;
/// Most tokens of a smoke case: two blocks of the widest `vector`, and one more.
const SMOKE_TOKENS: usize = 17;

/// Records a product with given sizes in place of chosen ones: for tests and benchmarks.
pub fn record_sized(op: &Matmul, context: &mut Context, operands: &[Operand], sizes: Sizes) -> Result<(), GpuError> {
    Product::new(op, operands)?.record(context, sizes)
}

impl Matmul {
    /// The dimensions of a product of these types, and its weight's format.
    fn dims(&self, inputs: &[Type]) -> (Dims, DType) {
        let (x, w) = (inputs[0], inputs[1]);
        let Number::Weight(dtype) = w.number else { panic!("a product has a weight") };
        (self.dims_of(x.rows, w.rows, w.cols), dtype)
    }

    /// The operands of the prologue and of the epilogue.
    fn extras<'a>(&self, operands: &'a [Host]) -> (&'a [Host], &'a [Host]) {
        operands[2..operands.len() - 1].split_at(self.prologue.extras())
    }

    /// The oracle's sums: for each token one of every row of the weight.
    fn sums(&self, operands: &[Host]) -> Vec<Vec<f64>> {
        let w = operands[1].weight();
        let x = if self.prologue == Prologue::Int8 { operands[0].codes() } else { operands[0].tensor() };
        let (before, _) = self.extras(operands);
        let given: Vec<Vec<f64>> = (0..x.rows).map(|token| self.prologue.oracle(x.row(token), before)).collect();
        let mut sums = vec![Vec::with_capacity(w.rows); x.rows];
        for row in 0..w.rows {
            let weights = w.row(row);
            for (sums, given) in sums.iter_mut().zip(&given) {
                sums.push(weights.iter().zip(given).map(|(&w, &x)| f64::from(w) * x).sum());
            }
        }
        sums
    }

    fn dims_of(&self, tokens: u32, rows: u32, cols: u32) -> Dims {
        let (pairs, codes) = (self.epilogue.pairs(), self.epilogue.codes());
        Dims { tokens, rows, groups: cols / 32, pairs, codes, tiles: self.prologue.tiles(), int8: self.prologue == Prologue::Int8 }
    }
}

impl Op for Matmul {
    /// Apart for codes of 8 bits: a driver may get those wrong alone.
    fn name(&self) -> &'static str {
        if self.prologue == Prologue::Int8 { "matmul_int8" } else { "matmul" }
    }

    fn uses(&self) -> Vec<Use> {
        [vec![Use::Read; 2 + self.prologue.extras() + self.epilogue.extras()], vec![Use::Write]].concat()
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x, w, extras @ ..] = inputs else { return Err("takes x and a weight".into()) };
        let given = if self.prologue == Prologue::Int8 { Number::Codes } else { Number::F32 };
        let fits = x.number == given && matches!(w.number, Number::Weight(_)) && x.cols == w.cols && w.cols.is_multiple_of(32);
        let whole = !self.epilogue.pairs() || w.rows.is_multiple_of(2);
        let codes = self.prologue != Prologue::Int8 || matches!(w.number, Number::Weight(dtype) if dtype.has_codes());
        fit(fits && whole && codes && x.rows > 0 && w.rows > 0, &[("x", x), ("w", w)])?;
        let (before, after) = extras.split_at(self.prologue.extras().min(extras.len()));
        let y = Type::f32(x.rows, self.epilogue.values(w.rows));
        self.prologue.check(x, before)?;
        self.epilogue.check(&y, after)?;
        fit(!self.epilogue.codes() || y.cols.is_multiple_of(GROUP as u32), &[("y", &y)])?;
        Ok(vec![if self.epilogue.codes() { Type::codes(y.rows, y.cols) } else { y }])
    }

    fn variants(&self, caps: &Caps, operands: &[Operand]) -> Vec<&'static str> {
        Product::new(self, operands).map_or_else(|_| Vec::new(), |p| p.dims().variants(caps))
    }

    fn scratch(&self, caps: &Caps, operands: &[Operand]) -> u64 {
        Product::new(self, operands).map_or(0, |p| p.most_scratch(&p.dims(), caps))
    }

    fn scratch_for(&self, inputs: &[Type], caps: &Caps) -> u64 {
        let dims = self.dims(inputs).0;
        let all = dims.variants(caps).into_iter().map(|variant| dims.scratch(dims.sizes(variant, caps), dims.rows));
        all.max().unwrap_or(0)
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let product = Product::new(self, operands)?;
        let variant = context.variant(self, operands)?;
        product.record(context, product.dims().sizes(variant, context.caps))
    }

    fn allowance(&self, operands: &[Host], sums: f32) -> Option<Vec<f32>> {
        allowance::of(self, operands, sums)
    }

    fn oracle(&self, operands: &mut [Host]) {
        let sums = self.sums(operands);
        let (_, after) = self.extras(operands);
        let value = |token: usize, column: usize, sums: &[f64]| self.epilogue.oracle(sums, after, token, column) as f32;
        let values = sums.iter().enumerate().flat_map(|(token, sums)| {
            let columns = sums.chunks(self.epilogue.together()).enumerate();
            columns.map(move |(column, sums)| (token, column, sums))
        });
        let data = values.map(|(token, column, sums)| value(token, column, sums)).collect();
        let y = operands.last_mut().expect("matmul has an output");
        let (rows, cols) = (y.of().rows as usize, y.of().cols as usize);
        let values = Host::from(Array { rows, cols, data });
        *y = if self.epilogue.codes() { codes::rounded(values) } else { values };
    }

    /// `dx = dy W`. Weights have no gradient.
    fn backward(&self, back: &mut Backward) -> Result<(), String> {
        if *self != Matmul::PLAIN {
            return Err(format!("{self:?} has no backward rule: gradients are made before parts are fused"));
        }
        let Some(dy) = back.gradient(2) else { return Ok(()) };
        let w = back.operand(1);
        back.add_to(0, |graph, sum| graph.matmul_transposed(dy, w, sum));
        Ok(())
    }

    fn work(&self, inputs: &[Type], _: u32) -> u64 {
        let (x, w) = (inputs[0], inputs[1]);
        u64::from(x.rows) * u64::from(w.rows) * u64::from(w.cols)
    }

    /// The kernels of every variant: their sizes, and what is linked into them.
    fn kernels(&self, inputs: &[Type], caps: &Caps) -> String {
        let (dims, dtype) = self.dims(inputs);
        let sizes: Vec<Sizes> = dims.variants(caps).into_iter().map(|variant| dims.sizes(variant, caps)).collect();
        format!("{dtype} {self:?} {sizes:?}")
    }

    /// Few rows and tokens, in kernels for the whole product.
    fn smoke(&self, inputs: &[Type]) -> Case {
        let (dims, dtype) = self.dims(inputs);
        let (tokens, cols) = ((dims.tokens as usize).min(SMOKE_TOKENS), inputs[1].cols as usize);
        let mut rng = Rng::new(u64::from(dtype.ggml_id()) + tokens as u64);
        let rows = if dims.codes { SMOKE_ROWS_CODES } else { SMOKE_ROWS };
        let values = self.epilogue.values(rows as u32) as usize;
        // Sums that reach a cap: far below it, a kernel that forgets it could not be told from a right one.
        let scale = if let Epilogue::Softcap(cap) = self.epilogue { cap } else { 1.0 };
        let x = if self.prologue == Prologue::Int8 { rng.codes(tokens, cols, scale) } else { rng.tensor_scaled(tokens, cols, scale).into() };
        let mut operands = vec![x, Host::Weight(rng.weight(dtype, rows, cols))];
        operands.extend((0..self.prologue.extras()).map(|_| Host::from(rng.tensor(1, cols))));
        operands.extend((0..self.epilogue.extras()).map(|_| Host::from(rng.tensor(tokens, values))));
        let y = Type::f32(tokens as u32, values as u32);
        operands.push(Host::zeros(&if dims.codes { Type::codes(y.rows, y.cols) } else { y }));
        let name = format!("{} x {}x{cols} for {} tokens", dtype.name(), dims.rows, dims.tokens);
        Case::new(name, Like { op: *self, dims }, operands, cols)
    }
}
