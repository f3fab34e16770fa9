//! `--train`: how fast steps of training run.

use super::{HUNDREDTHS, MICROS, made_up, spread};
use crate::interrupt;
use anyhow::Result;
use rullama::Engine;
use rullama_train::device::{OnDevice, StepRow};
use rullama_train::graph::StepShape;
use rullama_train::{AdamW, Base, TrainOptions, memory};
use serde_json::{Value, json};
use std::time::Instant;

/// Steps that compile pipelines and find how much is submitted at once.
const WARM_UPS: usize = 3;

/// Seconds of the parts of a step.
#[derive(Default)]
struct Times {
    step: Vec<f64>,
    forward: Vec<f64>,
    optimizer: Vec<f64>,
}

/// A record for each length: tokens a second of whole steps (forward, backward and the optimiser), batch 1, every token predicted.
pub fn measure(engine: &Engine, lengths: &[u32], options: &TrainOptions, memory: u64, how: (u32, bool)) -> Result<Vec<Value>> {
    lengths.iter().map(|tokens| one(engine, *tokens, options, memory, how)).collect()
}

fn one(engine: &Engine, tokens: u32, options: &TrainOptions, budget: u64, (runs, profile): (u32, bool)) -> Result<Value> {
    let base = Base { loaded: engine.loaded().clone(), name: engine.info().name.clone(), memory: budget };
    let shape = StepShape { tokens, targets: tokens, train: true };
    let terms = memory::terms_of_options(&(&*base.loaded).into(), options)?;
    let (_, estimated, _) = memory::least(&base, &terms, shape, options.activations)?;
    let mut device = pollster::block_on(OnDevice::fresh(&base, options, shape))?;
    let ids = made_up(tokens, engine.info().vocab, engine.tokenizer().bos(), 0);
    let row = StepRow {
        starts: vec![0; ids.len()],
        rows: (0..tokens - 1).collect(),
        targets: ids[1..].to_vec(),
        weight: 1.0 / (tokens - 1) as f32,
        ids,
    };
    let mut times = Times::default();
    for round in 0..WARM_UPS + runs as usize {
        interrupt::check()?;
        let (step, forward, optimizer) = step(&mut device, &row, round as u64 + 1)?;
        if round >= WARM_UPS {
            times.step.push(f64::from(tokens) / step);
            times.forward.push(forward);
            times.optimizer.push(optimizer);
        }
    }
    let (speed, forward, optimizer) =
        (spread(&times.step, HUNDREDTHS), spread(&times.forward, MICROS).0, spread(&times.optimizer, MICROS).0);
    let seconds = f64::from(tokens) / speed.0;
    let mut record = json!({
        "tokens": tokens,
        "rank": options.rank,
        "tok_s": speed.0,
        "tok_s_spread": speed.1,
        "forward_s": forward,
        "backward_s": (seconds - forward - optimizer).max(0.0),
        "optimizer_s": optimizer,
        "keep": format!("{:?}", device.keep).to_lowercase(),
        "estimated_bytes": estimated.total(),
        "dispatches": device.dispatches(&row),
        "gpu_bytes": engine.memory().gpu,
    });
    if profile {
        let kernels = pollster::block_on(device.profile(&row))?;
        record["kernels"] = super::kernels(&rullama::StepProfile { dispatches: kernels.len(), kernels });
    }
    Ok(record)
}

/// Seconds of a whole step, of a forward pass alone and of the optimiser.
fn step(device: &mut OnDevice, row: &StepRow, update: u64) -> Result<(f64, f64, f64)> {
    let started = Instant::now();
    pollster::block_on(device.run(row, false, [0; 3], &interrupt::requested))?;
    let forward = started.elapsed().as_secs_f64();
    let started = Instant::now();
    device.clear_gradients();
    pollster::block_on(device.run(row, true, [0; 3], &interrupt::requested))?;
    let before = started.elapsed().as_secs_f64();
    pollster::block_on(device.apply(&AdamW::default(), 1e-4, update))?;
    let whole = started.elapsed().as_secs_f64();
    Ok((whole, forward, whole - before))
}
