//! Products with the experts that tokens were routed to: which of a weight's matrices is read on the GPU.
//!
//! Two algorithms: `vector` takes each slot by itself and is bound by reading weights; `tile` first orders slots by their expert and
//! decodes tiles of an expert's weights once for many of its slots.

use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, misfit, take};
use crate::host::{Array, Host, gelu};
use crate::matmul::sizes::Dims;
use crate::op::{Context, Op, Operand, Use};
use crate::tolerance::{gelu_error, product_error, rms};
use product::{Choice, Product, Sizes};
use rullama_gpu::{Caps, GpuError};
use rullama_quant::DType;

#[cfg(feature = "cases")]
pub mod cases;
mod combine;
mod product;

pub use combine::ExpertSum;

/// `y[slot] = W[e] x[slot]` for every slot, where `e` is the slot's expert; of gated ones `gelu(G[e] x) * (U[e] x)`.
///
/// Operands: `x: [tokens, cols]`, or a row a slot `[tokens * used, cols]`, indices `e: [tokens, used]` as whole numbers in f32, `w:
/// [experts * rows, cols]`, out `y: [tokens * used, values]`; `values` is `rows`, or half of them where the first half of an expert's
/// rows is its gate G and the second its up projection U. Chunks of `w` hold whole experts. Sums in f32.
/// Source: HF `Gemma4TextExperts`; Shazeer 2020, "GLU Variants Improve Transformer".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpertProduct {
    /// Experts that the weight holds.
    pub experts: u32,
    pub gated: bool,
    /// Experts that there are, where the weight is a pool with places for some of them: indices are places then, and slots with an
    /// index of `experts` keep what they have. The kernels are those of the whole weight, so that the sums are the same.
    pub pool_of: Option<u32>,
}

impl Graph {
    /// `[tokens * used, values]`: `x` times the matrix of each slot's expert, see [`ExpertProduct`].
    pub fn expert_product(&mut self, op: ExpertProduct, x: Value, ids: Value, w: Value) -> Value {
        self.one(op, &[x, ids, w])
    }
}

impl ExpertProduct {
    /// Values of a slot for a weight of `rows` rows in all.
    fn values(&self, rows: u32) -> u32 {
        rows / self.experts.max(1) / if self.gated { 2 } else { 1 }
    }

    fn choice(&self, slots: u32, rows: u32, cols: u32) -> Choice {
        let rows = (rows / self.experts.max(1)).saturating_mul(slots);
        let dims = Dims { tokens: 1, rows, groups: cols / 32, pairs: self.gated, tiles: false, int8: false };
        Choice { dims, batched: slots / 2 >= self.pool_of.unwrap_or(self.experts), words: product::order_words(self.experts) }
    }

    fn choice_of(&self, inputs: &[Type]) -> (Choice, DType) {
        let Number::Weight(dtype) = inputs[2].number else { panic!("a product has a weight") };
        (self.choice(inputs[1].rows * inputs[1].cols, inputs[2].rows, inputs[2].cols), dtype)
    }

    /// The oracle's sums: for each slot one of every row of its expert; none where the expert is not here.
    fn sums(&self, operands: &[Host]) -> Vec<Vec<f64>> {
        let (x, ids, w) = (operands[0].tensor(), operands[1].tensor(), operands[2].weight());
        let (slots, rows) = (ids.data.len(), w.rows / self.experts as usize);
        let of_slot = |slot: usize| {
            let x = x.row(slot / (slots / x.rows));
            if ids.data[slot] as usize >= self.experts as usize {
                return Vec::new();
            }
            let first = ids.data[slot] as usize * rows;
            let sum = |row: usize| w.row(first + row).iter().zip(x).map(|(&w, &x)| f64::from(w) * f64::from(x)).sum();
            (0..rows).map(sum).collect()
        };
        (0..slots).map(of_slot).collect()
    }

    fn case(self, dtype: DType, (tokens, used): (usize, usize), rows: usize, cols: usize, shared: bool) -> (Vec<Host>, String) {
        let mut rng = Rng::new((tokens * rows + cols) as u64 + u64::from(dtype.ggml_id()));
        let experts = self.experts as usize;
        let ids = Array { rows: tokens, cols: used, data: (0..tokens * used).map(|_| rng.below(experts as u64) as f32).collect() };
        let x = rng.tensor(if shared { tokens } else { tokens * used }, cols);
        let w = rng.weight(dtype, experts * rows, cols);
        let y = Array::zeros(tokens * used, self.values((experts * rows) as u32) as usize);
        let name = format!("{dtype} {experts}x{rows}x{cols}, {used} for {tokens}{}", if shared { "" } else { ", a row each" });
        (vec![x.into(), ids.into(), Host::Weight(w), y.into()], name)
    }
}

impl Op for ExpertProduct {
    fn name(&self) -> &'static str {
        "expert_product"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x, ids, w] = take(inputs)?;
        let slots = u64::from(ids.rows) * u64::from(ids.cols);
        let numbers = x.number == Number::F32 && ids.number == Number::F32 && matches!(w.number, Number::Weight(_));
        let rows = [u64::from(ids.rows), slots].contains(&u64::from(x.rows)) && x.cols == w.cols && w.cols.is_multiple_of(32);
        let sides = if self.gated { 2 } else { 1 };
        let whole = self.experts > 0 && w.rows > 0 && u64::from(w.rows).is_multiple_of(u64::from(self.experts) * sides);
        match u32::try_from(slots) {
            Ok(slots) if numbers && rows && whole && slots > 0 => Ok(vec![Type::f32(slots, self.values(w.rows))]),
            _ => Err(format!("{} experts: {}", self.experts, misfit(&[("x", &x), ("indices", &ids), ("w", &w)]))),
        }
    }

    fn variants(&self, caps: &Caps, operands: &[Operand]) -> Vec<&'static str> {
        Product::new(self, operands).map_or_else(|_| Vec::new(), |product| product.choice().variants(caps))
    }

    fn scratch(&self, _: &Caps, operands: &[Operand]) -> u64 {
        Product::new(self, operands).map_or(0, |product| product.scratch())
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let product = Product::new(self, operands)?;
        let variant = context.variant(self, operands)?;
        product.record(context, product.choice().sizes(variant, context.caps))
    }

    fn allowance(&self, operands: &[Host], share: f32) -> Option<Vec<f32>> {
        if !self.gated {
            return None;
        }
        let sums = self.sums(operands);
        let half = operands[3].tensor().cols;
        // Gates and ups are sums of their own kind.
        let gates = f64::from(share) * rms(sums.iter().flat_map(|sums| sums.iter().take(half).copied()));
        let ups = f64::from(share) * rms(sums.iter().flat_map(|sums| sums.iter().skip(half).copied()));
        let error = |gate: f64, up: f64| product_error((gelu(gate), gelu_error(gate, gates)), (up, ups)) as f32;
        let errors = |sums: &Vec<f64>| -> Vec<f32> {
            // What stays as it is has no error.
            if sums.is_empty() { vec![0.0; half] } else { (0..half).map(|i| error(sums[i], sums[half + i])).collect() }
        };
        Some(sums.iter().flat_map(errors).collect())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let sums = self.sums(operands);
        let value = |sums: &[f64], i: usize| {
            let half = sums.len() / 2;
            if self.gated { gelu(sums[i]) * sums[half + i] } else { sums[i] }
        };
        let y = operands[3].tensor_mut();
        for (slot, sums) in sums.iter().enumerate().filter(|(_, sums)| !sums.is_empty()) {
            let cols = y.cols;
            y.row_mut(slot).iter_mut().zip(0..cols).for_each(|(y, i)| *y = value(sums, i) as f32);
        }
    }

    fn work(&self, inputs: &[Type], _: u32) -> u64 {
        let dims = self.choice_of(inputs).0.dims;
        u64::from(dims.rows) * u64::from(dims.groups) * 32
    }

    /// The kernels of every variant: their sizes, and what is linked into them.
    fn kernels(&self, inputs: &[Type], caps: &Caps) -> String {
        let (choice, dtype) = self.choice_of(inputs);
        let sizes: Vec<Sizes> = choice.variants(caps).into_iter().map(|variant| choice.sizes(variant, caps)).collect();
        format!("{dtype} {} of {} {sizes:?}", self.gated, self.experts)
    }

    /// Few rows, in kernels for the whole product.
    fn smoke(&self, inputs: &[Type]) -> Case {
        let (choice, dtype) = self.choice_of(inputs);
        // All experts, since the kernel that orders slots is made for their number, with few rows.
        let rows = 2 * (512 / self.experts as usize).clamp(1, 12);
        let (operands, name) = self.case(dtype, (2, 3), rows, inputs[2].cols as usize, inputs[0].rows == inputs[1].rows);
        let case = Case::new(name, Like { op: *self, choice }, operands, inputs[2].cols as usize);
        case.chunked(rows * self.experts.div_ceil(2) as usize)
    }
}

/// A product by the kernels that one of other dimensions gets: tests them on little data.
#[derive(Debug, Clone)]
struct Like {
    op: ExpertProduct,
    choice: Choice,
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
        self.choice.variants(caps)
    }

    fn scratch(&self, caps: &Caps, operands: &[Operand]) -> u64 {
        self.op.scratch(caps, operands)
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let variant = context.variant(self, operands)?;
        Product::new(&self.op, operands)?.record(context, self.choice.sizes(variant, context.caps))
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
