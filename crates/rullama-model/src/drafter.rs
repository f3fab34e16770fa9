//! Drafters: small models that guess the next tokens of another, their target, from its last hidden state and its own caches.
//!
//! A [`Drafter`] is algebra over a [`Graph`], as a model is. It has no caches: every layer reads the target's.

use crate::beside::Beside;
use crate::lower::For;
use crate::plan::{Plan, Pool, Resources};
use crate::weights::{Specs, Table, Weights};
use crate::{Loaded, ModelError};
use rullama_ops::{Graph, KvType};
use rullama_source::ByteSource;
use std::fmt::Debug;
use std::sync::Arc;

/// The output of a target's step, and the input of a drafter's: what the last layer left, before the last norm, `[rows, dim]`.
pub const HIDDEN: &str = "hidden states";

/// A drafter as a file describes it.
pub trait Drafter: Debug + Send + Sync {
    /// The weights and tables that its graphs name, all but those of [`shared`](Self::shared).
    fn specs(&self) -> &Specs;

    /// Weights and tables of the target that it reads: their keys there, and those that its graphs have for them.
    fn shared(&self) -> &[(&'static str, &'static str)];

    /// Tables that are computed for a context, given those of the file.
    ///
    /// # Errors
    /// A value of the file that cannot be.
    fn tables(&self, file: &[Table], context: u32) -> Result<Vec<Table>, ModelError>;

    /// `drafts` tokens, each the likeliest behind the one before. The input [`HIDDEN`] `[1, dim of the target]` is the state whose logits gave
    /// the first of them its predecessor, which is [`Words::StepId`](rullama_ops::Words::StepId);
    /// [`Words::ChunkState`](rullama_ops::Words::ChunkState) has the position before its own, of the last key in the caches.
    /// What is drawn goes where a sampler leaves it.
    fn forward(&self, drafts: u32, kv: KvType, context: u32, tables: &[Table]) -> Graph;
}

/// A drafter on its target's device.
pub struct LoadedDrafter {
    drafter: Arc<dyn Drafter>,
    beside: Beside,
}

impl LoadedDrafter {
    /// Puts a drafter's weights beside those of its target. `progress` sees bytes done and all of them, and ends the load with false.
    ///
    /// # Errors
    /// What cannot be read or does not fit; [`ModelError::Cancelled`].
    pub async fn load(
        loaded: &Loaded,
        drafter: Arc<dyn Drafter>,
        source: &dyn ByteSource,
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<Self, ModelError> {
        let context = loaded.choice.context;
        let mut beside = Beside::load(loaded, drafter.specs(), &|file| drafter.tables(file, context), source, progress).await?;
        for (theirs, ours) in drafter.shared() {
            beside.weights.share(&loaded.weights, theirs, ours);
        }
        Ok(LoadedDrafter { drafter, beside })
    }

    /// Bytes that it takes on the GPU.
    pub fn bytes(&self) -> u64 {
        self.beside.bytes
    }

    pub fn weights(&self) -> &Weights {
        &self.beside.weights
    }

    /// What runs for so many drafts, with all its kernels tested.
    ///
    /// # Errors
    /// An operation that no kernel computes rightly.
    pub async fn graph(&self, loaded: &Loaded, drafts: u32) -> Result<Graph, ModelError> {
        let graph = self.drafter.forward(drafts, loaded.choice.kv, loaded.choice.context, &self.beside.tables);
        loaded.lowered_for(graph.checked()?, For::Run, self.drafter.specs()).await
    }

    /// The recording of so many drafts over a session's caches and words.
    ///
    /// # Errors
    /// An operation that no kernel computes rightly; too little GPU memory; a lost device.
    pub async fn plan(&self, loaded: &Loaded, drafts: u32, over: &dyn Resources, pool: &mut Pool) -> Result<Plan, ModelError> {
        let graph = self.graph(loaded, drafts).await?;
        Plan::build(&loaded.device, &graph, over, pool).await
    }
}

impl Debug for LoadedDrafter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedDrafter").field("drafter", &self.drafter).field("bytes", &self.beside.bytes).finish_non_exhaustive()
    }
}
