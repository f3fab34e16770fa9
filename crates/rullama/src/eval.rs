//! Logits and hidden states of given tokens, for comparison with other programs.

use crate::engine::Engine;
use crate::options::{Cancel, GenerateOptions, Sampling};
use crate::runner::Chunk;
use crate::{Error, Session};
use rullama_model::lora::Terms;
use rullama_model::model::Rows;
use rullama_model::pace::MAX_CHUNK;
use rullama_model::reference::Reference;
use rullama_model::rows::Wanted;
use rullama_ops::{StepState, Words};
use std::collections::BTreeMap;

/// Named matrices `[tokens, cols]`: `logits`, `embed_scaled`, `layer_0` ..., `final_norm`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evaluation {
    pub tokens: usize,
    pub matrices: BTreeMap<String, Vec<f32>>,
}

impl Evaluation {
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
    ///
    /// # Errors
    /// Ids outside the vocabulary, a full context, a lost device.
    pub async fn evaluate(&mut self, ids: &[u32]) -> Result<Evaluation, Error> {
        self.evaluate_cancellable(ids, &Cancel::new()).await
    }

    /// As [`evaluate`](Self::evaluate), ending early with [`Error::Cancelled`] when cancelled.
    pub async fn evaluate_cancellable(&mut self, ids: &[u32], cancel: &Cancel) -> Result<Evaluation, Error> {
        self.check_ids(ids)?;
        self.check_room(self.position() as usize + ids.len())?;
        self.settle().await?;
        let mut evaluation = Evaluation { tokens: ids.len(), ..Default::default() };
        let model = self.engine().0.loaded.model.clone();
        let names: Vec<String> = model.taps().into_iter().chain(["logits".to_string()]).collect();
        // Logits of many rows are large: a chunk at most fills a 64 MiB buffer.
        let most = ((64 << 20) / (model.facts().vocab * 4)).clamp(1, MAX_CHUNK) as usize;
        let mut rest = ids;
        while !rest.is_empty() {
            let (part, after) = rest.split_at(rest.len().min(most).min(self.runner.chunk_tokens()));
            let chunk = Chunk { ids: part, rows: Rows::All, sampler: None, taps: true };
            for (name, values) in self.runner.chunk(chunk, cancel, &names).await? {
                evaluation.matrices.entry(name).or_default().extend(values);
            }
            self.sequence.extend(part);
            rest = after;
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
        let loaded = &self.0.loaded;
        let model = &loaded.model;
        let graph = loaded.graph(loaded.shape(ids.len() as u32, Rows::All, false, true), None, &Terms::default()).await?;
        let slots = model.facts().window as usize + ids.len();
        let mut reference = Reference::new(&*loaded.source, model.specs(), &loaded.tables, &model.caches(), loaded.choice.kv, slots);
        let state = StepState { tokens: ids.len() as u32, ..Default::default() };
        reference.words.insert(Words::ChunkIds, ids.to_vec());
        reference.words.insert(Words::ChunkState, bytemuck::cast_slice(&[state]).to_vec());
        if let Some(mut provider) = loaded.row_provider() {
            for input in model.inputs(Rows::All, ids.len()) {
                let wanted = Wanted { ids: &ids[input.tokens], columns: input.columns };
                reference.inputs.insert(input.name, provider.gather(&[wanted]).await?.remove(0));
            }
        }
        let outputs = reference.run(&graph).await?;
        let matrices = outputs.into_iter().map(|(name, array)| (name, array.data)).collect();
        Ok(Evaluation { tokens: ids.len(), matrices })
    }
}
