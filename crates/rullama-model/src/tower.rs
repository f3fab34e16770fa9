//! Towers: what turns a picture or a sound into rows of soft embeddings, which stand in a prompt as tokens do.
//!
//! A [`Tower`] is algebra over a [`Graph`], as a model is. [`LoadedTower`] is one with its weights on a model's device: it is made
//! when the first medium of its kind comes, and its memory is free again when it is dropped.

use crate::beside::Beside;
use crate::lower::For;
use crate::plan::{Plan, Pool, Resources};
use crate::weights::{Specs, Table, Weights};
use crate::{Loaded, ModelError};
use rullama_gpu::{Buffer, Recording, Slice, Usage};
use rullama_ops::{Cache, Graph, Half, Words};
use rullama_source::ByteSource;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

/// What a tower perceives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sense {
    Vision,
    Hearing,
}

/// What it perceives, for messages.
impl std::fmt::Display for Sense {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Sense::Vision => "pictures",
            Sense::Hearing => "sounds",
        })
    }
}

/// How media are prepared for a tower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// Patches of `patch` pixels a side, values in 0 ..= 1 by y, x, channel; a soft token is `pool` patches a side, and a picture has at
    /// most `budget` of them unless somebody says.
    Patches { patch: u32, pool: u32, budget: u32 },
    /// Frames of `bins` values of a log-mel spectrogram, as the tower's front end makes them.
    Mel { bins: u32 },
    /// Frames of so many samples, at 16 kHz.
    Samples { frame: u32 },
}

impl Wants {
    /// Soft tokens that come of so many rows of features.
    pub fn soft_tokens(self, rows: u32) -> u32 {
        match self {
            Wants::Patches { pool, .. } => rows / (pool * pool).max(1),
            // Two convolutions, each of which takes every second frame.
            Wants::Mel { .. } => rows.div_ceil(2).div_ceil(2),
            Wants::Samples { .. } => rows,
        }
    }
}

/// What a tower reads: numbers that were made from a medium on the CPU.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    pub cols: u32,
    /// `[rows, cols]`
    pub values: Vec<f32>,
    /// Patches in a row, and rows of them; of a sound 1, and its frames.
    pub grid: (u32, u32),
}

impl Features {
    pub fn rows(&self) -> u32 {
        self.values.len() as u32 / self.cols.max(1)
    }
}

/// What runs for some features. Outputs of the graph: `tower`, what the last block left, and `soft_tokens` `[n, width of the text
/// model]`; with taps also the stages between, by their names.
#[derive(Debug)]
pub struct TowerStep {
    pub graph: Graph,
    /// Inputs by name.
    pub inputs: Vec<(&'static str, Vec<f32>)>,
    pub words: Vec<(Words, Vec<u32>)>,
}

/// A tower as a file describes it.
pub trait Tower: Debug + Send + Sync {
    fn sense(&self) -> Sense;

    fn wants(&self) -> Wants;

    /// The weights and tables that its graphs name.
    fn specs(&self) -> &Specs;

    /// Tables that are computed, given those of the file.
    ///
    /// # Errors
    /// A value of the file that cannot be.
    fn tables(&self, file: &[Table]) -> Result<Vec<Table>, ModelError>;

    /// The step for features; `tables` are those of the file, then the computed ones. `taps` keeps the stages.
    ///
    /// # Errors
    /// Features that the tower has no places for.
    fn step(&self, features: &Features, tables: &[Table], taps: bool) -> Result<TowerStep, ModelError>;
}

/// A tower on a device.
pub struct LoadedTower {
    pub tower: Arc<dyn Tower>,
    beside: Beside,
}

/// Outputs of a tower by name: values, and their columns.
pub type TowerOutputs = HashMap<String, (Vec<f32>, u32)>;

/// What a tower's plan is built from.
struct View<'a> {
    weights: &'a Weights,
    words: HashMap<Words, Buffer>,
    banned: Vec<(String, &'static str)>,
}

impl Resources for View<'_> {
    fn weights(&self) -> &Weights {
        self.weights
    }

    fn cache(&self, _: usize, _: Half) -> Option<Cache> {
        None
    }

    fn words(&self, words: Words) -> Option<Slice> {
        self.words.get(&words).map(Buffer::whole)
    }

    fn banned(&self) -> &[(String, &'static str)] {
        &self.banned
    }
}

impl LoadedTower {
    /// Bytes that it takes on the GPU.
    pub fn bytes(&self) -> u64 {
        self.beside.bytes
    }

    /// Puts a tower's weights on the device of a model. `progress` sees bytes done and all of them, and ends the load with false.
    ///
    /// # Errors
    /// What cannot be read or does not fit; [`ModelError::Cancelled`].
    pub async fn load(
        loaded: &Loaded,
        tower: Arc<dyn Tower>,
        source: &dyn ByteSource,
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<Self, ModelError> {
        let beside = Beside::load(loaded, tower.specs(), &|file| tower.tables(file), source, progress).await?;
        Ok(LoadedTower { tower, beside })
    }

    /// Runs the tower on features and reads all outputs; activations are allocated for the call alone.
    ///
    /// # Errors
    /// Features that do not fit the tower, no memory, a lost device; [`ModelError::Cancelled`] between two parts.
    pub async fn encode(
        &self,
        loaded: &Loaded,
        features: &Features,
        taps: bool,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<TowerOutputs, ModelError> {
        let run = self.prepare(loaded, features, taps).await?;
        run.run(loaded, cancelled).await?;
        run.outputs(loaded).await
    }

    /// What runs for features, with these in its inputs.
    ///
    /// # Errors
    /// Features that do not fit the tower, no memory, a lost device.
    pub async fn prepare(&self, loaded: &Loaded, features: &Features, taps: bool) -> Result<TowerRun, ModelError> {
        let step = self.tower.step(features, &self.beside.tables, taps)?;
        let mode = if taps { For::Look } else { For::Run };
        let graph = loaded.lowered_for(step.graph.checked()?, mode, self.tower.specs()).await?;
        let mut words = HashMap::new();
        for (name, values) in &step.words {
            let buffer = loaded.device.buffer("a tower's words", (values.len() as u64 * 4).max(16), Usage::Storage).await?;
            loaded.device.write(&buffer, 0, bytemuck::cast_slice(values));
            words.insert(*name, buffer);
        }
        let view = View { weights: &self.beside.weights, words, banned: loaded.banned().await };
        let plan = Plan::build(&loaded.device, &graph, &view, &mut Pool::default()).await?;
        for (name, values) in &step.inputs {
            if let Some(slice) = plan.input(name) {
                loaded.device.write(&slice.buffer, slice.offset, bytemuck::cast_slice(values));
            }
        }
        Ok(TowerRun { plan, rows: features.rows() })
    }
}

/// A tower's step for some features, ready to run.
#[derive(Debug)]
pub struct TowerRun {
    plan: Plan,
    rows: u32,
}

impl TowerRun {
    /// What is replayed.
    pub fn recording(&self) -> &Recording {
        &self.plan.recording
    }

    /// Runs it.
    ///
    /// # Errors
    /// A lost device; [`ModelError::Cancelled`] between two parts.
    pub async fn run(&self, loaded: &Loaded, cancelled: &dyn Fn() -> bool) -> Result<(), ModelError> {
        // Without tokens nothing is learned of the text model's pace.
        loaded.run_parts(&self.plan, &mut Vec::new(), (self.rows, 0), cancelled).await
    }

    /// Reads all outputs of a run.
    ///
    /// # Errors
    /// A lost device.
    pub async fn outputs(&self, loaded: &Loaded) -> Result<TowerOutputs, ModelError> {
        let mut outputs = TowerOutputs::new();
        for (name, tensor) in self.plan.outputs() {
            outputs.insert(name.to_owned(), (loaded.read_rows(tensor, tensor.rows).await?, tensor.cols));
        }
        Ok(outputs)
    }
}

impl Debug for LoadedTower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedTower").field("tower", &self.tower).field("bytes", &self.beside.bytes).finish_non_exhaustive()
    }
}
