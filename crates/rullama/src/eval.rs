//! Logits and hidden states of given tokens, for comparison with other programs.

use crate::engine::Engine;
use crate::options::{Cancel, GenerateOptions, Sampling};
use crate::runner::MAX_CHUNK;
use crate::{Error, Session};
use rullama_model::gemma4::{self, Rows, Shape};
use rullama_model::graph::{Input, Words};
use rullama_model::per_layer::RowProvider;
use rullama_model::reference::Reference;
use rullama_ops::StepState;
use std::collections::BTreeMap;

/// Named matrices `[tokens, cols]`: `logits`, `embed_scaled`, `layer_0` ..., `final_norm`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evaluation {
    pub tokens: usize,
    pub matrices: BTreeMap<String, Vec<f32>>,
}

impl Evaluation {
    fn add(&mut self, name: &str, values: Vec<f32>) {
        self.matrices.entry(name.into()).or_default().extend(values);
    }

    /// One row of a matrix.
    pub fn row(&self, name: &str, row: usize) -> Option<&[f32]> {
        let matrix = self.matrices.get(name)?;
        let cols = matrix.len() / self.tokens;
        matrix.get(row * cols..(row + 1) * cols)
    }
}

impl Session {
    /// Appends tokens and gives the logits and hidden states of each, computed for every row
    /// in every layer, from unfused operations.
    pub async fn evaluate(&mut self, ids: &[u32]) -> Result<Evaluation, Error> {
        self.check_ids(ids)?;
        self.check_room(self.tokens.len() + ids.len())?;
        self.settle().await?;
        let mut evaluation = Evaluation { tokens: ids.len(), ..Default::default() };
        // Logits of many rows are large: a chunk at most fills a 64 MiB buffer.
        let vocab = self.engine().0.config.vocab;
        let most = ((64 << 20) / (vocab * 4)).clamp(1, MAX_CHUNK) as usize;
        for part in ids.chunks(most) {
            let position = self.position();
            let layers = self.engine().0.config.layers.len();
            let plan = self.runner.chunk(part, position, Rows::All, None, true).await?;
            let names = (0..layers).map(|i| format!("layer_{i}")).chain(["embed_scaled", "final_norm", "logits"].map(String::from));
            let outputs: Vec<_> = names.filter_map(|name| plan.output(&name).cloned().map(|t| (name, t))).collect();
            for (name, tensor) in outputs {
                let values = self.runner.read(&tensor, part.len() as u32).await?;
                evaluation.add(&name, values);
            }
            self.tokens.extend(part);
        }
        Ok(evaluation)
    }

    /// The likeliest continuation of `prompt`, `count` tokens, through end tokens.
    pub async fn greedy(&mut self, prompt: &[u32], count: u32) -> Result<Vec<u32>, Error> {
        let options = GenerateOptions { sampling: Sampling::greedy(), max_tokens: Some(count), ignore_eos: true, ..Default::default() };
        Ok(self.generate(prompt, &options, &Cancel::new(), &mut |_| ()).await?.ids)
    }
}

impl Engine {
    /// The same on the CPU, from the operations' definitions. Slow: for small models.
    pub async fn evaluate_on_cpu(&self, ids: &[u32]) -> Result<Evaluation, Error> {
        let inner = &self.0;
        let tokens = ids.len() as u32;
        let shape = Shape { tokens, rows: Rows::All, decode: false, resident: inner.streamed.is_none(), taps: true };
        let graph = gemma4::forward(&inner.config, &inner.specs, &inner.scales, shape);
        let slots = inner.config.window as usize + ids.len();
        let mut reference = Reference::new(&*inner.source, &inner.specs.weights, &inner.tables, &inner.config, inner.kv, slots);
        let state = StepState { tokens, ..Default::default() };
        reference.words.insert(Words::ChunkIds, ids.to_vec());
        reference.words.insert(Words::ChunkState, bytemuck::cast_slice(&[state]).to_vec());
        if let Some(table) = &inner.streamed {
            let width = inner.config.per_layer as usize;
            let (own, all) = (inner.config.own_layers() * width, inner.config.layers.len() * width);
            let rows = RowProvider::new(inner.source.clone(), table.clone(), inner.config.per_layer).rows(ids, all).await?;
            reference.inputs.insert(Input::PerLayerOwn, rows.chunks_exact(all).flat_map(|r| r[..own].to_vec()).collect());
            reference.inputs.insert(Input::PerLayerShared, rows.chunks_exact(all).flat_map(|r| r[own..].to_vec()).collect());
        }
        let outputs = reference.run(&graph).await?;
        let matrices = outputs.into_iter().map(|(name, array)| (name, array.data)).collect();
        Ok(Evaluation { tokens: ids.len(), matrices })
    }
}
