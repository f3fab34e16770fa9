//! Times the operations of a training step at shapes of a 2B model on this machine's adapter.
//!
//! ```text
//! cargo run --release -p rullama-ops --features cases --example training_bench [-- [sweep] [FILTER]]
//! ```
//! Each line is one variant: the median of GPU timestamps, summed over the dispatches of one record. `sweep` also tries sizes of
//! transposed products other than the chosen ones; FILTER is a part of a line's first columns.

#![allow(clippy::print_stdout, reason = "prints its results")]

use pollster::block_on;
use rullama_gpu::{Buffer, Device, GpuError, OpenOptions, Recorder, Slice, Usage};
use rullama_ops::case::{Rng, upload};
use rullama_ops::matmul::sizes::Tile;
use rullama_ops::matmul::transposed::record_sized;
use rullama_ops::matmul::transposed::sizes::{Dims, Kernel, Sizes};
use rullama_ops::{Context, Dense, LossGrad, LossStats, MatmulT, Op, Operand, OuterSum, ScatterAdd, Tensor, Weight};
use rullama_quant::DType;
use std::sync::Arc;

/// How often each is recorded.
const TIMES: usize = 12;
const RANK: u32 = 16;

struct Bench {
    device: Device,
    /// Values to read and to write.
    read: Buffer,
    write: Buffer,
    scratch: Buffer,
    filter: String,
}

impl Bench {
    fn open(filter: String) -> Result<Bench, GpuError> {
        let device = block_on(Device::open(&OpenOptions::default()))?;
        let storage = |bytes: u64| block_on(device.buffer("bench", bytes.min(device.caps().max_binding), Usage::Storage));
        let (read, write, scratch) = (storage(256 << 20)?, storage(256 << 20)?, storage(512 << 20)?);
        let mut rng = Rng::new(1);
        let words: Vec<u32> = (0..1 << 20).map(|_| rng.unit().to_bits()).collect();
        for offset in (0..read.size()).step_by(4 << 20) {
            device.write(&read, offset, bytemuck::cast_slice(&words));
        }
        Ok(Bench { device, read, write, scratch, filter })
    }

    fn tensor(&self, buffer: &Buffer, rows: u32, cols: u32) -> Operand {
        Operand::Tensor(Tensor { slice: buffer.slice(0, u64::from(rows * cols) * 4), rows, cols, stride: cols, offset: 0 })
    }

    /// Prints what a record takes, in microseconds, TFLOP/s and GB/s of the `bytes` that it moves.
    fn time(&self, name: &str, (flops, bytes): (f64, f64), record: impl Fn(&mut Context) -> Result<(), GpuError>) -> Result<(), GpuError> {
        if !name.contains(&self.filter) {
            return Ok(());
        }
        let mut recorder = Recorder::new();
        for _ in 0..TIMES {
            let scratch: Option<Slice> = Some(self.scratch.whole());
            record(&mut Context { recorder: &mut recorder, caps: self.device.caps(), variant: None, banned: &[], scratch })?;
        }
        let each = recorder.len() / TIMES;
        let recording = block_on(recorder.finish(&self.device))?;
        self.device.submit(&recording);
        let kernels = block_on(self.device.profile(&recording))?;
        let mut sums: Vec<f64> = kernels.chunks(each).map(|part| part.iter().map(|k| k.seconds).sum()).collect();
        sums.sort_by(f64::total_cmp);
        let time = sums.get(sums.len() / 2).copied().unwrap_or(f64::NAN);
        println!("{name:64} {:9.1} us {:7.2} TFLOP/s {:7.0} GB/s", time * 1e6, flops / time * 1e-12, bytes / time * 1e-9);
        Ok(())
    }

    fn variants(&self, name: &str, work: (f64, f64), op: &dyn Op, operands: &[Operand]) -> Result<(), GpuError> {
        for variant in op.variants(self.device.caps(), operands) {
            self.time(&format!("{name} {variant}"), work, |context| {
                context.variant = Some(variant);
                op.record(context, operands)
            })?;
        }
        Ok(())
    }

    fn transposed(&self, tokens: u32, (rows, cols): (u32, u32), sweep: bool) -> Result<(), GpuError> {
        let host = Rng::new(2).weight(DType::Q4K, rows as usize, cols as usize);
        let weight: Weight = block_on(upload(&self.device, &host, None))?;
        let operands = [self.tensor(&self.read, tokens, rows), Operand::Weight(Arc::new(weight)), self.tensor(&self.write, tokens, cols)];
        let work = (2.0 * f64::from(tokens) * f64::from(rows) * f64::from(cols), host.bytes.len() as f64);
        let name = format!("matmul_transposed {tokens}x{rows}x{cols}");
        let op = MatmulT { add: false };
        if !sweep {
            return self.variants(&name, work, &op, &operands);
        }
        for (cols, quads, shares) in [(1, 8, 1), (2, 8, 1), (4, 8, 1), (8, 8, 1), (4, 1, 1), (8, 1, 1), (16, 1, 1), (8, 1, 8), (8, 1, 32)] {
            let sizes = Sizes { kernel: Kernel::Columns { cols, quads }, shares };
            let label = format!("{name} {cols} tokens x {quads} quads, {shares} shares");
            self.time(&label, work, |context| record_sized(&op, context, &operands, &sizes))?;
        }
        let chosen = Dims { tokens, rows, cols }.variants(self.device.caps())[0];
        for (bm, bn, tm, tn) in [(64, 64, 4, 4), (64, 64, 8, 4), (64, 128, 8, 8), (128, 64, 8, 4), (128, 128, 8, 8)] {
            for (bk, shares) in [(16, 1), (32, 1), (16, 2), (16, 4), (32, 4), (16, 8)] {
                let tile = Tile { bm, bn, bk, tm, tn, int8: false };
                if tile.problem(self.device.caps()).is_none() {
                    let sizes = Sizes { kernel: Kernel::Tile(tile), shares };
                    let label = format!("{name} {bm}x{bn}x{bk} by {tm}x{tn}, {shares} shares (chosen {chosen})");
                    self.time(&label, work, |context| record_sized(&op, context, &operands, &sizes))?;
                }
            }
        }
        Ok(())
    }

    /// A product of low rank, both ways, and the gradients of its factors.
    fn low_rank(&self, tokens: u32, wide: u32) -> Result<(), GpuError> {
        let work = (2.0 * f64::from(tokens) * f64::from(wide) * f64::from(RANK), f64::from(tokens) * f64::from(wide) * 4.0);
        let (read, write) = (|rows, cols| self.tensor(&self.read, rows, cols), |rows, cols| self.tensor(&self.write, rows, cols));
        for transposed in [true, false] {
            let kind = if transposed { "transposed" } else { "plain" };
            let m = |k, n| if transposed { read(n, k) } else { read(k, n) };
            let op = Dense { transposed, scale: 1.0, add: false };
            let down = [read(tokens, wide), m(wide, RANK), write(tokens, RANK)];
            self.variants(&format!("dense {kind} {tokens}x{wide} to {RANK}"), work, &op, &down)?;
            let up = [read(tokens, RANK), m(RANK, wide), write(tokens, wide), write(tokens, wide)];
            self.variants(&format!("dense {kind} {tokens}x{RANK} to {wide} added"), work, &Dense { add: true, ..op }, &up)?;
        }
        let op = OuterSum { scale: 1.0, first_row: 0 };
        for (m, n) in [(RANK, wide), (wide, RANK)] {
            let operands = [read(tokens, m), read(tokens, n), write(m, n)];
            self.variants(&format!("outer_sum {tokens}: {m}x{n}"), work, &op, &operands)?;
        }
        Ok(())
    }

    fn loss(&self, rows: u32, tile: u32) -> Result<(), GpuError> {
        let (read, write) = (|rows, cols| self.tensor(&self.read, rows, cols), |rows, cols| self.tensor(&self.write, rows, cols));
        let work = (0.0, f64::from(rows) * f64::from(tile) * 4.0);
        let targets = Operand::Words(self.read.slice(0, u64::from(rows) * 8));
        let stats = LossStats { cap: 30.0, first: 0, begins: false };
        let operands = [read(rows, tile), targets.clone(), read(rows, 4), write(rows, 4)];
        self.variants(&format!("loss_stats {rows}x{tile}"), work, &stats, &operands)?;
        let operands = [read(rows, tile), targets, read(rows, 4), write(rows, tile)];
        self.variants(&format!("loss_grad {rows}x{tile}"), work, &LossGrad { cap: 30.0, first: 0 }, &operands)?;
        let ids = Operand::Words(self.read.slice(0, u64::from(rows) * 4));
        let operands = [ids, read(rows, RANK), write(1 << 18, RANK)];
        self.variants(&format!("scatter_add {rows}x{RANK}"), work, &ScatterAdd { skip: None }, &operands)
    }
}

fn main() -> Result<(), GpuError> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let sweep = arguments.first().is_some_and(|a| a == "sweep");
    arguments.drain(..usize::from(sweep));
    let bench = Bench::open(arguments.join(" "))?;
    println!("{} {}", bench.device.name(), bench.device.driver());
    for tokens in [64, 512, 2048] {
        for shape in [(2048, 1536), (1536, 2048), (6144, 1536), (1536, 6144), (8192, 1536)] {
            bench.transposed(tokens, shape, false)?;
            if sweep && tokens < 2048 {
                bench.transposed(tokens, shape, true)?;
            }
        }
        for wide in [1536, 12288] {
            bench.low_rank(tokens, wide)?;
        }
        bench.loss(tokens, 8192)?;
    }
    Ok(())
}
