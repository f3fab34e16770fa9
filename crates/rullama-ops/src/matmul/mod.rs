//! Products with weights of any format.
//!
//! Two algorithms: `vector` decodes each weight once for a handful of tokens and is bound by
//! reading weights; `tile` decodes tiles into workgroup memory and is bound by arithmetic.

use crate::host::{Host, HostWeight, gelu};
use crate::op::{Context, Op, Operand};
use product::{Finish, Product};
use rullama_gpu::{Access, Caps, GpuError};
use sizes::{Dims, Sizes};

#[cfg(feature = "cases")]
pub mod cases;
mod product;
pub mod sizes;
mod unroll;

/// `y = x W^T`, then the epilogue.
///
/// Operands: `x: [tokens, cols]`, `w: [rows, cols]`, for [`Epilogue::GeluMul`] alone
/// `e: [tokens, rows]`, out `y: [tokens, rows]`. Sums in f32.
#[derive(Debug, Clone)]
pub struct Matmul {
    pub epilogue: Epilogue,
}

/// What becomes of each sum `v`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Epilogue {
    None,
    /// `cap * tanh(v / cap)`.
    Softcap(f32),
    /// `gelu(v) * e`.
    GeluMul,
}

/// `y_i = gelu(gate_i . x) * (up_i . x)`: both products of a gated feed-forward layer.
///
/// Operands: `x: [tokens, cols]`, `w: [2 * ffn_dim, cols]` with gate row i at row 2i and up row
/// i at 2i + 1, out `y: [tokens, ffn_dim]`. Chunks of `w` hold whole pairs.
/// Source: Shazeer 2020, "GLU Variants Improve Transformer".
#[derive(Debug, Clone)]
pub struct GegluMatmul;

/// An operation that is a product and what follows it.
pub trait Products: Op {
    /// Its operands with checked shapes.
    fn product<'a>(&self, operands: &'a [Operand]) -> Result<Product<'a>, GpuError>;
}

impl Products for Matmul {
    fn product<'a>(&self, operands: &'a [Operand]) -> Result<Product<'a>, GpuError> {
        match (self.epilogue, operands) {
            (Epilogue::None, [x, w, y]) => Product::new(x, w, y, Finish::None),
            (Epilogue::Softcap(cap), [x, w, y]) => Product::new(x, w, y, Finish::Softcap(cap)),
            (Epilogue::GeluMul, [x, w, e, y]) => Product::new(x, w, y, Finish::GeluMul(e.tensor()?)),
            _ => Err(product::invalid(format!("matmul with {:?} does not take {} operands", self.epilogue, operands.len()))),
        }
    }
}

impl Products for GegluMatmul {
    fn product<'a>(&self, operands: &'a [Operand]) -> Result<Product<'a>, GpuError> {
        match operands {
            [x, w, y] => Product::new(x, w, y, Finish::Geglu),
            _ => Err(product::invalid(format!("geglu_matmul takes 3 operands, not {}", operands.len()))),
        }
    }
}

/// A product by the kernels that one of other dimensions gets: tests them on little data.
#[derive(Debug, Clone)]
pub struct Like<P> {
    pub op: P,
    pub dims: Dims,
}

impl<P: Products> Op for Like<P> {
    fn name(&self) -> &'static str {
        self.op.name()
    }

    fn access(&self) -> Vec<Access> {
        self.op.access()
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        self.dims.variants(caps)
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let variant = context.variant(self, operands)?;
        self.op.product(operands)?.record(context, self.dims.sizes(variant, context.caps))
    }

    fn oracle(&self, operands: &mut [Host]) {
        self.op.oracle(operands);
    }
}

/// Records a product with given sizes in place of chosen ones: for benchmarks.
pub fn record_sized(op: &impl Products, context: &mut Context, operands: &[Operand], sizes: Sizes) -> Result<(), GpuError> {
    op.product(operands)?.record(context, sizes)
}

impl Op for Matmul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn access(&self) -> Vec<Access> {
        let reads = if self.epilogue == Epilogue::GeluMul { 3 } else { 2 };
        let mut all = vec![Access::Read; reads];
        all.push(Access::ReadWrite);
        all
    }

    fn variants(&self, caps: &Caps, operands: &[Operand]) -> Vec<&'static str> {
        self.product(operands).map_or_else(|_| Vec::new(), |p| p.dims().variants(caps))
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let product = self.product(operands)?;
        let variant = context.variant(self, operands)?;
        product.record(context, product.dims().sizes(variant, context.caps))
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, w, rest @ ..] = operands else { panic!("matmul takes 3 or 4 operands") };
        let (x, w) = (x.tensor(), w.weight());
        let (y, e) = rest.split_last_mut().expect("matmul has an output");
        let y = y.tensor_mut();
        for row in 0..w.rows {
            let weights = w.row(row);
            for token in 0..x.rows {
                let v = dot(&weights, x.row(token));
                let v = match self.epilogue {
                    Epilogue::None => v,
                    Epilogue::Softcap(cap) => f64::from(cap) * (v / f64::from(cap)).tanh(),
                    Epilogue::GeluMul => gelu(v) * f64::from(e[0].tensor().row(token)[row]),
                };
                y.row_mut(token)[row] = v as f32;
            }
        }
    }
}

impl Op for GegluMatmul {
    fn name(&self) -> &'static str {
        "geglu_matmul"
    }

    fn access(&self) -> Vec<Access> {
        vec![Access::Read, Access::Read, Access::ReadWrite]
    }

    fn variants(&self, caps: &Caps, operands: &[Operand]) -> Vec<&'static str> {
        self.product(operands).map_or_else(|_| Vec::new(), |p| p.dims().variants(caps))
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let product = self.product(operands)?;
        let variant = context.variant(self, operands)?;
        product.record(context, product.dims().sizes(variant, context.caps))
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, w, y] = operands else { panic!("geglu_matmul takes 3 operands") };
        let (x, w, y): (_, &HostWeight, _) = (x.tensor(), w.weight(), y.tensor_mut());
        for i in 0..w.rows / 2 {
            let (gate, up) = (w.row(2 * i), w.row(2 * i + 1));
            for token in 0..x.rows {
                y.row_mut(token)[i] = (gelu(dot(&gate, x.row(token))) * dot(&up, x.row(token))) as f32;
            }
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}
