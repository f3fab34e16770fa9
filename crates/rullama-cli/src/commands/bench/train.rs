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
const WARM_UPS: u32 = 3;

/// Seconds of the parts of a step.
#[derive(Default)]
struct Times {
    step: Vec<f64>,
    data: Vec<f64>,
    forward: Vec<f64>,
    optimizer: Vec<f64>,
}

/// A record for each length: tokens a second of whole steps (data, forward, backward and the optimiser), batch 1, every token
/// predicted, other tokens in each.
pub fn measure(engine: &Engine, lengths: &[u32], options: &TrainOptions, memory: u64, how: (u32, bool)) -> Result<Vec<Value>> {
    lengths.iter().map(|tokens| one(engine, *tokens, options, memory, how)).collect()
}

fn one(engine: &Engine, tokens: u32, options: &TrainOptions, budget: u64, (runs, profile): (u32, bool)) -> Result<Value> {
    let base = Base { loaded: engine.loaded().clone(), name: engine.info().name.clone(), memory: budget };
    let shape = StepShape { tokens, targets: tokens, train: true };
    let terms = memory::terms_of_options(&(&*base.loaded).into(), options)?;
    let (_, estimated, _) = memory::least(&base, &terms, shape, options.activations)?;
    let mut device = pollster::block_on(OnDevice::fresh(&base, options, shape))?;
    let row = |round: u32| {
        let ids = made_up(tokens, engine.info().vocab, engine.tokenizer().bos(), round);
        let (targets, starts) = (ids[1..].to_vec(), vec![0; ids.len()]);
        StepRow { starts, rows: (0..tokens - 1).collect(), targets, weight: 1.0 / (tokens - 1) as f32, ids }
    };
    let mut times = Times::default();
    for round in 0..WARM_UPS + runs {
        interrupt::check()?;
        let step = step(&mut device, &row(round), u64::from(round) + 1)?;
        if round >= WARM_UPS {
            times.step.push(f64::from(tokens) / (step.data + step.whole));
            times.data.push(step.data);
            times.forward.push(step.forward);
            times.optimizer.push(step.optimizer);
        }
    }
    let last = row(WARM_UPS + runs - 1);
    let speed = spread(&times.step, HUNDREDTHS);
    let [data, forward, optimizer] = [&times.data, &times.forward, &times.optimizer].map(|times| spread(times, MICROS).0);
    let seconds = f64::from(tokens) / speed.0;
    let mut record = json!({
        "tokens": tokens,
        "rank": options.rank,
        "tok_s": speed.0,
        "tok_s_spread": speed.1,
        "data_s": data,
        "forward_s": forward,
        "backward_s": (seconds - data - forward - optimizer).max(0.0),
        "optimizer_s": optimizer,
        "keep": format!("{:?}", device.keep).to_lowercase(),
        "estimated_bytes": estimated.total(),
        "dispatches": device.dispatches(&last),
        "gpu_bytes": engine.memory().gpu,
    });
    if profile {
        let kernels = pollster::block_on(device.profile(&last))?;
        record["kernels"] = super::kernels(&rullama::StepProfile { dispatches: kernels.len(), kernels });
    }
    Ok(record)
}

/// Seconds of a step: of putting a row's data there, of what follows, and of that what the optimiser takes; and of a forward pass alone.
struct Seconds {
    data: f64,
    whole: f64,
    optimizer: f64,
    forward: f64,
}

fn step(device: &mut OnDevice, row: &StepRow, update: u64) -> Result<Seconds> {
    let started = Instant::now();
    pollster::block_on(device.data(row))?;
    let data = started.elapsed().as_secs_f64();
    let started = Instant::now();
    pollster::block_on(device.run(row, false, [0; 3], &interrupt::requested))?;
    let forward = started.elapsed().as_secs_f64();
    let started = Instant::now();
    device.clear_gradients();
    pollster::block_on(device.run(row, true, [0; 3], &interrupt::requested))?;
    let before = started.elapsed().as_secs_f64();
    pollster::block_on(device.apply(&AdamW::default(), 1e-4, update))?;
    let whole = started.elapsed().as_secs_f64();
    Ok(Seconds { data, whole, optimizer: whole - before, forward })
}
