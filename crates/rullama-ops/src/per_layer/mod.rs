//! Per-layer embeddings: the table's rows joined with the projection of the embedding.

use crate::host::{Host, root_mean_square};
use crate::op::{Context, Op, Operand, reducing_variants, spread};
use crate::shader::Link;
use rullama_gpu::{Access, Caps, GpuError};

#[cfg(feature = "cases")]
pub mod cases;

/// `e = (RMS(c * scale) * weight + rows) / sqrt(2)`, the norm over each layer's `width` values.
///
/// Operands: in and out `c: [tokens, layers * width]` (the projection), `rows: [tokens, layers
/// * width]` (the table's rows, already times sqrt(width)), `weight: [1, width]`.
/// Source: HF `Gemma4TextModel.project_per_layer_inputs`.
#[derive(Debug, Clone)]
pub struct PerLayerCombine {
    pub eps: f32,
    /// 1 / sqrt(dim).
    pub scale: f32,
}

const WORKGROUP: u32 = 64;

impl Op for PerLayerCombine {
    fn name(&self) -> &'static str {
        "per_layer_combine"
    }

    fn access(&self) -> Vec<Access> {
        vec![Access::ReadWrite, Access::Read, Access::Read]
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        reducing_variants(caps)
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let variant = context.variant(self, operands)?;
        let [c, rows, weight] = [operands[0].tensor()?, operands[1].tensor()?, operands[2].tensor()?];
        let kernel = Link::new("per_layer_combine", include_str!("combine.wgsl"), context.caps)
            .flag("subgroups", variant == "subgroups")
            .constant("WG", WORKGROUP)
            .kernel()?;
        let parts = c.cols / weight.cols;
        let dispatch = context.recorder.dispatch(&kernel, spread(c.rows * parts, context.caps.max_groups));
        dispatch.param("parts", parts).param("total", c.rows * parts).param("width", weight.cols / 4);
        dispatch.param("stride", rows.stride / 4).param("offset", rows.offset / 4).param("eps", self.eps).param("scale", self.scale);
        dispatch.bind("c", &c.slice).bind("rows", &rows.slice).bind("weight", &weight.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [c, rows, weight] = operands else { panic!("per_layer_combine takes 3 operands") };
        let (c, rows, weight) = (c.tensor_mut(), rows.tensor(), weight.tensor());
        let width = weight.cols;
        for (part, table) in c.data.chunks_exact_mut(width).zip(rows.data.chunks_exact(width)) {
            let scaled: Vec<f32> = part.iter().map(|v| v * self.scale).collect();
            let norm = 1.0 / root_mean_square(&scaled, self.eps);
            for i in 0..width {
                let normed = f64::from(scaled[i]) * norm * f64::from(weight.data[i]);
                part[i] = ((normed + f64::from(table[i])) * std::f64::consts::FRAC_1_SQRT_2) as f32;
            }
        }
    }
}
