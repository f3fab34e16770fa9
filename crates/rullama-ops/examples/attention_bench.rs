//! Times attention and its preparation at the shapes of the 2B model on this machine's adapter.
//!
//! ```text
//! cargo run --release -p rullama-ops --features cases --example attention_bench [-- FILTER]
//! ```
//! Each line is one variant: median of 5 runs of many recorded steps, each on the next of several
//! sets of operands, over the wall clock (less an empty wait); then, by GPU timestamps, the
//! median of each kernel. FILTER is a part of a line's first columns.

#![allow(clippy::print_stdout, reason = "prints its results")]

use pollster::block_on;
use rullama_gpu::{Buffer, Device, GpuError, OpenOptions, Recorder, Slice, Usage};
use rullama_ops::case::Rng;
use rullama_ops::qkv::ROPE_LOW;
use rullama_ops::{Attention, Cache, Context, KvType, Op, Operand, QkvPrepare, StepState, Tensor};
use std::time::Instant;

const RUNS: usize = 5;
const HEADS: u32 = 8;
const KV_HEADS: u32 = 1;
/// Longest context.
const POSITIONS: u32 = 32_768 + 512;
/// Sets of operands, as many layers have their own.
const SETS: u32 = 4;
/// A run is about this long, by the first step's time.
const RUN_SECONDS: f64 = 0.02;

/// A step: tokens, position of the first, head size, window.
#[derive(Clone, Copy)]
struct Step {
    tokens: u32,
    position: u32,
    head_dim: u32,
    window: Option<u32>,
}

/// Layers with a window have heads of 256, the others of 512.
fn steps() -> Vec<Step> {
    let at = |tokens, position| [(256, Some(512)), (512, None)].map(|(head_dim, window)| Step { tokens, position, head_dim, window });
    [(1, 64), (1, 512), (1, 4096), (1, 32_768), (512, 0), (512, 1536)].into_iter().flat_map(|(t, p)| at(t, p)).collect()
}

impl Step {
    fn name(&self) -> String {
        let window = self.window.map_or("all keys".into(), |w| format!("window {w}"));
        format!("{:3} tokens at {:5}, heads of {}, {window}", self.tokens, self.position, self.head_dim)
    }

    fn slots(&self) -> u32 {
        self.window.map_or(POSITIONS, |w| w + self.tokens)
    }
}

struct Bench {
    device: Device,
    state: Buffer,
    /// Queries and raw keys and values; results; keys; values; rope tables.
    buffers: [Buffer; 5],
    idle: f64,
    filter: String,
}

impl Bench {
    fn open(filter: String) -> Result<Bench, GpuError> {
        let device = block_on(Device::open(&OpenOptions::default()))?;
        let buffer = |words: u64| -> Result<Buffer, GpuError> {
            let buffer = block_on(device.buffer("bench", words * 4, Usage::Storage))?;
            fill(&device, &buffer);
            Ok(buffer)
        };
        let activations = u64::from(512 * HEADS * 512);
        let cache = u64::from(SETS * POSITIONS * KV_HEADS * 512 / 2);
        let buffers = [buffer(activations)?, buffer(activations)?, buffer(cache)?, buffer(cache)?, buffer(u64::from(ROPE_LOW * 512))?];
        let state = block_on(device.buffer("state", 32, Usage::Storage))?;
        let waits: Vec<f64> = (0..20).map(|_| seconds(|| block_on(device.finish()))).collect::<Result<_, _>>()?;
        let idle = waits.into_iter().fold(f64::INFINITY, f64::min);
        Ok(Bench { device, state, buffers, idle, filter })
    }

    fn tensor(&self, buffer: usize, rows: u32, cols: u32) -> Operand {
        Operand::Tensor(Tensor { slice: self.buffers[buffer].whole(), rows, cols, stride: cols, offset: 0 })
    }

    fn cache(&self, buffer: usize, step: &Step, set: u32) -> Operand {
        let width = KV_HEADS * step.head_dim;
        let size = KvType::F16.bytes(step.slots(), width);
        let slice = Slice { buffer: self.buffers[buffer].clone(), offset: u64::from(set) * size.next_multiple_of(256), size };
        Operand::Cache(Cache { slice, kv: KvType::F16, slots: step.slots(), width })
    }

    fn attention(&self, step: &Step, set: u32) -> Vec<Operand> {
        let width = HEADS * step.head_dim;
        let (q, y) = (self.tensor(0, step.tokens, width), self.tensor(1, step.tokens, width));
        vec![q, self.cache(2, step, set), self.cache(3, step, set), Operand::Words(self.state.whole()), y]
    }

    fn prepare(&self, step: &Step, set: u32) -> Vec<Operand> {
        let (n, width) = (step.head_dim, HEADS * step.head_dim);
        let kv = || self.tensor(0, step.tokens, KV_HEADS * n);
        let (norm, table) = (|| self.tensor(0, 1, n), || self.tensor(4, ROPE_LOW, n));
        let state = Operand::Words(self.state.whole());
        let [k, v] = [2, 3].map(|buffer| self.cache(buffer, step, set));
        vec![
            self.tensor(0, step.tokens, width),
            kv(),
            kv(),
            norm(),
            norm(),
            table(),
            table(),
            state,
            self.tensor(1, step.tokens, width),
            k,
            v,
        ]
    }

    /// Records `count` steps with one variant.
    fn record(&self, op: &dyn Op, variant: &'static str, count: u32, operands: impl Fn(u32) -> Vec<Operand>) -> Result<Recorder, GpuError> {
        let caps = self.device.caps();
        let bytes = op.scratch(caps, &operands(0));
        let scratch = if bytes == 0 { None } else { Some(block_on(self.device.buffer("scratch", bytes, Usage::Storage))?.whole()) };
        let mut recorder = Recorder::new();
        for i in 0..count {
            let mut context = Context { recorder: &mut recorder, caps, variant: Some(variant), banned: &[], scratch: scratch.clone() };
            op.record(&mut context, &operands(i % SETS))?;
        }
        Ok(recorder)
    }

    fn variants(&self, op: &dyn Op, step: &Step, operands: impl Fn(u32) -> Vec<Operand>) -> Result<(), GpuError> {
        let state = StepState { position: step.position, tokens: step.tokens, ..Default::default() };
        self.device.write(&self.state, 0, bytemuck::bytes_of(&state));
        for variant in op.variants(self.device.caps(), &operands(0)) {
            let name = format!("{:11} {} {variant:16}", op.name(), step.name());
            // The plain kernel over a long context takes longer than all others together.
            let slow = variant == "naive" && step.position > 4096 && self.filter.is_empty();
            if name.contains(&self.filter) && !slow {
                self.time(&name, op, variant, &operands)?;
            }
        }
        Ok(())
    }

    fn time(&self, name: &str, op: &dyn Op, variant: &'static str, operands: impl Fn(u32) -> Vec<Operand>) -> Result<(), GpuError> {
        let run = |recording: &rullama_gpu::Recording| {
            self.device.submit(recording);
            block_on(self.device.finish())
        };
        let once = block_on(self.record(op, variant, 1, &operands)?.finish(&self.device))?;
        run(&once)?;
        let guess = (seconds(|| run(&once))? - self.idle).max(2e-6);
        let count = ((RUN_SECONDS / guess) as u32).clamp(1, 200);
        let recording = block_on(self.record(op, variant, count, &operands)?.finish(&self.device))?;
        run(&recording)?;
        let mut times: Vec<f64> = (0..RUNS).map(|_| seconds(|| run(&recording))).collect::<Result<_, _>>()?;
        times.sort_by(f64::total_cmp);
        let step = (times[RUNS / 2] - self.idle) / f64::from(count) * 1e6;
        let mut kernels: Vec<(String, Vec<f64>)> = Vec::new();
        for time in block_on(self.device.profile(&recording))? {
            match kernels.iter_mut().find(|k| k.0 == time.label) {
                Some(kernel) => kernel.1.push(time.seconds),
                None => kernels.push((time.label, vec![time.seconds])),
            }
        }
        let median = |times: &mut Vec<f64>| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2] * 1e6
        };
        let kernels: Vec<String> = kernels.into_iter().map(|(label, mut times)| format!("{label} {:.2}", median(&mut times))).collect();
        println!("{name} {step:10.2} us a step; kernels in us: {}", kernels.join(", "));
        Ok(())
    }
}

/// Small halves in both parts of every word: sane as f32 and as f16.
fn fill(device: &Device, buffer: &Buffer) {
    let mut rng = Rng::new(1);
    let block: Vec<u32> = (0..1 << 18).map(|_| 0x3000_3000 | (rng.bits() as u32 & 0x83ff_83ff)).collect();
    let bytes: &[u8] = bytemuck::cast_slice(&block);
    for offset in (0..buffer.size()).step_by(bytes.len()) {
        let len = (buffer.size() - offset).min(bytes.len() as u64) as usize;
        device.write(buffer, offset, &bytes[..len]);
    }
}

fn seconds(run: impl FnOnce() -> Result<(), GpuError>) -> Result<f64, GpuError> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed().as_secs_f64())
}

fn main() -> Result<(), GpuError> {
    let bench = Bench::open(std::env::args().nth(1).unwrap_or_default())?;
    println!("{} ({})", bench.device.name(), bench.device.driver());
    for step in steps() {
        let &Step { head_dim, window, .. } = &step;
        let prepare = QkvPrepare { heads: HEADS, kv_heads: KV_HEADS, head_dim, eps: 1e-6 };
        bench.variants(&Attention { heads: HEADS, kv_heads: KV_HEADS, head_dim, window, blocks: false, codes: false }, &step, |set| {
            bench.attention(&step, set)
        })?;
        bench.variants(&prepare, &step, |set| bench.prepare(&step, set))?;
    }
    Ok(())
}
