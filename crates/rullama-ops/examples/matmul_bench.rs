//! Times matmul kernels at shapes of real models on this machine's adapter.
//!
//! ```text
//! cargo run --release -p rullama-ops --features cases --example matmul_bench [-- [sweep] [FILTER]]
//! ```
//! Each line is one kernel: best and median of 5 runs of many dispatches, each on another copy
//! of the weight, over the wall clock (less an empty wait); then the median by GPU timestamps.
//! `sweep` tries sizes other than the chosen ones; FILTER is a part of a line's first columns.

#![allow(clippy::print_stdout, reason = "prints its results")]

use pollster::block_on;
use rullama_gpu::{Buffer, Device, GpuError, OpenOptions, Recorder, Slice, Usage};
use rullama_ops::case::Rng;
use rullama_ops::matmul::record_sized;
use rullama_ops::matmul::sizes::{Sizes, Tile, Vector};
use rullama_ops::{Chunk, Context, Epilogue, Matmul, Op, Operand, Prologue, Tensor, Weight};
use rullama_quant::{DType, Layout};
use std::sync::Arc;
use std::time::Instant;

const RUNS: usize = 5;
/// All copies of a weight lie in one buffer, larger than any cache.
const POOL: u64 = 768 << 20;

/// Rows, columns, and whether rows are pairs of a gated layer.
type Shape = (u32, u32, bool);

/// Decode steps: of E2B, and the large layers of E4B, 12B and 31B.
const DECODE: &[(Shape, DType)] = &[
    ((2048, 1536, false), DType::Q4K),
    ((4096, 1536, false), DType::Q4K),
    ((1536, 2048, false), DType::Q4K),
    ((1536, 4096, false), DType::Q4K),
    ((12288, 1536, true), DType::Q4K),
    ((24576, 1536, true), DType::Q4K),
    ((1536, 6144, false), DType::Q4K),
    ((1536, 6144, false), DType::Q6K),
    ((1536, 12288, false), DType::Q4K),
    ((256, 1536, false), DType::F32),
    ((1536, 256, false), DType::F32),
    ((256, 1536, false), DType::Q4K),
    ((262_144, 1536, false), DType::Q6K),
    ((262_144, 1536, false), DType::Q4K),
    ((20480, 2560, true), DType::Q4K),
    ((2560, 10240, false), DType::Q4K),
    ((30720, 3840, true), DType::Q4K),
    ((3840, 15360, false), DType::Q4K),
    ((3840, 15360, false), DType::Q6K),
    ((3840, 4096, false), DType::Q4K),
    ((5376, 21504, false), DType::Q4K),
    ((5376, 21504, false), DType::Q6K),
    ((43008, 5376, true), DType::Q4K),
    ((12288, 1536, true), DType::Q4_0),
    ((12288, 1536, true), DType::Q8_0),
    ((12288, 1536, true), DType::F16),
];

const PREFILL: &[(u32, Shape, DType)] = &[
    (512, (2048, 1536, false), DType::Q4K),
    (512, (1536, 2048, false), DType::Q4K),
    (512, (12288, 1536, true), DType::Q4K),
    (512, (1536, 6144, false), DType::Q4K),
    (512, (1536, 6144, false), DType::Q6K),
    (2048, (12288, 1536, true), DType::Q4K),
    (2048, (1536, 6144, false), DType::Q4K),
    (2048, (4096, 4096, false), DType::F16),
    (512, (43008, 5376, true), DType::Q4K),
    (512, (5376, 21504, false), DType::Q6K),
];

struct Bench {
    device: Device,
    pool: Buffer,
    x: Buffer,
    y: Buffer,
    scratch: Buffer,
    /// Seconds of a wait for nothing.
    idle: f64,
    filter: String,
}

/// One product to be timed.
#[derive(Clone, Copy)]
struct Work {
    tokens: u32,
    shape: Shape,
    dtype: DType,
    /// x in codes of 8 bits.
    int8: bool,
}

impl Work {
    /// Gates and ups, or a plain product.
    fn op(&self) -> Matmul {
        let prologue = if self.int8 { Prologue::Int8 } else { Prologue::Plain };
        let epilogue = match (self.shape.2, self.int8) {
            (false, _) => Epilogue::Plain,
            (true, false) => Epilogue::Geglu,
            (true, true) => Epilogue::GegluCodes,
        };
        Matmul { prologue, epilogue }
    }

    fn layout(&self) -> Layout {
        Layout::new(self.dtype, self.shape.0 as usize, self.shape.1 as usize).expect("shapes fit their formats")
    }

    fn bytes(&self) -> u64 {
        self.layout().words() as u64 * 4
    }

    fn name(&self) -> String {
        let (rows, cols, pairs) = self.shape;
        format!(
            "{:4} {}x{rows}x{cols}{}{}",
            self.dtype,
            self.tokens,
            if pairs { " geglu" } else { "" },
            if self.int8 { " int8" } else { "" }
        )
    }
}

impl Bench {
    fn open(filter: String) -> Result<Bench, GpuError> {
        let device = block_on(Device::open(&OpenOptions::default()))?;
        let storage = |bytes: u64| block_on(device.buffer("bench", bytes.min(device.caps().max_binding), Usage::Storage));
        let (pool, x, y) = (storage(POOL)?, storage(2048 * 6144 * 4)?, storage(2048 * 24576 * 4)?);
        let scratch = storage(1 << 30)?;
        fill(&device, &pool);
        fill(&device, &x);
        let waits: Vec<f64> = (0..20).map(|_| seconds(|| block_on(device.finish()))).collect::<Result<_, _>>()?;
        let idle = waits.into_iter().fold(f64::INFINITY, f64::min);
        Ok(Bench { device, pool, x, y, scratch, idle, filter })
    }

    fn operands(&self, work: &Work, copy: u64) -> Vec<Operand> {
        let (rows, cols, pairs) = work.shape;
        let tensor = |buffer: &Buffer, cols: u32| {
            Operand::Tensor(Tensor { slice: buffer.whole(), rows: work.tokens, cols, stride: cols, offset: 0 })
        };
        let stride = work.bytes().next_multiple_of(256);
        let slice = Slice { buffer: self.pool.clone(), offset: copy % (self.pool.size() / stride) * stride, size: work.bytes() };
        let chunks = vec![Chunk { slice, first_row: 0, rows, planes: work.layout().planes(), start: 0, step: 1 }];
        let weight = Weight { name: "bench".into(), dtype: work.dtype, rows, cols, chunks };
        vec![tensor(&self.x, cols), Operand::Weight(Arc::new(weight)), tensor(&self.y, if pairs { rows / 2 } else { rows })]
    }

    /// Times `dispatches` products, each on the next copy of the weight.
    fn time(&self, work: &Work, label: &str, record: impl Fn(&mut Context, &[Operand]) -> Result<(), GpuError>) -> Result<(), GpuError> {
        let flops = 2.0 * f64::from(work.tokens) * f64::from(work.shape.0) * f64::from(work.shape.1);
        // About 5 ms at 1 TB/s or 10 TFLOP/s.
        let dispatches = (5e-3 / (work.bytes() as f64 / 1e12).max(flops / 1e13)).clamp(8.0, 400.0) as u64;
        let mut recorder = Recorder::new();
        for copy in 0..dispatches {
            let mut context = Context {
                recorder: &mut recorder,
                caps: self.device.caps(),
                variant: None,
                banned: &[],
                scratch: Some(self.scratch.whole()),
            };
            record(&mut context, &self.operands(work, copy))?;
        }
        let recording = block_on(recorder.finish(&self.device))?;
        let run = || {
            self.device.submit(&recording);
            block_on(self.device.finish())
        };
        run()?;
        let mut times: Vec<f64> = (0..RUNS).map(|_| seconds(run)).collect::<Result<_, _>>()?;
        times.iter_mut().for_each(|t| *t = (*t - self.idle) / dispatches as f64);
        times.sort_by(f64::total_cmp);
        let mut kernels: Vec<f64> = block_on(self.device.profile(&recording))?.iter().map(|k| k.seconds).collect();
        kernels.sort_by(f64::total_cmp);
        let kernel = kernels.get(kernels.len() / 2).copied().unwrap_or(f64::NAN);
        let rate = |t: f64| if work.tokens <= 8 { work.bytes() as f64 / t * 1e-9 } else { flops / t * 1e-12 };
        let unit = if work.tokens <= 8 { "GB/s" } else { "TFLOP/s" };
        let us = 1e6;
        println!(
            "{:33} {label:44} best {:9.2} us, median {:9.2} us, {:8.1} {unit}; timestamps {:9.2} us, {:8.1} {unit}",
            work.name(),
            times[0] * us,
            times[RUNS / 2] * us,
            rate(times[0]),
            kernel * us,
            rate(kernel)
        );
        Ok(())
    }

    fn skips(&self, work: &Work, label: &str) -> bool {
        work.bytes() > self.pool.size() || !format!("{} {label}", work.name()).contains(&self.filter)
    }

    /// The variants that the operation offers, those for this many tokens first.
    fn variants(&self, work: &Work) -> Result<(), GpuError> {
        if work.bytes() > self.pool.size() {
            return Ok(());
        }
        let op = work.op();
        let all = op.variants(self.device.caps(), &self.operands(work, 0));
        let wanted = if work.tokens <= 8 { "vector" } else { "tile" };
        for variant in all.into_iter().filter(|v| v.starts_with(wanted) && !self.skips(work, v)) {
            self.time(work, variant, |context, operands| {
                context.variant = Some(variant);
                op.record(context, operands)
            })?;
        }
        Ok(())
    }

    fn sized(&self, work: &Work, label: &str, sizes: Sizes) -> Result<(), GpuError> {
        if self.skips(work, label) {
            return Ok(());
        }
        self.time(work, label, |context, operands| record_sized(&work.op(), context, operands, sizes))
    }

    fn sweep_vector(&self, work: &Work) -> Result<(), GpuError> {
        let (groups, pairs) = (work.shape.1 / 32, work.shape.2);
        for (rows, team, workgroup) in triples([1, 2, 4, 8], [8, 16, 32, 64, 128], [128, 256, 512]) {
            for unroll in [1, 2, 3, 4] {
                let sizes = Vector { team, rows, cols: work.tokens, unroll, workgroup };
                // Two thirds of the lanes idle, or a second place for the same sizes.
                let fits = workgroup <= self.device.caps().invocations && sizes.problem(groups, pairs, work.int8).is_none();
                if fits && team * unroll <= 2 * groups {
                    let label = format!("rows {rows} team {team} unroll {unroll} workgroup {workgroup}");
                    self.sized(work, &label, Sizes::Vector { subgroups: true, sizes })?;
                }
            }
        }
        Ok(())
    }

    fn sweep_tile(&self, work: &Work) -> Result<(), GpuError> {
        let blocks = [(64, 64, 4, 4), (64, 64, 8, 4), (64, 64, 8, 8), (128, 64, 8, 4), (128, 64, 8, 8), (64, 128, 8, 8), (128, 128, 8, 8)];
        for (bm, bn, tm, tn) in blocks {
            for (bk, shares) in [(16, 1), (32, 1), (16, 2), (16, 4), (16, 8), (32, 4)] {
                let tile = Tile { bm, bn, bk: if work.int8 { 2 * bk } else { bk }, tm, tn, int8: work.int8 };
                let bk = tile.bk;
                if tile.problem(self.device.caps()).is_none() {
                    self.sized(work, &format!("tile {bm}x{bn}x{bk} by {tm}x{tn}, {shares} shares"), Sizes::Tile { tile, shares })?;
                }
            }
        }
        Ok(())
    }
}

/// The product as it is and, where the format has codes, with x in codes.
fn both(work: Work) -> impl Iterator<Item = Work> {
    let codes = work.dtype.has_codes().then_some(Work { int8: true, ..work });
    std::iter::once(work).chain(codes)
}

/// All triples.
fn triples<const A: usize, const B: usize, const C: usize>(a: [u32; A], b: [u32; B], c: [u32; C]) -> impl Iterator<Item = (u32, u32, u32)> {
    a.into_iter().flat_map(move |a| b.into_iter().flat_map(move |b| c.into_iter().map(move |c| (a, b, c))))
}

fn seconds(run: impl FnOnce() -> Result<(), GpuError>) -> Result<f64, GpuError> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed().as_secs_f64())
}

/// Random bits that are numbers below 1 as halves and as f32, so that nothing overflows.
fn fill(device: &Device, buffer: &Buffer) {
    let mut rng = Rng::new(1);
    let words: Vec<u32> = (0..4 << 20).map(|_| rng.bits() as u32 & 0x3bff_3bff).collect();
    let bytes: &[u8] = bytemuck::cast_slice(&words);
    for offset in (0..buffer.size()).step_by(bytes.len()) {
        let len = (buffer.size() - offset).min(bytes.len() as u64) as usize;
        device.write(buffer, offset, &bytes[..len]);
    }
}

fn main() -> Result<(), GpuError> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let sweep = arguments.first().is_some_and(|a| a == "sweep");
    arguments.drain(..usize::from(sweep));
    let bench = Bench::open(arguments.join(" "))?;
    println!("{} {}, empty wait {:.0} us", bench.device.name(), bench.device.driver(), bench.idle * 1e6);
    let decode = DECODE.iter().map(|&(shape, dtype)| Work { tokens: 1, shape, dtype, int8: false });
    let several = [2, 4, 8].map(|tokens| Work { tokens, shape: (12288, 1536, true), dtype: DType::Q4K, int8: false });
    for work in decode.chain(several).flat_map(both) {
        if sweep { bench.sweep_vector(&work)? } else { bench.variants(&work)? }
    }
    for work in PREFILL.iter().map(|&(tokens, shape, dtype)| Work { tokens, shape, dtype, int8: false }).flat_map(both) {
        if sweep { bench.sweep_tile(&work)? } else { bench.variants(&work)? }
    }
    Ok(())
}
