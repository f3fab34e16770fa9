//! How a model is loaded that is trained.

use crate::load::LoadArguments;
use crate::model::Located;
use anyhow::Result;
use clap::ValueEnum;
use rullama_gpu::{Caps, Device, OpenOptions};
use rullama_model::loaded::tables;
use rullama_model::model::{self, Model};
use rullama_model::pace::MAX_CHUNK;
use rullama_model::rows::{CACHE_BYTES, slots};
use rullama_model::weights::Table;
use rullama_source::gguf::Gguf;
use rullama_source::{ByteSource, Locality};
use rullama_train::TrainOptions;
use rullama_train::graph::StepShape;
use rullama_train::memory::{Ground, better_streamed, terms_of_options};
use rullama_train::options::Activations;

/// Bytes of GPU memory that training keeps to when nobody says: on a discrete card, and elsewhere.
const BUDGETS: [u64; 2] = [8 << 30, 4 << 30];

/// Types of the values that a step keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kept {
    F32,
    F16,
}

impl Kept {
    pub fn wanted(self) -> Activations {
        match self {
            Kept::F32 => Activations::F32,
            Kept::F16 => Activations::F16,
        }
    }
}

/// Bytes of GPU memory to keep to, where so many were `said` or none.
pub fn budget(said: Option<u64>, discrete: bool) -> u64 {
    said.unwrap_or(BUDGETS[usize::from(!discrete)])
}

/// The arguments with `--ple auto` decided for rows of `tokens`: the table stays in its file where fewer layers are then computed again
/// within the budget. What cannot be told here is left to the load, which says what is wrong.
pub fn placed(located: &Located, load: &LoadArguments, options: &TrainOptions, tokens: u32, said: Option<u64>) -> LoadArguments {
    let local = located.source.locality() != Locality::Remote;
    if !local || !load.chooses_ple() || pollster::block_on(stays(&*located.source, load, options, tokens, said)) != Some(true) {
        return load.clone();
    }
    load.with_streamed_ple()
}

async fn stays(source: &dyn ByteSource, load: &LoadArguments, options: &TrainOptions, tokens: u32, said: Option<u64>) -> Option<bool> {
    let model = model::open(&Gguf::open(source).await.ok()?).ok()?;
    model.streamed()?;
    let device = Device::open(&OpenOptions { profile: load.profile(), ..OpenOptions::default() }).await.ok()?;
    let tables = tables(&*model, source, tokens).await.ok()?;
    let ground = |resident| ground(&*model, &tables, device.caps(), resident).ok();
    let (resident, streamed) = (ground(true)?, ground(false)?);
    // A row may be of as many different tokens.
    if streamed.slots < tokens {
        return None;
    }
    let terms = terms_of_options(&resident, options).ok()?;
    let shape = StepShape { tokens, targets: tokens, train: true };
    better_streamed(&resident, &streamed, &terms, shape, options.activations, budget(said, device.discrete())).ok()
}

/// What steps are reckoned for before the model is loaded: its weights, or those without per-layer embeddings and places for some of their
/// rows.
///
/// # Errors
/// A table whose rows have no layout.
pub fn ground<'a>(model: &'a dyn Model, tables: &'a [Table], caps: &'a Caps, resident: bool) -> Result<Ground<'a>> {
    let table = model.streamed().filter(|_| !resident).and_then(|streamed| model.specs().weight(streamed.key));
    let all: u64 = model.specs().weights.iter().map(|spec| spec.bytes()).sum();
    let slots = table.map(|table| slots(table, CACHE_BYTES, MAX_CHUNK, caps)).transpose()?.unwrap_or(0);
    let left_out = table.map_or(0, |table| table.bytes() - CACHE_BYTES.min(table.bytes()));
    Ok(Ground { model, tables, slots, weights: all - left_out, caps, most: caps.max_binding, longest: None })
}
