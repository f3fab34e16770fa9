//! The same of a table of which some rows have a place.

use super::{PLANES, groups, kernel};
use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use};
use rullama_gpu::{Caps, GpuError};
use rullama_quant::Layout;

/// `y_t = scale * rows[places[ids_t] - 1]`; ids whose place is 0, and ids from `vocab` on, give zeros.
///
/// Each row is laid out as a weight of one row, one behind the other in one chunk, so that any of them can be written alone: planes
/// of several rows share words.
///
/// Operands: `ids: [tokens]` words, or more, `places: [vocab]` words, `rows: [slots, dim]`, out `y: [tokens, dim]`.
#[derive(Debug, Clone)]
pub struct EmbedPlaced {
    pub scale: f32,
    pub tokens: u32,
    pub vocab: u32,
}

impl Graph {
    /// [`EmbedPlaced`]: `[tokens, dim]` of `ids: [tokens]`, `places: [vocab]` and `rows: [slots, dim]`.
    pub fn embed_placed(&mut self, op: EmbedPlaced, ids: Value, places: Value, rows: Value) -> Value {
        self.one(op, &[ids, places, rows])
    }
}

impl Op for EmbedPlaced {
    fn name(&self) -> &'static str {
        "embed_placed"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [ids, places, rows] = take(inputs)?;
        let words = ids.number == Number::Words && places.number == Number::Words;
        let fits = words && matches!(rows.number, Number::Weight(_)) && rows.cols.is_multiple_of(32);
        fit(fits, &[("ids", &ids), ("places", &places), ("rows", &rows)])?;
        Ok(vec![Type::f32(self.tokens, rows.cols)])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let invalid = |message: String| GpuError::Validation { what: "operands of an embed_placed".into(), message };
        let [ids, places, rows, y] = operands else {
            return Err(invalid(format!("4 are wanted, {} given", operands.len())));
        };
        let (ids, places, rows, y) = (ids.words()?, places.words()?, rows.weight()?, y.tensor()?);
        let words = ids.size >= u64::from(y.rows) * 4 && places.size >= u64::from(self.vocab) * 4;
        let layout = Layout::new(rows.dtype, 1, rows.cols as usize).map_err(|error| invalid(error.to_string()))?;
        let one = rows.chunks.len() == 1 && rows.chunks[0].slice.size >= u64::from(rows.rows) * layout.words() as u64 * 4;
        if !words || !one || y.cols != rows.cols || y.stride != y.cols || y.offset != 0 {
            let (bytes, name, slots, dim) = ([ids.size, places.size], &rows.name, rows.rows, rows.cols);
            return Err(invalid(format!("words of {bytes:?} bytes, rows `{name}` [{slots}, {dim}], y [{}, {}]", y.rows, y.cols)));
        }
        let kernel = kernel(rows.dtype, true, context.caps)?;
        let dispatch = context.recorder.dispatch(&kernel, groups(y, context.caps));
        for (name, start) in PLANES.into_iter().zip(layout.planes()) {
            dispatch.param(name, start);
        }
        dispatch.param("vocab", self.vocab).param("row_words", layout.words() as u32);
        dispatch.param("groups", rows.cols / 32).param("tokens", y.rows).param("scale", self.scale);
        dispatch.bind("ids", ids).bind("places", places).bind("table", &rows.chunks[0].slice).bind("y", &y.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [ids, places, rows, y] = operands else { panic!("embed_placed takes 4 operands") };
        let (ids, places, rows, y) = (ids.words(), places.words(), rows.weight(), y.tensor_mut());
        for (token, id) in ids.iter().enumerate().take(y.rows) {
            let place = if *id < self.vocab { places[*id as usize] as usize } else { 0 };
            let row = if place > 0 { rows.row(place - 1) } else { vec![0.0; rows.cols] };
            for (out, value) in y.row_mut(token).iter_mut().zip(row) {
                *out = (f64::from(self.scale) * f64::from(value)) as f32;
            }
        }
    }

    fn kernels(&self, inputs: &[Type], _: &Caps) -> String {
        format!("{:?}", inputs[2].number)
    }

    fn smoke(&self, inputs: &[Type]) -> Case {
        let Number::Weight(dtype) = inputs[2].number else { panic!("embed_placed gathers from a weight") };
        let mut rng = Rng::new(u64::from(dtype.ggml_id()));
        // One block of the largest formats a row.
        let cols = 256;
        let places = vec![0, 3, 0, 0, 1, 2];
        let operands = [Host::Words(vec![4, 1, 0, 5]), Host::Words(places), Host::Weight(rng.weight(dtype, 3, cols))];
        let operands = operands.into_iter().chain([Array::zeros(4, cols).into()]).collect();
        Case::new(dtype.name(), EmbedPlaced { scale: 3.0, tokens: 4, vocab: 6 }, operands, 1).apart()
    }
}
