//! Microseconds per sampled token at Gemma 4's vocabulary: `cargo run --release -p rullama-ops
//! --example sample_bench`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use rullama_gpu::{Buffer, Device, GpuError, OpenOptions, Recorder, Recording, Usage};
use rullama_ops::sample::{HISTORY, RESULT_WORDS, RESULTS, bias_words};
use rullama_ops::{Context, Op, Operand, Sample, SampleMode, SampleSettings, StepState, Tensor};
use std::time::Instant;

const VOCAB: u32 = 262_144;

/// A recording of `repeats` steps on `settings`.
async fn record(
    device: &Device,
    logits: &Buffer,
    mode: SampleMode,
    settings: SampleSettings,
    repeats: usize,
) -> Result<Recording, GpuError> {
    let words = [
        bytemuck::cast_slice(&[settings]).to_vec(),
        bias_words(&[]),
        vec![5; HISTORY],
        vec![0; 8],
        vec![0; 4],
        vec![0; RESULTS * RESULT_WORDS],
        (0..VOCAB / 32).map(|word| word.wrapping_mul(0x9e37_79b9)).collect(),
    ];
    let mut operands = vec![Operand::Tensor(Tensor { slice: logits.whole(), rows: 1, cols: VOCAB, stride: VOCAB, offset: 0 })];
    for words in words {
        let buffer = device.buffer("operand", words.len() as u64 * 4, Usage::Storage).await?;
        device.write(&buffer, 0, bytemuck::cast_slice(&words));
        operands.push(Operand::Words(buffer.whole()));
    }
    let state = StepState { position: 5000, ..Default::default() };
    device.write(&operands[4].words()?.buffer, 0, bytemuck::bytes_of(&state));
    let op = Sample { vocab: VOCAB, mode };
    let scratch = device.buffer("scratch", op.scratch(device.caps(), &operands), Usage::Storage).await?;
    let mut recorder = Recorder::new();
    for _ in 0..repeats {
        op.record(
            &mut Context { recorder: &mut recorder, caps: device.caps(), variant: None, banned: &[], scratch: Some(scratch.whole()) },
            &operands,
        )?;
    }
    recorder.finish(device).await
}

/// Median over 9 submissions of the seconds a step takes.
async fn measure(device: &Device, recording: &Recording, repeats: usize) -> Result<f64, GpuError> {
    let mut times = Vec::new();
    for _ in 0..10 {
        let start = Instant::now();
        device.submit(recording);
        device.finish().await?;
        times.push(start.elapsed().as_secs_f64() / repeats as f64);
    }
    times.remove(0);
    times.sort_by(f64::total_cmp);
    Ok(times[4])
}

async fn run() -> Result<(), GpuError> {
    let device = Device::open(&OpenOptions::default()).await?;
    let repeats = if device.caps().software { 2 } else { 100 };
    let logits = device.buffer("logits", u64::from(VOCAB) * 4, Usage::Storage).await?;
    // Sums of hashes: few large logits, many middling ones.
    let hash = |i: u32| (i ^ i >> 15).wrapping_mul(0x2c1b_3c6d) >> 8;
    let value = |i: u32| (0..4).map(|j| hash(i * 4 + j) as f32 / (1 << 23) as f32 - 1.0).sum::<f32>() * 5.0;
    let values: Vec<f32> = (0..VOCAB).map(value).collect();
    device.write(&logits, 0, bytemuck::cast_slice(&values));
    let drawn = |top_k| SampleSettings { top_k, ..Default::default() };
    let penalties = SampleSettings { repeat_penalty: 1.1, repeat_last_n: 4096, ..drawn(64) };
    let runs = [
        ("greedy", SampleMode::Greedy, SampleSettings { temperature: 0.0, ..drawn(64) }),
        ("greedy, logprob", SampleMode::Greedy, SampleSettings { temperature: 0.0, logprobs: 1, ..drawn(64) }),
        ("top_k 64", SampleMode::TopK, drawn(64)),
        ("top_k 64, masked", SampleMode::TopK, SampleSettings { masked: 1, ..drawn(64) }),
        ("top_k 64, logprobs 20", SampleMode::TopK, SampleSettings { logprobs: 21, ..drawn(64) }),
        ("top_k 64, penalties over 4096", SampleMode::TopK, penalties),
        ("top_k 1024", SampleMode::WideTopK, drawn(1024)),
    ];
    println!("{} ({}), {repeats} steps a submission, median of 9", device.name(), device.backend());
    for (name, mode, settings) in runs {
        let recording = record(&device, &logits, mode, settings, repeats).await?;
        let seconds = measure(&device, &recording, repeats).await?;
        println!("{name:30} {:8.1} us, {} dispatches", seconds * 1e6, recording.dispatches() / repeats);
        if device.caps().timestamps {
            let one = record(&device, &logits, mode, settings, 1).await?;
            for kernel in device.profile(&one).await? {
                println!("    {:26} {:8.1} us", kernel.label, kernel.seconds * 1e6);
            }
        }
    }
    Ok(())
}

fn main() {
    if let Err(error) = pollster::block_on(run()) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
