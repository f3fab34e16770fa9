//! What products with weights that are stored in codes multiply, and whether codes pay on an adapter.

use crate::ModelError;
use crate::lower::For;
use crate::model::Model;
use crate::weights::{Stack, WeightSpec, Weights};
use rullama_gpu::{Device, GpuError, Recorder, Recording, Slice, Usage};
use rullama_ops::{Context, Epilogue, KvType, Matmul, Op, Operand, Prologue, Quantise, Tensor, Type, Weight};
use rullama_quant::DType;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use web_time::Instant;

/// What products with weights that are stored in codes (all but F32, F16 and BF16) multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Products {
    /// [`Int8`](Self::Int8) where its kernels are right and measured to be faster on this adapter; [`Exact`](Self::Exact) on CPU adapters
    /// and with caches in f32.
    #[default]
    Auto,
    /// Values in f32: logits are as the definition's, up to the order of sums.
    Exact,
    /// Values rounded to codes of 8 bits by groups of 32 ([`Quantise`]), as llama.cpp's kernels round them: faster, a little less exact.
    /// Small weights, of fewer values than a 32nd of the usual ones, are multiplied exactly unless a larger one takes the same input:
    /// making the codes would take as long.
    Int8,
}

/// What [`Products`] came to: values of the smallest weight that is multiplied in codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InCodes {
    pub least: u64,
}

/// Keeps what measurements came to, so that a later load need not measure.
pub trait Measurements: std::fmt::Debug + Send + Sync {
    /// Whether products in codes were faster where the [`key`] was the same.
    fn recall(&self, key: &str) -> Option<bool>;

    fn keep(&self, key: &str, faster: bool);
}

/// What a measurement holds for: the adapter and its driver, the format and shape of the usual weights, and this version of the kernels.
pub fn key(device: &Device, model: &dyn Model) -> String {
    let usual = usual(model);
    let shape = usual.first().and_then(|spec| Some(format!("{} {} x {} {:?}", spec.dtype().ok()?, spec.rows(), spec.cols(), spec.stack)));
    let adapter = format!("{}, {}, {}", device.name(), device.backend(), device.driver());
    format!("{adapter}: {}, {}", shape.unwrap_or_default(), env!("CARGO_PKG_VERSION"))
}

/// Part of the usual weight's values that a weight has at least to be multiplied in codes.
const PART: u64 = 32;
/// Values of the usual weight from which products in codes are worth a measurement.
const LARGE: u64 = 1 << 20;
/// Share of the exact products' time that those in codes may take.
const PAYS: f64 = 0.9;
/// Bytes of weights that a measurement reads, and the most products it takes for that.
const READ: u64 = 256 << 20;
const MOST: u64 = 64;
const RUNS: usize = 3;
/// Seconds that the exact ones have to take at a time, and how often they are submitted for that at most: waiting for a GPU ends a millisecond
/// or two late in a browser.
const TIMED: f64 = 8e-3;
const REPEATED: u32 = 64;

impl Products {
    /// What they come to on a device, and what a measurement found: [`Products::Auto`] measures on weights that are there, where it is not
    /// `known` whether products in codes are faster.
    ///
    /// # Errors
    /// Too little GPU memory; a lost device.
    pub async fn resolve(
        self,
        device: &Device,
        model: &dyn Model,
        weights: &Weights,
        kv: KvType,
        known: Option<bool>,
    ) -> Result<(Option<InCodes>, Option<bool>), ModelError> {
        let usual = usual(model);
        let Some(first) = usual.first() else { return Ok((None, None)) };
        let codes = InCodes { least: values(first) / PART };
        let never = device.caps().software || kv == KvType::F32 || values(first) < LARGE;
        match self {
            Products::Exact => Ok((None, None)),
            Products::Int8 => Ok((Some(codes), None)),
            Products::Auto if never => Ok((None, None)),
            Products::Auto => {
                let there: Vec<Arc<Weight>> = usual.iter().filter_map(|spec| weights.weight(&spec.key).cloned()).collect();
                let measured = match known {
                    Some(_) => None,
                    None => Some(measure(device, &there, first.stack == Stack::Interleave).await?),
                };
                Ok((known.or(measured).and_then(|faster| faster.then_some(codes)), measured))
            }
        }
    }
}

/// What a graph is lowered for, which somebody looks into or not; with `resident` workgroups where it is a step of one token.
pub fn mode(codes: Option<InCodes>, resident: Option<u32>, look: bool) -> For {
    match (codes, resident) {
        (Some(InCodes { least }), Some(workgroups)) if !look => For::Resident { least, workgroups },
        (Some(InCodes { least }), _) => For::Codes { least, look },
        (None, _) if look => For::Look,
        (None, _) => For::Run,
    }
}

/// The weights of one format and shape that are most of what is multiplied: neither experts nor a table of which rows are gathered.
fn usual(model: &dyn Model) -> Vec<&WeightSpec> {
    let gathered = model.streamed().map(|streamed| streamed.key);
    let multiplied = |spec: &&WeightSpec| spec.expert_rows().is_none() && gathered != Some(spec.key.as_str());
    let mut classes: Vec<Vec<&WeightSpec>> = Vec::new();
    let kind = |spec: &WeightSpec| (spec.dtype().ok(), spec.rows(), spec.cols());
    for spec in model.specs().weights.iter().filter(multiplied).filter(|spec| spec.dtype().is_ok_and(DType::has_codes)) {
        match classes.iter_mut().find(|class| kind(class[0]) == kind(spec)) {
            Some(class) => class.push(spec),
            None => classes.push(vec![spec]),
        }
    }
    classes.into_iter().max_by_key(|class| class.len() as u64 * values(class[0])).unwrap_or_default()
}

fn values(spec: &WeightSpec) -> u64 {
    spec.rows() * spec.cols()
}

async fn measure(device: &Device, weights: &[Arc<Weight>], pairs: bool) -> Result<bool, ModelError> {
    match pays(device, weights, pairs).await {
        // A browser that does not compile the kernels: exact ones serve.
        Err(ModelError::Gpu(GpuError::Validation { .. })) => Ok(false),
        pays => pays,
    }
}

/// Whether decoding is faster in codes, by products as the model's own: of the same kernels as decoding, where the codes come with
/// what makes the values.
async fn pays(device: &Device, weights: &[Arc<Weight>], pairs: bool) -> Result<bool, ModelError> {
    let Some(first) = weights.first() else { return Ok(false) };
    let [epilogue, to_codes] = if pairs { [Epilogue::Geglu, Epilogue::GegluCodes] } else { [Epilogue::Plain; 2] };
    let buffer = async |bytes: u64| device.buffer("a measurement", bytes, Usage::Storage).await.map(|buffer| buffer.whole());
    let (given, codes) = (u64::from(first.cols) * 4, Type::codes(1, first.cols).bytes());
    let values = epilogue.values(first.rows);
    let made = Type::f32(1, values).bytes().max(Type::codes(1, values).bytes());
    let slices = [buffer(given).await?, buffer(codes).await?, buffer(made).await?];
    let exact = products(device, weights, &slices, Matmul { prologue: Prologue::Plain, epilogue }).await?;
    let codes = products(device, weights, &slices, Matmul { prologue: Prologue::Int8, epilogue: to_codes }).await?;
    // The first of each compiles and warms up.
    for recording in [&exact, &codes] {
        device.try_submit(recording).await?;
    }
    device.finish().await?;
    let mut times = 1;
    while times < REPEATED && seconds(device, &exact, times).await? < TIMED {
        times *= 2;
    }
    let (mut plain, mut in_codes) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..RUNS {
        plain = plain.min(seconds(device, &exact, times).await?);
        in_codes = in_codes.min(seconds(device, &codes, times).await?);
    }
    Ok(in_codes < PAYS * plain)
}

async fn products(device: &Device, weights: &[Arc<Weight>], [x, codes, y]: &[Slice; 3], op: Matmul) -> Result<Recording, GpuError> {
    let mut recorder = Recorder::new();
    let (rows, cols) = (op.epilogue.values(weights[0].rows), weights[0].cols);
    let bytes: u64 = weights[0].chunks.iter().map(|chunk| chunk.slice.size).sum();
    let count = (READ / bytes.max(1)).clamp(8, MOST) as usize;
    let tensor = |slice: &Slice, cols: u32| Operand::Tensor(Tensor { slice: slice.clone(), rows: 1, cols, stride: cols, offset: 0 });
    let int8 = op.prologue == Prologue::Int8;
    let operands = |weight: &Arc<Weight>| [tensor(if int8 { codes } else { x }, cols), Operand::Weight(weight.clone()), tensor(y, rows)];
    let scratch = weights.iter().map(|weight| op.scratch(device.caps(), &operands(weight))).max().unwrap_or(0);
    let scratch = device.buffer("scratch of a measurement", scratch.max(4), Usage::Storage).await?.whole();
    let mut context = Context { recorder: &mut recorder, caps: device.caps(), variant: None, banned: &[], scratch: Some(scratch) };
    if int8 {
        Quantise.record(&mut context, &[tensor(x, cols), tensor(codes, cols)])?;
    }
    for weight in weights.iter().cycle().take(count) {
        op.record(&mut context, &operands(weight))?;
    }
    recorder.finish(device).await
}

async fn seconds(device: &Device, recording: &Recording, times: u32) -> Result<f64, GpuError> {
    let started = Instant::now();
    for _ in 0..times {
        device.submit(recording);
    }
    device.finish().await?;
    Ok(started.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rullama_gpu::OpenOptions;
    use rullama_ops::case::{Rng, upload};
    use rullama_source::FileSource;
    use rullama_source::gguf::Gguf;

    /// The per-layer table is the largest weight of an E2B, and no product reads it.
    #[test]
    fn the_usual_weight_is_one_that_is_multiplied() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../goldens/models/dense-ple-Q4_K_M.gguf");
        let gguf = pollster::block_on(Gguf::open(&FileSource::open(path).unwrap())).unwrap();
        let model = crate::model::open(&gguf).unwrap();
        let table = model.streamed().unwrap().key;
        let largest = model.specs().weights.iter().max_by_key(|spec| values(spec)).unwrap();
        assert_eq!(largest.key, table);
        let usual = usual(&*model);
        assert!(!usual.is_empty() && usual.iter().all(|spec| spec.key != table), "{}", usual[0].key);
    }

    #[test]
    fn a_measurement_runs_both_kinds_on_weights_that_are_there() {
        let device = pollster::block_on(Device::open(&OpenOptions { as_gpu: true, ..Default::default() }))
            .expect("a GPU adapter (install mesa-vulkan-drivers for a software one)");
        for dtype in [DType::Q4K, DType::Q6K, DType::Q8_0] {
            let host = Rng::new(1).weight(dtype, 64, 512);
            let weight = Arc::new(pollster::block_on(upload(&device, &host, None)).unwrap());
            let before = device.pipelines();
            pollster::block_on(pays(&device, &[weight.clone(), weight], dtype == DType::Q4K)).unwrap();
            assert!(device.pipelines() >= before + 2, "{dtype}: {} and {before}", device.pipelines());
        }
        assert!(!pollster::block_on(pays(&device, &[], false)).unwrap());
    }
}
