//! What a training comes to, found without the device: its adapter, its rows and how many updates they make.

use crate::checkpoint::{Identity, State, TargetShape, most_bytes};
use crate::data::{Dataset, Packed, Split, pack};
use crate::graph::StepShape;
use crate::memory::Estimate;
use crate::trainer::{Base, Data, epoch_rows};
use crate::{OptionError, TrainError, TrainOptions, init, memory};
use rullama_adapter::{Adapter, Pair, Target};

/// Options and data, checked and split.
pub struct Planned {
    pub adapter: Adapter,
    pub split: Split,
    /// Rows to evaluate on.
    pub eval: Vec<Packed>,
    /// Updates of all epochs.
    pub updates: u64,
    /// The shape that every row fits.
    pub longest: StepShape,
    /// That of the beginning.
    pub state: State,
}

/// What a training takes, before anything is allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Tokens of the longest row.
    pub tokens: u32,
    /// GPU memory of a step, kept as it would be.
    pub memory: Estimate,
    /// Whether it is within the budget, and each value within what the adapter can bind.
    pub fits: bool,
    pub updates: u64,
    /// Bytes of a checkpoint at most.
    pub checkpoint: u64,
}

impl Needs {
    /// # Errors
    /// An option outside of its range; data that cannot be trained on; an operation that cannot be trained through.
    pub fn of(base: &Base, data: &Data, options: &TrainOptions) -> Result<Self, TrainError> {
        options.check()?;
        let Planned { adapter, updates, longest, state, .. } = Planned::new(base, data, options)?;
        let terms = memory::terms(&adapter, options.dropout as f32);
        let (_, memory, fits) = memory::least(base, &terms, longest, options.activations)?;
        Ok(Needs { tokens: longest.tokens, memory, fits, updates, checkpoint: most_bytes(&state.targets) })
    }
}

impl Planned {
    /// # Errors
    /// Data that cannot be trained on; no chosen layer in the model.
    pub fn new(base: &Base, data: &Data, options: &TrainOptions) -> Result<Self, TrainError> {
        let adapter = init::adapter(&*base.loaded.model, options, &base.name)?;
        let split = match &data.eval {
            Some(_) => Split { train: (0..data.train.examples.len() as u32).collect(), eval: Vec::new() },
            None => crate::data::split(data.train.examples.len(), options.split, options.seed)?,
        };
        let evaluated = data.eval.as_ref().unwrap_or(&data.train);
        let places: Vec<u32> = if data.eval.is_some() { (0..evaluated.examples.len() as u32).collect() } else { split.eval.clone() };
        let eval = pack::rows(&evaluated.examples, &places, options.max_len)?;
        let eval: Vec<Packed> = eval.iter().map(|row| Packed::new(row, &evaluated.examples)).collect();
        let updates = updates(&data.train, &split, options)?;
        let longest = longest(&data.train, &split, options, &eval)?;
        let state = state(base, data, &adapter, options, updates);
        Ok(Planned { adapter, split, eval, updates, longest, state })
    }
}

/// Updates of all epochs.
fn updates(train: &Dataset, split: &Split, options: &TrainOptions) -> Result<u64, TrainError> {
    let mut updates = 0u64;
    for epoch in 0..options.epochs {
        let rows = epoch_rows(train, split, options, epoch)?.len();
        updates += rows.div_ceil(options.rows_a_step(rows)) as u64;
    }
    if updates == 0 {
        return Err(OptionError::new("data", "empty", "it must hold an example with something to learn").into());
    }
    Ok(updates)
}

/// The shape that every row fits: no longer than the data wants.
fn longest(train: &Dataset, split: &Split, options: &TrainOptions, eval: &[Packed]) -> Result<StepShape, TrainError> {
    let lengths = split.train.iter().map(|i| train.examples[*i as usize].ids.len());
    let all: usize = lengths.clone().sum();
    let one = lengths.max().unwrap_or(0).max(eval.iter().map(|row| row.ids.len()).max().unwrap_or(0));
    let packed = if options.pack { options.row_tokens(all as u64, one as u32) as usize } else { 0 };
    let tokens = (one.max(packed) as u32).next_multiple_of(64);
    Ok(StepShape { tokens, targets: tokens, train: true })
}

fn state(base: &Base, data: &Data, adapter: &Adapter, options: &TrainOptions, total_updates: u64) -> State {
    let hexadecimal = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let identity = Identity {
        model: hexadecimal(&base.loaded.identity),
        model_name: base.name.clone(),
        data: hexadecimal(&data.train.identity()),
        examples: data.train.examples.len() as u64,
        options: options.clone(),
    };
    let shape = |(target, pair): (&Target, &Pair)| TargetShape {
        module: target.module,
        layer: target.layer,
        rank: pair.rank,
        input: pair.inputs,
        output: pair.outputs,
    };
    let targets = adapter.pairs.iter().map(shape).collect();
    let (updates, position, best, calm, skipped, mean, seconds, tokens) = Default::default();
    State { identity, targets, updates, total_updates, position, best, calm, skipped, mean, seconds, tokens, unjudged: false }
}
