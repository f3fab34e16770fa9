//! What products with weights that are stored in codes multiply, and whether codes pay on an adapter.

use crate::ModelError;
use crate::lower::For;
use crate::model::Model;
use crate::weights::Weights;
use rullama_gpu::{Device, GpuError, Recorder, Recording, Slice, Usage};
use rullama_ops::{Context, KvType, Matmul, Op, Operand, Prologue, Quantise, Tensor, Type, Weight};
use std::sync::Arc;
use web_time::Instant;

/// What products with weights that are stored in codes multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Products {
    /// Codes for large weights, where their kernels are right and measured to be faster on this adapter; f32 on CPU adapters and
    /// beside caches in f32.
    #[default]
    Auto,
    /// f32: only the order of sums differs from the definition.
    Exact,
    /// Codes of 8 bits ([`Quantise`]) with those of the weights, whatever their size.
    Int8,
}

/// What [`Products`] came to: values of the smallest weight that is multiplied in codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InCodes {
    pub least: u64,
}

/// Values of a weight from which the time to make codes of what it is multiplied with is small beside that of the product.
const LARGE: u64 = 1 << 20;
/// Share of the exact products' time that those in codes may take.
const PAYS: f64 = 0.9;
/// Bytes of weights that a measurement reads, and the most products it takes for that.
const READ: u64 = 256 << 20;
const MOST: u64 = 64;
const RUNS: usize = 3;

impl Products {
    /// What they come to on a device; for [`Products::Auto`] measured on weights that are there.
    ///
    /// # Errors
    /// Too little GPU memory; a lost device.
    pub async fn resolve(self, device: &Device, model: &dyn Model, weights: &Weights, kv: KvType) -> Result<Option<InCodes>, ModelError> {
        match self {
            Products::Exact => Ok(None),
            Products::Int8 => Ok(Some(InCodes { least: 0 })),
            Products::Auto if device.caps().software || kv == KvType::F32 => Ok(None),
            Products::Auto => {
                let usual = usual(model, weights);
                let pays = match pays(device, &usual).await {
                    // A browser that does not compile the kernels: exact ones serve.
                    Err(ModelError::Gpu(GpuError::Validation { .. })) => false,
                    pays => pays?,
                };
                Ok(pays.then_some(InCodes { least: LARGE }))
            }
        }
    }
}

/// What a graph is lowered for, which somebody looks into or not.
pub fn mode(codes: Option<InCodes>, look: bool) -> For {
    match codes {
        Some(InCodes { least }) => For::Codes { least, look },
        None if look => For::Look,
        None => For::Run,
    }
}

/// The weights of one format and shape that are most of the model.
fn usual(model: &dyn Model, weights: &Weights) -> Vec<Arc<Weight>> {
    let mut classes: Vec<Vec<Arc<Weight>>> = Vec::new();
    for weight in model.specs().weights.iter().filter(|spec| spec.expert_rows().is_none()).filter_map(|spec| weights.weight(&spec.key)) {
        if rullama_quant::codes_wgsl(weight.dtype).is_none() || weight.chunks.len() > 1 {
            continue;
        }
        let like =
            |class: &&mut Vec<Arc<Weight>>| (class[0].dtype, class[0].rows, class[0].cols) == (weight.dtype, weight.rows, weight.cols);
        match classes.iter_mut().find(like) {
            Some(class) => class.push(weight.clone()),
            None => classes.push(vec![weight.clone()]),
        }
    }
    let values = |class: &Vec<Arc<Weight>>| class.len() as u64 * values(&class[0]);
    classes.into_iter().filter(|class| self::values(&class[0]) >= LARGE).max_by_key(values).unwrap_or_default()
}

fn values(weight: &Weight) -> u64 {
    u64::from(weight.rows) * u64::from(weight.cols)
}

/// Whether decoding is faster in codes.
async fn pays(device: &Device, weights: &[Arc<Weight>]) -> Result<bool, ModelError> {
    if weights.is_empty() {
        return Ok(false);
    }
    let (rows, cols) = (weights[0].rows, weights[0].cols);
    let buffer = async |bytes: u64| device.buffer("a measurement", bytes, Usage::Storage).await.map(|buffer| buffer.whole());
    let slices = [buffer(u64::from(cols) * 4).await?, buffer(Type::codes(1, cols).bytes()).await?, buffer(u64::from(rows) * 4).await?];
    let exact = products(device, weights, &slices, Prologue::Plain).await?;
    let codes = products(device, weights, &slices, Prologue::Int8).await?;
    // The first of each compiles and warms up.
    let (mut plain, mut in_codes) = (f64::INFINITY, f64::INFINITY);
    for run in 0..=RUNS {
        let taken = [seconds(device, &exact).await?, seconds(device, &codes).await?];
        if run > 0 {
            (plain, in_codes) = (plain.min(taken[0]), in_codes.min(taken[1]));
        }
    }
    Ok(in_codes < PAYS * plain)
}

async fn products(device: &Device, weights: &[Arc<Weight>], [x, codes, y]: &[Slice; 3], prologue: Prologue) -> Result<Recording, GpuError> {
    let mut recorder = Recorder::new();
    let (rows, cols) = (weights[0].rows, weights[0].cols);
    let bytes: u64 = weights[0].chunks.iter().map(|chunk| chunk.slice.size).sum();
    let tensor = |slice: &Slice, cols: u32| Operand::Tensor(Tensor { slice: slice.clone(), rows: 1, cols, stride: cols, offset: 0 });
    let op = Matmul { prologue, ..Matmul::PLAIN };
    for weight in weights.iter().cycle().take((READ / bytes.max(1)).clamp(8, MOST) as usize) {
        let mut context = Context { recorder: &mut recorder, caps: device.caps(), variant: None, banned: &[], scratch: None };
        let given = if prologue == Prologue::Int8 { codes } else { x };
        if prologue == Prologue::Int8 {
            Quantise.record(&mut context, &[tensor(x, cols), tensor(codes, cols)])?;
        }
        op.record(&mut context, &[tensor(given, cols), Operand::Weight(weight.clone()), tensor(y, rows)])?;
    }
    recorder.finish(device).await
}

async fn seconds(device: &Device, recording: &Recording) -> Result<f64, GpuError> {
    let started = Instant::now();
    device.try_submit(recording).await?;
    device.finish().await?;
    Ok(started.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rullama_gpu::OpenOptions;
    use rullama_ops::case::{Rng, upload};
    use rullama_quant::DType;

    #[test]
    fn a_measurement_runs_both_kinds_on_weights_that_are_there() {
        let device = pollster::block_on(Device::open(&OpenOptions { as_gpu: true, ..Default::default() }))
            .expect("a GPU adapter (install mesa-vulkan-drivers for a software one)");
        for dtype in [DType::Q4K, DType::Q6K, DType::Q8_0] {
            let host = Rng::new(1).weight(dtype, 64, 512);
            let weight = Arc::new(pollster::block_on(upload(&device, &host, None)).unwrap());
            let before = device.pipelines();
            pollster::block_on(pays(&device, &[weight.clone(), weight])).unwrap();
            assert!(device.pipelines() >= before + 2, "{dtype}: {} and {before}", device.pipelines());
        }
        assert!(!pollster::block_on(pays(&device, &[])).unwrap());
    }
}
