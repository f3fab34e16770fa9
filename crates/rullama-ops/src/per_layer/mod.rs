//! Per-layer embeddings: the table's rows joined with the projection of the embedding.

use crate::backward::Backward;
use crate::case::{Case, Rng};
use crate::graph::{Graph, Type, Value, fit, take};
use crate::host::{Array, Host, root_mean_square};
use crate::op::{Context, Op, Operand, Use, reducing_variants, spread};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

#[cfg(feature = "cases")]
pub mod cases;

/// `e = (RMS(c * scale) * weight + rows) / sqrt(2)`, the norm over each layer's `width` values.
///
/// Operands: `c: [tokens, layers * width]` (the projection), `rows: [tokens, layers * width]` (the table's rows, already times
/// sqrt(width)), `weight: [1, width]`, out `e: [tokens, layers * width]`.
/// Source: HF `Gemma4TextModel.project_per_layer_inputs`.
#[derive(Debug, Clone)]
pub struct PerLayerCombine {
    pub eps: f32,
    /// 1 / sqrt(dim).
    pub scale: f32,
}

impl Graph {
    /// Per-layer embeddings `[tokens, layers * width]` of the projection `c` and the table's `rows`, both of that shape; `norm`
    /// names a table `[1, width]`.
    pub fn per_layer_combine(&mut self, c: Value, rows: Value, norm: &str, width: u32, op: PerLayerCombine) -> Value {
        let norm = self.vector(norm, width);
        self.one(op, &[c, rows, norm])
    }
}

const WORKGROUP: u32 = 64;

impl Op for PerLayerCombine {
    fn name(&self) -> &'static str {
        "per_layer_combine"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [c, rows, weight] = take(inputs)?;
        let whole = weight.cols > 0 && c.cols.is_multiple_of(weight.cols) && weight.cols.is_multiple_of(4);
        fit(whole && rows == c && weight.rows == 1, &[("c", &c), ("rows", &rows), ("weight", &weight)])?;
        Ok(vec![c])
    }

    fn may_alias(&self) -> Option<(usize, usize)> {
        Some((3, 0))
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        reducing_variants(caps)
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let variant = context.variant(self, operands)?;
        let [c, rows] = [operands[0].tensor()?, operands[1].tensor()?];
        let [weight, e] = [operands[2].tensor()?, operands[3].tensor()?];
        let in_place = c.slice.same(&e.slice);
        let kernel = Link::new("per_layer_combine", rullama_quant::wgsl!("combine.wgsl"), context.caps)
            .flag("subgroups", variant == "subgroups")
            .flag("in_place", in_place)
            .constant("WG", WORKGROUP)
            .kernel()?;
        let parts = c.cols / weight.cols;
        let dispatch = context.recorder.dispatch(&kernel, spread(c.rows * parts, context.caps.max_groups));
        dispatch.param("parts", parts).param("total", c.rows * parts).param("width", weight.cols / 4);
        dispatch.param("stride", rows.stride / 4).param("offset", rows.offset / 4).param("eps", self.eps).param("scale", self.scale);
        dispatch.param("c_stride", c.stride / 4).param("c_offset", c.offset / 4);
        dispatch.bind("e", &e.slice).bind("rows", &rows.slice).bind("weight", &weight.slice);
        if !in_place {
            dispatch.bind("c", &c.slice);
        }
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [c, rows, weight, e] = operands else { panic!("per_layer_combine takes 4 operands") };
        let (c, rows, weight, e) = (c.tensor(), rows.tensor(), weight.tensor(), e.tensor_mut());
        let width = weight.cols;
        let parts = c.data.chunks_exact(width).zip(rows.data.chunks_exact(width));
        for (out, (part, table)) in e.data.chunks_exact_mut(width).zip(parts) {
            let scaled: Vec<f32> = part.iter().map(|v| v * self.scale).collect();
            let norm = 1.0 / root_mean_square(&scaled, self.eps);
            for i in 0..width {
                let normed = f64::from(scaled[i]) * norm * f64::from(weight.data[i]);
                out[i] = ((normed + f64::from(table[i])) * std::f64::consts::FRAC_1_SQRT_2) as f32;
            }
        }
    }

    /// `RMS(c s)` with eps is `RMS(c)` with eps / s^2.
    fn backward(&self, back: &mut Backward) -> Result<(), String> {
        let (c, weight, Some(g)) = (back.operand(0), back.operand(2), back.gradient(3)) else { return Ok(()) };
        if back.wants(1) || back.wants(2) {
            return Err("the rows of the per-layer table and the norm's weight are not trained".into());
        }
        if back.wants(0) {
            let g = back.graph.scale(g, std::f32::consts::FRAC_1_SQRT_2);
            let (width, eps) = (back.graph.cols(weight), self.eps / (self.scale * self.scale));
            back.add_to(0, |graph, sum| graph.rms_norm_back(c, Some(weight), g, sum, width, eps));
        }
        Ok(())
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        let mut rng = Rng::new(3);
        let (rows, width) = (3, 256);
        let x = |rng: &mut Rng| Host::from(rng.tensor(rows, 2 * width));
        let operands = vec![x(&mut rng), x(&mut rng), rng.tensor(1, width).into(), Array::zeros(rows, 2 * width).into()];
        Case::new("3 tokens, 2 layers of 256", PerLayerCombine { scale: 0.1, ..self.clone() }, operands, width)
    }
}
