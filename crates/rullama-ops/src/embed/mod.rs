//! Rows of a table by their ids.

use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Tensor, Use, spread};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError, Kernel};
use rullama_quant::DType;

#[cfg(feature = "cases")]
pub mod cases;
mod placed;

pub use placed::EmbedPlaced;

/// `y_t = scale * table[ids_t]`; ids from `vocab` on give zeros.
///
/// Operands: `ids: [tokens]` words, or more, `table: [vocab, dim]`, out `y: [tokens, dim]`.
#[derive(Debug, Clone)]
pub struct Embed {
    pub scale: f32,
    pub tokens: u32,
}

impl Graph {
    /// `scale * table[ids]`: `[tokens, dim]` of `ids: [tokens]` and `table: [vocab, dim]`.
    pub fn embed(&mut self, ids: Value, table: Value, tokens: u32, scale: f32) -> Value {
        self.one(Embed { scale, tokens }, &[ids, table])
    }
}

const WORKGROUP: u32 = 64;
/// The kernel's names for where planes begin.
const PLANES: [&str; 4] = ["plane0", "plane1", "plane2", "plane3"];

/// The kernel for a table in this format, whose rows have places or stand in their order.
fn kernel(dtype: DType, placed: bool, caps: &Caps) -> Result<Kernel, GpuError> {
    Link::new("embed", include_str!("embed.wgsl"), caps)
        .module("weight", rullama_quant::wgsl(dtype))
        .constant("WG", WORKGROUP)
        .flag("placed", placed)
        .kernel()
}

/// Workgroups for all values of `y`.
fn groups(y: &Tensor, caps: &Caps) -> [u32; 3] {
    spread((y.rows * y.cols / 4).div_ceil(WORKGROUP), caps.max_groups)
}

impl Op for Embed {
    fn name(&self) -> &'static str {
        "embed"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [ids, table] = take(inputs)?;
        let fits = ids.number == Number::Words && matches!(table.number, Number::Weight(_)) && table.cols.is_multiple_of(32);
        fit(fits, &[("ids", &ids), ("table", &table)])?;
        Ok(vec![Type::f32(self.tokens, table.cols)])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let invalid = |message: String| GpuError::Validation { what: "operands of an embed".into(), message };
        let [ids, table, y] = operands else {
            return Err(invalid(format!("3 are wanted, {} given", operands.len())));
        };
        let (ids, table, y) = (ids.words()?, table.weight()?, y.tensor()?);
        if y.cols != table.cols || y.stride != y.cols || y.offset != 0 || ids.size < u64::from(y.rows) * 4 {
            let (bytes, vocab, dim) = (ids.size, table.rows, table.cols);
            return Err(invalid(format!("ids of {bytes} bytes, table `{}` [{vocab}, {dim}], y [{}, {}]", table.name, y.rows, y.cols)));
        }
        let kernel = kernel(table.dtype, false, context.caps)?;
        let groups = groups(y, context.caps);
        // Each chunk writes the tokens whose rows it holds.
        for chunk in &table.chunks {
            let dispatch = context.recorder.dispatch(&kernel, groups);
            for (name, start) in PLANES.into_iter().zip(chunk.planes) {
                dispatch.param(name, start);
            }
            dispatch.param("rows", chunk.rows).param("first_row", chunk.first_row).param("vocab", table.rows);
            dispatch.param("start", chunk.start).param("step", chunk.step);
            dispatch.param("groups", table.cols / 32).param("tokens", y.rows).param("scale", self.scale);
            dispatch.bind("ids", ids).bind("table", &chunk.slice).bind("y", &y.slice);
        }
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [ids, table, y] = operands else { panic!("embed takes 3 operands") };
        let (ids, table, y) = (ids.words(), table.weight(), y.tensor_mut());
        for (token, &id) in ids.iter().enumerate().take(y.rows) {
            let id = id as usize;
            let row = if id < table.rows { table.row(id) } else { vec![0.0; table.cols] };
            for (out, value) in y.row_mut(token).iter_mut().zip(row) {
                *out = (f64::from(self.scale) * f64::from(value)) as f32;
            }
        }
    }

    fn kernels(&self, inputs: &[Type], _: &Caps) -> String {
        format!("{:?}", inputs[1].number)
    }

    fn smoke(&self, inputs: &[Type]) -> Case {
        let Number::Weight(dtype) = inputs[1].number else { panic!("embed gathers from a weight") };
        let mut rng = Rng::new(u64::from(dtype.ggml_id()));
        // One block of the largest formats a row.
        let cols = 256;
        let operands = vec![Host::Words(vec![5, 63, 0]), Host::Weight(rng.weight(dtype, 64, cols)), Array::zeros(3, cols).into()];
        Case::new(dtype.name(), Embed { scale: 3.0, tokens: 3 }, operands, 1)
    }
}
