//! Logits and hidden states of given tokens, for comparison with other programs.

use crate::engine::Engine;
use crate::options::{Cancel, GenerateOptions, Sampling};
use crate::prompt::Prompt;
use crate::runner::Chunk;
use crate::{Error, Session};
use rullama_model::lora::Terms;
use rullama_model::model::{Rows, Shape};
use rullama_model::pace::MAX_CHUNK;
use rullama_model::reference::Reference;
use rullama_model::rows;
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
        let start = self.position() as usize;
        let whole = Prompt::of_parts([self.tokens(), ids].concat(), self.soft.clone());
        self.evaluate_from(&whole, start, cancel).await
    }

    /// As [`evaluate`](Self::evaluate), of a whole prompt that may hold soft tokens; what is cached goes.
    ///
    /// # Errors
    /// Those of [`evaluate`](Self::evaluate); a picture of more than a step holds.
    pub async fn evaluate_prompt(&mut self, prompt: &Prompt, cancel: &Cancel) -> Result<Evaluation, Error> {
        self.clear();
        self.soft = prompt.spans().to_vec();
        self.evaluate_from(prompt, 0, cancel).await
    }

    /// Of a prompt whose first `at` tokens are cached.
    async fn evaluate_from(&mut self, prompt: &Prompt, mut at: usize, cancel: &Cancel) -> Result<Evaluation, Error> {
        let ids = &prompt.ids()[at..];
        self.check_prompt(prompt)?;
        self.check_room(prompt.len())?;
        self.settle().await?;
        let (items, blocks) = (prompt.items(), self.blocks());
        let mut evaluation = Evaluation { tokens: ids.len(), ..Default::default() };
        let model = self.engine().0.loaded.model.clone();
        let names: Vec<String> = model.taps().into_iter().chain(["logits".to_string()]).collect();
        // Logits of many rows are large: a chunk at most fills a 64 MiB buffer.
        let most = ((64 << 20) / (model.facts().vocab * 4)).clamp(1, MAX_CHUNK) as usize;
        while at < prompt.len() {
            let end = prompt.step_end(at, most.min(self.runner.chunk_tokens()), blocks)?;
            let step = prompt.step(at..end, blocks);
            let chunk = Chunk { step: &step, rows: Rows::All, sampler: None, taps: true };
            for (name, values) in self.runner.chunk(chunk, cancel, &names).await? {
                evaluation.matrices.entry(name).or_default().extend(values);
            }
            self.sequence.extend_items(&items[at..end]);
            at = end;
        }
        Ok(evaluation)
    }

    /// The likeliest continuation of `prompt`, `count` tokens, through end tokens.
    pub async fn greedy(&mut self, prompt: &[u32], count: u32) -> Result<Vec<u32>, Error> {
        self.greedy_prompt(&prompt.into(), count).await
    }

    /// As [`greedy`](Self::greedy), of a prompt that may hold soft tokens.
    ///
    /// # Errors
    /// Those of [`Session::generate_prompt`].
    pub async fn greedy_prompt(&mut self, prompt: &Prompt, count: u32) -> Result<Vec<u32>, Error> {
        let options = GenerateOptions { sampling: Sampling::greedy(), max_tokens: Some(count), ignore_eos: true, ..Default::default() };
        Ok(self.generate_prompt(prompt, &options, &Cancel::new(), &mut |_| ()).await?.ids)
    }
}

impl Engine {
    /// The same on the CPU, from the operations' definitions. Slow: for small models.
    pub async fn evaluate_on_cpu(&self, ids: &[u32]) -> Result<Evaluation, Error> {
        let loaded = &self.0.loaded;
        let model = &loaded.model;
        // The host has all experts.
        let shape = Shape { pool: 0, ..loaded.shape(ids.len() as u32, Rows::All, false, true) };
        let graph = loaded.graph(shape, None, &Terms::default()).await?;
        let slots = model.facts().window as usize + ids.len();
        let mut reference = Reference::new(&*loaded.source, model.specs(), &loaded.tables, &model.caches(), loaded.choice.kv, slots);
        let state = StepState { tokens: ids.len() as u32, ..Default::default() };
        reference.words.insert(Words::ChunkIds, ids.to_vec());
        reference.words.insert(Words::ChunkState, bytemuck::cast_slice(&[state]).to_vec());
        if let Some(spec) = model.streamed().filter(|_| loaded.streams()).and_then(|of| model.specs().weight(of.key)) {
            let (table, places) = rows::host(&*loaded.source, spec, ids).await?;
            reference.weights.insert(spec.key.clone(), table);
            reference.words.insert(Words::RowPlaces, places);
        }
        let outputs = reference.run(&graph).await?;
        let matrices = outputs.into_iter().map(|(name, array)| (name, array.data)).collect();
        Ok(Evaluation { tokens: ids.len(), matrices })
    }
}
