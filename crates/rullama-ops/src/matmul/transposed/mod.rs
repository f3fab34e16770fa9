//! Products with the transpose of a weight of any format: what a product's gradient flows back through.
//!
//! `tile` decodes tiles into workgroup memory; `columns` decodes each row once for a few tokens, without barriers. Where tokens and
//! columns are few, workgroups share the rows, and their sums are added by a second dispatch, in order.

use super::SMOKE_TOKENS;
use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use};
use product::Product;
use rullama_gpu::{Caps, GpuError};
use rullama_quant::DType;
use sizes::{Dims, Sizes};

#[cfg(feature = "cases")]
pub mod cases;
mod product;
pub mod sizes;

/// `y = [acc +] g W`: the gradient of `x` in `x W^T`, where `g` is that of the product.
///
/// Operands: `g: [tokens, rows]`, `w: [rows, cols]`, with `add` also `acc: [tokens, cols]`, out `y: [tokens, cols]`, which may be
/// `acc`. Sums in f32, over the weight's chunks one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatmulT {
    pub add: bool,
}

impl Graph {
    /// `[acc +] g W`: `[tokens, cols]` of `g: [tokens, rows]` and `w: [rows, cols]`.
    pub fn matmul_transposed(&mut self, g: Value, w: Value, acc: Option<Value>) -> Value {
        let inputs: Vec<Value> = [g, w].into_iter().chain(acc).collect();
        self.one(MatmulT { add: acc.is_some() }, &inputs)
    }
}

/// Records a product with given sizes in place of chosen ones: for benchmarks.
///
/// # Errors
/// [`GpuError::Validation`] for operands or sizes that do not fit.
pub fn record_sized(op: &MatmulT, context: &mut Context, operands: &[Operand], sizes: &Sizes) -> Result<(), GpuError> {
    Product::new(op, operands)?.record(context, sizes)
}

impl MatmulT {
    fn dims(inputs: &[Type]) -> (Dims, DType) {
        let Number::Weight(dtype) = inputs[1].number else { panic!("a product has a weight") };
        (Dims { tokens: inputs[0].rows, rows: inputs[1].rows, cols: inputs[1].cols }, dtype)
    }

    /// A small product in the kernels of one of other dimensions.
    fn small(&self, dtype: DType, dims: Dims, quads: bool) -> Case {
        let (tokens, rows, cols) = ((dims.tokens as usize).min(SMOKE_TOKENS), if quads { 24 } else { 23 }, dtype.block_len().max(64));
        let mut rng = Rng::new(u64::from(dtype.ggml_id()) + tokens as u64);
        let mut operands: Vec<Host> = vec![rng.tensor(tokens, rows).into(), Host::Weight(rng.weight(dtype, rows, cols))];
        operands.extend(self.add.then(|| rng.tensor(tokens, cols).into()));
        operands.push(Array::zeros(tokens, cols).into());
        let name = format!("{} {}x{} for {} tokens", dtype.name(), dims.rows, dims.cols, dims.tokens);
        Case::new(name, Like { op: *self, dims }, operands, rows)
    }
}

/// A product by the kernels that one of other dimensions gets: tests them on little data.
#[derive(Debug, Clone)]
struct Like {
    op: MatmulT,
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

    fn may_alias(&self) -> Option<(usize, usize)> {
        self.op.may_alias()
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        self.dims.variants(caps)
    }

    fn scratch(&self, caps: &Caps, operands: &[Operand]) -> u64 {
        let all = self.dims.variants(caps).into_iter().map(|variant| self.dims.sizes(variant, caps));
        Product::new(&self.op, operands).map_or(0, |p| all.map(|sizes| p.scratch(&sizes)).max().unwrap_or(0))
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let variant = context.variant(self, operands)?;
        let sizes = self.dims.sizes(variant, context.caps);
        Product::new(&self.op, operands)?.record(context, &sizes)
    }

    fn oracle(&self, operands: &mut [Host]) {
        self.op.oracle(operands);
    }

    fn smoke(&self, inputs: &[Type]) -> Case {
        self.op.smoke(inputs)
    }
}

impl Op for MatmulT {
    fn name(&self) -> &'static str {
        "matmul_transposed"
    }

    fn uses(&self) -> Vec<Use> {
        [vec![Use::Read; 2 + usize::from(self.add)], vec![Use::Write]].concat()
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [g, w, acc @ ..] = inputs else { return Err("takes g and a weight".into()) };
        let fits = g.number == Number::F32 && matches!(w.number, Number::Weight(_)) && g.cols == w.rows && w.cols.is_multiple_of(32);
        fit(fits && g.rows > 0 && w.rows > 0, &[("g", g), ("w", w)])?;
        let y = Type::f32(g.rows, w.cols);
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
        Product::new(self, operands).map_or_else(|_| Vec::new(), |p| p.dims().variants(caps))
    }

    fn scratch(&self, caps: &Caps, operands: &[Operand]) -> u64 {
        let Ok(product) = Product::new(self, operands) else { return 0 };
        let dims = product.dims();
        // A variant may be banned.
        dims.variants(caps).into_iter().map(|variant| product.scratch(&dims.sizes(variant, caps))).max().unwrap_or(0)
    }

    fn scratch_for(&self, inputs: &[Type], caps: &Caps) -> u64 {
        let dims = Self::dims(inputs).0;
        let all = dims.variants(caps).into_iter().map(|variant| dims.scratch(&dims.sizes(variant, caps)));
        all.max().unwrap_or(0)
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let product = Product::new(self, operands)?;
        let variant = context.variant(self, operands)?;
        let sizes = product.dims().sizes(variant, context.caps);
        product.record(context, &sizes)
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [g, w, .., y] = &operands[..] else { panic!("a transposed product takes g, a weight and y") };
        let (g, w, y) = (g.tensor(), w.weight(), y.tensor());
        let mut sums = vec![0f64; y.data.len()];
        if self.add {
            sums = operands[2].tensor().data.iter().map(|v| f64::from(*v)).collect();
        }
        for row in 0..w.rows {
            let weights = w.row(row);
            for (token, sums) in sums.chunks_mut(w.cols).enumerate() {
                let factor = f64::from(g.row(token)[row]);
                sums.iter_mut().zip(&weights).for_each(|(sum, w)| *sum += factor * f64::from(*w));
            }
        }
        let y = operands.last_mut().expect("a product has an output").tensor_mut();
        y.data = sums.into_iter().map(|sum| sum as f32).collect();
    }

    fn work(&self, inputs: &[Type], _: u32) -> u64 {
        u64::from(inputs[0].rows) * u64::from(inputs[1].rows) * u64::from(inputs[1].cols)
    }

    fn kernels(&self, inputs: &[Type], caps: &Caps) -> String {
        let (dims, dtype) = Self::dims(inputs);
        let sizes: Vec<Sizes> = dims.variants(caps).into_iter().map(|variant| dims.sizes(variant, caps)).collect();
        let shared: Vec<bool> = sizes.iter().map(|sizes| sizes.shares > 1).collect();
        let kernels: Vec<_> = sizes.iter().map(|sizes| sizes.kernel).collect();
        format!("{dtype} {self:?} {kernels:?} {shared:?} {}", dims.rows.is_multiple_of(4))
    }

    fn smoke(&self, inputs: &[Type]) -> Case {
        let (dims, dtype) = Self::dims(inputs);
        self.small(dtype, dims, dims.rows.is_multiple_of(4))
    }
}
