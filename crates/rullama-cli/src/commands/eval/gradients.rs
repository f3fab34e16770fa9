//! `--sequences`, `--gradients`: the loss of given tokens and its gradients by an adapter's matrices.

use super::Named;
use anyhow::{Context, Result, bail};
use rullama::Engine;
use rullama::adapter::{Adapter, Target};
use rullama_model::lora::{Terms, terms_of};
use rullama_ops::Part;
use rullama_train::AdamW;
use rullama_train::device::{Matrices, OnDevice, StepRow};
use rullama_train::graph::{Keep, StepShape};
use rullama_train::terms::{PREFIX, matrices_of, named};
use safetensors::tensor::Dtype;
use serde::Deserialize;
use std::path::Path;

/// What to train on: `{"sequences": [{"ids": [...], "target_mask": [...]}]}`.
#[derive(Deserialize)]
pub struct Sequences {
    sequences: Vec<Sequence>,
}

/// Tokens, and for each whether it is predicted and counted.
#[derive(Deserialize)]
struct Sequence {
    ids: Vec<u32>,
    target_mask: Vec<u8>,
}

/// Steps of the optimiser to take, and its settings.
pub struct Steps {
    pub count: u32,
    pub adamw: AdamW,
}

impl Sequences {
    /// Reads and checks a file.
    pub fn read(path: &Path, vocab: u32) -> Result<Self> {
        let name = path.display();
        let text = crate::input::file(path)?;
        let read: Sequences = serde_json::from_str(crate::input::without_mark(&text))
            .with_context(|| format!("{name} is not of the form {{\"sequences\": [{{\"ids\", \"target_mask\"}}]}}"))?;
        for (i, sequence) in read.sequences.iter().enumerate() {
            let (ids, mask) = (&sequence.ids, &sequence.target_mask);
            if ids.len() != mask.len() || ids.len() < 2 {
                bail!(
                    "{name}: sequence {i} has {} ids and {} in its target_mask; both have one for each of 2 tokens or more",
                    ids.len(),
                    mask.len()
                );
            }
            if let Some(bad) = mask.iter().find(|m| **m > 1) {
                bail!("{name}: sequence {i}: a target_mask holds 0 and 1, not {bad}");
            }
            if mask[0] == 1 {
                bail!("{name}: sequence {i}: nothing predicts the first token, so it cannot be a target");
            }
            crate::sampling::check_ids(ids, vocab).with_context(|| format!("{name}: sequence {i}"))?;
        }
        if read.targets() == 0 {
            bail!("{name}: no token is a target. Set target_mask to 1 where a token is to be predicted.");
        }
        Ok(read)
    }

    fn targets(&self) -> u32 {
        self.sequences.iter().flat_map(|s| &s.target_mask).map(|m| u32::from(*m)).sum()
    }

    /// All of them as one batch, normalised by all targets.
    fn rows(&self) -> Vec<StepRow> {
        let weight = 1.0 / self.targets() as f32;
        let row = |sequence: &Sequence| {
            let ids = sequence.ids.clone();
            let predicted = (1..ids.len()).filter(|t| sequence.target_mask[*t] == 1);
            let (rows, targets) = predicted.map(|t| (t as u32 - 1, ids[t])).unzip();
            StepRow { starts: vec![0; ids.len()], rows, targets, weight, ids }
        };
        self.sequences.iter().map(row).collect()
    }
}

/// A batch on the device with the adapter that it trains.
struct Batch<'a> {
    device: OnDevice,
    rows: Vec<StepRow>,
    adapter: &'a Adapter,
}

impl Batch<'_> {
    /// Adds the gradients of the batch; gives the loss, and for each row `-ln p` of its targets.
    fn run(&mut self, train: bool) -> Result<(f64, Vec<Vec<f64>>)> {
        let mut all = Vec::new();
        for row in &self.rows {
            all.push(pollster::block_on(self.device.run(row, train, [0; 3], &|| false))?);
        }
        let loss = all.iter().zip(&self.rows).map(|(ce, row)| ce.iter().sum::<f64>() * f64::from(row.weight)).sum();
        Ok((loss, all))
    }

    fn matrices(&self, part: Part) -> Result<Matrices> {
        Ok(named(self.adapter, PREFIX, pollster::block_on(self.device.read(part))?))
    }

    /// Tensors of all matrices, `before` their names.
    fn named(&self, before: &str, part: Part) -> Result<Vec<Named>> {
        let shape = |name: &str| -> Result<Vec<usize>> {
            let (key, which) = name.rsplit_once('.').unwrap_or((name, ""));
            let pair = &self.adapter.pairs[&Target::from_key(key).context("a trained matrix without a target")?];
            let (rank, inputs, outputs) = (pair.rank as usize, pair.inputs as usize, pair.outputs as usize);
            Ok(if which == "lora_A" { vec![rank, inputs] } else { vec![outputs, rank] })
        };
        let all = self.matrices(part)?.into_iter();
        all.map(|(name, values)| Ok((format!("{before}.{name}"), Dtype::F32, shape(&name)?, super::bytes(&values)))).collect()
    }
}

/// The tensors to write: `loss`, `per_token_ce.N`, `grad.KEY`; with `steps` also `loss_curve` and `after.KEY`.
pub fn tensors(engine: &Engine, adapter: &Adapter, scale: f32, sequences: &Sequences, steps: Option<&Steps>) -> Result<Vec<Named>> {
    let mut terms = Terms::default();
    adapter.check_against(|target| engine.loaded().model.linear(&target.gguf_name()))?;
    terms_of(adapter, PREFIX, scale).for_each(|(target, term)| terms.add(target.gguf_name(), term));
    let rows = sequences.rows();
    let most = |of: fn(&StepRow) -> usize| rows.iter().map(of).max().unwrap_or(0).next_multiple_of(64) as u32;
    let longest = StepShape { tokens: most(|row| row.ids.len()), targets: most(|row| row.rows.len()), train: true };
    let device = pollster::block_on(OnDevice::new(engine.loaded().clone(), terms, longest, Keep::LEAST))?;
    device.write(Part::Value, &matrices_of(adapter, PREFIX));
    let mut batch = Batch { device, rows, adapter };
    let (loss, per_token) = batch.run(true)?;
    let mut out = vec![("loss".to_owned(), Dtype::F32, vec![1], super::bytes(&[loss as f32]))];
    for (i, (row, ce)) in batch.rows.iter().zip(&per_token).enumerate() {
        let mut all = vec![0.0; row.ids.len() - 1];
        row.rows.iter().zip(ce).for_each(|(at, ce)| all[*at as usize] = *ce as f32);
        out.push((format!("per_token_ce.{i}"), Dtype::F32, vec![all.len()], super::bytes(&all)));
    }
    out.extend(batch.named("grad", Part::Gradient)?);
    if let Some(steps) = steps {
        out.extend(trained(&mut batch, steps, loss)?);
    }
    Ok(out)
}

/// Takes the optimiser's steps, of which the first applies the gradients that are there.
fn trained(batch: &mut Batch, steps: &Steps, first: f64) -> Result<Vec<Named>> {
    let mut curve = vec![first as f32];
    for step in 1..=steps.count {
        pollster::block_on(batch.device.apply(&steps.adamw, steps.adamw.lr, u64::from(step)))?;
        batch.device.clear_gradients();
        curve.push(batch.run(step < steps.count)?.0 as f32);
    }
    let mut out = vec![("loss_curve".to_owned(), Dtype::F32, vec![curve.len()], super::bytes(&curve))];
    out.extend(batch.named("after", Part::Value)?);
    Ok(out)
}
